//! Limits of one card beside those of its programme: set, read and removed by operators, and what
//! the wire says of them.

use serde_json::{Value, json};

use crate::operators::{Desk, spare_number};
use crate::support::EVERYDAY;
use crate::walk::command;

const CARD: &str = "/v1/cards/1";

fn daily(channel: &str, amount: Value, count: Value) -> Value {
    json!({
        "channel": channel,
        "window": "day",
        "currency": "JPY",
        "amount_max": amount,
        "count_max": count,
    })
}

fn set(desk: &Desk, limits: &[Value]) -> (u16, Value) {
    desk.post(&format!("{CARD}/limits"), &json!({ "limits": limits }))
}

/// Why the last message was answered as it was.
fn evidence(desk: &Desk) -> String {
    let sequence = desk.get("/healthz")["sequence"].clone();
    let told = desk.get(&format!("/v1/decisions/{sequence}"));
    told["evidence"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_cards_own_limit_counts_what_the_card_did_before_and_says_so_when_it_refuses() {
    let mut desk = Desk::open();
    assert_eq!(desk.code(EVERYDAY, 3_000), "00");
    let (status, told) = set(&desk, &[daily("purchase", json!(5_000), json!(3))]);
    assert_eq!((status, &told["repeated"]), (200, &json!(false)));
    assert_eq!(
        set(&desk, &[daily("purchase", json!(5_000), json!(3))]).1["repeated"],
        true
    );
    assert_eq!(desk.code(EVERYDAY, 2_001), "61");
    assert_eq!(
        evidence(&desk),
        "the card's own limit per day 5000, used 3000, asked 2001"
    );
    assert_eq!(desk.code(EVERYDAY, 1_000), "00");
    assert_eq!(desk.code(EVERYDAY, 500), "00");
    assert_eq!(desk.code(EVERYDAY, 100), "65");
    assert_eq!(
        evidence(&desk),
        "the card's own limit per day 3 transactions, used 3"
    );
    let own = &desk.get(CARD)["own_limits"][0];
    assert_eq!(
        (&own["used_minor"], &own["used_count"]),
        (&json!(4_500), &json!(3))
    );
    let deeds = desk.get("/v1/audit");
    let deed = &deeds["deeds"][0];
    assert_eq!(
        (&deed["did"], &deed["card"]),
        (&json!("card-limits-set"), &json!(1))
    );
    assert_eq!(
        deed["limits"],
        json!([daily("purchase", json!(5_000), json!(3))])
    );

    // It outlives a restart, and ends with the order to have none.
    let mut desk = desk.restart();
    assert_eq!(desk.code(EVERYDAY, 100), "65");
    assert_eq!(set(&desk, &[]).0, 200);
    assert_eq!(desk.get(CARD)["own_limits"], json!([]));
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    desk.close();
}

#[test]
fn a_channel_without_an_amount_is_shut_and_the_programme_still_limits() {
    let mut desk = Desk::open();
    assert_eq!(
        set(&desk, &[daily("e-commerce", json!(0), Value::Null)]).0,
        200
    );
    let online = desk.purchase(EVERYDAY, 100).set(22, "812").set(25, "59");
    assert_eq!(desk.client.code(&online), "61");
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    // More than the programme allows is no leave to spend it.
    assert_eq!(
        set(&desk, &[daily("purchase", json!(9_000_000), Value::Null)]).0,
        200
    );
    assert_eq!(desk.code(EVERYDAY, 1_000_001), "61");
    assert_eq!(
        evidence(&desk),
        "limit per transaction 1000000, asked 1000001"
    );
    desk.close();
}

#[test]
fn limits_go_on_with_the_card_that_replaces_another() {
    let mut desk = Desk::open();
    assert_eq!(
        set(&desk, &[daily("purchase", json!(1_000), Value::Null)]).0,
        200
    );
    let pan = spare_number(700_000_301);
    let body = json!({ "pan": pan, "expiry": "3112", "old_status": "lost" });
    assert_eq!(desk.post(&format!("{CARD}/replace"), &body).0, 200);
    assert_eq!(desk.code(&pan, 1_001), "61");
    assert_eq!(desk.code(&pan, 1_000), "00");
    desk.close();
}

#[test]
fn what_is_no_limit_of_the_card_is_refused_and_two_operators_hear_of_each_other() {
    let desk = Desk::open();
    let changed = |key: &str, value: &str| {
        let mut limit = daily("load", json!(1), json!(1));
        limit[key] = json!(value);
        limit
    };
    for wrong in [
        vec![daily("purchase", Value::Null, Value::Null)],
        vec![daily("purchase", json!(-1), Value::Null)],
        vec![daily("transfer", json!(1), Value::Null)],
        vec![
            daily("purchase", json!(1), Value::Null),
            daily("purchase", json!(2), Value::Null),
        ],
        vec![changed("window", "transaction")],
        vec![changed("currency", "USD")],
        (0..17)
            .map(|_| daily("load", json!(1), Value::Null))
            .collect(),
    ] {
        assert_eq!(set(&desk, &wrong).0, 422, "{wrong:?}");
    }
    assert_eq!(
        set(&desk, &[daily("nothing", json!(1), Value::Null)]).0,
        422
    );
    let limits = [daily("purchase", json!(1), Value::Null)];
    let nobody = desk.post("/v1/cards/999/limits", &json!({ "limits": limits }));
    assert_eq!(nobody.0, 404);
    assert_eq!(desk.get(CARD)["own_limits"], json!([]));

    let tag = etag(&desk);
    assert_eq!(set(&desk, &limits).0, 200);
    assert_ne!(etag(&desk), tag);
    let late = desk
        .process
        .agent()
        .post(format!("{}{CARD}/limits", desk.process.admin))
        .header("If-Match", &tag)
        .send_json(json!({ "limits": [] }));
    assert_eq!(late.unwrap().status(), 412);
    desk.close();
}

fn etag(desk: &Desk) -> String {
    let url = format!("{}{CARD}", desk.process.admin);
    let answer = desk.process.agent().get(url).call().unwrap();
    answer.headers()["etag"].to_str().unwrap().to_owned()
}

#[test]
fn the_command_line_sets_shows_and_removes_them() {
    let desk = Desk::open();
    let says = |args: &[&str], part: &str| {
        let (code, told, why) = command(&desk, args, None);
        assert_eq!(code, 0, "{args:?}: {why}");
        assert!(told.contains(part), "{args:?}: {told}");
    };
    let limits = ["purchase:day:JPY:5000:3", "e-commerce:month:JPY::9"];
    says(
        &[
            "card", "limits", "1", "--limit", limits[0], "--limit", limits[1],
        ],
        "of its own",
    );
    says(&["card", "show", "1"], "limits of its own\nlimit of");
    assert_eq!(desk.get(CARD)["own_limits"][1]["count_max"], 9);
    says(
        &["card", "limits", "1", "--none"],
        "has no limits of its own",
    );
    let (code, _, why) = command(
        &desk,
        &["card", "limits", "1", "--limit", "purchase:day"],
        None,
    );
    assert_eq!(
        (code, why.contains("expected CHANNEL")),
        (64, true),
        "{why}"
    );
    desk.close();
}
