//! `spec/rules.md`: every rule of the programmes, what shows it taking effect and sparing, and the
//! codes that it has over TCP.
//!
//! The page is made from `fixtures/rules.toml` and what that names; `UPDATE_FIXTURES=1` writes it
//! anew. A rule without a cell, or a proof that is not there, fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::rules_list::{Evidence, Rule, faults, is_rule, rules};

/// Rules by letter: how many there are, and those beside the numbers.
const RULES: &[(&str, u32)] = &[("A", 38), ("B", 6), ("C", 7), ("D", 5)];
const BESIDE: &[(&str, &str)] = &[("A26", "A26b")];

/// How many files are named for a code before the rest is counted.
const FILES_NAMED: usize = 2;

const HEAD: &str = "# Rules and their tests

Every rule of the programmes: cases and tests in which it takes effect (hit) and in which it does
not (miss), the codes that it has over TCP, and where. A case stands with its file of
`fixtures/decisions`; a number behind one says how many cases more there are that name the rule
(and, where it declines, do so with a code of it, or have something pass). A test `module::name` is
in `tests/suite`, one with a longer path in `src`. Codes are DE 39 of the dialects of 1987, with the
scenarios of `fixtures/scenarios` that see them; those of 1993 and 2003 stand behind. HTTP is the
operators' API, for what has no message.

The page is made from `fixtures/rules.toml`, where a rule's picks are made, and from what that
names; `UPDATE_FIXTURES=1 cargo test rules_page` writes it. A rule of the list without a cell, a
case or test that is not there, or a code that nothing sees fails the test.

| Rule | What it wants | Hit | Miss | Over TCP |
| --- | --- | --- | --- | --- |
";

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

/// The proofs of a column, and how many cases more there are.
fn proofs(picks: &[String], more: usize) -> String {
    let mut cells: Vec<String> = Vec::new();
    for pick in picks {
        cells.push(match pick.split_once(": ") {
            Some((file, title)) => {
                let words = title.split(' ').skip_while(|word| is_rule(word));
                let title: Vec<&str> = words.collect();
                format!("{file}: {}", title.join(" "))
            }
            None => format!("`{pick}`"),
        });
    }
    if more > 0 {
        cells.push(format!("+{more}"));
    }
    cells.join("<br>")
}

/// How many cases that are not picked show the same of a rule.
fn more(rule: &Rule, picks: &[String], is_hit: bool, evidence: &Evidence) -> usize {
    let cases = evidence.cases.iter().filter(|(name, case)| {
        let shows = match (is_hit, rule.codes.is_empty()) {
            (true, true) => true,
            (true, false) => rule.codes.iter().any(|code| case.declined.contains(code)),
            (false, true) => false,
            (false, false) => case.passes,
        };
        case.rules.contains(&rule.id) && shows && !picks.contains(name)
    });
    cases.count()
}

/// The edition of the dialect that a scenario is in.
fn edition(file: &str) -> &'static str {
    match file.split_once('/') {
        Some(("iso93", _)) => "1993",
        Some(("iso2003", _)) => "2003",
        _ => "1987",
    }
}

/// `declines, life/05-full-reversal and 3 more`.
fn named(files: &BTreeSet<&str>) -> String {
    // What stands by itself is read first.
    let mut files: Vec<&str> = files.iter().copied().collect();
    files.sort_by_key(|file| file.contains('/'));
    let more = files.len().saturating_sub(FILES_NAMED);
    files.truncate(FILES_NAMED);
    match more {
        0 => files.join(", "),
        _ => format!("{} +{more}", files.join(", ")),
    }
}

fn over_tcp(rule: &Rule, evidence: &Evidence) -> String {
    let mut cells = Vec::new();
    let mut later: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (code, files) in evidence.seen.get(&rule.id).into_iter().flatten() {
        let mut of_1987 = BTreeSet::new();
        for file in files {
            match edition(file) {
                "1987" => {
                    of_1987.insert(file.as_str());
                }
                edition => {
                    later.entry(edition).or_default().insert(code);
                }
            }
        }
        if !of_1987.is_empty() {
            cells.push(format!("{code}: {}", named(&of_1987)));
        }
    }
    for said in &rule.wire {
        let (code, test) = said.split_once(' ').unwrap();
        cells.push(format!("{code}: `{test}`"));
    }
    for (edition, codes) in later {
        let codes: Vec<&str> = codes.into_iter().collect();
        cells.push(format!("{edition}: {}", codes.join(", ")));
    }
    for said in &rule.http {
        let (status, test) = said.split_once(' ').unwrap();
        cells.push(format!("HTTP {status}: `{test}`"));
    }
    cells.extend(rule.no_wire.clone());
    cells.join("<br>")
}

