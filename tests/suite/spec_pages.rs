//! The pages in `spec` name types and checks: all of them exist.

use crate::tidy_source::{Source, sources};

const GLOSSARY: &str = include_str!("../../spec/glossary.md");
const STYLE: &str = include_str!("../../spec/style.md");

/// Words in backquotes in one column of every table of a page.
fn quoted_in_column(page: &'static str, column: usize) -> Vec<&'static str> {
    let rows = page.lines().filter_map(|line| line.split('|').nth(column));
    rows.flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

fn defines(sources: &[Source], kinds: &[&str], name: &str) -> bool {
    kinds.iter().any(|kind| {
        let definition = format!("{kind} {name}");
        sources
            .iter()
            .any(|source| source.lines_with(&definition).next().is_some())
    })
}

#[test]
fn every_type_in_the_glossary_exists() {
    let sources = sources(&["src"]);
    let names = quoted_in_column(GLOSSARY, 2);
    assert!(names.len() > 40, "the glossary lost its table: {names:?}");
    for name in names {
        assert!(
            defines(&sources, &["struct", "enum", "trait", "type"], name),
            "no type {name}"
        );
    }
}

#[test]
fn every_check_named_in_the_style_page_exists() {
    let sources = sources(&["src", "tests"]);
    let checks: Vec<_> = quoted_in_column(STYLE, 2)
        .into_iter()
        .filter(|name| name.contains("::"))
        .collect();
    assert!(
        checks.len() > 10,
        "the style page lost its table: {checks:?}"
    );
    for check in checks {
        let (_file, function) = check.split_once("::").unwrap();
        assert!(defines(&sources, &["fn"], function), "no check {check}");
    }
}
