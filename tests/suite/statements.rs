//! Statements (A38, C6) and notices (A37) over HTTP, of what happened over TCP.

use std::thread;

use serde_json::{Value, json};

use crate::operators::Desk;
use crate::support::{Draft, EVERYDAY, text};

/// A day of the everyday card: what is asked for stands in the order of the statement.
fn a_day(desk: &mut Desk) {
    let bought = desk.purchase(EVERYDAY, 3_000);
    assert_eq!(desk.client.code(&bought), "00");
    let captured = bought.clone().mti("0220").set(11, "000901");
    assert_eq!(desk.client.code(&captured), "00");
    let undone = desk.purchase(EVERYDAY, 500);
    assert_eq!(desk.client.code(&undone), "00");
    assert_eq!(desk.client.code(&Draft::reversal_of(&undone, 902)), "00");
    let pending = desk.purchase(EVERYDAY, 700);
    assert_eq!(desk.client.code(&pending), "00");
    let let_go = desk.purchase(EVERYDAY, 800);
    assert_eq!(desk.client.code(&let_go), "00");
    let entry = desk.get("/v1/accounts/1")["entries"][0]["id"].clone();
    assert_eq!(
        desk.post(&format!("/v1/holds/{entry}/release"), &json!({}))
            .0,
        200
    );
    let refund = bought.mti("0200").set(3, "200000").set(11, "000903");
    assert_eq!(desk.client.code(&refund), "00");
    let load = json!({ "reference": "salary-1", "card": 1, "minor": 10_000, "currency": "JPY",
        "channel": "bank" });
    assert_eq!(desk.post("/v1/loads", &load).1["approved"], true);
    let transfer = json!({ "reference": "rent-1", "from": 1, "to": 2, "minor": 4_000 });
    assert_eq!(desk.post("/v1/transfers", &transfer).0, 200);
    assert_eq!(desk.code(EVERYDAY, 999_999), "51");
}

