//! `cardswitch programme check`: programmes in words, and every mistake with its line.

use std::fs;
use std::path::{Path, PathBuf};

use cardswitch::cli::programme::check;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("spec/programme")
        .join(format!("{name}.toml"))
}

fn changed(name: &str, edits: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let mut text = fs::read_to_string(shipped(name)).unwrap();
    for (old, new) in edits {
        assert!(text.contains(old), "{old}");
        text = text.replacen(old, new, 1);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn a_programme_is_told_in_words_with_its_response_codes() {
    let files = ["prepaid-jp", "gift-code", "travel"].map(shipped);
    let told = check(&files, None, "iso87").unwrap();
    for line in [
        "prepaid-jp version 1: Japanese prepaid wallet card",
        "cards      476173… with 16 digits and a check digit",
        "purchases  take non-withdrawable, then withdrawable",
        "loads      go to withdrawable, 1000 minor units at least, in multiples of 1000",
        "holds      end after 45 days at home, 10 days abroad",
        "limit      purchases: 1000000 JPY in one transaction",
        "limit      purchases of holders who are not verified: 60 times in JPY in any 24 hours",
        "limit      purchases without the card: 1000000 JPY and 300 times in JPY in a week",
        "balance    at most 3000000 JPY after a load of verified holders",
        "refused    fuel (A19) with 57: category 5541 5542 5552 5172 5983",
        "(A18) with 57: category 4900 4814 4899 6300, card absent, at home",
        "loads      are refused",
        "refunds    go to face-value, only with their purchase, with their posting",
        "refused    embargo (C7) with 62: merchant in KP IR",
        "response codes of iso87: without finding under the network's list of 2025-06",
    ] {
        assert!(told.contains(line), "{line} is not in:\n{told}");
    }
}

#[test]
fn every_row_that_refuses_is_told() {
    for name in ["prepaid-jp", "gift-code", "travel"] {
        let text = fs::read_to_string(shipped(name)).unwrap();
        let told = check(&[shipped(name)], None, "iso87").unwrap();
        for (row, words) in [
            ("[[limit]]", "  limit "),
            ("[[block]]", "  refused "),
            ("[[maximum_balance]]", "  balance "),
            ("[[bin]]", "  cards "),
        ] {
            let count =
                |text: &str, part: &str| text.lines().filter(|line| line.starts_with(part)).count();
            assert_eq!(
                count(&told, words),
                count(&text, row),
                "{name} {row}:\n{told}"
            );
        }
    }
}

#[test]
fn a_row_in_shadow_says_so() {
    let (_folder, path) = changed(
        "prepaid-jp",
        &[("id = \"fuel\"", "id = \"fuel\"\nshadow = true")],
    );
    let told = check(&[path], None, "iso87").unwrap();
    assert!(
        told.contains("5983  (in shadow: noted, not enforced)"),
        "{told}"
    );
}

#[test]
fn every_mistake_of_every_file_is_told_with_its_line() {
    let (_one, first) = changed(
        "prepaid-jp",
        &[("\"5541\"", "\"554\""), ("Asia/Tokyo", "Asia/Edo")],
    );
    let (_two, second) = changed("travel", &[("domestic_days = 45", "domestic_days = 0")]);
    let missing = PathBuf::from("nowhere.toml");
    let mistakes = check(&[first, second, missing], None, "iso87").unwrap_err();
    let parts = [
        "mine.toml: line 7: time_zone",
        "\"fuel\".mcc: expected four digits",
        "hold.domestic_days: expected 1 to 400, got 0",
        "read nowhere.toml",
    ];
    assert_eq!(mistakes.len(), parts.len(), "{mistakes:?}");
    for (mistake, part) in mistakes.iter().zip(parts) {
        assert!(mistake.contains(part), "{part} is not in {mistake}");
    }
}

#[test]
fn a_code_that_the_network_would_not_take_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let table = include_str!("../../spec/dialect/iso87.toml");
    let wrong = table.replace("card-frozen = \"62\"", "card-frozen = \"43\"");
    fs::write(folder.path().join("mine.toml"), wrong).unwrap();
    let mistakes = check(&[shipped("travel")], Some(folder.path()), "iso87").unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].contains("card-frozen"), "{mistakes:?}");
    assert!(check(&[shipped("travel")], None, "nobody's").is_err());
}
