//! `spec/lifecycle.md`: every turn that a transaction can take, with the scenario file of each
//! dialect that plays it. Those that kill the switch or have time pass are played here.
//!
//! The page is made from the titles of the files that `scenarios.rs` and this file play;
//! `UPDATE_FIXTURES=1` writes it anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A dialect, both wire forms of its edition, and the folder that it shares with others of
/// its edition. A file of its own folder stands before one of the same number in the shared folder.
pub(crate) struct Dialect {
    pub(crate) name: &'static str,
    pub(crate) specs: [&'static str; 2],
    shared: Option<&'static str>,
}

pub(crate) const DIALECTS: &[Dialect] = &[
    Dialect {
        name: "iso87",
        specs: ["iso87-ascii", "iso87-binary"],
        shared: Some("life"),
    },
    Dialect {
        name: "visa-style",
        specs: ["iso87-ascii", "iso87-binary"],
        shared: Some("life"),
    },
    Dialect {
        name: "mastercard-style",
        specs: ["iso87-ascii", "iso87-binary"],
        shared: Some("life"),
    },
    Dialect {
        name: "iso93",
        specs: ["iso93-ascii", "iso93-binary"],
        shared: None,
    },
    Dialect {
        name: "iso2003",
        specs: ["iso03-ascii", "iso03-binary"],
        shared: None,
    },
];

/// The minimum list of what must be shown, and the number of the file that plays it.
const ITEMS: &[(&str, &str)] = &[
    ("authorized, then cleared", "01"),
    ("tip: cleared for more", "02"),
    ("automated fuel: status check, then advice", "03"),
    ("partial approval, then cleared", "04"),
    ("full reversal", "05"),
    ("partial reversal, then cleared", "06"),
    ("incremental, then cleared", "07"),
    ("cleared in several parts", "08"),
    ("authorized, then expired", "09"),
    ("expired, then cleared late", "10"),
    ("force post", "11"),
    ("refund with authorization", "12"),
    ("refund without authorization", "13"),
    ("refund reversed", "14"),
    ("original credit", "15"),
    ("account funding declined", "16"),
    ("cash dispensed", "17"),
    ("cash dispensed in part", "18"),
    ("nothing dispensed", "19"),
    ("stand-in advice of an approval", "20"),
    ("stand-in advice of a decline", "21"),
    ("reversal before its original", "22"),
    ("the original after its tombstone, within the hour", "22"),
    ("the original after its tombstone, a day later", "35"),
    ("partial reversal before its advice", "23"),
    ("double 0420", "24"),
    ("0101 after an approval", "25"),
    ("wrong amount with the same trace number", "25"),
    ("0121 after a crash", "31"),
    ("crash between request and answer", "34"),
    ("no answer in time", "33"),
    ("over-reversal", "26"),
    ("cleared at another rate, up and down", "27"),
    ("billed in another currency than the transaction's", "36"),
    ("hold over several purses reversed", "28"),
    ("hotel deposit declined, final bill approved", "29"),
    ("three wrong PINs, then the right one", "32"),
    ("refund to an expired card", "30"),
    ("totals of a business day compared", "37"),
];

const HEAD: &str = "# The life of a transaction

Every turn that a transaction can take, with the scenario file that plays it over TCP, and the
folder of `fixtures/scenarios` in which each dialect has it: `life` for what all dialects of 1987
say alike. Tests play every file named here in both wire forms of its edition, those with a star in
one of them, and make this page; `UPDATE_FIXTURES=1 cargo test lifecycle` writes it.

By hand: `cardswitch acquirer run fixtures/scenarios/life/01-auth-clear.toml` against
`serve --demo`. Files with a star kill the switch or have days pass, which nobody can do to a switch
that serves others: `cardswitch acquirer run --own-switch FILE` starts one on a temporary store,
kills it (SIGKILL) at each step with `crash = true`, and starts it again so much later at each with
`later = \"46d\"`; `--spec` and `--dialect` say what it speaks.

";

/// The scenarios that a dialect plays, by their number.
pub(crate) fn files(dialect: &Dialect) -> BTreeMap<String, PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios");
    let mut files = BTreeMap::new();
    for name in dialect.shared.into_iter().chain([dialect.name]) {
        let Ok(entries) = fs::read_dir(folder.join(name)) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let number = name.split_once('-').unwrap().0.to_owned();
            let before = files.insert(number, path);
            let is_first = before.is_none_or(|before| before.file_name().unwrap() == name.as_str());
            assert!(is_first, "{name}: another file has its number");
        }
    }
    files
}

