//! A programme in shadow over the API: what a file would have decided otherwise, since it was set.

use std::time::Duration;

use serde_json::{Value, json};

use crate::operators::{Desk, spare_number};
use crate::support::EVERYDAY;
use crate::walk::command;

const SHIPPED: &str = include_str!("../../spec/programme/prepaid-jp.toml");
const PATH: &str = "/v1/programmes/prepaid-jp/shadow";

/// A purchase may come to 800 yen, where the shipped file lets 1,000,000 pass.
fn tighter() -> String {
    SHIPPED.replacen("amount_max = 1_000_000", "amount_max = 800", 1)
}

/// What it says once everything durable was judged.
fn caught_up(desk: &Desk) -> Value {
    for _ in 0..1_000 {
        let told = desk.get(PATH)["shadow"].clone();
        assert_eq!(told["stopped"], Value::Null, "{told}");
        if told["behind"] == 0 {
            return told;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{}", desk.get(PATH));
}

fn metric(desk: &Desk, name: &str) -> String {
    let url = format!("{}/metrics", desk.process.admin);
    let page = desk.process.agent().get(url).call().unwrap();
    let page = page.into_body().read_to_string().unwrap();
    let row = page.lines().find_map(|row| row.strip_prefix(name));
    row.unwrap().trim().to_owned()
}

#[test]
fn a_file_in_shadow_tells_what_it_would_have_decided_and_decides_nothing() {
    let mut desk = Desk::open();
    assert_eq!(desk.get(PATH)["shadow"], Value::Null);
    // Before it is set: carried over, not judged.
    assert_eq!(desk.code(EVERYDAY, 900), "00");
    let (status, told) = desk.post(PATH, &json!({ "file": tighter() }));
    assert_eq!(
        (status, &told["shadow"]["version"]),
        (200, &json!(1)),
        "{told}"
    );
    assert_eq!(desk.code(EVERYDAY, 700), "00");
    assert_eq!(desk.code(EVERYDAY, 900), "00");
    assert_eq!(desk.code(EVERYDAY, 1_000_001), "61");
    let fuel = desk.purchase(EVERYDAY, 5_000).set(18, "5541");
    assert_eq!(desk.client.code(&fuel), "57");
    let sequence = desk.get("/healthz")["sequence"].as_u64().unwrap();
    let told = caught_up(&desk);
    assert_eq!(
        (&told["decisions"], &told["changed"], &told["through"]),
        (&json!(4), &json!(1), &json!(sequence)),
        "{told}"
    );
    let sums = json!([{ "currency": "JPY", "minor": 900 }]);
    assert_eq!(
        told["changes"],
        json!([{ "was": "approved", "would_be": "transaction-limit", "count": 1, "sums": sums }])
    );
    let latest = &told["latest"][0];
    assert_eq!(
        (&latest["was"], &latest["would_be"], &latest["evidence"]),
        (
            &json!("approved"),
            &json!("transaction-limit"),
            &json!("limit per transaction 800, asked 900")
        )
    );
    assert_eq!(
        (&latest["card"], &latest["minor"]),
        (&json!(1), &json!(900))
    );
    assert_eq!(latest["trace"], latest["sequence"]);
    assert_eq!(metric(&desk, "cardswitch_shadow_decisions "), "4");
    assert_eq!(metric(&desk, "cardswitch_shadow_differences "), "1");

    // What an operator does meanwhile is followed too, and the programme in force may change.
    let pan = spare_number(700_000_303);
    let body = json!({ "pan": pan, "expiry": "3112", "old_status": "lost" });
    assert_eq!(desk.post("/v1/cards/1/replace", &body).0, 200);
    assert_eq!(desk.code(&pan, 801), "00");
    assert_eq!(caught_up(&desk)["changed"], 2);

    let (status, _) = desk.post(PATH, &json!({ "file": null }));
    assert_eq!(status, 200);
    assert_eq!(desk.get(PATH)["shadow"], Value::Null);
    assert_eq!(metric(&desk, "cardswitch_shadow_decisions "), "0");
    desk.close();
}

#[test]
fn it_begins_from_the_newest_checkpoint_and_one_is_in_shadow_at_a_time() {
    let mut desk = Desk::open();
    assert_eq!(desk.code(EVERYDAY, 900), "00");
    assert_eq!(desk.post("/v1/checkpoint", &json!({})).0, 200);
    assert_eq!(desk.code(EVERYDAY, 900), "00");
    assert_eq!(desk.post(PATH, &json!({ "file": tighter() })).0, 200);
    assert_eq!(desk.code(EVERYDAY, 900), "00");
    let told = caught_up(&desk);
    assert_eq!(
        (&told["decisions"], &told["changed"]),
        (&json!(1), &json!(1)),
        "{told}"
    );
    let gift = include_str!("../../spec/programme/gift-code.toml");
    let other = "/v1/programmes/gift-code/shadow";
    assert_eq!(desk.post(other, &json!({ "file": gift })).0, 409);
    assert_eq!(desk.post(PATH, &json!({ "file": gift })).0, 422);
    assert_eq!(desk.post(PATH, &json!({ "file": "name = 1" })).0, 422);
    let nothing = "/v1/programmes/nothing/shadow";
    assert_eq!(desk.post(nothing, &json!({ "file": gift })).0, 404);
    // None of that ended the one that is there.
    assert_eq!(desk.code(EVERYDAY, 900), "00");
    assert_eq!(caught_up(&desk)["changed"], 2);
    // A restart goes on with it, and counts anew.
    let mut desk = desk.restart();
    // Doors open before the file is read again.
    caught_up(&desk);
    assert_eq!(desk.code(EVERYDAY, 900), "00");
    let told = caught_up(&desk);
    assert_eq!(
        (&told["decisions"], &told["changed"]),
        (&json!(1), &json!(1)),
        "{told}"
    );
    assert_eq!(desk.post(PATH, &json!({})).0, 200);
    assert_eq!(desk.post(other, &json!({ "file": gift })).0, 200);
    assert_eq!(desk.post(other, &json!({ "file": null })).0, 200);
    let desk = desk.restart();
    assert_eq!(desk.get(other)["shadow"], Value::Null);
    assert_eq!(desk.get(PATH)["shadow"], Value::Null);
    desk.close();
}

#[test]
fn the_command_line_sets_tells_and_ends_it() {
    let mut desk = Desk::open();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tighter.toml");
    std::fs::write(&file, tighter()).unwrap();
    let says = |desk: &Desk, args: &[&str], part: &str| {
        let args = [&["programme", "shadow", "prepaid-jp"], args].concat();
        let (code, told, why) = command(desk, &args, None);
        assert_eq!(code, 0, "{args:?}: {why}");
        assert!(told.contains(part), "{args:?}: {told}");
    };
    says(&desk, &[], "nothing is in shadow of prepaid-jp");
    let file = file.display().to_string();
    says(&desk, &[&file], "prepaid-jp version 1 in shadow since ");
    assert_eq!(desk.code(EVERYDAY, 900), "00");
    caught_up(&desk);
    says(
        &desk,
        &[],
        ": 1 of 1 decisions would change, 0 records behind",
    );
    says(&desk, &[], "limit per transaction 800, asked 900");
    says(&desk, &["--none"], "nothing is in shadow of prepaid-jp");
    desk.close();
}
