//! `cardswitch clearing post`: each line once, whatever happens between, and a report that says
//! what it was matched with.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Client, Draft, EVERYDAY, Process, text};

const BIN: &str = env!("CARGO_BIN_EXE_cardswitch");
/// The rich card of the demo set: 1,500,000 yen withdrawable.
const RICH_CARD: u32 = 2;

/// Posts a file through a running switch; the report, or what went wrong.
fn post(process: &Process, file: &Path, more: &[&str]) -> Output {
    let admin = process.admin.trim_start_matches("http://");
    Command::new(BIN)
        .args(["clearing", "post", "--json", "--admin", admin])
        .env("CARDSWITCH_TOKEN", process.token())
        .args(more)
        .arg(file)
        .output()
        .unwrap()
}

fn report(output: &Output) -> Value {
    let told = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{told}"))
}

fn written(process: &Process, name: &str, text: &str) -> PathBuf {
    let path = process.directory.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn get(process: &Process, path: &str) -> Value {
    let url = format!("{}{path}", process.admin);
    let mut response = process.agent().get(&url).call().unwrap();
    serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
}

/// The sum of an account's purses, and what is held.
fn purses(process: &Process, account: u32) -> (i64, i64) {
    let view = get(process, &format!("/v1/accounts/{account}"));
    let sum = |key: &str| {
        let purses = view["purses"].as_array().unwrap().iter();
        purses.map(|purse| purse[key].as_i64().unwrap()).sum()
    };
    (sum("balance"), sum("held"))
}

/// Holds of the everyday card: (DE 11, yen, DE 38).
fn authorized(process: &Process, holds: &[(u32, i64)]) -> Vec<String> {
    let mut client = Client::connect(&process.addresses[0], "be2", "iso87-ascii");
    let approval = |(stan, minor): &(u32, i64)| {
        let answer = client.ask(&Draft::purchase(*stan).set(4, &format!("{minor:012}")));
        assert_eq!(text(&answer, 39), "00");
        text(&answer, 38)
    };
    holds.iter().map(approval).collect()
}

const NAMES: &str = "line,kind,pan,amount,currency,approval,rrn,terminal,acceptor,acceptor_name\n";

#[test]
fn a_file_is_posted_once_and_the_report_says_against_what() {
    let process = Process::serve(&["--demo"]);
    let approvals = authorized(&process, &[(1, 1_200), (2, 3_000), (3, 2_500)]);
    let pan = EVERYDAY;
    let file = format!(
        "batch,2027-03-01.A,6\n{NAMES}\
         a1,purchase,{pan},1200,JPY,,000000000001,TERM0001,,\"Sato, Ltd\"\n\
         a2,purchase,{pan},3500,JPY,{},,,MARUYAMA-STORE1,\n\
         a3,purchase,{pan},2500,JPY,,,,MARUYAMA-STORE1,\n\
         a4,purchase,{pan},700,JPY,,,,SOMEWHERE,\n\
         a5,refund,{pan},200,JPY,,,,MARUYAMA-STORE1,\n\
         a6,purchase,{pan},100,JPY,,000000000001,TERM0001,,\n",
        approvals[1]
    );
    let path = written(&process, "clearing.csv", &file);
    let first = post(&process, &path, &[]);
    let told = report(&first);
    assert_eq!(first.status.code(), Some(0), "{told}");
    let count =
        |told: &Value| [&told["posted"], &told["repeated"], &told["refused"]].map(Value::clone);
    assert_eq!(count(&told), [json!(6), json!(0), json!(0)], "{told}");
    assert_eq!(
        told["matched_by"],
        json!({
            "retrieval reference and terminal": 2,
            "approval code and acceptor": 1,
            "amount and acceptor (weak)": 1,
        })
    );
    assert_eq!(told["unmatched"], 2, "{told}");
    assert_eq!(
        told["against"],
        json!({ "as_authorized": 2, "over": 2, "over_minor": { "JPY": 600 },
            "under": 0, "under_minor": {} })
    );
    let exceptions: Vec<(&Value, String)> = told["exceptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let what = row["what"].as_str().unwrap();
            (&row["number"], what.split(',').next().unwrap().to_owned())
        })
        .collect();
    assert_eq!(
        exceptions,
        [
            (&json!(6), "unmatched-capture".to_owned()),
            (&json!(8), "extra-capture".to_owned()),
        ]
    );
    let balance = 70_000 - 1_200 - 3_500 - 2_500 - 700 + 200 - 100;
    assert_eq!(purses(&process, 1), (balance, 0));

    // Again, as it stands and as JSON lines in another order: nothing moves.
    let again = report(&post(&process, &path, &[]));
    assert_eq!(count(&again), [json!(0), json!(6), json!(0)], "{again}");
    let lines = format!(
        "{{\"batch\":\"2027-03-01.A\",\"lines\":1}}\n\
         {{\"line\":\"a4\",\"kind\":\"purchase\",\"pan\":\"{pan}\",\"amount\":700,\
         \"currency\":\"JPY\",\"acceptor\":\"ELSEWHERE\",\"terminal\":\"OTHER\"}}\n"
    );
    let other = post(&process, &written(&process, "a.jsonl", &lines), &[]);
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(said.contains("was closed with 6 lines"), "{said}");
    // A closed batch takes no new line, and a line that is posted is not posted otherwise.
    for (n, line) in [("b1", "700"), ("a4", "701")] {
        let changed = lines.replace("\"a4\"", &format!("\"{n}\""));
        let changed = changed.replace("700", line);
        post(&process, &written(&process, "b.jsonl", &changed), &[]);
    }
    assert_eq!(purses(&process, 1), (balance, 0));
    let state = get(&process, "/v1/state");
    assert_eq!(state["conserved"], true);
    let left = process.stop();
    let replayed = Command::new(BIN)
        .args(["replay", "--json", "--data"])
        .arg(left.path().join("store"))
        .output()
        .unwrap();
    let replayed: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(replayed["digest"], state["digest"]);
}

