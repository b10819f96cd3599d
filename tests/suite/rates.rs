//! Exchange rates over the operators' API and from a file, and what the wire says afterwards.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Client, Draft, Process, text};

const TRAVEL: &str = "5352312000000010";

fn api(process: &Process, path: &str, body: Option<&Value>) -> (u16, Value) {
    let agent = process.agent();
    let url = format!("{}{path}", process.admin);
    let mut response = match body {
        None => agent.get(&url).call().unwrap(),
        Some(body) => agent
            .post(&url)
            .content_type("application/json")
            .send(body.to_string())
            .unwrap(),
    };
    let read = response.body_mut().read_to_string().unwrap();
    let value = serde_json::from_str(&read).unwrap_or(Value::String(read));
    (response.status().as_u16(), value)
}

/// Balance and held of each purse of the account of a card number.
fn purses(process: &Process, pan: &str) -> Vec<(i64, i64)> {
    let (_, found) = api(process, "/v1/cards/lookup", Some(&json!({ "pan": pan })));
    let path = format!("/v1/accounts/{}", found["account"]);
    let (_, view) = api(process, &path, None);
    let minor = |purse: &Value, key: &str| purse[key].as_i64().unwrap();
    let purses = view["purses"].as_array().unwrap().iter();
    purses
        .map(|purse| (minor(purse, "balance"), minor(purse, "held")))
        .collect()
}

fn replayed_digest(process: Process) -> (String, String) {
    let (_, state) = api(&process, "/v1/state", None);
    assert_eq!(state["conserved"], true, "{state}");
    let directory = process.stop();
    let replayed = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["replay", "--json", "--data"])
        .arg(directory.path().join("store"))
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    let digest = |of: &Value| of["digest"].as_str().unwrap().to_owned();
    (digest(&state), digest(&told))
}

fn dollars(stan: u32, pan: &str, cents: &str) -> Draft {
    Draft::purchase(stan)
        .set(2, pan)
        .set(4, cents)
        .set(19, "840")
        .set(43, "A SHOP                   SEATTLE      US")
        .set(49, "840")
}

#[test]
fn a_posted_rate_holds_for_the_next_purchase_and_a_repeat_keeps_the_first_answer() {
    let process = Process::serve(&["--demo"]);
    let mut client = Client::connect(&process.addresses[0], "be2", "iso87-ascii");
    let everyday = Draft::purchase(0).get(2).to_owned();
    let first = dollars(1, &everyday, "000000001000");
    let answer = client.ask(&first);
    assert_eq!(text(&answer, 39), "00");
    // 10.00 at 150 is 1,500, and 4 % on top.
    assert_eq!(purses(&process, &everyday), [(50_000, 0), (20_000, 1_560)]);
    let rate = json!({ "rates": [{ "from": "USD", "to": "JPY", "rate": "160.00" }] });
    let (status, done) = api(&process, "/v1/rates", Some(&rate));
    assert_eq!((status, &done["repeated"]), (200, &json!(false)), "{done}");
    let again = client.ask(&first.clone().mti("0101"));
    assert_eq!(text(&again, 38), text(&answer, 38));
    assert_eq!(purses(&process, &everyday), [(50_000, 0), (20_000, 1_560)]);
    // The capture has its own rate: 1,600 and 64.
    let capture = first
        .mti("0220")
        .set(11, "000002")
        .set(38, &text(&answer, 38));
    assert_eq!(client.code(&capture), "00");
    assert_eq!(purses(&process, &everyday), [(50_000, 0), (18_336, 0)]);
    let unknown = dollars(3, &everyday, "000000001000").set(49, "702");
    assert_eq!(client.code(&unknown), "57");
    let (live, replayed) = replayed_digest(process);
    assert_eq!(live, replayed);
}