#[test]
fn a_statement_shows_every_entry_with_its_state_merchant_and_balances() {
    let mut desk = Desk::open();
    a_day(&mut desk);
    let told = desk.get("/v1/accounts/1/statement");
    let lines = told["lines"].as_array().unwrap();
    let states: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| {
            (
                line["kind"].as_str().unwrap(),
                line["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("opening", "captured"),
            ("purchase", "refunded"),
            ("purchase", "reversed"),
            ("purchase", "pending"),
            ("purchase", "released"),
            ("refund", "captured"),
            ("load", "captured"),
            ("transfer", "captured"),
        ]
    );
    assert_eq!(lines[1]["merchant"], "MARUYAMA-STORE1");
    assert_eq!(lines[1]["refunded"], 3_000);
    assert_eq!(lines[3]["held"], 700);
    // The purses after the transfer are those of the account.
    let balances = |line: &Value| -> Vec<(i64, i64)> {
        let purses = line["balances"].as_array().unwrap().iter();
        let minor = |purse: &Value, key: &str| purse[key].as_i64().unwrap();
        purses
            .map(|purse| (minor(purse, "balance"), minor(purse, "held")))
            .collect()
    };
    assert_eq!(balances(&lines[0]), [(50_000, 0), (20_000, 0)]);
    assert_eq!(balances(&lines[7]), desk.purses(1));
    for (purse, now) in told["purses"]
        .as_array()
        .unwrap()
        .iter()
        .zip(desk.purses(1))
    {
        let minor = |key: &str| purse[key].as_i64().unwrap();
        assert_eq!((minor("after"), minor("held")), now);
        let moved = minor("deposits") + minor("withdrawals");
        assert_eq!(minor("before") + moved, minor("after"), "{purse}");
    }
    // The taker has the other side of it.
    let other = desk.get("/v1/accounts/2/statement");
    let line = &other["lines"][1];
    assert_eq!(
        (&line["kind"], &line["changes"][0]["minor"]),
        (&json!("transfer"), &json!(4_000))
    );
    desk.close();
}

#[test]
fn a_statement_is_cut_by_day_and_into_pages_and_comes_as_csv() {
    let mut desk = Desk::open();
    a_day(&mut desk);
    let whole = desk.get("/v1/accounts/1/statement");
    let page = desk.get("/v1/accounts/1/statement?limit=5");
    assert_eq!(page["lines"].as_array().unwrap().len(), 5);
    let rest = desk.get(&format!(
        "/v1/accounts/1/statement?limit=5&after={}",
        page["next"]
    ));
    assert_eq!(
        (rest["lines"].as_array().unwrap().len(), &rest["next"]),
        (3, &Value::Null)
    );
    assert_eq!(rest["lines"][2], whole["lines"][7]);
    let before = desk.get("/v1/accounts/1/statement?to=2020-12-31");
    assert_eq!(
        (&before["lines"], &before["purses"]),
        (&json!([]), &json!([]))
    );
    let after = desk.get("/v1/accounts/1/statement?from=2999-01-01");
    assert_eq!(after["lines"], json!([]));
    assert_eq!(after["purses"][0]["before"], whole["purses"][0]["after"]);
    let csv = desk.get("/v1/accounts/1/statement?format=csv");
    let rows: Vec<&str> = csv.as_str().unwrap().trim_end().split("\r\n").collect();
    assert_eq!(rows.len(), 9);
    let cells = |row: usize| rows[row].split(',').collect::<Vec<_>>();
    assert_eq!(cells(0).len(), 15 + 2 * 3);
    assert_eq!(
        cells(2).get(3..5),
        Some(["purchase", "refunded"].as_slice())
    );
    for (path, status) in [
        ("/v1/accounts/1/statement", 200),
        ("/v1/accounts/999/statement", 404),
        ("/v1/accounts/1/statement?from=tomorrow", 400),
        ("/v1/accounts/1/statement?limit=0", 400),
    ] {
        assert_eq!(desk.status(path), status, "{path}");
    }
    desk.close();
}

#[test]
fn deposits_and_withdrawals_of_a_travel_card_stand_by_purse() {
    let mut desk = Desk::open();
    let (_, found) = desk.post("/v1/cards/lookup", &json!({ "pan": "5352312000000010" }));
    let (card, account) = (found["card"].clone(), found["account"].clone());
    let load = json!({ "reference": "trip-1", "card": card, "minor": 2_500, "currency": "USD",
        "channel": "bank" });
    assert_eq!(desk.post("/v1/loads", &load).1["approved"], true);
    let paid = desk
        .purchase("5352312000000010", 1_000)
        .mti("0200")
        .set(14, "3006")
        .set(49, "840");
    assert_eq!(desk.client.code(&paid), "00");
    let told = desk.get(&format!("/v1/accounts/{account}/statement"));
    let purse = told["purses"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["id"] == "usd")
        .unwrap();
    assert_eq!(purse["withdrawals"], -1_000);
    assert_eq!(
        purse["deposits"], 52_500,
        "the opening balance and the load"
    );
    assert_eq!(purse["after"], 51_500);
    desk.close();
}

fn kinds(told: &Value) -> Vec<String> {
    let events = told["events"].as_array().unwrap().iter();
    events
        .map(|event| event["kind"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn notices_come_in_order_and_go_on_where_a_reader_stopped() {
    let mut desk = Desk::open();
    a_day(&mut desk);
    let all = desk.get("/v1/events");
    assert_eq!(kinds(&all), ["cancellation", "refund", "load", "decline"]);
    let decline = &all["events"][3];
    assert_eq!(
        (&decline["reason"], &decline["code"]),
        (&json!("insufficient-funds"), &json!("51"))
    );
    assert_eq!(
        (&decline["account"], &decline["minor"]),
        (&json!(1), &json!(999_999))
    );
    assert!(
        decline["number"].as_str().unwrap().contains('*'),
        "{decline}"
    );
    let first = desk.get("/v1/events?limit=1");
    assert_eq!(kinds(&first), ["cancellation"]);
    let rest = desk.get(&format!("/v1/events?after={}", first["next"]));
    assert_eq!(
        rest["events"],
        json!(all["events"].as_array().unwrap()[1..])
    );
    let next = rest["next"].as_u64().unwrap();
    let nothing = desk.get(&format!("/v1/events?after={next}"));
    assert_eq!(
        (&nothing["events"], &nothing["next"]),
        (&json!([]), &json!(next))
    );
    // A restart changes nothing of it.
    let mut desk = desk.restart();
    assert_eq!(desk.get("/v1/events?limit=4")["events"], all["events"]);
    // One that waits hears of what happens next.
    let url = format!("{}/v1/events?after={next}&wait=30", desk.process.admin);
    let agent = desk.process.agent();
    let waiting = thread::spawn(move || {
        let read = agent.get(&url).call().unwrap().body_mut().read_to_string();
        serde_json::from_str::<Value>(&read.unwrap()).unwrap()
    });
    let declined = desk.purchase(EVERYDAY, 888_888).set(11, "000950");
    assert_eq!(text(&desk.client.ask(&declined), 39), "51");
    let heard = waiting.join().unwrap();
    assert_eq!(kinds(&heard), ["decline"]);
    assert_eq!(heard["events"][0]["minor"], 888_888);
    assert_eq!(desk.status("/v1/events?limit=0"), 400);
    desk.close();
}

#[test]
fn what_is_no_news_to_its_holder_is_not_told() {
    let mut desk = Desk::open();
    let bought = desk.purchase(EVERYDAY, 3_000);
    assert_eq!(desk.client.code(&bought), "00");
    let captured = bought.clone().mti("0220").set(11, "000901");
    assert_eq!(desk.client.code(&captured), "00");
    let enquiry = desk.purchase(EVERYDAY, 0).set(3, "310000");
    assert_eq!(desk.client.code(&enquiry), "00");
    assert_eq!(desk.status("/v1/events"), 200);
    assert_eq!(desk.get("/v1/events")["events"], json!([]));
    desk.close();
}

#[test]
fn what_several_purses_paid_stands_in_the_currency_of_the_purchase() {
    const TRAVEL: &str = "5352312000000010";
    let mut desk = Desk::open();
    let (_, found) = desk.post("/v1/cards/lookup", &json!({ "pan": TRAVEL }));
    let account = u32::try_from(found["account"].as_u64().unwrap()).unwrap();
    let path = format!("/v1/accounts/{account}/statement");
    // A thousand cents more than the dollars there are; the yen pay the rest.
    let bought = desk.purchase(TRAVEL, 51_000).without(14).set(49, "840");
    assert_eq!(desk.client.code(&bought), "00");
    let line = desk.get(&path)["lines"][1].clone();
    assert_eq!(
        (&line["state"], &line["held"]),
        (&json!("pending"), &json!(51_000))
    );
    let held: Vec<i64> = desk.purses(account).iter().map(|purse| purse.1).collect();
    let told = |line: &Value| -> Vec<i64> {
        let purses = line["balances"].as_array().unwrap().iter();
        purses
            .map(|purse| purse["held"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(told(&line), held);
    let captured = bought.clone().mti("0220").set(11, "000911");
    assert_eq!(desk.client.code(&captured), "00");
    let line = desk.get(&path)["lines"][1].clone();
    assert_eq!(
        (&line["state"], &line["held"]),
        (&json!("captured"), &json!(0))
    );
    let refund = bought.mti("0200").set(3, "200000").set(11, "000912");
    assert_eq!(desk.client.code(&refund), "00");
    let charge = json!({ "reference": "c-1", "account": account, "source": "JPY",
        "charge": "USD", "minor": 1_000 });
    assert_eq!(desk.post("/v1/charges", &charge).0, 200);
    let told = desk.get(&path);
    let lines = told["lines"].as_array().unwrap();
    let states: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| {
            (
                line["kind"].as_str().unwrap(),
                line["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        states[1..],
        [
            ("purchase", "refunded"),
            ("refund", "captured"),
            ("charge", "captured")
        ]
    );
    assert_eq!(
        (&lines[3]["currency"], &lines[3]["fee"]),
        (&json!("JPY"), &json!(10))
    );
    for (purse, now) in told["purses"]
        .as_array()
        .unwrap()
        .iter()
        .zip(desk.purses(account))
    {
        let minor = |key: &str| purse[key].as_i64().unwrap();
        assert_eq!((minor("after"), minor("held")), now, "{purse}");
    }
    let heard = desk.get("/v1/events");
    assert_eq!(kinds(&heard), ["refund", "charge"]);
    assert_eq!(
        (&heard["events"][1]["account"], &heard["events"][1]["card"]),
        (&json!(account), &Value::Null)
    );
    desk.close();
}
