//! Proof that every house rule bites: each is shown what it bans, and what it must let pass.

use crate::tidy::*;
use crate::tidy_source::Source;

fn check(rule: Rule, path: &str, text: &str, expected: &[&str]) {
    let findings: Vec<String> = rule(&Source::new(path, text))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(findings.len(), expected.len(), "{path}: {findings:#?}");
    for (finding, expected) in findings.iter().zip(expected) {
        assert!(
            finding.starts_with(expected),
            "expected {expected}, got {finding}"
        );
    }
}

#[test]
fn planted_upward_import_is_found_with_file_and_line() {
    let upward = "src/engine/a.rs:2: engine imports switch, but may import domain; move";
    let text = "//! A.\nuse crate::switch::config::Config;\n";
    check(imports_point_down, "src/engine/a.rs", text, &[upward]);
    let text = "use crate::{\n    switch::{config::Config, x},\n    domain,\n};";
    check(
        imports_point_down,
        "src/engine/rules/a.rs",
        text,
        &["src/engine/rules/a.rs:2: "],
    );
    check(
        imports_point_down,
        "src/domain/a.rs",
        "fn f() { crate::engine::x() }",
        &["src/domain"],
    );
    check(
        imports_point_down,
        "src/new/a.rs",
        "",
        &["src/new/a.rs:1: unknown layer new"],
    );
    check(
        imports_point_down,
        "src/engine/a.rs",
        "use crate::{domain::x, engine::y};",
        &[],
    );
    check(
        imports_point_down,
        "src/engine/a.rs",
        "// crate::switch\n\"crate::switch\"",
        &[],
    );
    check(
        imports_point_down,
        "src/lib.rs",
        "use crate::cli::run;",
        &[],
    );
}

#[test]
fn planted_effect_in_a_pure_layer_is_found() {
    let found = ["src/engine/a.rs:2: std::fs in a pure layer; hand"];
    check(
        pure_layers_stay_pure,
        "src/engine/a.rs",
        "//! A.\nuse std::fs;",
        &found,
    );
    check(
        pure_layers_stay_pure,
        "src/journal/a.rs",
        "use std::fs;",
        &[],
    );
    check(
        pure_layers_stay_pure,
        "src/engine/a.rs",
        "// like tokio\nlet untokio = 1;",
        &[],
    );
}

#[test]
fn planted_shapes_are_found() {
    check(
        first_line_says_the_purpose,
        "src/a.rs",
        "use x;\n//! late",
        &["src/a.rs:1: no purpose"],
    );
    check(first_line_says_the_purpose, "src/a.rs", "//! Purpose.", &[]);
    let long = "\n".repeat(LINES_MAX + 1);
    check(
        file_is_short_enough_to_read,
        "src/a.rs",
        &long,
        &["src/a.rs:601: 601 lines"],
    );
    let wide = format!(
        "{}\n{}",
        "界".repeat(COLUMNS_MAX),
        "x".repeat(COLUMNS_MAX + 1)
    );
    check(
        line_fits_the_page,
        "src/a.rs",
        &wide,
        &["src/a.rs:2: 101 columns"],
    );
}

#[test]
fn planted_empty_words_are_found_in_names_only() {
    let text = "struct LinkManager;\nfn read_util() {}\n// a helper, in common words\nCOMMON_X";
    check(
        names_say_something,
        "src/a.rs",
        text,
        &[
            "src/a.rs:1: `LinkManager`",
            "src/a.rs:2: `read_util`",
            "src/a.rs:4: `COMMON_X`",
        ],
    );
    check(
        names_say_something,
        "src/helper.rs",
        "",
        &["src/helper.rs:1: `helper`"],
    );
    check(
        names_say_something,
        "src/a.rs",
        "use tokio_util::x; utility; uncommon",
        &[],
    );
}

#[test]
fn planted_calls_are_found_where_they_are_banned() {
    check(
        nothing_is_left_undone,
        "tests/a.rs",
        "\n#[ignore]",
        &["tests/a.rs:2: #[ignore"],
    );
    check(
        nothing_is_left_undone,
        "src/a.rs",
        "todo!()",
        &["src/a.rs:1: todo!; do it"],
    );
    let now = "let a = Instant::now();";
    check(
        time_enters_as_data,
        "src/ops/a.rs",
        now,
        &["src/ops/a.rs:1: Instant::now; take"],
    );
    check(time_enters_as_data, "src/switch/clock.rs", now, &[]);
    check(time_enters_as_data, "src/cli/tail.rs", now, &[]);
    check(time_enters_as_data, "benches/a.rs", now, &[]);
    let print = "println!(\"x\");";
    check(
        only_the_command_line_prints,
        "src/ops/a.rs",
        print,
        &["src/ops/a.rs:1: println!"],
    );
    check(only_the_command_line_prints, "src/cli/a.rs", print, &[]);
}

#[test]
fn planted_card_number_is_found_also_in_strings_and_with_separators() {
    let planted = ["4761", "73900", "1010127"].concat();
    let masked = ["src/a.rs:1: a number ending in 0127 that could be a card's"];
    check(
        no_card_number_is_written_down,
        "src/a.rs",
        &format!("\"{planted}\""),
        &masked,
    );
    let parted = format!("{}_{}", &planted[..8], &planted[8..]);
    check(no_card_number_is_written_down, "src/a.rs", &parted, &masked);
    check(
        no_card_number_is_written_down,
        "src/a.rs",
        "4761739001010119",
        &[],
    );
    check(
        no_card_number_is_written_down,
        "src/a.rs",
        "4761739001010118",
        &[],
    );
}
