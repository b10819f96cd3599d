//! The console: small, from this switch alone, and able to send a test message where that is safe.

use serde_json::{Value, json};

use crate::operators::Desk;
use crate::support::{EVERYDAY, Process};

const FILES: [&str; 4] = [
    "/console",
    "/console/style.css",
    "/console/words.js",
    "/console/app.js",
];
const BYTES_MAX: usize = 200 * 1024;

#[test]
fn the_page_is_small_and_loads_nothing_from_elsewhere() {
    let desk = Desk::open();
    let mut bytes = 0;
    for path in FILES {
        let url = format!("{}{path}", desk.process.admin);
        let mut answer = ureq::get(&url).call().unwrap();
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        let text = answer.body_mut().read_to_string().unwrap();
        bytes += text.len();
        let foreign = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("://"), "{path} names another place");
    }
    assert!(bytes < BYTES_MAX, "{bytes} bytes");
    desk.close();
}

#[test]
fn every_word_and_every_reason_is_there_in_both_languages() {
    let page = include_str!("../../src/ops/console/index.html");
    let words = include_str!("../../src/ops/console/words.js");
    let japanese = words
        .split("const JA")
        .nth(1)
        .unwrap()
        .split("};")
        .next()
        .unwrap();
    for key in page
        .split("data-t=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
    {
        let is_there = [format!(" {key}: \""), format!("\n{key}: \"")];
        assert!(
            is_there.iter().any(|it| japanese.contains(it)),
            "no Japanese for {key}"
        );
    }
    for reason in cardswitch::domain::decision::Reason::ALL {
        assert!(
            words.contains(&format!("\"{}\": [", reason.name())),
            "no sentence for {reason}"
        );
    }
}

#[test]
fn the_overview_counts_what_the_links_answered() {
    let mut desk = Desk::open();
    assert_eq!(desk.code(EVERYDAY, 99_000_000), "61");
    let counted = (0..1_000).map(|_| desk.get("/v1/overview")).find(|told| {
        told["links"].as_array().unwrap().iter().any(|link| {
            let kinds = link["messages"].as_array().unwrap();
            kinds
                .iter()
                .any(|kind| kind["reason"] == "transaction-limit" && kind["count"] == 1)
        })
    });
    let told = counted.unwrap();
    assert_eq!(told["steps"].as_array().unwrap().len(), 8);
    // The page offers no more than that.
    assert_eq!(told["role"], "admin");
    desk.close();
}

#[test]
fn a_test_message_is_decided_like_any_other() {
    let desk = Desk::open();
    let doors = desk.get("/v1/test-message");
    for door in doors["doors"].as_array().unwrap() {
        let order = json!({ "door": door, "pan": EVERYDAY, "kind": "purchase", "minor": 1_200,
            "mcc": "5411" });
        let (status, told) = desk.post("/v1/test-message", &order);
        assert_eq!(status, 200, "{told}");
        let answer = told["answer"].as_str().unwrap();
        assert!(
            answer.contains("0110") && !told.to_string().contains(EVERYDAY),
            "{answer}"
        );
    }
    assert_eq!(desk.purses(1)[0].1 + desk.purses(1)[1].1, 2_400);
    let door = &doors["doors"][0];
    let purchase = |door: &Value, pan: &str, mcc: &str| {
        let kind = "purchase";
        json!({ "door": door, "pan": pan, "kind": kind, "minor": 1, "mcc": mcc })
    };
    for wrong in [
        purchase(&json!("nowhere"), EVERYDAY, "5411"),
        purchase(door, "1", "5411"),
        purchase(door, EVERYDAY, "x"),
    ] {
        assert_eq!(desk.post("/v1/test-message", &wrong).0, 400, "{wrong}");
    }
    desk.close();
}

#[test]
fn where_real_cards_are_decided_no_test_message_is_sent() {
    let process = Process::serve(&[]);
    let agent = process.agent();
    let url = format!("{}/v1/test-message", process.admin);
    assert_eq!(agent.get(&url).call().unwrap().status(), 404);
    process.stop();
}
