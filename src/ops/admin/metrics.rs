//! Metrics for Prometheus, and whether the switch is ready for requests.

use std::path::Path;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::engine::state::State;
use crate::ops::metrics::text::{MEDIA_TYPE, NANOSECONDS, Page};
use crate::ops::metrics::{self as names, Metric};
use crate::switch::decision_line::DecisionWord;
use crate::switch::histogram::Reading;
use crate::switch::meter::{LinkReading, STEPS};
use crate::switch::telemetry::Telemetry;

use super::asked::Shared;
use super::{AdminContext, Problem};

/// How long the single writer may take to answer before the switch does not count as ready.
const READY_WITHIN: Duration = Duration::from_secs(1);
/// Folders within folders that are looked into for the size of the store.
const DEPTH_MAX: usize = 4;

/// A metric, and what a link says of it.
type ValueOfLink = (Metric, fn(&LinkReading) -> u64);

/// What the state knows.
struct Standing {
    sequence: u64,
    counts: (usize, usize, usize),
    open: (usize, usize, usize),
    exceptions_raised: u64,
}

fn standing(state: &State) -> Standing {
    Standing {
        sequence: state.sequence(),
        counts: state.counts(),
        open: state.open_counts(),
        exceptions_raised: state.exceptions().1,
    }
}

/// All metrics (`spec/metrics.md`).
pub(super) async fn metrics(Shared(context): Shared<AdminContext>) -> Result<Response, Problem> {
    let standing = context.jobs.query(standing).await?;
    let folders = context.folders.clone();
    let cut_off = |_| Problem(StatusCode::SERVICE_UNAVAILABLE, "cut off".to_owned());
    let disk = tokio::task::spawn_blocking(move || Disk::look(&folders.0, folders.1.as_deref()));
    let disk = disk.await.map_err(cut_off)?;

    let mut page = Page::default();
    page.family(names::BUILD_INFO)
        .row(&[env!("CARGO_PKG_VERSION")], 1);
    let readings: Vec<LinkReading> = context
        .telemetry
        .links()
        .iter()
        .map(|it| it.read())
        .collect();
    of_links(&mut page, &readings);
    of_shell(&mut page, &context.telemetry);
    let (waiting, most) = context.jobs.depth();
    page.plain(names::QUEUE_JOBS, number(waiting));
    page.plain(names::QUEUE_JOBS_MAX, number(most));
    of_journal(&mut page, &context.telemetry, &standing);
    let (negative, open, releases) = standing.open;
    page.plain(names::HOLD_RELEASES_AHEAD, number(releases));
    page.plain(names::PURSES_NEGATIVE, number(negative));
    page.plain(names::EXCEPTIONS_OPEN, number(open));
    page.plain(names::EXCEPTIONS_RAISED, standing.exceptions_raised);
    let durable = context.telemetry.durable.load(Acquire);
    let (failures, dead, behind) = context.webhooks.counts(durable);
    page.plain(names::WEBHOOK_FAILURES, failures);
    page.plain(names::WEBHOOK_DEAD, dead);
    page.plain(names::WEBHOOK_BEHIND, behind);
    let shadow = context.shadows.counts(durable);
    page.plain(names::SHADOW_DECISIONS, shadow.decisions);
    page.plain(names::SHADOW_DIFFERENCES, shadow.changed);
    page.plain(names::SHADOW_BEHIND, shadow.behind);
    page.plain(names::SHADOW_STOPPED, u64::from(shadow.is_stopped));
    let mut parts = page.family(names::STORE_BYTES);
    for (part, bytes) in disk.parts {
        parts.row(&[part], bytes);
    }
    let is_short = context.space.shortage().is_some();
    page.plain(names::STORE_SHORT, u64::from(is_short));
    page.plain(names::LOG_DROPPED, context.log.dropped_lines());
    page.plain(names::LOG_MASKED, context.log.masked_lines());
    page.plain(names::RESIDENT_BYTES, disk.resident_bytes);
    page.plain(names::OPEN_FILES, disk.open_files);
    page.plain(names::THREADS, disk.threads);
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], page.into_text()).into_response())
}

fn of_links(page: &mut Page, readings: &[LinkReading]) {
    let mut messages = page.family(names::MESSAGES);
    for reading in readings {
        for (kind, count) in &reading.messages {
            let mti = kind
                .mti
                .map_or("other".to_owned(), |mti| format!("{mti:04}"));
            let decision = DecisionWord::as_str(kind.decision);
            let row = [
                &reading.link,
                &mti,
                decision,
                kind.reason.name(),
                &kind.code,
            ];
            messages.row(&row, *count);
        }
    }
    let values: [ValueOfLink; 5] = [
        (names::REPEATS, |link| link.repeats),
        (names::IN_FLIGHT, |link| link.in_flight),
        (names::CONNECTIONS_OPEN, |link| link.connections_open),
        (names::CONNECTIONS_MAX, |link| link.connections_max),
        (names::SIGNED_ON, |link| link.signed_on),
    ];
    for (metric, value) in values {
        let mut family = page.family(metric);
        for reading in readings {
            family.row(&[&reading.link], value(reading));
        }
    }
    let mut steps = page.family(names::STEP_SECONDS);
    for reading in readings {
        for (step, times) in STEPS.iter().zip(&reading.steps) {
            if times.count() > 0 {
                steps.histogram(&[&reading.link, step], times, NANOSECONDS);
            }
        }
    }
}

