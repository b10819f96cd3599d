//! PINs over TCP: from the block in DE 52 to the lock, which survives a restart.

use std::collections::BTreeSet;

use cardswitch::crypto::key::TdesKey;
use cardswitch::crypto::pin_block::{Pin, encipher};
use cardswitch::crypto::pvv::pvv;

use crate::support::{Client, Draft, EVERYDAY, Process, SPECS, configured};

const KEYS: &str = include_str!("../../fixtures/demo-pin-keys.toml");
const CARDS: &str = include_str!("../../fixtures/demo.toml");
const SCENARIO: &str = include_str!("../../fixtures/scenarios/cash.toml");

/// Keys of the demo, read as its file has them.
fn keys() -> (TdesKey, TdesKey) {
    let table: toml::Table = KEYS.parse().unwrap();
    let verification = table["verification_key"][0]["key"].as_str().unwrap();
    let zone = table["zone_key"].as_str().unwrap();
    let key = |digits| TdesKey::from_hex(digits).unwrap_or_else(|error| panic!("{error}"));
    (key(zone), key(verification))
}

fn block(digits: &str, pan: &str) -> String {
    let pin = Pin::from_digits(digits).unwrap_or_else(|error| panic!("{error}"));
    let block = encipher(&keys().0, &pin, pan).unwrap();
    block.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[test]
fn demo_cards_and_scenario_say_what_the_demo_keys_make() {
    let table: toml::Table = CARDS.parse().unwrap();
    let (_, verification) = keys();
    let pin = Pin::from_digits("2580").unwrap_or_else(|error| panic!("{error}"));
    let mut blocks = BTreeSet::new();
    for card in table["card"].as_array().unwrap() {
        let Some(row) = card.get("pin") else { continue };
        let pan = card["pan"].as_str().unwrap();
        let value = pvv(&verification, 1, pan, &pin).unwrap();
        let value: String = value.iter().map(|digit| char::from(b'0' + digit)).collect();
        assert_eq!(row["verification_value"].as_str().unwrap(), value);
        blocks.extend([block("2580", pan), block("2581", pan)]);
    }
    assert_eq!(blocks.len(), 6);
    let quoted = SCENARIO
        .lines()
        .filter_map(|line| line.strip_prefix("pin_block = "));
    for quoted in quoted.map(|text| text.trim_matches('"').to_owned()) {
        assert!(blocks.contains(&quoted) || quoted == "0123456789ABCDEF");
    }
}

/// Sends a purchase with a PIN and returns DE 39.
fn code(process: &Process, door: usize, stan: u32, digits: &str) -> String {
    let mut client = Client::connect(process.addresses[door].as_str(), "be2", SPECS[door]);
    client.code(&Draft::purchase(stan).set(52, &block(digits, EVERYDAY)))
}

#[test]
fn three_wrong_pins_then_the_right_one_are_55_55_75_75_also_after_a_restart() {
    for door in 0..SPECS.len() {
        let process = Process::serve(&["--demo"]);
        assert_eq!(code(&process, door, 1, "2581"), "55");
        assert_eq!(code(&process, door, 2, "0000"), "55");
        let directory = process.stop();
        let process = Process::serve_in(directory, &["--demo"]);
        assert_eq!(code(&process, door, 3, "2581"), "75");
        assert_eq!(code(&process, door, 4, "2580"), "75");
        let directory = process.stop();
        let process = Process::serve_in(directory, &["--demo"]);
        assert_eq!(code(&process, door, 5, "2580"), "75");
        process.stop();
    }
}

#[test]
fn two_wrong_pins_and_the_right_one_let_the_holder_pay() {
    let process = Process::serve(&["--demo"]);
    for (stan, digits, expected) in [
        (1, "1111", "55"),
        (2, "2222", "55"),
        (3, "2580", "00"),
        (4, "1111", "55"),
        (5, "2580", "00"),
    ] {
        assert_eq!(code(&process, 1, stan, digits), expected, "{stan}");
    }
    process.stop();
}

/// A PIN change: the current PIN's block in DE 52, the new one's in DE 125.
fn change(stan: u32, processing_code: &str, pins: [&str; 2]) -> Draft {
    let [old, new] = pins.map(|digits| block(digits, EVERYDAY));
    let change = Draft::purchase(stan).set(3, processing_code);
    change.set(52, &old).set(125, &new)
}

#[test]
fn a_pin_changes_on_the_wire_with_the_current_one_in_every_dialect_of_1987() {
    let doors = [
        (["iso87", "iso87"], ["700000", "700000"], ["81", "81"]),
        (
            ["visa-style", "mastercard-style"],
            ["700000", "920000"],
            ["81", "88"],
        ),
    ];
    for (dialects, codes, unacceptable) in doors {
        for door in 0..2 {
            let directory = tempfile::tempdir().unwrap();
            let config = configured(directory.path(), dialects);
            let args = ["--demo", "--config", &config];
            let process = Process::serve_in(directory, &args);
            let mut client = Client::connect(&process.addresses[door], "be2", SPECS[door]);
            let change = |stan, pins| change(stan, codes[door], pins);
            for (stan, pins, code) in [
                (1, ["2581", "9357"], "55"),
                (2, ["2580", "1111"], unacceptable[door]),
                (3, ["2580", "4312"], unacceptable[door]),
                (4, ["2580", "9357"], "00"),
            ] {
                assert_eq!(
                    client.code(&change(stan, pins)),
                    code,
                    "{stan} {dialects:?}"
                );
            }
            let again = change(4, ["2580", "9357"]).mti("0101");
            assert_eq!(client.code(&again), "00", "the stored answer");
            let purchase = |stan, digits| Draft::purchase(stan).set(52, &block(digits, EVERYDAY));
            assert_eq!(client.code(&purchase(5, "2580")), "55");
            assert_eq!(client.code(&purchase(6, "9357")), "00");
            let process = Process::serve_in(process.stop(), &args);
            let mut client = Client::connect(&process.addresses[door], "be2", SPECS[door]);
            assert_eq!(client.code(&purchase(7, "9357")), "00", "after a restart");
            for (stan, code) in [(8, "55"), (9, "55"), (10, "75")] {
                assert_eq!(client.code(&change(stan, ["2580", "2468"])), code);
            }
            let locked = change(11, ["9357", "2468"]);
            assert_eq!(client.code(&locked), "75", "the right one comes too late");
            process.stop();
        }
    }
}

fn post(process: &Process, path: &str, body: &serde_json::Value) -> (u16, String) {
    let url = format!("{}{path}", process.admin);
    let agent = process.agent();
    let mut answer = agent.post(&url).send_json(body).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), text)
}