/// Whether a scenario kills the switch or has time pass.
pub(crate) fn needs_own_switch(path: &Path) -> bool {
    let scenario: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    let mut steps = scenario["step"].as_array().unwrap().iter();
    steps.any(|step| step.get("crash").is_some() || step.get("later").is_some())
}

fn page() -> String {
    let mut page = String::from(HEAD);
    page.push_str("| What happens | File |");
    for dialect in DIALECTS {
        page.push_str(&format!(" {} |", dialect.name));
    }
    page.push_str(&format!(
        "\n| --- | --- |{}\n",
        " --- |".repeat(DIALECTS.len())
    ));
    for (item, number) in ITEMS {
        let mut names = Vec::new();
        let mut folders = String::new();
        for dialect in DIALECTS {
            let path = files(dialect)
                .remove(*number)
                .unwrap_or_else(|| panic!("{item}: {} has no file {number}", dialect.name));
            let folder = path.parent().unwrap().file_name().unwrap();
            folders.push_str(&format!(" {} |", folder.to_string_lossy()));
            let star = if needs_own_switch(&path) { " *" } else { "" };
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            names.push(format!("{name}{star}"));
        }
        names.dedup();
        page.push_str(&format!("| {item} | {} |{folders}\n", names.join(", ")));
    }
    page
}

#[test]
fn the_page_names_a_file_of_each_dialect_for_every_turn_that_a_transaction_can_take() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/lifecycle.md");
    let page = page();
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "spec/lifecycle.md does not say what is played; write it with UPDATE_FIXTURES=1"
    );
}

/// Plays what kills the switch or has time pass, with the real binary.
fn play_on_own_switches(name: &str) {
    let dialect = DIALECTS.iter().find(|row| row.name == name).unwrap();
    let files = files(dialect).into_values();
    let paths: Vec<PathBuf> = files.filter(|path| needs_own_switch(path)).collect();
    assert!(paths.len() >= 7, "{paths:?}");
    for (path, spec) in paths.iter().zip(dialect.specs.iter().cycle()) {
        let outcome = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
            .args(["acquirer", "run", "--own-switch", "--spec", spec])
            .args(["--dialect", dialect.name])
            .arg(path)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&outcome.stdout);
        let said = String::from_utf8_lossy(&outcome.stderr);
        assert!(
            outcome.status.success(),
            "{} {spec} {name}:\n{told}\n{said}",
            path.display()
        );
    }
}

#[test]
fn time_and_crashes_are_survived_in_the_generic_dialect() {
    play_on_own_switches("iso87");
}

#[test]
fn time_and_crashes_are_survived_in_the_visa_style() {
    play_on_own_switches("visa-style");
}

#[test]
fn time_and_crashes_are_survived_in_the_mastercard_style() {
    play_on_own_switches("mastercard-style");
}

#[test]
fn time_and_crashes_are_survived_in_the_edition_of_1993() {
    play_on_own_switches("iso93");
}

#[test]
fn time_and_crashes_are_survived_in_the_edition_of_2003() {
    play_on_own_switches("iso2003");
}

#[test]
fn a_clock_ahead_is_given_to_demos_only() {
    let outcome = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["serve", "--clock-ahead", "60"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&outcome.stderr);
    assert_eq!(outcome.status.code(), Some(2), "{said}");
    assert!(said.contains("--demo"), "{said}");
}
