//! What a closed account's cards were known by goes when it is ordered: from the state, from new
//! checkpoints, from every answer; and its money, its records and its statements stay.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use cardswitch::domain::account::AccountId;
use cardswitch::domain::pan::CardToken;
use cardswitch::domain::time::UnixMs;
use cardswitch::engine::command::{Answer, Body, Command as Asked, OpenAccount};
use cardswitch::engine::decide::decide;
use cardswitch::engine::event::Event;
use cardswitch::engine::operation::{Operation, Order};
use cardswitch::engine::state::State;
use cardswitch::switch::card_file;
use cardswitch::switch::rulebook::LoadedRules;
use cardswitch::switch::token::TokenKey;
use serde_json::{Value, json};

use crate::checkpoints::{read_back, state, written};
use crate::operators::{Desk, spare_number};
use crate::reload;
use crate::store_commands::contents;
use crate::support::{Draft, EVERYDAY, Process};

const ACCOUNT: &str = "/v1/accounts/1";
const MASKED: &str = "476173******0119";
/// Another card.
const RICH: &str = "4761739001010200";

/// Lets the card data of closed accounts go at once.
fn keep_nothing(desk: &Desk, folder: &Path) {
    reload::edit(folder, "retention_days = 540", "retention_days = 0");
    let (status, done) = desk.post("/v1/programmes/reload", &json!({}));
    assert_eq!(status, 200, "{done}");
}

/// The token of the everyday card, as bytes.
fn token(desk: &Desk) -> Vec<u8> {
    let (status, found) = desk.post("/v1/cards/lookup", &json!({ "pan": EVERYDAY }));
    assert_eq!(status, 200, "{found}");
    let hex = found["token"].as_str().unwrap();
    let digits: Vec<u8> = hex
        .chars()
        .map(|digit| digit.to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// Whether some file below a folder has these bytes.
fn is_below(folder: &Path, bytes: &[u8]) -> bool {
    let mut entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.any(|entry| match entry.path() {
        path if path.is_dir() => is_below(&path, bytes),
        path => {
            let content = fs::read(path).unwrap();
            content.windows(bytes.len()).any(|window| window == bytes)
        }
    })
}

fn refused(desk: &Desk, why: &str) {
    let (status, told) = desk.post(&format!("{ACCOUNT}/erase"), &json!({}));
    assert_eq!(status, 409, "{told}");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains(why), "{detail}");
}

/// A purchase, a device, a posting that nobody asked for; then the account is closed.
fn used_and_closed(desk: &mut Desk) -> Value {
    let bought = desk.purchase(EVERYDAY, 500);
    assert_eq!(desk.client.code(&bought), "00");
    assert_eq!(desk.client.code(&Draft::reversal_of(&bought, 900)), "00");
    let device = json!({ "pan": spare_number(41) });
    let (status, told) = desk.post("/v1/cards/1/device-tokens", &device);
    assert_eq!(status, 200, "{told}");
    refused(desk, "is not closed");
    let posted = desk.purchase(EVERYDAY, 300).mti("0220");
    assert_eq!(desk.client.code(&posted), "00");
    let (status, closed) = desk.post(&format!("{ACCOUNT}/close"), &json!({}));
    assert_eq!(status, 200, "{closed}");
    assert_eq!(desk.code(EVERYDAY, 1), "46");
    closed
}

#[test]
fn the_data_of_a_closed_accounts_cards_go_and_all_else_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = reload::open(folder.path());
    used_and_closed(&mut desk);
    refused(&desk, "is open: resolve it first");
    let open = desk.get("/v1/exceptions");
    let record = &open["newest"][0]["sequence"];
    let path = format!("/v1/exceptions/{record}/resolve");
    assert_eq!(desk.post(&path, &json!({ "note": "known" })).0, 200);
    refused(&desk, "540 days (retention_days of prepaid-jp)");
    keep_nothing(&desk, folder.path());

    let token = token(&desk);
    let statement = desk.get(&format!("{ACCOUNT}/statement"));
    let (status, done) = desk.post(&format!("{ACCOUNT}/erase"), &json!({}));
    assert_eq!(status, 200, "{done}");
    refused(&desk, "were erased at");

    let account = desk.get(ACCOUNT);
    let card = &account["cards"][0];
    assert_eq!(
        (&card["number"], &card["token"], &card["expiry"]),
        (&json!("erased"), &json!("erased"), &Value::Null)
    );
    assert_eq!(
        (&card["status"], &card["device_tokens"]),
        (&json!("closed"), &json!([]))
    );
    assert!(account["closed_at"].is_string() && account["erased_at"].is_string());
    assert_eq!(account["entries"], json!([]), "nothing can be matched");
    assert_eq!(desk.get(&format!("{ACCOUNT}/statement")), statement);
    // Whatever tells of it tells on, without the number.
    let told = desk.get("/v1/activity?account=1");
    let rows = told["activity"].as_array().unwrap().iter();
    let numbers: Vec<&Value> = rows.filter_map(|row| row.get("number")).collect();
    assert!(numbers.len() > 3, "{told}");
    for number in numbers {
        assert_eq!(number, "erased", "{told}");
    }
    let mut rows = told["activity"].as_array().unwrap().iter();
    let decided = rows.find(|row| row.get("decision").is_some()).unwrap();
    let decision = format!("/v1/decisions/{}", decided["sequence"]);
    for path in [
        "/v1/cards",
        "/v1/cards/1",
        "/v1/events",
        "/v1/audit",
        "/v1/activity",
        decision.as_str(),
    ] {
        let told = desk.get(path).to_string();
        assert!(!told.contains(MASKED), "{path}: {told}");
    }
    let audit = desk.get("/v1/audit")["deeds"].as_array().unwrap().clone();
    let deed = audit.last().unwrap();
    assert_eq!(
        (&deed["did"], &deed["account"]),
        (&json!("card-data-erased"), &json!(1))
    );

    assert_eq!(
        desk.post("/v1/cards/lookup", &json!({ "pan": EVERYDAY })).0,
        404
    );
    let (status, made) = desk.post("/v1/checkpoint", &json!({}));
    assert_eq!(status, 200, "{made}");
    let store = desk.process.directory.path().join("store");
    let newest = format!("c/{:016x}", made["sequence"].as_u64().unwrap());
    assert!(!is_below(&store.join(&newest), &token));
    assert!(!is_below(&store.join(&newest), MASKED.as_bytes()));
    assert!(is_below(&store.join("j"), &token), "history is history");
    // From the checkpoint, and from the whole journal, it is the same state.
    let before = state(&desk.process);
    let config = folder.path().join("switch.conf").display().to_string();
    let args = ["--config", &config];
    let process = Process::serve_in(desk.process.kill(), &args);
    assert_eq!(state(&process), before);
    let directory = process.kill();
    fs::remove_dir_all(directory.path().join("store/c")).unwrap();
    let mut desk = Desk::of(Process::serve_in(directory, &args));
    assert_eq!(state(&desk.process), before);

    // To the wire the number is like one that was never there; and somebody else may have it.
    let asked = |stan| Draft::purchase(stan).set(2, EVERYDAY);
    assert_eq!(desk.client.code(&asked(77)), "14");
    let person = json!({
        "programme": "prepaid-jp", "born": "1990-05-05", "consent": false, "kyc": "verified",
    });
    let (status, registered) = desk.post("/v1/holders", &person);
    assert_eq!(status, 200, "{registered}");
    let wanted = json!({
        "programme": "prepaid-jp", "holder": registered["holder"], "pan": EVERYDAY,
        "expiry": "3112", "status": "active",
    });
    let (status, opened) = desk.post("/v1/accounts", &wanted);
    assert_eq!(status, 200, "{opened}");
    assert!(opened["account"].as_u64() > Some(1), "{opened}");
    assert_eq!(desk.client.code(&asked(78)), "51");
    let before = state(&desk.process);
    let process = Process::serve_in(desk.process.kill(), &args);
    assert_eq!(state(&process), before);
}

