//! `fixtures/rules.toml`, the list of rules and what proves each, held against what there is: cases
//! of `fixtures/decisions`, steps of `fixtures/scenarios`, functions of tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::decisions_notation::{CaseText, Line, cases};

/// A rule and what proves it; the head of the file says what each field is.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) says: String,
    #[serde(default)]
    pub(crate) codes: Vec<String>,
    pub(crate) hit: Vec<String>,
    #[serde(default)]
    pub(crate) miss: Vec<String>,
    pub(crate) never_misses: Option<String>,
    #[serde(default)]
    pub(crate) wire: Vec<String>,
    #[serde(default)]
    pub(crate) http: Vec<String>,
    pub(crate) no_wire: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Rule>,
}

/// The rules, in the order of the file.
pub(crate) fn rules() -> Vec<Rule> {
    let text = include_str!("../../fixtures/rules.toml");
    toml::from_str::<File>(text).unwrap().rule
}

/// What a case of `fixtures/decisions` shows.
#[derive(Default)]
pub(crate) struct Case {
    /// The rules that its title begins with.
    pub(crate) rules: Vec<String>,
    /// Codes of what it declines; `refused` for an order.
    pub(crate) declined: BTreeSet<String>,
    /// Whether it has something pass.
    pub(crate) passes: bool,
}

/// What there is.
pub(crate) struct Evidence {
    /// By `file: title`.
    pub(crate) cases: BTreeMap<String, Case>,
    /// The scenario files in which a code was seen, by rule and code; `balances` where a step only
    /// looks at those.
    pub(crate) seen: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether a word is the name of a rule: a letter and a number, with one letter more at most.
pub(crate) fn is_rule(word: &str) -> bool {
    let mut letters = word.chars();
    let is_series = letters.next().is_some_and(|it| ('A'..='D').contains(&it));
    let rest = letters.as_str().trim_end_matches('b');
    is_series && !rest.is_empty() && rest.chars().all(|it| it.is_ascii_digit())
}

impl Evidence {
    pub(crate) fn gather() -> Evidence {
        Evidence {
            cases: all_cases(),
            seen: all_seen(),
        }
    }
}

fn all_cases() -> BTreeMap<String, Case> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(root().join("fixtures/decisions")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        for case in cases(&fs::read_to_string(&path).unwrap()).unwrap() {
            let name = format!("{file}: {}", case.title);
            let before = all.insert(name, case_of(&case));
            assert!(before.is_none(), "{file}: {} is there twice", case.title);
        }
    }
    all
}

fn case_of(text: &CaseText) -> Case {
    let rules = text.title.split(' ').take_while(|word| is_rule(word));
    let mut case = Case {
        rules: rules.map(str::to_owned).collect(),
        ..Case::default()
    };
    for (_, line) in &text.lines {
        let expected = match line {
            Line::Message(message) => &message.expected,
            Line::Charge(_, expected) | Line::Transfer(_, expected) => expected,
            _ => continue,
        };
        let (code, reason) = expected.outcome.split_once(' ').unwrap_or_default();
        match line {
            Line::Message(_) if !reason.trim().ends_with("approved") => {
                case.declined.insert(code.to_owned());
            }
            Line::Charge(..) | Line::Transfer(..) if expected.outcome.starts_with("refused") => {
                case.declined.insert("refused".to_owned());
            }
            _ => case.passes = true,
        }
    }
    case
}

/// `declines` for a scenario that stands by itself, `life/05-full-reversal` for others.
fn scenarios() -> Vec<(String, PathBuf)> {
    let folder = root().join("fixtures/scenarios");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|file| file.unwrap().path()),
            );
        } else {
            files.push(path);
        }
    }
    let named = files.into_iter().map(|path| {
        let name = path.strip_prefix(&folder).unwrap().with_extension("");
        (name.to_string_lossy().into_owned(), path)
    });
    named.collect()
}

/// The codes of the steps that are named after rules: `A19 B2: what happens`.
fn all_seen() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut seen: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (file, path) in scenarios() {
        let scenario: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        for step in scenario["step"].as_array().unwrap() {
            let name = step.get("name").and_then(toml::Value::as_str);
            let Some((rules, _)) = name.and_then(|name| name.split_once(": ")) else {
                continue;
            };
            let code = step.get("expect").and_then(|expect| expect.get("code"));
            let code = match (code.and_then(toml::Value::as_str), step.get("balance")) {
                (Some(code), _) => code,
                (None, Some(_)) => "balances",
                (None, None) => continue,
            };
            for rule in rules.split(' ').filter(|word| is_rule(word)) {
                let of_rule = seen.entry(rule.to_owned()).or_default();
                let files = of_rule.entry(code.to_owned()).or_default();
                files.insert(file.clone());
            }
        }
    }
    seen
}

