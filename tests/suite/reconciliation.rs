//! The business day of a link, what is counted on it, and its comparison with the peer's totals.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Client, Draft, Process, text};

fn get(process: &Process, path: &str) -> Value {
    let url = format!("{}{path}", process.admin);
    let mut response = process.agent().get(&url).call().unwrap();
    serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
}

fn post(process: &Process, path: &str, body: &Value) -> (u16, Value) {
    let agent = process.agent();
    let url = format!("{}{path}", process.admin);
    let request = agent.post(&url).content_type("application/json");
    let mut response = request.send(body.to_string()).unwrap();
    let read = response.body_mut().read_to_string().unwrap();
    (
        response.status().as_u16(),
        serde_json::from_str(&read).unwrap(),
    )
}

/// What the link of the first door says of itself, and its days.
fn days(process: &Process) -> (Value, Vec<Value>) {
    let told = get(process, "/v1/reconciliation");
    let link = told["links"][0].clone();
    let name = link["link"].as_str().unwrap();
    let of_link = get(process, &format!("/v1/reconciliation?link={name}"));
    (link, of_link["days"].as_array().unwrap().clone())
}

/// A reconciliation that states these counts and amounts.
fn totals(mti: &'static str, stan: u32, stated: &[(u8, &str)]) -> Draft {
    let draft = Draft::new(mti, stan).set(32, "400001").set(50, "392");
    stated.iter().fold(draft, |draft, (element, value)| {
        let width = match element {
            86..=89 => 16,
            97 => return draft.set(97, value),
            _ => 10,
        };
        draft.set(*element, &format!("{value:0>width$}"))
    })
}

/// DE 39 and DE 66 of the answer.
fn compared(client: &mut Client, draft: &Draft) -> (String, String) {
    let answer = client.ask(draft);
    (text(&answer, 39), text(&answer, 66))
}

fn in_balance() -> (String, String) {
    ("00".to_owned(), "1".to_owned())
}

/// One of everything: an authorization captured, a purchase at once and its reversal, a refund, an
/// enquiry, a decline, an authorization taken back, and repeats, which count once.
fn a_day(client: &mut Client) {
    let hold = Draft::purchase(1);
    assert_eq!(client.code(&hold), "00");
    assert_eq!(client.code(&hold.clone().mti("0101")), "00");
    let capture = Draft::purchase(2).mti("0220").set(37, hold.get(37));
    assert_eq!(client.code(&capture), "00");
    assert_eq!(client.code(&capture.clone().mti("0221")), "00");
    let sale = Draft::purchase(3).mti("0200").set(4, "000000003000");
    assert_eq!(client.code(&sale), "00");
    assert_eq!(client.code(&Draft::reversal_of(&sale, 4)), "00");
    let refund = Draft::purchase(5).mti("0200").set(3, "200000");
    assert_eq!(client.code(&refund.set(4, "000000000500")), "00");
    let enquiry = Draft::purchase(6).set(3, "310000");
    assert_eq!(client.code(&enquiry.set(4, "000000000000")), "00");
    let refused = Draft::purchase(7).set(4, "000009000000");
    assert_eq!(client.code(&refused), "61");
    let undone = Draft::purchase(8);
    assert_eq!(client.code(&undone), "00");
    assert_eq!(client.code(&Draft::reversal_of(&undone, 9)), "00");
}

const DAY: [(u8, &str); 11] = [
    (74, "1"),
    (75, "0"),
    (76, "2"),
    (77, "1"),
    (80, "1"),
    (81, "2"),
    (86, "500"),
    (87, "0"),
    (88, "4200"),
    (89, "3000"),
    (97, "D0000000000000700"),
];