/// What `store erased` ends with and says.
fn proof(store: &Path, more: &[&str], numbers: &str) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["store", "erased", "--json", "--data"])
        .arg(store)
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = command.stdin.take().unwrap();
    // Nobody may be reading.
    let _ = stdin.write_all(numbers.as_bytes());
    drop(stdin);
    let output = command.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains(EVERYDAY), "{said}");
    let told = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), told)
}

/// How many of some kind of place have something left that counts.
fn left(found: &Value, kind: &str) -> usize {
    let places = found["places"].as_array().unwrap().iter();
    let counting = places.filter(|place| place["counts"] == true);
    counting.filter(|place| place.get(kind).is_some()).count()
}

#[test]
fn the_proof_finds_card_data_until_history_ring_and_log_have_gone() {
    let folder = tempfile::tempdir().unwrap();
    // A ring of another size than the one that the proof's own copy would be opened with.
    let mut desk = reload::open_with(folder.path(), "[journal]\nring_mib = 3\n");
    used_and_closed(&mut desk);
    let record = desk.get("/v1/exceptions")["newest"][0]["sequence"].clone();
    let path = format!("/v1/exceptions/{record}/resolve");
    assert_eq!(desk.post(&path, &json!({ "note": "known" })).0, 200);
    keep_nothing(&desk, folder.path());
    assert_eq!(desk.post("/v1/checkpoint", &json!({})).0, 200);
    let store = desk.process.directory.path().join("store");
    let account = ["--account", "1"];
    assert_eq!(proof(&store, &account, "").0, Some(75), "it is in use");
    let config = folder.path().join("switch.conf").display().to_string();
    let args = ["--config", &config];

    let directory = desk.process.stop();
    let store = directory.path().join("store");
    let (code, found) = proof(&store, &account, "");
    assert_eq!(code, Some(1), "nobody has erased them");
    assert_eq!(
        (&found["erased_at"], &found["left"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(proof(&store, &["--account", "99"], "").0, Some(66));

    let mut desk = Desk::of(Process::serve_in(directory, &args));
    assert_eq!(desk.post(&format!("{ACCOUNT}/erase"), &json!({})).0, 200);
    let directory = desk.process.stop();
    let store = directory.path().join("store");
    let before = contents(&store);
    let (code, found) = proof(&store, &account, "");
    assert_eq!(code, Some(1), "{found}");
    assert_eq!(contents(&store), before, "it only looks");
    assert_eq!(
        (&found["cards"], &found["tokens_known"]),
        (&json!(1), &json!(2))
    );
    for kind in ["generation", "ring", "checkpoint", "file"] {
        assert!(left(&found, kind) > 0, "{kind}: {found}");
    }
    let generation = &found["places"][0];
    assert!(generation["records"].as_u64() > Some(3), "{found}");
    assert!(generation["first_sequence"].as_u64() < generation["last_sequence"].as_u64());

    // Other cards go on; then history goes.
    desk = Desk::of(Process::serve_in(directory, &args));
    let mut removed = 0;
    for _ in 0..3 {
        assert_eq!(desk.code(RICH, 100), "00");
        let (status, made) = desk.post("/v1/checkpoint?forget_history=true", &json!({}));
        assert_eq!((status, &made["made"]), (200, &json!(true)), "{made}");
        removed = made["generations_removed"].as_u64().unwrap();
    }
    assert!(removed > 0);
    let before = state(&desk.process);
    let directory = desk.process.stop();
    let store = directory.path().join("store");
    let (code, found) = proof(&store, &account, "");
    assert_eq!(code, Some(1), "{found}");
    let gone = ["generation", "checkpoint"].map(|kind| left(&found, kind));
    assert_eq!((gone, left(&found, "ring")), ([0, 0], 1), "{found}");
    assert!(left(&found, "file") > 0, "{found}");

    // After a clean stop nothing needs the ring, and never the log.
    fs::remove_file(store.join("ring")).unwrap();
    fs::remove_dir_all(store.join("log")).unwrap();
    let (code, found) = proof(&store, &account, "");
    assert_eq!(
        (code, &found["tokens_known"]),
        (Some(0), &json!(0)),
        "{found}"
    );
    assert_eq!(found["places"], json!([]), "{found}");
    let with_number = ["--account", "1", "--number-from-stdin"];
    let (code, found) = proof(&store, &with_number, &format!("{EVERYDAY}\n"));
    assert_eq!(
        (code, &found["tokens_known"]),
        (Some(0), &json!(1)),
        "{found}"
    );
    assert_eq!(proof(&store, &with_number, "not a number\n").0, Some(64));
    assert!(!is_below(&store, MASKED.as_bytes()));
    let process = Process::serve_in(directory, &args);
    assert_eq!(state(&process), before);
    drop(process);
}

#[test]
fn an_account_that_was_closed_before_closings_had_a_date_gets_one_first() {
    let rules = LoadedRules::load(None, None).unwrap();
    let key = TokenKey::fixed([7; 32]);
    let demo = include_str!("../../fixtures/demo.toml");
    let rows = card_file::parse(demo, &rules.rulebook, &key).unwrap();
    let (mut state, account) = (State::new(), AccountId(1));
    let card = rows[0].account.card.token;
    let begun = UnixMs(1_803_870_000_000);
    let ask = |state: &State, at, body| {
        let sequence = state.sequence() + 1;
        decide(&rules.rulebook, state, &Asked { sequence, at, body })
    };
    let opened = Body::OpenAccount(Box::new(OpenAccount {
        balances: Vec::new(),
        ..rows[0].account.clone()
    }));
    let event = ask(&state, begun, opened).event.unwrap();
    state.apply(1, begun, &event).unwrap();
    // As an earlier release wrote it.
    let closed = Operation::AccountClosed {
        account,
        movements: Vec::new(),
    };
    let event = Event::Operated(Box::new(closed));
    state.apply(2, begun, &event).unwrap();
    assert_eq!(state.ending(account), None);

    let erase = || Body::Operate(Box::new(Order::EraseCardData(account)));
    let day = |days: i64| UnixMs(begun.0 + 86_400_000 * days);
    let mut order = |at: UnixMs| {
        let outcome = ask(&state, at, erase());
        let sequence = state.sequence() + 1;
        let event = outcome.event.as_ref();
        if let Some(event) = event {
            state.apply(sequence, at, event).unwrap();
        }
        let Answer::Ordered(answer) = outcome.answer else {
            panic!("it was ordered");
        };
        let has_card = state.card_by_token(&card).is_some();
        (answer.is_ok(), event.is_some(), has_card)
    };
    assert_eq!(order(day(1_000)), (false, true, true), "it gets its date");
    assert_eq!(order(day(1_001)), (false, false, true), "and keeps it");
    assert_eq!(order(day(1_539)), (false, false, true));
    assert_eq!(order(day(1_540)), (true, true, false));
    assert_eq!(order(day(1_541)), (false, false, false), "once");
    let digest = state.digest();
    let back = read_back(&written(&state));
    assert_eq!(back.digest(), digest);
    let ending = back.ending(account).unwrap();
    assert_eq!(ending.closed_at, day(1_000));
    assert_eq!(ending.erased_at, Some(day(1_540)));
    assert!(back.card_by_token(&CardToken([0; 16])).is_none());
}
