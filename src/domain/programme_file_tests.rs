//! Programme files: the shipped ones are sound, and every mistake is named.

use super::programme_file::parse;

const SHIPPED: [(&str, &str); 3] = [
    (
        "prepaid-jp",
        include_str!("../../spec/programme/prepaid-jp.toml"),
    ),
    (
        "gift-code",
        include_str!("../../spec/programme/gift-code.toml"),
    ),
    ("travel", include_str!("../../spec/programme/travel.toml")),
];

#[test]
fn the_shipped_programmes_are_sound_and_named_after_their_files() {
    for (name, text) in SHIPPED {
        let programme = parse(name, text).unwrap();
        assert_eq!(programme.name.as_str(), name);
    }
}

#[test]
fn every_mistake_of_a_file_is_reported_at_once_with_its_key() {
    let text = SHIPPED[0]
        .1
        .replace("\"5541\"", "\"554\"")
        .replace("time_zone = \"Asia/Tokyo\"", "time_zone = \"Asia/Edo\"")
        .replace("domestic_days = 45", "domestic_days = 0")
        .replace(
            "spend_order = [\"non-withdrawable\"",
            "spend_order = [\"pocket\"",
        );
    let error = parse("wrong.toml", &text).unwrap_err();
    let all = error.to_string();
    for part in [
        "wrong.toml",
        "\"554\"",
        "Asia/Edo",
        "hold.domestic_days",
        "\"pocket\"",
    ] {
        assert!(all.contains(part), "{part} is not in: {all}");
    }
    assert_eq!(error.mistakes.len(), 4, "{all}");
}

#[test]
fn unknown_keys_are_refused_with_their_place() {
    let text = format!("{}\n[[limit]]\nchanel = \"purchase\"\n", SHIPPED[0].1);
    assert!(
        parse("x", &text)
            .unwrap_err()
            .to_string()
            .contains("chanel")
    );
}

#[test]
fn a_block_without_a_condition_is_refused() {
    let text = format!(
        "{}\n[[block]]\nid = \"all\"\nrule = \"A0\"\nreason = \"merchant-category\"\n",
        SHIPPED[0].1
    );
    assert!(
        parse("x", &text)
            .unwrap_err()
            .to_string()
            .contains("states no condition")
    );
}