/// The body of a test function, or why it cannot be found. `module::test` stands in `tests/suite`,
/// a longer path within `src`.
fn body_of(test: &str) -> Result<String, String> {
    let parts: Vec<&str> = test.split("::").collect();
    let (name, modules) = parts.split_last().unwrap();
    let files = match modules {
        [module] => vec![root().join(format!("tests/suite/{module}.rs"))],
        [inside @ .., "tests"] => {
            let place = inside.join("/");
            let within = [format!("{place}.rs"), format!("{place}/tests.rs")];
            within.map(|file| root().join("src").join(file)).to_vec()
        }
        _ => return Err(format!("{test} is no path of a test")),
    };
    let head = format!("fn {name}() {{");
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let Some(at) = lines.iter().position(|line| line.trim() == head) else {
            continue;
        };
        if !lines[at - 1].trim().starts_with("#[test]") {
            return Err(format!("{test} is no test"));
        }
        let indent = lines[at].len() - lines[at].trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let body = lines[at..].iter().take_while(|line| **line != end);
        return Ok(body.copied().collect::<Vec<_>>().join("\n"));
    }
    Err(format!("{test} does not exist"))
}

/// What is wrong with what the list says of a rule.
pub(crate) fn faults(rule: &Rule, evidence: &Evidence) -> Vec<String> {
    let mut faults = Vec::new();
    if rule.says.is_empty() || rule.hit.is_empty() {
        faults.push("says nothing, or has no hit".to_owned());
    }
    if rule.miss.is_empty() == rule.never_misses.is_none() {
        faults.push("expected a miss, or why there is none, and not both".to_owned());
    }
    let proofs = rule.hit.iter().map(|proof| (proof, true));
    for (proof, is_hit) in proofs.chain(rule.miss.iter().map(|proof| (proof, false))) {
        faults.extend(fault_of_proof(rule, proof, is_hit, evidence));
    }
    let nothing = BTreeMap::new();
    let in_scenarios = evidence.seen.get(&rule.id).unwrap_or(&nothing);
    let mut seen: BTreeSet<&str> = in_scenarios.keys().map(String::as_str).collect();
    for said in rule.wire.iter().chain(&rule.http) {
        let (code, test) = said.split_once(' ').unwrap_or_default();
        match body_of(test) {
            Err(why) => faults.push(why),
            Ok(body) if !body.contains(code) => faults.push(format!("{test} sees no {code}")),
            Ok(_) => {}
        }
    }
    seen.extend(rule.wire.iter().filter_map(|said| said.split(' ').next()));
    for code in rule.codes.iter().filter(|code| !seen.contains(&***code)) {
        faults.push(format!("{code} is never seen over TCP"));
    }
    let is_seen = !seen.is_empty() || !rule.http.is_empty();
    if is_seen == rule.no_wire.is_some() {
        faults.push("expected a code over TCP, a status, or why there is neither".to_owned());
    }
    let told = faults.into_iter();
    told.map(|fault| format!("{}: {fault}", rule.id)).collect()
}

fn fault_of_proof(rule: &Rule, proof: &str, is_hit: bool, evidence: &Evidence) -> Option<String> {
    if !proof.contains(": ") {
        return body_of(proof).err();
    }
    let Some(case) = evidence.cases.get(proof) else {
        return Some(format!("no case {proof:?}"));
    };
    let declines = |code: &String| case.declined.contains(code);
    let is_refused = case.declined.contains("refused");
    if !case.rules.contains(&rule.id) {
        return Some(format!("{proof:?} does not name the rule"));
    }
    if is_hit && !rule.codes.is_empty() && !is_refused && !rule.codes.iter().any(declines) {
        return Some(format!("{proof:?} declines with none of {:?}", rule.codes));
    }
    (!is_hit && !rule.codes.is_empty() && !case.passes)
        .then(|| format!("{proof:?} has nothing pass"))
}