fn page(rules: &[Rule], evidence: &Evidence) -> String {
    let mut page = String::from(HEAD);
    for rule in rules {
        let miss = match &rule.never_misses {
            Some(why) => why.clone(),
            None => proofs(&rule.miss, more(rule, &rule.miss, false, evidence)),
        };
        page.push_str(&format!(
            "| {} | {} | {} | {miss} | {} |\n",
            rule.id,
            rule.says,
            proofs(&rule.hit, more(rule, &rule.hit, true, evidence)),
            over_tcp(rule, evidence),
        ));
    }
    page
}

#[test]
fn every_rule_has_a_hit_a_miss_and_a_code_over_tcp() {
    let (rules, evidence) = (rules(), Evidence::gather());
    let listed: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(listed, ids());
    let found: Vec<String> = rules
        .iter()
        .flat_map(|rule| faults(rule, &evidence))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    let in_cases = evidence.cases.values().flat_map(|case| &case.rules);
    let named: BTreeSet<&String> = in_cases.chain(evidence.seen.keys()).collect();
    for rule in named {
        assert!(ids().contains(rule), "there is no rule {rule}");
    }
}

#[test]
fn what_a_list_of_rules_lacks_is_told() {
    let (rules, evidence) = (rules(), Evidence::gather());
    let fuel = rules.iter().find(|rule| rule.id == "A19").unwrap();
    let some = |text: &str| Some(text.to_owned());
    let list = |text: &str| vec![text.to_owned()];
    type Change<'a> = &'a dyn Fn(&mut Rule);
    let changes: [(Change<'_>, &str); 11] = [
        (&|rule| rule.hit.clear(), "has no hit"),
        (&|rule| rule.miss.clear(), "expected a miss"),
        (&|rule| rule.never_misses = some("why"), "expected a miss"),
        (
            &|rule| rule.no_wire = some("why"),
            "expected a code over TCP",
        ),
        (&|rule| rule.codes = list("58"), "58 is never seen"),
        (&|rule| rule.codes = list("58"), "declines with none of"),
        (&|rule| rule.hit = list("merchants: A19 fuels"), "no case"),
        (
            &|rule| rule.miss = list("merchants: A20 tolls, attended or not"),
            "does not name the rule",
        ),
        (&|rule| rule.hit = list("model::fuel"), "does not exist"),
        (&|rule| rule.miss = list("model::setting"), "does not exist"),
        (
            &|rule| rule.http = list("418 reload::with_any_mistake_in_any_file_nothing_changes"),
            "sees no 418",
        ),
    ];
    for (change, expected) in changes {
        let mut rule = fuel.clone();
        change(&mut rule);
        let told = faults(&rule, &evidence);
        let is_told = told.iter().any(|fault| fault.contains(expected));
        assert!(is_told, "{expected}: {told:?}");
    }
    let interest = rules.iter().find(|rule| rule.id == "A10").unwrap();
    let unseen = Evidence {
        seen: BTreeMap::new(),
        ..evidence
    };
    assert_eq!(faults(interest, &unseen).len(), 1, "no cell for TCP");
}

#[test]
fn the_page_of_rules_says_which_tests_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/rules.md");
    let page = page(&rules(), &Evidence::gather());
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "spec/rules.md does not say what the fixtures do; write it with UPDATE_FIXTURES=1"
    );
}

#[test]
fn the_list_has_every_rule_that_was_asked_for() {
    let Some(folder) = std::env::var_os("CARDSWITCH_SHARED") else {
        println!("skipped: CARDSWITCH_SHARED names no folder");
        return;
    };
    let asked = fs::read_to_string(Path::new(&folder).join("programme/rules.md")).unwrap();
    let rows = asked.lines().filter_map(|line| line.strip_prefix("| "));
    let first = rows.filter_map(|row| row.split(' ').next());
    let asked: Vec<&str> = first.filter(|word| is_rule(word)).collect();
    assert_eq!(asked, ids());
}
