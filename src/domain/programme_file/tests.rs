//! Programme files: the shipped ones are sound, and every mistake is named.

use super::parse;

const SHIPPED: [(&str, &str); 3] = [
    (
        "prepaid-jp",
        include_str!("../../../spec/programme/prepaid-jp.toml"),
    ),
    (
        "gift-code",
        include_str!("../../../spec/programme/gift-code.toml"),
    ),
    (
        "travel",
        include_str!("../../../spec/programme/travel.toml"),
    ),
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
    let error = parse("x", &text).unwrap_err().to_string();
    let line = text.lines().count();
    assert!(error.contains("chanel"), "{error}");
    assert!(error.contains(&format!("line {line}: ")), "{error}");
}

#[test]
fn mistakes_name_their_lines_in_the_order_of_the_file() {
    let text = SHIPPED[0]
        .1
        .replace("\"5541\"", "\"554\"")
        .replace("domestic_days = 45", "domestic_days = 0");
    let line_with = |part: &str| text.lines().position(|line| line.contains(part)).unwrap() + 1;
    let mistakes = parse("x", &text).unwrap_err().mistakes;
    let expected = [
        format!("line {}: hold.domestic_days", line_with("domestic_days")),
        format!("line {}: block[3] \"fuel\".mcc", line_with("\"554\"")),
    ];
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:?}");
    for (mistake, expected) in mistakes.iter().zip(expected) {
        assert!(
            mistake.starts_with(&expected),
            "{mistake} is not {expected}"
        );
    }
}

#[test]
fn windows_that_are_added_up_need_a_count_and_an_end() {
    for (window, count, mistake) in [
        ("{ hours = 24 }", "count_max = 10", None),
        ("{ days = 7 }", "count_max = 10", None),
        ("\"week\"", "count_max = 10", None),
        (
            "{ hours = 0 }",
            "count_max = 10",
            Some("1 to 1080 hours, got 0"),
        ),
        (
            "{ days = 46 }",
            "count_max = 10",
            Some("1 to 1080 hours, got 1104"),
        ),
        (
            "\"week\"",
            "amount_max = 10",
            Some("count_max: expected at most 1000"),
        ),
        (
            "{ days = 7 }",
            "count_max = 1001",
            Some("count_max: expected at most 1000"),
        ),
    ] {
        let text = format!(
            "{}\n[[limit]]\nchannel = \"e-commerce\"\nwindow = {window}\ncurrency = \"JPY\"\n\
             {count}\n",
            SHIPPED[0].1
        );
        match (parse("x", &text), mistake) {
            (Ok(_), None) => {}
            (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
            (outcome, _) => panic!("{window} {count}: {outcome:?}"),
        }
    }
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

#[test]
fn every_condition_of_a_block_is_proven() {
    let text = format!(
        "{}\n[[block]]\nid = \"x\"\nrule = \"C7\"\nreason = \"insufficient-funds\"\n\
         country = [\"jp\"]\ncountry_not = [\"JPN\"]\n\
         currency = [\"YEN\"]\ncurrency_not = [\"X\"]\n\
         acceptor = [\"more than fifteen\"]\nterminal = [\"\"]\nhours = \"24:01-5\"\n",
        SHIPPED[1].1
    );
    let error = parse("x", &text).unwrap_err();
    let parts = [
        "reason: expected the name of a merchant or channel refusal",
        "country: expected two capital letters, got \"jp\"",
        "country_not: expected two capital letters, got \"JPN\"",
        "currency: expected ISO 4217 letters, got \"YEN\"",
        "currency: expected ISO 4217 letters, got \"X\"",
        "acceptor: expected 1 to 15 characters",
        "terminal: expected 1 to 8 characters",
        "hours: expected a span like \"23:00-05:00\", got \"24:01-5\"",
    ];
    for part in parts {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    assert_eq!(error.mistakes.len(), parts.len(), "{error}");
}

#[test]
fn what_is_exchanged_has_a_purse_to_become_and_percentages_that_can_be_read() {
    let text = SHIPPED[0]
        .1
        .replace("billing = \"JPY\"", "billing = \"USD\"")
        .replace("markup = \"4.0\"", "markup = \"4 %\"\ncharge_fee = \"101\"");
    let error = parse("x", &text).unwrap_err();
    for part in [
        "exchange.billing: expected the currency of a purse in spend_order, got USD",
        "exchange.markup: expected a percentage such as \"4.0\", got \"4 %\"",
        "exchange.charge_fee: expected a percentage such as \"4.0\", got \"101\"",
    ] {
        assert!(error.to_string().contains(part), "{part} is not in {error}");
    }
    assert_eq!(error.mistakes.len(), 3, "{error}");
    let unknown = SHIPPED[0]
        .1
        .replace("billing = \"JPY\"", "billing = \"YEN\"");
    let error = parse("x", &unknown).unwrap_err().to_string();
    assert!(
        error.contains("exchange.billing: expected ISO 4217 letters"),
        "{error}"
    );
}

#[test]
fn guessing_says_how_often_how_long_and_what_follows() {
    let wrong = SHIPPED[1]
        .1
        .replace("acceptor_attempts_max = 20", "acceptor_attempts_max = 0")
        .replace("link_attempts_max = 1000", "link_attempts_max = 0")
        .replace("window_minutes = 10", "window_minutes = 61")
        .replace("slow_ms = 2000", "slow_ms = 8001");
    let error = parse("x", &wrong).unwrap_err();
    for part in [
        "guessing: expected acceptor_attempts_max or link_attempts_max",
        "guessing.window_minutes: expected 1 to 60, got 61",
        "guessing.slow_ms: expected 1 to 8000",
    ] {
        assert!(error.to_string().contains(part), "{part} is not in {error}");
    }
    assert_eq!(error.mistakes.len(), 3, "{error}");
}