#[test]
fn rates_that_cannot_be_read_change_nothing_and_every_mistake_is_told() {
    let process = Process::serve(&["--demo"]);
    let before = api(&process, "/v1/rates", None).1;
    let wrong = json!({ "rates": [
        { "from": "USD", "to": "JPY", "rate": "150" },
        { "from": "USX", "to": "JPY", "rate": "0" },
        { "from": "EUR", "to": "EUR", "rate": "1", "effective": "soon" },
    ] });
    let (status, problem) = api(&process, "/v1/rates", Some(&wrong));
    assert_eq!(status, 400);
    let detail = problem["detail"].as_str().unwrap();
    for part in [
        "rate[1].from: expected ISO 4217 letters",
        "rate[1].rate: expected a number above 0",
        "rate[2].to: EUR costs itself",
        "rate[2].effective: expected a time with its zone",
    ] {
        assert!(detail.contains(part), "{part} is not in {detail}");
    }
    assert_eq!(api(&process, "/v1/rates", None).1, before);
    let rows = before["rates"].as_array().unwrap();
    assert!(
        rows.iter().all(|row| row["in_force"] == json!(true)),
        "{before}"
    );
    process.stop();
}

#[test]
fn a_file_of_rates_is_taken_in_once_and_its_mistakes_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let rates = folder.path().join("rates.toml");
    let doors = ["iso87-ascii", "iso87-binary"].map(|spec| {
        format!(
            "[[listener]]\nname = \"{spec}\"\naddress = \"127.0.0.1:0\"\nframing = \"be2\"\n\
             spec = \"{spec}\"\ndialect = \"iso87\"\n"
        )
    });
    let config = folder.path().join("switch.toml");
    let text = format!(
        "rates = {:?}\n{}",
        rates.display().to_string(),
        doors.concat()
    );
    fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let row = "[[rate]]\nfrom = \"USD\"\nto = \"JPY\"\nrate = \"150\"\n\
               effective = \"2026-01-01T00:00:00Z\"\n";
    fs::write(&rates, row).unwrap();
    let process = Process::serve(&["--config", config]);
    let first = api(&process, "/healthz", None).1["sequence"].clone();
    let directory = process.stop();
    let process = Process::serve_in(directory, &["--config", config]);
    assert_eq!(api(&process, "/healthz", None).1["sequence"], first);
    let told = api(&process, "/v1/rates", None).1;
    assert_eq!(told["rates"][0]["rate"], "150", "{told}");
    process.stop();
    fs::write(&rates, row.replace("150", "-1")).unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["serve", "--config", config, "--data"])
        .arg(folder.path().join("other"))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(78));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("line 4: rate[0].rate"), "{told}");
}

#[test]
fn a_charge_moves_money_between_purses_once_and_all_purses_are_shown() {
    let process = Process::serve(&["--demo"]);
    let mut client = Client::connect(&process.addresses[0], "be2", "iso87-ascii");
    let before = purses(&process, TRAVEL);
    let (_, found) = api(
        &process,
        "/v1/cards/lookup",
        Some(&json!({ "pan": TRAVEL })),
    );
    let charge = json!({ "reference": "c-1", "account": found["account"], "source": "JPY",
        "charge": "USD", "minor": 1_000 });
    let (status, done) = api(&process, "/v1/charges", Some(&charge));
    assert_eq!(status, 200, "{done}");
    assert_eq!((&done["credited"], &done["fee"]), (&json!(660), &json!(10)));
    let (_, again) = api(&process, "/v1/charges", Some(&charge));
    assert_eq!(again["repeated"], json!(true));
    let mut other = charge.clone();
    other["minor"] = json!(999);
    assert_eq!(api(&process, "/v1/charges", Some(&other)).0, 409);
    let after = purses(&process, TRAVEL);
    assert_eq!(after[0].0, before[0].0 - 1_000);
    assert_eq!(after[1].0, before[1].0 + 660);
    // C5: every purse in DE 54, twenty characters each.
    let enquiry = dollars(1, TRAVEL, "000000000000")
        .set(3, "310000")
        .without(14);
    let shown = text(&client.ask(&enquiry), 54);
    assert_eq!(shown.len(), 100, "{shown}");
    assert!(
        shown.contains(&format!("0002840C{:012}", after[1].0)),
        "{shown}"
    );
    // C2: more dollars than there are; the yen pay the rest, 150 each and 3 % on top.
    let minor = after[1].0 + 1_000;
    let beyond = dollars(2, TRAVEL, &format!("{minor:012}")).without(14);
    assert_eq!(client.code(&beyond), "00");
    let held = purses(&process, TRAVEL);
    assert_eq!((held[0].1, held[1].1), (1_545, after[1].0));
    let (live, replayed) = replayed_digest(process);
    assert_eq!(live, replayed);
}
