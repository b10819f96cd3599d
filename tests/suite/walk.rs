//! A card's whole life as an issuer walks through it: once by the command line, once by the API,
//! the purchases over TCP. Afterwards nothing that can be read tells a whole card number.

use std::io::Write;
use std::process::{Command, Stdio};

use cardswitch::ops::access::ROUTES;
use serde_json::{Value, json};

use crate::operators::{Desk, spare_number};
use crate::support::{Draft, EVERYDAY};

/// A travel card that is shipped, with the PIN that came with it.
const SHIPPED: &str = "5352312000000044";
const INITIAL_PIN: &str = "2580";

/// Through which the walk goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    CommandLine,
    Api,
}

/// A request in both ways: arguments with standard input, and path with body.
struct Step<'a> {
    args: Vec<&'a str>,
    input: Option<&'a str>,
    path: String,
    body: Option<Value>,
}

fn read<'a>(args: &[&'a str], path: impl Into<String>) -> Step<'a> {
    Step {
        args: args.to_vec(),
        input: None,
        path: path.into(),
        body: None,
    }
}

fn write<'a>(args: &[&'a str], path: impl Into<String>, body: Value) -> Step<'a> {
    Step {
        body: Some(body),
        ..read(args, path)
    }
}

/// `cardswitch ARGS` at a running switch: exit code, standard output, standard error.
pub(crate) fn command(desk: &Desk, args: &[&str], input: Option<&str>) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(args)
        .args(["--admin", desk.process.admin.trim_start_matches("http://")])
        .arg("--data")
        .arg(desk.process.directory.path().join("store"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(input.unwrap_or_default().as_bytes())
        .unwrap();
    drop(stdin);
    let done = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        done.status.code().unwrap(),
        text(done.stdout),
        text(done.stderr),
    )
}

