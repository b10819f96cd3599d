//! `spec/rules.md`: for every rule of the programmes, the tests that hit it and those that miss it.
//!
//! The page is made from the titles of `fixtures/decisions`, which begin with the rules they are
//! about, and from the steps of `fixtures/scenarios`, whose names do, with the codes that they see
//! over TCP. `UPDATE_FIXTURES=1` writes it anew; a rule without a test is named as such.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::decisions_notation::{Line, cases};

/// Rules by letter: how many there are, and those beside the numbers.
const RULES: &[(&str, u32)] = &[("A", 38), ("B", 6), ("C", 7), ("D", 5)];
const BESIDE: &[(&str, &str)] = &[("A26", "A26b")];

/// Rules that are tested elsewhere, and where.
const ELSEWHERE: &[(&str, &str)] = &[
    ("A1", "holders.rs, domain::holder"),
    ("A3", "holders.rs, over years"),
    (
        "A6",
        "domain::pin_choice, pins.rs over TCP and the operators' API",
    ),
    ("A7", "pins.rs over TCP, with restarts"),
    ("A9", "operators.rs"),
    (
        "A10",
        "model.rs: the passing of time changes no balance, and nothing else posts interest",
    ),
    ("A30", "operators.rs, model.rs"),
    (
        "A31",
        "cash.txt (machines), operators.rs (closing an account, statements and PIN notices)",
    ),
    ("A37", "statements.rs, card_life.rs"),
    ("A38", "statements.rs"),
    ("C6", "statements.rs"),
    ("B4", "card_life.rs over TCP"),
    (
        "C1",
        "card_life.rs over TCP and the operators' API, pins.rs over TCP",
    ),
    ("A36", "reversals.txt, repeats.txt, scenarios/life"),
    ("D2", "switch::dialect::code_list, programme_check.rs"),
    ("D3", "model.rs after every command, `ledger verify`"),
    ("D4", "switch::commit, drills"),
    ("D5", "secrets.rs"),
];

const HEAD: &str = "# Rules and their tests

Every rule of the programmes with the files of `fixtures/decisions` whose cases name it: those that
decline (and with which DE 39 of the generic dialect) and those that approve; and the DE 39 that
steps of `fixtures/scenarios` named after the rule see over TCP. A test makes this page from the
titles of cases and steps; `UPDATE_FIXTURES=1 cargo test rules_page` writes it.

| Rule | Declines in | DE 39 | Approves in | Over TCP | Also tested by |
| --- | --- | --- | --- | --- | --- |
";

/// What the fixtures say about one rule.
#[derive(Default)]
struct Told {
    /// Files and titles with a decline.
    hits: BTreeSet<String>,
    /// Those with an approval.
    misses: BTreeSet<String>,
    /// Response codes of the declines.
    codes: BTreeSet<String>,
    /// Response codes seen over TCP.
    seen: BTreeSet<String>,
}

fn ids() -> Vec<String> {
    let mut ids = Vec::new();
    for (letter, count) in RULES {
        for number in 1..=*count {
            let id = format!("{letter}{number}");
            let beside = BESIDE.iter().find(|row| row.0 == id).map(|row| row.1);
            ids.push(id);
            ids.extend(beside.map(str::to_owned));
        }
    }
    ids
}

fn told() -> BTreeMap<String, Told> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/decisions");
    let known: BTreeSet<String> = ids().into_iter().collect();
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        for case in cases(&fs::read_to_string(&path).unwrap()).unwrap() {
            let rules = case
                .title
                .split(' ')
                .take_while(|word| known.contains(*word));
            for rule in rules {
                let row = told.entry(rule.to_owned()).or_default();
                for (_, line) in &case.lines {
                    let Line::Message(message) = line else {
                        continue;
                    };
                    let (code, reason) = message.expected.outcome.split_once(' ').unwrap();
                    if reason.trim().ends_with("approved") {
                        row.misses.insert(file.clone());
                    } else {
                        row.hits.insert(file.clone());
                        row.codes.insert(code.to_owned());
                    }
                }
            }
        }
    }
    add_seen(&known, &mut told);
    told
}

/// Adds the codes of the scenarios' steps that are named after rules: `A19 B2: what happens`.
fn add_seen(known: &BTreeSet<String>, told: &mut BTreeMap<String, Told>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let scenario: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        for step in scenario["step"].as_array().unwrap() {
            let name = step.get("name").and_then(toml::Value::as_str);
            let Some((rules, _)) = name.and_then(|name| name.split_once(": ")) else {
                continue;
            };
            let code = step.get("expect").and_then(|expect| expect.get("code"));
            let Some(code) = code.and_then(toml::Value::as_str) else {
                continue;
            };
            for rule in rules.split(' ').filter(|rule| known.contains(*rule)) {
                let row = told.entry(rule.to_owned()).or_default();
                row.seen.insert(code.to_owned());
            }
        }
    }
}

fn page() -> String {
    let told = told();
    let mut page = String::from(HEAD);
    let joined = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
    for id in ids() {
        let elsewhere = ELSEWHERE.iter().find(|row| row.0 == id).map(|row| row.1);
        let row = match (told.get(&id), elsewhere) {
            (None, None) => format!("| {id} | no case names it | | | | |\n"),
            (None, Some(place)) => format!("| {id} | | | | | {place} |\n"),
            (Some(told), place) => format!(
                "| {id} | {} | {} | {} | {} | {} |\n",
                joined(&told.hits),
                joined(&told.codes),
                joined(&told.misses),
                joined(&told.seen),
                place.unwrap_or_default(),
            ),
        };
        page.push_str(&row);
    }
    page
}

#[test]
fn the_page_of_rules_says_which_tests_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/rules.md");
    let page = page();
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "spec/rules.md does not say what the fixtures do; write it with UPDATE_FIXTURES=1"
    );
}
