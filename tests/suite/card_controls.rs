//! Controls of one card beside the blocks of its programme: set, read and removed by operators, and
//! what the wire says of them.

use serde_json::{Value, json};

use crate::operators::{Desk, spare_number};
use crate::support::EVERYDAY;
use crate::walk::command;

const CARD: &str = "/v1/cards/1";

fn set(desk: &Desk, controls: &Value) -> (u16, Value) {
    let path = format!("{CARD}/controls");
    desk.post(&path, &json!({ "controls": controls }))
}

/// Why the last message was answered as it was: reason, rule that refused, evidence.
fn why(desk: &Desk) -> (String, String, String) {
    let sequence = desk.get("/healthz")["sequence"].clone();
    let told = desk.get(&format!("/v1/decisions/{sequence}"));
    let rules = told["rules"].as_array().unwrap();
    let refused = rules.iter().find(|rule| rule["outcome"] == "refused");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rule = refused.map_or(String::new(), |rule| word(&rule["rule"]));
    (word(&told["reason"]), rule, word(&told["evidence"]))
}

fn refused_by_block(reason: &str, seen: &str) -> (String, String, String) {
    let evidence = format!("the card's own control {seen}");
    (reason.to_owned(), "merchant_block".to_owned(), evidence)
}

#[test]
fn a_control_refuses_what_meets_all_of_it_and_says_that_it_was_the_cards_own() {
    let mut desk = Desk::open();
    let controls = json!([
        { "presence": "absent" },
        { "mcc": ["5411", "3501-3502"], "entry": ["contactless"] },
    ]);
    let (status, told) = set(&desk, &controls);
    assert_eq!((status, &told["repeated"]), (200, &json!(false)));
    assert_eq!(set(&desk, &controls).1["repeated"], true);
    let online = desk.purchase(EVERYDAY, 100).set(22, "812").set(25, "59");
    assert_eq!(desk.client.code(&online), "57");
    let expected = refused_by_block("channel-not-allowed", "1: DE25 = 59");
    assert_eq!(why(&desk).0, expected.0);
    assert!(why(&desk).2.starts_with("the card's own control 1: "));
    let waved = desk.purchase(EVERYDAY, 100).set(22, "071");
    assert_eq!(desk.client.code(&waved), "57");
    let expected = refused_by_block("merchant-category", "2: mcc 5411, entry contactless");
    assert_eq!(why(&desk), expected);
    // The same shop by chip, another shop over the air, and another card.
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    let waved = desk.purchase(EVERYDAY, 100).set(22, "071").set(18, "5812");
    assert_eq!(desk.client.code(&waved), "00");
    assert_eq!(desk.get(CARD)["own_controls"], controls);
    let deed = &desk.get("/v1/audit")["deeds"][0];
    assert_eq!(
        (&deed["did"], &deed["card"], &deed["controls"]),
        (&json!("card-controls-set"), &json!(1), &controls)
    );

    // It outlives a restart, and ends with the order to have none.
    let mut desk = desk.restart();
    let waved = desk.purchase(EVERYDAY, 100).set(22, "071");
    assert_eq!(desk.client.code(&waved), "57");
    assert_eq!(set(&desk, &json!([])).0, 200);
    assert_eq!(desk.get(CARD)["own_controls"], json!([]));
    let waved = desk.purchase(EVERYDAY, 100).set(22, "071");
    assert_eq!(desk.client.code(&waved), "00");
    desk.close();
}

#[test]
fn a_control_opens_nothing_that_the_programme_blocks_and_goes_on_with_the_next_card() {
    let mut desk = Desk::open();
    assert_eq!(set(&desk, &json!([{ "domestic": false }])).0, 200);
    // Fuel is blocked by the programme at home, which the control does not mean.
    let fuel = desk.purchase(EVERYDAY, 100).set(18, "5541");
    assert_eq!(desk.client.code(&fuel), "57");
    assert_eq!(why(&desk).2, "fuel (A19): mcc 5541");
    // Abroad the control stands behind it in the order of precedence, and is met alone elsewhere.
    let abroad = desk.purchase(EVERYDAY, 100).set(19, "840");
    assert_eq!(desk.client.code(&abroad), "62");
    let expected = refused_by_block("country-not-allowed", "1: abroad");
    assert_eq!(why(&desk), expected);
    let pan = spare_number(700_000_302);
    let body = json!({ "pan": pan, "expiry": "3112", "old_status": "lost" });
    assert_eq!(desk.post(&format!("{CARD}/replace"), &body).0, 200);
    let abroad = desk.purchase(&pan, 100).set(19, "840");
    assert_eq!(desk.client.code(&abroad), "62");
    assert_eq!(desk.code(&pan, 100), "00");
    desk.close();
}

#[test]
fn every_mistake_of_controls_is_told_and_nothing_is_set() {
    let desk = Desk::open();
    let (status, told) = set(
        &desk,
        &json!([
            { "mcc": ["54", "5411"], "country": ["us"] },
            { "hours": "25:00-05:00", "acceptor": ["4761739001010119 and more"] },
        ]),
    );
    let detail = told["detail"].as_str().unwrap_or_default();
    assert_eq!(status, 400, "{told}");
    for part in [
        "controls[0].mcc: expected four digits or a run like 3501-3999, got \"54\"",
        "controls[0].country: expected two capital letters, got \"us\"",
        "controls[1].hours: expected a span like 23:00-05:00, got \"25:00-05:00\"",
        "controls[1].acceptor: expected 1 to 15 characters, got \"************0119 and more\"",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    let (status, told) = set(
        &desk,
        &json!([{}, { "purpose": ["load"] }, { "domestic": true }]),
    );
    let detail = told["detail"].as_str().unwrap_or_default();
    assert_eq!(status, 422, "{told}");
    assert!(
        detail.contains("controls[0]: states no condition"),
        "{detail}"
    );
    assert!(detail.contains("controls[1]: expected lists"), "{detail}");
    assert_eq!(set(&desk, &json!([{ "presence": "elsewhere" }])).0, 422);
    assert_eq!(set(&desk, &json!([{ "currency": ["USD"] }])).0, 422);
    let nobody = desk.post("/v1/cards/999/controls", &json!({ "controls": [] }));
    assert_eq!(nobody.0, 404);
    assert_eq!(desk.get(CARD)["own_controls"], json!([]));
    desk.close();
}

#[test]
fn the_command_line_sets_shows_and_removes_them() {
    let desk = Desk::open();
    let says = |args: &[&str], part: &str| {
        let (code, told, why) = command(&desk, args, None);
        assert_eq!(code, 0, "{args:?}: {why}");
        assert!(told.contains(part), "{args:?}: {told}");
    };
    let (abroad, shop) = ("domestic=false", "acquirer=123456 mcc=3501-3999,5411");
    says(
        &[
            "card", "controls", "1", "--refuse", abroad, "--refuse", shop,
        ],
        "has these controls of its own",
    );
    says(
        &["card", "show", "1"],
        "refuses of its own\n1  domestic=false\n2  acquirer=123456 mcc=3501-3999,5411\n",
    );
    says(
        &["card", "controls", "1", "--none"],
        "has no controls of its own",
    );
    assert_eq!(desk.get(CARD)["own_controls"], json!([]));
    let args = ["card", "controls", "1", "--refuse", "abroad"];
    let (code, _, why) = command(&desk, &args, None);
    assert_eq!((code, why.contains("KEY=VALUE")), (64, true), "{why}");
    desk.close();
}