impl By {
    /// Has a step done, which must succeed; the API's answer.
    fn walk(self, desk: &Desk, step: &Step<'_>) -> Value {
        match (self, &step.body) {
            (By::CommandLine, _) => {
                let args: Vec<&str> = step.args.iter().copied().chain(["--json"]).collect();
                let (code, told, why) = command(desk, &args, step.input);
                assert_eq!(code, 0, "{args:?}: {why}");
                serde_json::from_str(&told).unwrap()
            }
            (By::Api, None) => desk.get(&step.path),
            (By::Api, Some(body)) => {
                let (status, told) = desk.post(&step.path, body);
                assert_eq!(status, 200, "{}: {told}", step.path);
                told
            }
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one life of a card, in its order")]
fn walk(by: By) {
    let mut desk = Desk::open();
    let (first, second) = (spare_number(700_000_101), spare_number(700_000_102));
    let number = |told: &Value, key: &str| told[key].as_u64().unwrap().to_string();

    // A holder, an account, a card that is shipped.
    let person = [
        "holder",
        "register",
        "--programme",
        "prepaid-jp",
        "--born",
        "1990-04-01",
        "--kyc",
        "verified",
    ];
    let body = json!({ "programme": "prepaid-jp", "born": "1990-04-01", "kyc": "verified" });
    let told = by.walk(&desk, &write(&person, "/v1/holders", body));
    let holder = number(&told, "holder");
    let args = [
        "account",
        "open",
        "--programme",
        "prepaid-jp",
        "--holder",
        &holder,
        "--pan",
        "-",
        "--expiry",
        "3112",
        "--status",
        "not-activated",
    ];
    let body = json!({ "programme": "prepaid-jp", "holder": holder.parse::<u64>().unwrap(),
        "pan": first, "expiry": "3112", "status": "not-activated" });
    let line = format!("{first}\n");
    let mut open = write(&args, "/v1/accounts", body);
    open.input = Some(&line);
    let told = by.walk(&desk, &open);
    let (account, card) = (number(&told, "account"), number(&told, "card"));
    let card_path = format!("/v1/cards/{card}/status");
    let status = |status: &str, word: &'static str| {
        let args = ["card", word, &card].map(str::to_owned);
        (args, json!({ "status": status }))
    };
    let set = |desk: &Desk, (args, body): ([String; 3], Value)| {
        let args = args.each_ref().map(String::as_str);
        by.walk(desk, &write(&args, &*card_path, body));
    };
    assert_eq!(desk.code(&first, 100), "78", "{by:?}: not activated yet");
    set(&desk, status("active", "activate"));

    // A load, the same again, a purchase.
    let args = [
        "load",
        &card,
        "--minor",
        "20000",
        "--channel",
        "bank",
        "--reference",
        "walk-1",
    ];
    let body = json!({ "reference": "walk-1", "card": card.parse::<u32>().unwrap(),
        "minor": 20_000, "currency": "JPY", "channel": "bank" });
    let load = write(&args, "/v1/loads", body);
    assert_eq!(by.walk(&desk, &load)["approved"], true);
    assert_eq!(by.walk(&desk, &load)["repeated"], true);
    let bought = desk.purchase(&first, 3_000);
    assert_eq!(desk.client.code(&bought), "00");
    let holds = read(
        &["hold", "list", &account],
        format!("/v1/accounts/{account}/holds"),
    );
    let held = by.walk(&desk, &holds)["holds"][0].clone();
    assert_eq!(
        (held["held"].as_i64(), &held["state"]),
        (Some(3_000), &json!("pending"))
    );
    assert!(held["expires_at"].is_string(), "{held}");

    // Captured, and a part of it given back.
    assert_eq!(
        desk.client
            .code(&bought.clone().mti("0220").set(11, "000801")),
        "00"
    );
    assert_eq!(by.walk(&desk, &holds)["holds"], json!([]));
    let refund = bought
        .clone()
        .mti("0220")
        .set(3, "200000")
        .set(4, "000000001000");
    assert_eq!(desk.client.code(&refund.set(11, "000802")), "00");
    let path = format!("/v1/accounts/{account}/statement?after=0&limit=1000&from=2020-01-01");
    let args = ["statement", &account, "--from", "2020-01-01"];
    let statement = by.walk(&desk, &read(&args, path));
    let lines = statement["lines"].as_array().unwrap().iter();
    let kinds: Vec<_> = lines.map(|line| line["kind"].as_str().unwrap()).collect();
    assert!(
        kinds.contains(&"load") && kinds.contains(&"purchase"),
        "{statement}"
    );

    // Frozen, lost, replaced.
    set(&desk, status("frozen", "freeze"));
    assert_eq!(desk.code(&first, 100), "62");
    set(&desk, status("active", "activate"));
    assert_eq!(desk.code(&first, 100), "00");
    let last = desk.purchase(&first, 100);
    assert_eq!(desk.client.code(&last), "00");
    set(&desk, status("lost", "lost"));
    assert_eq!(desk.code(&first, 100), "41");
    let args = [
        "card", "replace", &card, "--pan", &second, "--expiry", "3212", "--old", "lost",
    ];
    let body = json!({ "pan": second, "expiry": "3212", "old_status": "lost" });
    by.walk(
        &desk,
        &write(&args, format!("/v1/cards/{card}/replace"), body),
    );
    let paid = desk.purchase(&second, 500).set(14, "3212");
    assert_eq!(desk.client.code(&paid), "00");
    assert_eq!(desk.client.code(&Draft::reversal_of(&paid, 803)), "00");

    // The decline by number, as the notices have it, rule by rule.
    let events = desk.get("/v1/events?limit=1000");
    let mut rows = events["events"].as_array().unwrap().iter();
    let declined = rows.rfind(|row| row["kind"] == "decline").unwrap();
    let sequence = declined["sequence"].as_u64().unwrap().to_string();
    let path = format!("/v1/decisions/{sequence}");
    let why = by.walk(&desk, &read(&["explain", &sequence], path));
    assert_eq!(
        (&why["reason"], &why["code"]),
        (&json!("card-lost"), &json!("41"))
    );
    assert_eq!(
        why["rules"][0],
        json!({ "rule": "card_status", "outcome": "refused" })
    );
    assert!(
        why["sentence"]["ja"].as_str().unwrap().contains("紛失"),
        "{why}"
    );

    // What is still held is let go of, and the account closed: the rest less the fee.
    for hold in by.walk(&desk, &holds)["holds"].as_array().unwrap().clone() {
        let entry = number(&hold, "entry");
        let path = format!("/v1/holds/{entry}/release");
        by.walk(&desk, &write(&["hold", "release", &entry], path, json!({})));
    }
    let rest: i64 = desk
        .purses(account.parse().unwrap())
        .iter()
        .map(|purse| purse.0)
        .sum();
    assert_eq!(rest, 18_000, "{by:?}: 20,000 less 3,000 and 1,000 back");
    let path = format!("/v1/accounts/{account}/close");
    by.walk(
        &desk,
        &write(&["account", "close", &account], path, json!({})),
    );
    assert_eq!(desk.code(&second, 1), "46");
    let ledger = desk.get("/v1/state")["ledger"].clone();
    let sum = |name: &str| -> i64 {
        let rows = ledger.as_array().unwrap().iter();
        let of = rows.filter(|row| row["account"].as_str().unwrap().starts_with(name));
        of.map(|row| row["minor"].as_i64().unwrap()).sum()
    };
    assert_eq!((sum("Fees"), sum("Payouts")), (550, 18_000 - 550));

    // A shipped travel card is enrolled by its holder.
    let (_, found) = desk.post("/v1/cards/lookup", &json!({ "pan": SHIPPED }));
    let card = number(&found, "card");
    let pin = format!("{INITIAL_PIN}\n");
    let body = json!({ "pan": SHIPPED, "pin": INITIAL_PIN });
    let mut set = write(&["card", "set-pin", "--pan", SHIPPED], "/v1/pins", body);
    set.input = Some(&pin);
    by.walk(&desk, &set);
    let body = json!({ "last_four": "0044", "pin": INITIAL_PIN });
    let args = ["card", "enrol", &card, "--last-four", "0044"];
    let mut enrol = write(&args, format!("/v1/cards/{card}/enrol"), body);
    enrol.input = Some(&pin);
    by.walk(&desk, &enrol);
    let view = by.walk(
        &desk,
        &read(&["card", "show", &card], format!("/v1/cards/{card}")),
    );
    assert_eq!(view["status"], "active");

    nothing_tells_a_number(&desk, &[EVERYDAY, SHIPPED, &first, &second]);
    desk.close();
}

/// Reads everything that can be read of the first accounts, cards and records.
fn nothing_tells_a_number(desk: &Desk, numbers: &[&str]) {
    let mut read = 0;
    // The live stream tells what `/v1/activity` tells, and never ends.
    let ends = |path: &str| path != "/v1/activity/live";
    let routes = ROUTES.iter().filter(|route| route.method == "GET");
    for route in routes.filter(|route| ends(route.path)) {
        let ids: Vec<String> = match route.path.contains('{') {
            true => (1..=40).map(|id| id.to_string()).collect(),
            false => vec![String::new()],
        };
        for id in ids {
            let parts = route.path.split('/');
            let parts = parts.map(|part| if part.starts_with('{') { &id } else { part });
            let path = parts.collect::<Vec<_>>().join("/");
            for query in ["", "?format=csv", "?format=html"] {
                if !query.is_empty() && !path.ends_with("statement") {
                    continue;
                }
                let url = format!("{}{path}{query}", desk.process.admin);
                let mut answer = desk.process.agent().get(&url).call().unwrap();
                let text = answer.body_mut().read_to_string().unwrap();
                read += usize::from(answer.status() == 200);
                for number in numbers {
                    assert!(!text.contains(number), "{path}{query}");
                }
            }
        }
    }
    assert!(read > 60, "{read}");
}

#[test]
fn an_issuer_walks_a_cards_whole_life_by_the_command_line() {
    walk(By::CommandLine);
}

#[test]
fn an_issuer_walks_a_cards_whole_life_by_the_api() {
    walk(By::Api);
}

#[test]
fn people_get_tables_and_the_next_step() {
    let desk = Desk::open();
    for (args, parts) in [
        (
            vec!["account", "list", "--limit", "2"],
            vec!["prepaid-jp", "--after 2"],
        ),
        (
            vec!["account", "show", "1"],
            vec!["withdrawable", "476173******0119"],
        ),
        (
            vec!["card", "list", "--last-four", "0119"],
            vec!["476173******0119"],
        ),
        (vec!["card", "show", "1"], vec!["limit of", "purchase"]),
        (vec!["hold", "list", "1"], vec!["nothing is held"]),
        (vec!["rate", "list"], vec!["USD"]),
        (vec!["link", "list"], vec!["iso87-ascii"]),
        (vec!["programme", "list"], vec!["prepaid-jp", "travel"]),
        (vec!["ledger", "proof"], vec!["digest", "sum to zero"]),
        (vec!["exception", "list"], vec!["nothing to look at"]),
        (vec!["audit"], vec!["nobody did anything"]),
        (
            vec!["statement", "1", "--csv"],
            vec!["sequence,opened_at", "opening"],
        ),
        (
            vec!["statement", "1", "--html"],
            vec!["<!doctype html>", "</html>"],
        ),
    ] {
        let (code, told, why) = command(&desk, &args, None);
        assert_eq!(code, 0, "{args:?}: {why}");
        for part in parts {
            assert!(told.contains(part), "{args:?}: {told}");
        }
    }
    for (args, code, part) in [
        (
            vec!["account", "show", "999"],
            65,
            "there is no account 999",
        ),
        (
            vec!["card", "enrol", "1", "--last-four", "0119"],
            64,
            "standard input",
        ),
        (vec!["hold", "release", "x"], 2, "invalid value"),
        (vec!["explain", "999999"], 65, "is no decision"),
        (
            vec![
                "load",
                "1",
                "--minor",
                "0",
                "--channel",
                "bank",
                "--reference",
                "nil",
            ],
            1,
            "cardswitch explain",
        ),
    ] {
        let (ended, told, why) = command(&desk, &args, None);
        assert_eq!(ended, code, "{args:?}: {told}{why}");
        assert!(why.contains(part), "{args:?}: {why}");
    }
    // Where no switch is, and where it does not take the token.
    let elsewhere = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["account", "list", "--admin", "127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(elsewhere.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("cardswitch serve"));
    let nobody = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["account", "list", "--data", "/nowhere", "--admin"])
        .arg(desk.process.admin.trim_start_matches("http://"))
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(77));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("cardswitch token create"));
    for shell in ["bash", "zsh", "fish"] {
        let completions = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
            .args(["completions", shell])
            .output()
            .unwrap();
        let told = String::from_utf8(completions.stdout).unwrap();
        assert!(
            told.contains("statement") && told.contains("exception"),
            "{shell}"
        );
    }
    desk.close();
}

