//! What operators do over HTTP, and what the wire says afterwards; then the journal is replayed.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Client, Draft, EVERYDAY, Process, text};

const EVERYDAY_ACCOUNT: u32 = 1;
const RICH_ACCOUNT: u32 = 2;
const UNVERIFIED_ACCOUNT: u32 = 3;

/// A switch, an operator and an acquirer.
pub(crate) struct Desk {
    pub(crate) process: Process,
    pub(crate) client: Client,
    stan: u32,
}

impl Desk {
    pub(crate) fn open() -> Desk {
        Desk::serve(&["--demo"])
    }

    /// At a switch that was told something else.
    pub(crate) fn serve(args: &[&str]) -> Desk {
        Desk::of(Process::serve(args))
    }

    /// At a switch that runs.
    pub(crate) fn of(process: Process) -> Desk {
        let client = Client::connect(&process.addresses[0], "be2", "iso87-ascii");
        Desk {
            process,
            client,
            stan: 0,
        }
    }

    /// Status and body of a request.
    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.api(path, Some(body))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.api(path, None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Status of a request that reads.
    pub(crate) fn status(&self, path: &str) -> u16 {
        self.api(path, None).0
    }

    fn api(&self, path: &str, body: Option<&Value>) -> (u16, Value) {
        let agent = self.process.agent();
        let url = format!("{}{path}", self.process.admin);
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

    pub(crate) fn purchase(&mut self, pan: &str, minor: i64) -> Draft {
        self.stan += 1;
        Draft::purchase(self.stan)
            .set(2, pan)
            .set(4, &format!("{minor:012}"))
    }

    /// The code that a purchase with a card number gets.
    pub(crate) fn code(&mut self, pan: &str, minor: i64) -> String {
        let draft = self.purchase(pan, minor);
        self.client.code(&draft)
    }

    /// Balance and held of each purse.
    pub(crate) fn purses(&self, account: u32) -> Vec<(i64, i64)> {
        let view = self.get(&format!("/v1/accounts/{account}"));
        let minor = |purse: &Value, key: &str| purse[key].as_i64().unwrap();
        let purses = view["purses"].as_array().unwrap().iter();
        purses
            .map(|purse| (minor(purse, "balance"), minor(purse, "held")))
            .collect()
    }

    /// What the ledger's accounts of this name come to, minor units of all currencies.
    fn ledger(&self, name: &str) -> i64 {
        let state = self.get("/v1/state");
        let rows = state["ledger"].as_array().unwrap().iter();
        let of = |row: &&Value| row["account"].as_str().unwrap().starts_with(name);
        let minors = rows.filter(of).map(|row| row["minor"].as_i64().unwrap());
        minors.sum()
    }

    /// Stops the switch and starts it on what it left behind.
    pub(crate) fn restart(self) -> Desk {
        let process = Process::serve_in(self.process.stop(), &["--demo"]);
        let client = Client::connect(&process.addresses[0], "be2", "iso87-ascii");
        Desk {
            process,
            client,
            stan: self.stan,
        }
    }

    /// Stops the switch and replays its journal: the state is the same, the money adds up.
    pub(crate) fn close(self) {
        let digest = self.get("/v1/state");
        assert_eq!(digest["conserved"], true, "{digest}");
        let directory = self.process.stop();
        let replayed = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
            .args(["replay", "--json", "--data"])
            .arg(directory.path().join("store"))
            .output()
            .unwrap();
        let told: Value = serde_json::from_slice(&replayed.stdout).unwrap();
        assert_eq!(told["digest"], digest["digest"], "{told}");
    }
}

/// A number of the range of the everyday card that nobody has, with its check digit.
pub(crate) fn spare_number(tail: u64) -> String {
    checked(&format!("476173{tail:09}"))
}

/// A card number with its check digit behind it.
pub(crate) fn checked(body: &str) -> String {
    let digits = body.bytes().rev().map(|byte| u32::from(byte - b'0'));
    let sum: u32 = (0..)
        .zip(digits)
        .map(|(place, digit)| match place % 2 {
            0 if digit > 4 => digit * 2 - 9,
            0 => digit * 2,
            _ => digit,
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

#[test]
fn a_transfer_moves_money_once_from_one_withdrawable_purse_to_the_other() {
    let desk = Desk::open();
    let order = json!({ "reference": "rent-1", "from": RICH_ACCOUNT, "to": EVERYDAY_ACCOUNT,
        "minor": 40_000 });
    let (status, done) = desk.post("/v1/transfers", &order);
    assert_eq!((status, &done["repeated"]), (200, &json!(false)), "{done}");
    let again = desk.post("/v1/transfers", &order).1;
    assert_eq!(again["repeated"], true);
    assert_eq!(again["sequence"], done["sequence"]);
    assert_eq!(desk.purses(EVERYDAY_ACCOUNT), [(90_000, 0), (20_000, 0)]);
    assert_eq!(desk.purses(RICH_ACCOUNT), [(1_460_000, 0), (300_000, 0)]);
    let refused = [
        ("too much", RICH_ACCOUNT, EVERYDAY_ACCOUNT, 1_460_001, 409),
        ("not verified", UNVERIFIED_ACCOUNT, EVERYDAY_ACCOUNT, 1, 422),
        (
            "above the maximum",
            RICH_ACCOUNT,
            UNVERIFIED_ACCOUNT,
            90_000,
            409,
        ),
        ("to itself", RICH_ACCOUNT, RICH_ACCOUNT, 1, 422),
        ("nothing", RICH_ACCOUNT, EVERYDAY_ACCOUNT, 0, 422),
        ("another programme", RICH_ACCOUNT, 11, 1, 422),
        ("nobody", RICH_ACCOUNT, 999, 1, 404),
    ];
    for (n, (why, from, to, minor, status)) in refused.into_iter().enumerate() {
        let reference = format!("refused-{n}");
        let order = json!({ "reference": reference, "from": from, "to": to, "minor": minor });
        assert_eq!(desk.post("/v1/transfers", &order).0, status, "{why}");
    }
    assert_eq!(desk.purses(EVERYDAY_ACCOUNT), [(90_000, 0), (20_000, 0)]);
    desk.close();
}

#[test]
fn paper_costs_its_fee_once_and_only_where_it_is_offered_and_there_is_money() {
    let mut desk = Desk::open();
    let order = |desk: &Desk, reference: &str, account: u32, paper: &str| {
        let asked = json!({ "reference": reference, "account": account, "paper": paper });
        desk.post("/v1/paper", &asked)
    };
    let (status, done) = order(&desk, "p-1", EVERYDAY_ACCOUNT, "statement");
    assert_eq!((status, &done["repeated"]), (200, &json!(false)), "{done}");
    let (status, done) = order(&desk, "p-1", EVERYDAY_ACCOUNT, "statement");
    assert_eq!((status, &done["repeated"]), (200, &json!(true)), "{done}");
    assert_eq!(order(&desk, "p-1", EVERYDAY_ACCOUNT, "pin-notice").0, 409);
    assert_eq!(order(&desk, "p-2", EVERYDAY_ACCOUNT, "pin-notice").0, 200);
    assert_eq!(
        desk.purses(EVERYDAY_ACCOUNT),
        [(50_000, 0), (20_000 - 440, 0)]
    );
    // Of gift codes nothing is sent; held money pays no fee.
    assert_eq!(order(&desk, "p-3", 7, "statement").0, 422);
    let all = desk.purchase(EVERYDAY, 69_400);
    assert_eq!(desk.client.code(&all), "00");
    let (status, told) = order(&desk, "p-4", EVERYDAY_ACCOUNT, "statement");
    assert_eq!(status, 409, "{told}");
    let detail = told["detail"].as_str().unwrap();
    assert_eq!(detail, "available 160, the fee is 220");
    assert_eq!(desk.ledger("Fees"), 440);
    let statement = desk.get(&format!("/v1/accounts/{EVERYDAY_ACCOUNT}/statement"));
    let told = statement.to_string();
    for kind in ["paper-statement", "pin-notice"] {
        assert!(told.contains(kind), "{told}");
    }
    desk.close();
}

#[test]
fn closing_pays_a_verified_holder_the_rest_less_the_fee_and_stops_the_card() {
    let mut desk = Desk::open();
    let hold = desk.purchase(EVERYDAY, 500);
    assert_eq!(desk.client.code(&hold), "00");
    let close =
        |desk: &Desk, account| desk.post(&format!("/v1/accounts/{account}/close"), &json!({}));
    assert_eq!(close(&desk, EVERYDAY_ACCOUNT).0, 409, "a hold is open");
    assert_eq!(desk.client.code(&Draft::reversal_of(&hold, 900)), "00");
    assert_eq!(close(&desk, EVERYDAY_ACCOUNT).0, 200);
    assert_eq!(close(&desk, EVERYDAY_ACCOUNT).0, 409, "closed already");
    assert_eq!(desk.purses(EVERYDAY_ACCOUNT), [(0, 0), (0, 0)]);
    assert_eq!(desk.code(EVERYDAY, 1), "46");
    assert_eq!(close(&desk, UNVERIFIED_ACCOUNT).0, 200);
    assert_eq!(desk.ledger("Fees"), 550);
    assert_eq!(desk.ledger("Payouts"), 70_000 - 550);
    assert_eq!(desk.ledger("Forfeited"), 30_000);
    desk.close();
}

#[test]
fn a_refund_that_comes_after_the_closing_is_paid_out_without_another_fee() {
    let mut desk = Desk::open();
    let bought = desk.purchase(EVERYDAY, 500).mti("0200");
    assert_eq!(desk.client.code(&bought), "00");
    let close = |desk: &Desk| {
        let path = format!("/v1/accounts/{EVERYDAY_ACCOUNT}/close");
        desk.post(&path, &json!({})).0
    };
    assert_eq!(close(&desk), 200);
    let late = desk.purchase(EVERYDAY, 300).mti("0220").set(3, "200000");
    assert_eq!(desk.client.code(&late), "00");
    let held: i64 = desk.purses(EVERYDAY_ACCOUNT).iter().map(|it| it.0).sum();
    assert_eq!(held, 300);
    assert_eq!(close(&desk), 200);
    assert_eq!(close(&desk), 409, "closed already");
    assert_eq!(desk.purses(EVERYDAY_ACCOUNT), [(0, 0), (0, 0)]);
    assert_eq!(desk.ledger("Fees"), 550);
    assert_eq!(desk.ledger("Payouts"), 70_000 - 500 - 550 + 300);
    desk.close();
}

#[test]
fn a_lost_card_takes_its_devices_along_and_they_do_not_come_back_with_it() {
    let mut desk = Desk::open();
    let device = spare_number(700_000_001);
    assert_eq!(desk.code(&device, 100), "14", "nobody has this number yet");
    let add = json!({ "pan": device });
    assert_eq!(desk.post("/v1/cards/1/device-tokens", &add).0, 200);
    assert_eq!(desk.post("/v1/cards/1/device-tokens", &add).0, 409);
    assert_eq!(desk.code(&device, 100), "00");
    let status = |desk: &Desk, status: &str| {
        desk.post("/v1/cards/1/status", &json!({ "status": status }))
            .0
    };
    assert_eq!(status(&desk, "frozen"), 200);
    assert_eq!(desk.code(&device, 100), "62");
    assert_eq!(status(&desk, "active"), 200);
    assert_eq!(
        desk.code(&device, 100),
        "00",
        "a freeze ends for the device too"
    );
    assert_eq!(status(&desk, "lost"), 200);
    assert_eq!(desk.code(EVERYDAY, 100), "41");
    assert_eq!(desk.code(&device, 100), "41");
    assert_eq!(status(&desk, "active"), 200);
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    assert_eq!(desk.code(&device, 100), "14", "it must be registered again");
    assert_eq!(desk.post("/v1/cards/1/device-tokens", &add).0, 200);
    assert_eq!(desk.code(&device, 100), "00");
    assert_eq!(
        status(&desk, "closed"),
        409,
        "closed comes with the account"
    );
    desk.close();
}

#[test]
fn a_device_and_its_card_are_one_to_a_reversal() {
    let mut desk = Desk::open();
    let device = spare_number(700_000_002);
    let add = json!({ "pan": device });
    assert_eq!(desk.post("/v1/cards/1/device-tokens", &add).0, 200);
    let paid = desk.purchase(&device, 300);
    assert_eq!(desk.client.code(&paid), "00");
    let by_card = Draft::reversal_of(&paid, 901).set(2, EVERYDAY);
    assert_eq!(desk.client.code(&by_card), "00");
    assert_eq!(desk.purses(EVERYDAY_ACCOUNT), [(50_000, 0), (20_000, 0)]);
    // The other way round, and the reversal first.
    let late = desk.purchase(&device, 300);
    let early = Draft::reversal_of(&late, 902).set(2, EVERYDAY);
    assert_eq!(desk.client.code(&early), "00");
    assert_eq!(desk.client.code(&late), "96");
    desk.close();
}

#[test]
fn a_replaced_card_leaves_account_and_balance_to_its_successor() {
    let mut desk = Desk::open();
    let hold = desk.purchase(EVERYDAY, 500);
    assert_eq!(desk.client.code(&hold), "00");
    let successor = spare_number(700_000_003);
    let order = json!({ "pan": successor, "expiry": "3212", "old_status": "stolen" });
    let (status, done) = desk.post("/v1/cards/1/replace", &order);
    assert_eq!(status, 200, "{done}");
    assert_eq!(desk.post("/v1/cards/1/replace", &order).0, 409);
    assert_eq!(desk.code(EVERYDAY, 100), "43");
    let paid = desk.purchase(&successor, 19_500).set(14, "3212");
    assert_eq!(desk.client.code(&paid), "00");
    // What the old card has open still posts.
    let capture = hold.mti("0220").set(11, "000903");
    assert_eq!(desk.client.code(&capture), "00");
    assert_eq!(
        desk.purses(EVERYDAY_ACCOUNT),
        [(50_000, 0), (19_500, 19_500)]
    );
    let stranger = json!({ "pan": "4456531000000013", "old_status": "lost" });
    assert_eq!(desk.post("/v1/cards/1/replace", &stranger).0, 422);
    desk.close();
}

#[test]
fn a_hold_ends_before_its_time_and_a_late_capture_still_posts() {
    let mut desk = Desk::open();
    let hold = desk.purchase(EVERYDAY, 3_000);
    assert_eq!(desk.client.code(&hold), "00");
    let entry = desk.get("/v1/accounts/1")["entries"][0]["id"]
        .as_u64()
        .unwrap();
    let release = format!("/v1/holds/{entry}/release");
    assert_eq!(desk.post(&release, &json!({})).0, 200);
    assert_eq!(desk.post(&release, &json!({})).0, 409);
    assert_eq!(desk.post("/v1/holds/999999/release", &json!({})).0, 404);
    assert_eq!(desk.purses(EVERYDAY_ACCOUNT), [(50_000, 0), (20_000, 0)]);
    let capture = hold.mti("0220").set(11, "000904");
    assert_eq!(desk.client.code(&capture), "00");
    assert_eq!(desk.purses(EVERYDAY_ACCOUNT), [(50_000, 0), (17_000, 0)]);
    let exceptions = desk.get("/v1/exceptions");
    assert_eq!(exceptions["newest"][0]["kind"], "late-capture");
    desk.close();
}

#[test]
fn an_exception_leaves_the_queue_when_it_is_resolved() {
    let mut desk = Desk::open();
    let forced = desk.purchase(EVERYDAY, 700).mti("0220");
    assert_eq!(desk.client.code(&forced), "00");
    let queue = desk.get("/v1/exceptions");
    assert_eq!((&queue["open"], &queue["total"]), (&json!(1), &json!(1)));
    let sequence = queue["newest"][0]["sequence"].as_u64().unwrap();
    let path = format!("/v1/exceptions/{sequence}/resolve");
    assert_eq!(desk.post(&path, &json!({ "note": " " })).0, 400);
    let note = json!({ "note": format!("charged back, {EVERYDAY}") });
    assert_eq!(desk.post(&path, &note).0, 200);
    assert_eq!(desk.post(&path, &note).0, 404);
    let queue = desk.get("/v1/exceptions");
    assert_eq!((&queue["open"], &queue["total"]), (&json!(0), &json!(1)));
    desk.close();
}

#[test]
fn a_purse_below_zero_is_listed_until_the_next_load_offsets_it() {
    let mut desk = Desk::open();
    let forced = desk.purchase(EVERYDAY, 75_000).mti("0220");
    assert_eq!(desk.client.code(&forced), "00");
    assert_eq!(desk.purses(EVERYDAY_ACCOUNT), [(-5_000, 0), (0, 0)]);
    let list = desk.get("/v1/negative-balances");
    assert_eq!(list["total"], 1);
    assert_eq!(list["oldest"][0]["account"], EVERYDAY_ACCOUNT);
    assert_eq!(list["oldest"][0]["balance"], -5_000);
    assert_eq!(list["oldest"][0]["days"], 0);
    assert_eq!(desk.post("/v1/accounts/1/close", &json!({})).0, 409);
    let load = json!({ "reference": "salary-7", "card": 1, "minor": 10_000, "currency": "JPY",
        "channel": "bank" });
    let (status, done) = desk.post("/v1/loads", &load);
    assert_eq!((status, &done["approved"]), (200, &json!(true)), "{done}");
    assert_eq!(desk.post("/v1/loads", &load).1["repeated"], true);
    assert_eq!(desk.purses(EVERYDAY_ACCOUNT), [(5_000, 0), (0, 0)]);
    assert_eq!(desk.get("/v1/negative-balances")["total"], 0);
    let answer = desk.post(
        "/v1/loads",
        &json!({ "reference": "x", "card": 99, "minor": 1_000,
        "currency": "JPY", "channel": "bank" }),
    );
    assert_eq!(answer.0, 404);
    let enquiry = desk.purchase(EVERYDAY, 0).set(3, "310000");
    let shown = desk.client.ask(&enquiry);
    assert_eq!(text(&shown, 54).get(8..20), Some("000000005000"));
    desk.close();
}