#[test]
fn the_totals_of_a_day_are_compared_and_a_difference_is_told() {
    let process = Process::serve(&["--demo"]);
    let mut client = Client::connect(&process.addresses[0], "be2", "iso87-ascii");
    a_day(&mut client);
    let advice = totals("0520", 20, &DAY);
    assert_eq!(compared(&mut client, &advice), in_balance());
    let sequence = get(&process, "/healthz")["sequence"].clone();
    assert_eq!(
        compared(&mut client, &advice.clone().mti("0521")),
        in_balance()
    );
    assert_eq!(
        get(&process, "/healthz")["sequence"],
        sequence,
        "a repeat is no record"
    );
    let other = totals("0500", 21, &[(76, "3"), (88, "4200")]);
    let out_of_balance = ("00".to_owned(), "2".to_owned());
    assert_eq!(compared(&mut client, &other), out_of_balance);
    let differences = days(&process).1[0]["reconciled"]["differences"].clone();
    assert_eq!(differences, "debits: theirs 3, ours 2");
    let silent = totals("0500", 22, &[]);
    assert_eq!(compared(&mut client, &silent).1, "9");
    // Another door is another link, with a day of its own.
    let mut other = Client::connect(&process.addresses[1], "be2", "iso87-binary");
    assert_eq!(
        compared(&mut other, &totals("0500", 23, &[(76, "0")])),
        in_balance()
    );
    assert_eq!(compared(&mut other, &totals("0500", 24, &DAY)).1, "2");
    let wrong_day = totals("0500", 25, &[]).set(15, "1399");
    assert_eq!(client.code(&wrong_day), "30");
}

#[test]
fn a_cutover_ends_the_day_of_its_link_once_and_a_restart_keeps_it() {
    let process = Process::serve(&["--demo"]);
    let mut client = Client::connect(&process.addresses[0], "be2", "iso87-ascii");
    a_day(&mut client);
    let (link, _) = days(&process);
    let first = link["day"].as_str().unwrap().to_owned();
    let cutover = Draft::management(30, "201").set(32, "400001");
    assert_eq!(client.code(&cutover), "00");
    let second = days(&process).0["day"].as_str().unwrap().to_owned();
    assert!(second > first, "{second} after {first}");
    assert_eq!(client.code(&cutover.clone().mti("0801")), "00");
    assert_eq!(
        days(&process).0["day"],
        second,
        "a repeat begins no other day"
    );
    let other = get(&process, "/v1/reconciliation")["links"][1]["day"].clone();
    assert_eq!(other, first, "another link has its own day");

    let sale = Draft::purchase(31).mti("0200").set(4, "000000000700");
    assert_eq!(client.code(&sale), "00");
    // Without a date the last day that is over is meant, with one that day.
    assert_eq!(
        compared(&mut client, &totals("0500", 32, &DAY)),
        in_balance()
    );
    let today = [(76, "1"), (88, "700"), (81, "0")];
    let month_day = second[5..].replace('-', "");
    let of_today = totals("0500", 33, &today).set(15, &month_day);
    assert_eq!(compared(&mut client, &of_today), in_balance());

    let path = format!("/v1/links/{}/cutover", link["link"].as_str().unwrap());
    let (status, refused) = post(&process, &path, &json!({ "date": first }));
    assert_eq!(status, 409, "{refused}");
    assert_eq!(
        post(
            &process,
            "/v1/links/nobody/cutover",
            &json!({ "date": first })
        )
        .0,
        404
    );
    let third: jiff::civil::Date = second.parse().unwrap();
    let third = third.tomorrow().unwrap().to_string();
    for _ in 0..2 {
        let (status, done) = post(&process, &path, &json!({ "date": third }));
        assert_eq!((status, &done["day"]), (200, &json!(third)), "{done}");
    }
    let before = days(&process);
    assert_eq!(before.1.len(), 2, "{:?}", before.1);
    let digest = get(&process, "/v1/state")["digest"].clone();
    let process = Process::serve_in(process.stop(), &["--demo"]);
    assert_eq!(days(&process), before);
    let left = process.stop();
    let replayed = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["replay", "--json", "--data"])
        .arg(left.path().join("store"))
        .output()
        .unwrap();
    let replayed: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(replayed["digest"], digest);
}