fn of_shell(page: &mut Page, telemetry: &Telemetry) {
    for (metric, count) in [
        (names::CONNECTIONS_ACCEPTED, &telemetry.connections_accepted),
        (names::CONNECTIONS_REFUSED, &telemetry.connections_refused),
        (names::CONNECTIONS_DENIED, &telemetry.connections_denied),
        (names::HANDSHAKES_FAILED, &telemetry.handshakes_failed),
        (
            names::CONNECTIONS_TIMED_OUT,
            &telemetry.connections_timed_out,
        ),
        (names::FRAMES_RECEIVED, &telemetry.frames_received),
        (names::FRAMES_BROKEN, &telemetry.frames_broken),
        (names::UNDECODABLE, &telemetry.messages_undecodable),
        (names::UNANSWERABLE, &telemetry.messages_unanswerable),
        (names::ANSWERS_WRITTEN, &telemetry.answers_written),
        (names::ANSWERS_UNDELIVERED, &telemetry.answers_undelivered),
        (names::TURNED_AWAY, &telemetry.requests_turned_away),
        (names::NOT_PERMITTED, &telemetry.requests_not_permitted),
        (names::MACS_REFUSED, &telemetry.macs_refused),
        (names::LINK_KEYS_TAKEN, &telemetry.link_keys_taken),
        (names::SESSIONS_SIGNED_OFF, &telemetry.sessions_signed_off),
        (names::SESSIONS_DRAINED, &telemetry.sessions_drained),
    ] {
        page.plain(metric, count.load(Relaxed));
    }
}

fn of_journal(page: &mut Page, telemetry: &Telemetry, standing: &Standing) {
    let (mut seconds, mut records) = (Reading::default(), Reading::default());
    telemetry.commit_ns.read(&mut seconds);
    telemetry.commit_records.read(&mut records);
    page.family(names::COMMIT_SECONDS)
        .histogram(&[], &seconds, NANOSECONDS);
    page.family(names::COMMIT_RECORDS)
        .histogram(&[], &records, 1.0);
    let (accounts, cards, entries) = standing.counts;
    for (metric, value) in [
        (names::JOURNAL_SEQUENCE, standing.sequence),
        (
            names::CHECKPOINTS_MADE,
            telemetry.checkpoints_made.load(Relaxed),
        ),
        (
            names::CHECKPOINTS_FAILED,
            telemetry.checkpoints_failed.load(Relaxed),
        ),
        (
            names::CHECKPOINT_SEQUENCE,
            telemetry.checkpoint_sequence.load(Relaxed),
        ),
        (names::ACCOUNTS, number(accounts)),
        (names::CARDS, number(cards)),
        (names::ENTRIES, number(entries)),
    ] {
        page.plain(metric, value);
    }
}

/// What the system says of the process and its files.
struct Disk {
    parts: [(&'static str, u64); 4],
    resident_bytes: u64,
    open_files: u64,
    threads: u64,
}

impl Disk {
    fn look(store: &Path, log: Option<&Path>) -> Disk {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let said = |key: &str| {
            let row = status.lines().find_map(|row| row.strip_prefix(key));
            let value = row.and_then(|row| row.split_whitespace().next());
            value.and_then(|value| value.parse().ok()).unwrap_or(0_u64)
        };
        let open_files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Disk {
            parts: [
                ("journal", bytes_in(&store.join("j"), DEPTH_MAX)),
                ("checkpoints", bytes_in(&store.join("c"), DEPTH_MAX)),
                ("ring", bytes_in(&store.join("ring"), 0)),
                ("log", log.map_or(0, |log| bytes_in(log, DEPTH_MAX))),
            ],
            resident_bytes: said("VmRSS:").saturating_mul(1_024),
            open_files: number(open_files),
            threads: said("Threads:"),
        }
    }
}

/// Bytes on the disk of a file, or of what is in a folder; what goes meanwhile is not counted.
fn bytes_in(path: &Path, depth: usize) -> u64 {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let Some(depth) = depth.checked_sub(1) else {
        return 0;
    };
    let rows = std::fs::read_dir(path).into_iter().flatten().flatten();
    rows.map(|row| bytes_in(&row.path(), depth)).sum()
}

/// Whether the partition decides and its journal takes records: 200, or 503 with the reason.
pub(super) async fn ready(Shared(context): Shared<AdminContext>) -> Result<Json<Value>, Problem> {
    let not_yet = |what: String| Problem(StatusCode::SERVICE_UNAVAILABLE, what);
    // The answer comes behind a durable batch.
    let answer = context.jobs.query(State::sequence);
    let sequence = tokio::time::timeout(READY_WITHIN, answer)
        .await
        .map_err(|_| not_yet("the single writer does not answer within a second".to_owned()))??;
    match context.space.shortage() {
        Some(why) => Err(not_yet(why)),
        None => Ok(Json(json!({
            "status": "ready",
            "version": env!("CARGO_PKG_VERSION"),
            "sequence": sequence,
        }))),
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