#[test]
fn the_issuer_sets_a_pin_by_the_rules_and_unlocks_a_locked_one() {
    let process = Process::serve(&["--demo"]);
    let wanted = |pin: &str| {
        serde_json::json!({
            "pan": EVERYDAY, "pin": pin, "born": "1987-11-25", "telephone": "090-2846-1735"
        })
    };
    for (pin, rule) in [
        ("1111", "one digit repeated"),
        ("4321", "four consecutive digits"),
        ("2511", "date of birth"),
        ("4617", "telephone number"),
        ("25801", "exactly four digits"),
    ] {
        let (status, told) = post(&process, "/v1/pins", &wanted(pin));
        assert_eq!(status, 422, "{told}");
        assert!(told.contains(rule) && told.contains("A6"), "{told}");
        assert!(!told.contains(pin), "a PIN is shown");
    }
    assert_eq!(code(&process, 0, 1, "2580"), "00");
    assert_eq!(post(&process, "/v1/pins", &wanted("8520")).0, 200);
    for (stan, digits, expected) in [
        (2, "8520", "00"),
        (3, "2580", "55"),
        (4, "2580", "55"),
        (5, "2580", "75"),
        (6, "8520", "75"),
    ] {
        assert_eq!(code(&process, 0, stan, digits), expected, "{stan}");
    }
    let card = serde_json::json!({ "pan": EVERYDAY });
    assert_eq!(post(&process, "/v1/pins/unlock", &card).0, 200);
    assert_eq!(code(&process, 0, 7, "8520"), "00");
    let nobody = serde_json::json!({ "pan": "4761739001010135" });
    assert_eq!(post(&process, "/v1/pins/unlock", &nobody).0, 404);
    process.stop();
}

#[test]
fn a_body_of_the_wrong_types_is_refused_without_its_content() {
    let process = Process::serve(&["--demo"]);
    let number: u64 = EVERYDAY.parse().unwrap();
    for (path, body) in [
        (
            "/v1/pins",
            serde_json::json!({ "pan": number, "pin": "2580" }),
        ),
        (
            "/v1/pins",
            serde_json::json!({ "pan": EVERYDAY, "pin": 2580 }),
        ),
        ("/v1/pins/unlock", serde_json::json!({ "pan": number })),
        ("/v1/pins/unlock", serde_json::json!({ EVERYDAY: "pan" })),
        ("/v1/cards/lookup", serde_json::json!({ "pan": number })),
    ] {
        let (status, told) = post(&process, path, &body);
        assert_eq!(status, 422, "{path}");
        assert!(told.contains("body: expected"), "{path}");
        let shows = told.contains(EVERYDAY) || told.contains("2580");
        assert!(!shows, "{path}: a card number or a PIN is shown");
    }
    process.stop();
}
