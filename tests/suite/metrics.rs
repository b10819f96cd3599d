//! What the switch counts, as Prometheus reads it: documented, complete and true.

use std::collections::{BTreeMap, BTreeSet};

use cardswitch::ops::metrics::METRICS;

use crate::operators::Desk;
use crate::support::EVERYDAY;

const PAGE: &str = include_str!("../../spec/metrics.md");
const ALERTS: &str = include_str!("../../spec/metrics/alerts.yml");
const DASHBOARD: &str = include_str!("../../spec/metrics/dashboard.json");

/// The rows of a page of metrics by name and labels.
fn rows(desk: &Desk) -> BTreeMap<String, f64> {
    let text = desk.get("/metrics");
    let rows = text.as_str().unwrap().lines();
    rows.filter(|row| !row.starts_with('#'))
        .map(|row| row.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[test]
fn the_page_and_the_program_name_the_same_metrics() {
    for metric in METRICS {
        let labels: Vec<String> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
        let row = format!(
            "| `{}` | {} | {} | {} |",
            metric.name,
            metric.kind.name(),
            labels.join(", "),
            metric.help
        );
        assert!(PAGE.contains(&row), "spec/metrics.md lacks: {row}");
    }
    let told = PAGE
        .lines()
        .filter(|row| row.starts_with("| `") && row.contains("` | "));
    let told = told.filter(|row| !row.contains("GET /"));
    assert_eq!(told.count(), METRICS.len());
}

#[test]
fn everything_promised_is_exposed_and_nothing_else() {
    let mut desk = Desk::open();
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    let text = desk.get("/metrics");
    let families = |word: &str| -> Vec<String> {
        let rows = text.as_str().unwrap().lines();
        let told = rows.filter_map(|row| row.strip_prefix(word));
        told.map(|row| row.split(' ').next().unwrap().to_owned())
            .collect()
    };
    let promised: Vec<&str> = METRICS.iter().map(|it| it.name).collect();
    let (help, kinds) = (families("# HELP "), families("# TYPE "));
    assert_eq!(help, kinds);
    assert_eq!(
        help.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        promised.iter().copied().collect::<BTreeSet<_>>()
    );
    for name in promised {
        let row = format!("\n{name}");
        assert!(text.as_str().unwrap().contains(&row), "no row of {name}");
    }
    assert!(!text.as_str().unwrap().contains(EVERYDAY));
    desk.close();
}

#[test]
fn messages_are_counted_by_link_type_reason_and_code() {
    let mut desk = Desk::open();
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    assert_eq!(desk.code(EVERYDAY, 200), "00");
    let again = desk.purchase(EVERYDAY, 300);
    assert_eq!(desk.client.code(&again), "00");
    assert_eq!(desk.client.code(&again), "00");
    assert_eq!(desk.code(EVERYDAY, 99_000_000), "61");
    // The name has the port of the configuration, which lets the system choose.
    let link = "iso87-ascii-0";
    let counted = format!("cardswitch_step_seconds_count{{link=\"{link}\",step=\"total\"}}");
    // An answer is counted once it is written: it may be here before that.
    let rows = (0..1_000)
        .map(|_| rows(&desk))
        .find(|rows| rows.get(&counted) == Some(&5.0));
    let rows = rows.unwrap();
    let kind = |rest: &str| {
        let row = format!("cardswitch_messages_total{{link=\"{link}\",mti=\"0100\",{rest}}}");
        rows.get(&row).copied()
    };
    let approved = "decision=\"approved\",reason=\"approved\",code=\"00\"";
    assert_eq!(kind(approved), Some(4.0), "{rows:?}");
    let above = "decision=\"declined\",reason=\"transaction-limit\",code=\"61\"";
    assert_eq!(kind(above), Some(1.0), "{rows:?}");
    let of_link = |name: &str| rows[&format!("{name}{{link=\"{link}\"}}")];
    assert_eq!(of_link("cardswitch_repeats_total"), 1.0);
    assert_eq!(of_link("cardswitch_requests_in_flight"), 0.0);
    assert_eq!(of_link("cardswitch_connections_open"), 1.0);
    for step in ["decode", "decide", "append", "total"] {
        let row = format!("cardswitch_step_seconds_count{{link=\"{link}\",step=\"{step}\"}}");
        assert_eq!(rows[&row], 5.0, "{step}");
    }
    assert!(rows["cardswitch_journal_sequence"] >= 4.0);
    assert!(rows["cardswitch_commit_records_count"] >= 4.0);
    assert!(rows["cardswitch_store_bytes{part=\"ring\"}"] > 0.0);
    assert_eq!(rows["cardswitch_hold_releases_ahead"], 3.0);
    desk.close();
}

#[test]
fn a_switch_that_decides_is_ready() {
    let desk = Desk::open();
    assert_eq!(desk.get("/readyz")["status"], "ready");
    desk.close();
}

/// Words of a text that look like metrics of ours.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("cardswitch_") || word.starts_with("process_"))
        .collect()
}

#[test]
fn dashboard_and_alerts_ask_only_for_metrics_that_exist() {
    serde_json::from_str::<serde_json::Value>(DASHBOARD).unwrap();
    for (file, text) in [("alerts.yml", ALERTS), ("dashboard.json", DASHBOARD)] {
        let asked = named(text);
        assert!(asked.len() > 8, "{file} asks for {asked:?}");
        for name in asked {
            let plain = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(name);
            let is_known = METRICS.iter().any(|it| it.name == plain || it.name == name);
            assert!(is_known, "{file} asks for {name}");
        }
    }
}
