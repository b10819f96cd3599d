//! The house rules that no lint knows, each with the replacement for what it bans.
//!
//! A rule is a function from a source file to findings. `tidy_planted.rs` proves that each one
//! bites; `the_tree_is_tidy` runs all of them over the tree.

use cardswitch::domain::pan::Pan;

use crate::tidy_source::{Finding, Source, imported, is_name, sources, words_of};

/// What each layer may import besides itself, bottom up.
const LAYERS: &[(&str, &[&str])] = &[
    ("iso8583", &[]),
    ("domain", &[]),
    ("crypto", &[]),
    ("engine", &["domain"]),
    ("journal", &[]),
    ("transport", &[]),
    (
        "switch",
        &[
            "iso8583",
            "domain",
            "crypto",
            "engine",
            "journal",
            "transport",
        ],
    ),
    ("ops", &["switch", "engine", "domain", "journal"]),
    (
        "cli",
        &[
            "iso8583",
            "domain",
            "crypto",
            "engine",
            "journal",
            "transport",
            "switch",
            "ops",
        ],
    ),
];

/// Layers that compute and do nothing else, and the words that would say otherwise.
const PURE_LAYERS: &[&str] = &["iso8583", "domain", "crypto", "engine"];
const IMPURE: &[&str] = &[
    "tokio",
    "sled",
    "tracing",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "getrandom",
];

/// Words that say nothing, and what to say instead.
const EMPTY_WORDS: &[(&str, &str)] = &[
    ("manager", "name what it does: sequencer, journal, session"),
    ("helper", "name the step the function performs"),
    (
        "util",
        "put the function into the module whose words it uses",
    ),
    (
        "utils",
        "put the function into the module whose words it uses",
    ),
    ("common", "name what the parts have in common"),
];
/// Names of other people's crates that contain one of those words.
const FOREIGN_NAMES: &[&str] = &["tokio_util", "futures_util", "CommonName"];

const BANNED_MACROS: &[(&str, &str)] = &[
    ("todo!", "do it, or open an issue"),
    ("unimplemented!", "do it, or open an issue"),
    (
        "#[ignore",
        "make the test fast and let it run, or delete it",
    ),
];
const CLOCKS: &[&str] = &[
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
];
const PRINTS: &[&str] = &["println!", "print!", "eprintln!", "eprint!", "dbg!"];

/// The demo cards, whose numbers belong to nobody.
const DEMO: &str = include_str!("../../fixtures/demo.toml");

/// Other card numbers that belong to nobody: public test numbers.
const TEST_PANS: &[&str] = &[
    "4761739001010119",
    "5413330089010012",
    "374245455400126",
    "4000000000000002",
    "4111111111111111",
    "4761739001010135",
];

pub(crate) const LINES_MAX: usize = 600;
pub(crate) const COLUMNS_MAX: usize = 100;

pub(crate) type Rule = fn(&Source) -> Vec<Finding>;

const RULES: &[Rule] = &[
    imports_point_down,
    pure_layers_stay_pure,
    first_line_says_the_purpose,
    file_is_short_enough_to_read,
    line_fits_the_page,
    names_say_something,
    nothing_is_left_undone,
    time_enters_as_data,
    only_the_command_line_prints,
    no_card_number_is_written_down,
];

pub(crate) fn imports_point_down(source: &Source) -> Vec<Finding> {
    let Some(layer) = source.layer() else {
        return Vec::new();
    };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        let text = format!("unknown layer {layer}; add it to LAYERS with what it may import");
        return vec![source.finding(1, text)];
    };
    imported(&source.code)
        .into_iter()
        .filter(|(_, name)| LAYERS.iter().any(|(known, _)| known == name))
        .filter(|(_, name)| name != layer && !allowed.contains(&name.as_str()))
        .map(|(line, name)| {
            let may = if allowed.is_empty() {
                "nothing".to_string()
            } else {
                allowed.join(", ")
            };
            let text = format!(
                "{layer} imports {name}, but may import {may}; move the code up, or hand it in \
                 as data"
            );
            source.finding(line, text)
        })
        .collect()
}

pub(crate) fn pure_layers_stay_pure(source: &Source) -> Vec<Finding> {
    if !source
        .layer()
        .is_some_and(|layer| PURE_LAYERS.contains(&layer))
    {
        return Vec::new();
    }
    IMPURE
        .iter()
        .flat_map(|word| source.lines_with(word).map(move |line| (line, word)))
        .map(|(line, word)| {
            source.finding(
                line,
                format!("{word} in a pure layer; hand the result in as data"),
            )
        })
        .collect()
}