#[test]
fn every_mistake_of_a_file_is_told_before_anything_is_posted() {
    let process = Process::serve(&["--demo"]);
    let stranger = "4111111111111111";
    let file = format!(
        "batch,mixed,9\n{NAMES}\
         m1,purchase,{EVERYDAY},100,JPY,,,,,\n\
         m2,purchase,{EVERYDAY},-5,JPY,,,,,\n\
         m3,sale,{EVERYDAY},5,YEN,,,,,\n\
         m1,purchase,{EVERYDAY},7,JPY,,,,,\n\
         m5,purchase,{stranger},7,JPY,,,,,\n\
         m6,purchase,{EVERYDAY},7\n\
         ,purchase,,7,JPY,,,,,\n\
         m8,purchase,{EVERYDAY},8,JPY,,,,,\n"
    );
    let path = written(&process, "mixed.csv", &file);
    let refused = post(&process, &path, &[]);
    assert_eq!(refused.status.code(), Some(65));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    for expected in [
        "line 4: amount: expected minor units above 0",
        "line 5: kind: expected purchase, cash-withdrawal, refund or original-credit; currency:",
        "line 6: line: another line of the file has this name",
        "line 7 (m5): 411111******1111: no programme has this number",
        "line 8: expected 10 fields, got 4",
        "line 9: line: is missing; pan: expected either pan or card",
        "line 1: the header promises 9 lines, the file has 8",
    ] {
        assert!(said.contains(expected), "{expected} in\n{said}");
    }
    assert!(
        !said.contains(stranger) && !said.contains(EVERYDAY),
        "{said}"
    );
    assert_eq!(purses(&process, 1), (70_000, 0), "nothing was posted");

    let skipped = post(&process, &path, &["--skip-bad"]);
    assert_eq!(skipped.status.code(), Some(1));
    let told = report(&skipped);
    assert_eq!(
        (&told["posted"], &told["closed"]),
        (&json!(2), &json!(false))
    );
    assert_eq!(purses(&process, 1), (70_000 - 108, 0));
    // Mended, the rest of the batch is posted, and nothing twice.
    let mended = file
        .replace("-5", "5")
        .replace("sale", "purchase")
        .replace("YEN", "JPY")
        .replace(
            "\nm1,purchase,4761739001010119,7",
            "\nm4,purchase,4761739001010119,7",
        )
        .replace(stranger, EVERYDAY)
        .replace(
            ",7\n,purchase,,",
            &format!(",7,JPY,,,,,\nm7,purchase,{EVERYDAY},"),
        )
        .replace("mixed,9", "mixed,8");
    let whole = report(&post(
        &process,
        &written(&process, "mended.csv", &mended),
        &[],
    ));
    let counts = [&whole["posted"], &whole["repeated"], &whole["closed"]];
    assert_eq!(counts, [&json!(6), &json!(2), &json!(true)], "{whole}");
    assert_eq!(purses(&process, 1), (70_000 - 108 - 5 - 5 - 7 * 4, 0));
}

#[test]
fn a_switch_killed_in_the_middle_of_a_file_posts_each_line_once_all_the_same() {
    const LINES: usize = 1_500;
    let process = Process::serve(&["--demo"]);
    let mut file = format!("{{\"batch\":\"night\",\"lines\":{LINES}}}\n");
    for n in 0..LINES {
        writeln!(
            file,
            "{{\"line\":\"{n}\",\"kind\":\"purchase\",\"card\":{RICH_CARD},\"amount\":10,\
             \"currency\":\"JPY\"}}"
        )
        .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("night.jsonl");
    fs::write(&path, file).unwrap();
    let (before, _) = purses(&process, RICH_CARD);
    let admin = process.admin.trim_start_matches("http://").to_owned();
    let posting = Command::new(BIN)
        .args(["clearing", "post", "--admin", &admin])
        .env("CARDSWITCH_TOKEN", process.token())
        .arg(&path)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while purses(&process, RICH_CARD).0 == before {
        std::thread::yield_now();
    }
    let left = process.kill();
    let cut = posting.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(said.contains("run it again to go on"), "{said}");

    let process = Process::serve_in(left, &["--demo"]);
    let (between, _) = purses(&process, RICH_CARD);
    assert!(before - 10 * (LINES as i64) < between && between < before);
    let told = report(&post(&process, &path, &[]));
    let posted = told["posted"].as_u64().unwrap();
    let repeated = told["repeated"].as_u64().unwrap();
    assert!(posted > 0 && repeated > 0, "{told}");
    assert_eq!(posted + repeated, LINES as u64);
    assert_eq!(repeated as i64 * 10, before - between);
    assert_eq!(purses(&process, RICH_CARD), (before - 10 * LINES as i64, 0));
    // And once more into the store itself, with nobody there.
    let left = process.stop();
    let store = left.path().join("store");
    let alone = Command::new(BIN)
        .args(["clearing", "post", "--json", "--data"])
        .arg(&store)
        .arg(&path)
        .output()
        .unwrap();
    let told = report(&alone);
    assert_eq!(told["repeated"], LINES, "{told}");
}
