//! From a shipped card to one that pays: enrolment and its PIN (C1), activation at a till (B4), and
//! what goes on with the card that replaces another.

use serde_json::{Value, json};

use cardswitch::crypto::key::TdesKey;
use cardswitch::crypto::pin_block::{Pin, encipher};

use crate::operators::{Desk, checked, spare_number};
use crate::support::{Client, Draft, SPECS, text};

/// A travel card that is shipped.
const SHIPPED: &str = "5352312000000044";
const KEYS: &str = include_str!("../../fixtures/demo-pin-keys.toml");

/// The PIN block of these digits under the demo key.
pub(crate) fn block(digits: &str, pan: &str) -> String {
    let table: toml::Table = KEYS.parse().unwrap();
    let zone = TdesKey::from_hex(table["zone_key"].as_str().unwrap());
    let zone = zone.unwrap_or_else(|error| panic!("{error}"));
    let block = encipher(
        &zone,
        &Pin::from_digits(digits).unwrap_or_else(|error| panic!("{error}")),
        pan,
    )
    .unwrap();
    block.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn card(desk: &Desk, pan: &str) -> (u64, u64) {
    let (status, found) = desk.post("/v1/cards/lookup", &json!({ "pan": pan }));
    assert_eq!(status, 200, "{found}");
    (
        found["card"].as_u64().unwrap(),
        found["account"].as_u64().unwrap(),
    )
}

fn detail(told: &Value) -> &str {
    told["detail"].as_str().unwrap_or_default()
}

/// A purchase of one yen or cent with a PIN.
fn with_pin(desk: &mut Desk, pan: &str, pin: &str) -> String {
    let draft = desk
        .purchase(pan, 1)
        .set(14, "3006")
        .set(52, &block(pin, pan));
    desk.client.code(&draft)
}

#[test]
fn a_shipped_card_pays_once_it_is_enrolled_with_last_digits_and_initial_pin() {
    let mut desk = Desk::open();
    let (number, account) = card(&desk, SHIPPED);
    let bank = json!({ "pan": SHIPPED, "pin": "2580" });
    assert_eq!(desk.post("/v1/pins", &bank).0, 200);
    let pay = |desk: &mut Desk| {
        let draft = desk.purchase(SHIPPED, 1).set(14, "3006");
        desk.client.code(&draft)
    };
    assert_eq!(pay(&mut desk), "78");
    let path = format!("/v1/cards/{number}/enrol");
    let enrol = |desk: &Desk, last_four: &str, pin: &str| {
        desk.post(&path, &json!({ "last_four": last_four, "pin": pin }))
    };
    for (last_four, pin, expected, part) in [
        ("0045", "2580", 422, "(C1)"),
        ("44", "2580", 422, "(C1)"),
        ("00440", "2580", 400, "four digits"),
        ("0044", "258", 422, "(A6)"),
        ("0044", "2581", 422, "1 wrong tries of 3 (A7)"),
    ] {
        let (status, told) = enrol(&desk, last_four, pin);
        assert_eq!(status, expected, "{told}");
        assert!(
            detail(&told).contains(part) && !detail(&told).contains(pin),
            "{told}"
        );
    }
    // No operator takes the holder's place.
    let status = json!({ "status": "active" });
    let (refused, told) = desk.post(&format!("/v1/cards/{number}/status"), &status);
    assert_eq!(refused, 422);
    assert!(detail(&told).contains("(C1)"), "{told}");
    assert_eq!(pay(&mut desk), "78");
    assert_eq!(enrol(&desk, "0044", "2580").0, 200);
    assert_eq!(enrol(&desk, "0044", "2580").0, 409);
    let view = desk.get(&format!("/v1/accounts/{account}"));
    assert_eq!(view["cards"][0]["status"], "active");

    assert_eq!(pay(&mut desk), "00");
    assert_eq!(
        desk.post(
            "/v1/cards/1/enrol",
            &json!({ "last_four": "0119", "pin": "2580" })
        )
        .0,
        422
    );
    desk.close();
}

#[test]
fn the_pin_of_an_enrolled_card_changes_with_the_current_one_and_goes_on_with_another_card() {
    let mut desk = Desk::open();
    let (number, _) = card(&desk, SHIPPED);
    assert_eq!(
        desk.post("/v1/pins", &json!({ "pan": SHIPPED, "pin": "2580" }))
            .0,
        200
    );
    let enrol = json!({ "last_four": "0044", "pin": "2580" });
    assert_eq!(
        desk.post(&format!("/v1/cards/{number}/enrol"), &enrol).0,
        200
    );
    let (status, told) = desk.post("/v1/pins", &json!({ "pan": SHIPPED, "pin": "1470" }));
    assert_eq!(status, 422);
    assert!(detail(&told).contains("(C1)"), "{told}");
    let change = |desk: &Desk, pin: &str, new: &str| {
        let wanted = json!({ "pan": SHIPPED, "pin": pin, "new_pin": new });
        desk.post("/v1/pins/change", &wanted)
    };
    assert_eq!(change(&desk, "2580", "1111").0, 422);
    assert_eq!(change(&desk, "2581", "1470").0, 422);
    assert_eq!(change(&desk, "2580", "1470").0, 200);
    assert_eq!(with_pin(&mut desk, SHIPPED, "2580"), "55");

    assert_eq!(with_pin(&mut desk, SHIPPED, "1470"), "00");

    let successor = checked("535231200000005");
    let order = json!({ "pan": &successor, "expiry": "3006", "old_status": "lost" });
    let (status, done) = desk.post(&format!("/v1/cards/{number}/replace"), &order);
    assert_eq!(status, 200, "{done}");
    assert_eq!(with_pin(&mut desk, &successor, "1470"), "00");
    for expected in ["55", "55", "75"] {
        assert_eq!(with_pin(&mut desk, &successor, "2580"), expected);
    }
    let wanted = json!({ "pan": &successor, "pin": "1470", "new_pin": "2580" });
    let (status, told) = desk.post("/v1/pins/change", &wanted);
    assert_eq!(status, 409);
    assert!(detail(&told).contains("locked"), "{told}");
    // Where PINs belong to cards, a new card has none.
    let spare = spare_number(700_000_021);
    let order = json!({ "pan": spare, "expiry": "3006", "old_status": "lost" });
    assert_eq!(desk.post("/v1/cards/1/replace", &order).0, 200);
    assert_eq!(with_pin(&mut desk, &spare, "2580"), "81");
    desk.close();
}

#[test]
fn wrong_pins_at_enrolment_lock_it_also_after_a_restart() {
    let desk = Desk::open();
    let (number, _) = card(&desk, SHIPPED);
    assert_eq!(
        desk.post("/v1/pins", &json!({ "pan": SHIPPED, "pin": "2580" }))
            .0,
        200
    );
    let path = format!("/v1/cards/{number}/enrol");
    let enrol =
        |desk: &Desk, pin: &str| desk.post(&path, &json!({ "last_four": "0044", "pin": pin }));
    for _ in 0..3 {
        assert_eq!(enrol(&desk, "2581").0, 422);
    }
    let heard = desk.get("/v1/events");
    assert_eq!(heard["events"][0]["kind"], "pin-lock");
    assert_eq!(heard["events"][0]["card"], number);
    let desk = desk.restart();
    assert_eq!(enrol(&desk, "2580").0, 409);
    assert_eq!(
        desk.post("/v1/pins/unlock", &json!({ "pan": SHIPPED })).0,
        200
    );
    assert_eq!(enrol(&desk, "2580").0, 200);
    desk.close();
}

#[test]
fn a_till_activates_a_code_over_the_wire_once() {
    let mut desk = Desk::open();
    let bearer = json!({ "programme": "gift-code", "kyc": "bearer", "pan": "86001200000042",
        "status": "not-activated" });
    assert_eq!(desk.post("/v1/accounts", &bearer).0, 200);
    let address = desk.process.addresses[1].clone();
    let mut till = Client::connect(address.as_str(), "be2", SPECS[1]);
    let sell = |stan: u32, minor: u32| {
        Draft::new("0200", stan)
            .set(2, "86001200000042")
            .set(3, "720000")
            .set(4, &format!("{minor:012}"))
            .set(32, "400001")
            .set(41, "TILL0001")
            .set(49, "392")
    };
    let online = |desk: &mut Desk| {
        let draft = desk
            .purchase("86001200000042", 400)
            .set(22, "812")
            .set(25, "59");
        desk.client.code(&draft.without(14))
    };
    assert_eq!(online(&mut desk), "78");
    let sold = till.ask(&sell(1, 3_000));
    assert_eq!(text(&sold, 39), "00");
    assert_eq!(text(&till.ask(&sell(1, 3_000)), 38), text(&sold, 38));
    assert_eq!(till.code(&sell(2, 3_000)), "57");
    assert_eq!(online(&mut desk), "00");
    let (_, account) = card(&desk, "86001200000042");
    assert_eq!(desk.purses(u32::try_from(account).unwrap()), [(3_000, 400)]);
    desk.close();
}