pub(crate) fn first_line_says_the_purpose(source: &Source) -> Vec<Finding> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![source.finding(
        1,
        "no purpose; begin with `//!` and one sentence that says what for",
    )]
}

pub(crate) fn file_is_short_enough_to_read(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    if lines <= LINES_MAX {
        return Vec::new();
    }
    let text = format!("{lines} lines, at most {LINES_MAX}; split by what a reader looks for");
    vec![source.finding(LINES_MAX + 1, text)]
}

pub(crate) fn line_fits_the_page(source: &Source) -> Vec<Finding> {
    (1..)
        .zip(source.text.lines())
        .map(|(number, line)| (number, line.chars().count()))
        .filter(|(_, columns)| *columns > COLUMNS_MAX)
        .map(|(number, columns)| {
            source.finding(
                number,
                format!("{columns} columns, at most {COLUMNS_MAX}; wrap it"),
            )
        })
        .collect()
}

pub(crate) fn names_say_something(source: &Source) -> Vec<Finding> {
    let stem = source
        .path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let in_path = (1, stem.unwrap_or_default());
    let in_code = (1..).zip(source.code.lines()).flat_map(|(number, line)| {
        line.split(|c: char| !is_name(c))
            .map(move |name| (number, name.to_string()))
    });
    std::iter::once(in_path)
        .chain(in_code)
        .filter(|(_, name)| !FOREIGN_NAMES.contains(&name.as_str()))
        .filter_map(|(number, name)| {
            let words = words_of(&name);
            let (word, instead) = EMPTY_WORDS
                .iter()
                .find(|(word, _)| words.iter().any(|w| w == word))?;
            Some(source.finding(number, format!("`{name}` says {word}; {instead}")))
        })
        .collect()
}

pub(crate) fn nothing_is_left_undone(source: &Source) -> Vec<Finding> {
    BANNED_MACROS
        .iter()
        .flat_map(|(word, instead)| source.lines_with(word).map(move |n| (n, word, instead)))
        .map(|(line, word, instead)| source.finding(line, format!("{word}; {instead}")))
        .collect()
}

pub(crate) fn time_enters_as_data(source: &Source) -> Vec<Finding> {
    if !source.is_in("src") || source.is_in("src/cli") || source.is_in("src/switch/clock.rs") {
        return Vec::new();
    }
    CLOCKS
        .iter()
        .flat_map(|call| source.lines_with(call).map(move |line| (line, call)))
        .map(|(line, call)| {
            source.finding(
                line,
                format!("{call}; take the time as data, see src/switch/clock.rs"),
            )
        })
        .collect()
}

pub(crate) fn only_the_command_line_prints(source: &Source) -> Vec<Finding> {
    if !source.is_in("src") || source.is_in("src/cli") || source.is_in("src/main.rs") {
        return Vec::new();
    }
    PRINTS
        .iter()
        .flat_map(|call| source.lines_with(call).map(move |line| (line, call)))
        .map(|(line, call)| {
            source.finding(
                line,
                format!("{call} outside src/cli; emit a tracing event"),
            )
        })
        .collect()
}

pub(crate) fn no_card_number_is_written_down(source: &Source) -> Vec<Finding> {
    (1..)
        .zip(source.text.lines())
        .flat_map(|(number, line)| {
            let joined = line.replace('_', "");
            let runs: Vec<String> = joined
                .split(|c: char| !c.is_ascii_digit())
                .filter(|run| (13..=19).contains(&run.len()) && !run.starts_with("00"))
                .filter(|run| {
                    Pan::parse(run).is_some_and(|number| number.has_valid_check_digit())
                        && !TEST_PANS.contains(run)
                        && !DEMO.contains(run)
                })
                .map(str::to_string)
                .collect();
            runs.into_iter().map(move |run| (number, run))
        })
        .map(|(number, run)| {
            let last = run.get(run.len() - 4..).unwrap_or_default().to_string();
            let text = format!(
                "a number ending in {last} that could be a card's; use one of TEST_PANS, or a \
                 number whose check digit is wrong"
            );
            source.finding(number, text)
        })
        .collect()
}

#[test]
fn the_tree_is_tidy() {
    let sources = sources(&["src", "tests", "benches"]);
    assert!(
        sources.len() > 10,
        "found only {} source files",
        sources.len()
    );
    let findings: Vec<String> = sources
        .iter()
        .flat_map(|source| RULES.iter().flat_map(|rule| rule(source)))
        .map(|finding| finding.to_string())
        .collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