#[test]
fn a_write_under_one_key_is_done_once_also_after_a_restart() {
    let mut desk = Desk::open();
    let post = |desk: &Desk, key: &str, path: &str, body: &Value| {
        let url = format!("{}{path}", desk.process.admin);
        let request = desk
            .process
            .agent()
            .post(&url)
            .header("idempotency-key", key);
        let mut answer = request.send_json(body).unwrap();
        let replayed = answer.headers().contains_key("idempotency-replayed");
        let told = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), replayed, told)
    };
    let person = json!({ "programme": "prepaid-jp", "born": "1990-04-01", "kyc": "verified" });
    let other = json!({ "programme": "prepaid-jp", "born": "1990-04-02", "kyc": "verified" });
    let (status, replayed, first) = post(&desk, "k-1", "/v1/holders", &person);
    assert_eq!((status, replayed), (200, false), "{first}");
    assert_eq!(
        post(&desk, "k-1", "/v1/holders", &person),
        (200, true, first.clone())
    );
    assert_eq!(post(&desk, "k-1", "/v1/holders", &other).0, 422);
    let (status, replayed, second) = post(&desk, "k-2", "/v1/holders", &person);
    assert_eq!((status, replayed), (200, false));
    assert_ne!(first, second, "another key is another request");
    // A refusal is an answer too.
    let nobody = json!({ "kyc": "verified" });
    assert_eq!(post(&desk, "k-3", "/v1/holders/999999/kyc", &nobody).0, 404);
    assert!(post(&desk, "k-3", "/v1/holders/999999/kyc", &nobody).1);
    assert_eq!(post(&desk, "two words", "/v1/holders", &person).0, 400);
    desk = desk.restart();
    assert_eq!(
        post(&desk, "k-1", "/v1/holders", &person),
        (200, true, first)
    );
    desk.close();
}

#[test]
fn lists_are_read_page_by_page_and_every_row_once() {
    let desk = Desk::open();
    for (list, all) in [("accounts", 1..=11), ("cards", 1..=11)] {
        let (mut after, mut seen) = (0, Vec::new());
        loop {
            let told = desk.get(&format!("/v1/{list}?limit=3&after={after}"));
            let rows = told[list].as_array().unwrap();
            assert!(rows.len() <= 3);
            seen.extend(rows.iter().map(|row| row["id"].as_u64().unwrap()));
            match told["next"].as_u64() {
                Some(next) => after = next,
                None => break,
            }
        }
        assert!(
            seen.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "{seen:?}"
        );
        assert!(seen.len() >= all.count(), "{seen:?}");
    }
    let found = desk.get("/v1/cards?last_four=0119");
    assert_eq!(found["cards"][0]["id"], 1, "{found}");
    for wrong in [
        "/v1/cards?last_four=19",
        "/v1/cards?limit=0",
        "/v1/accounts?after=x",
        "/v1/accounts?unknown=1",
    ] {
        assert_eq!(desk.status(wrong), 400, "{wrong}");
    }
    desk.close();
}
