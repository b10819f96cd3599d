//! Commands beside a running switch: lists that nothing else asks for, readers that go, and a demo
//! that was erased.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::operators::Desk;
use crate::reload;
use crate::support::{EVERYDAY, Process};
use crate::walk::command;

#[test]
fn purses_below_zero_are_listed() {
    let mut desk = Desk::open();
    let (code, told, _) = command(&desk, &["account", "negative"], None);
    assert_eq!((code, told.as_str()), (0, "no purse is below zero\n"));
    let forced = desk.purchase(EVERYDAY, 75_000).mti("0220");
    assert_eq!(desk.client.code(&forced), "00");
    let (code, told, _) = command(&desk, &["account", "negative"], None);
    assert_eq!(code, 0);
    let row: Vec<&str> = told.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], ["1", "JPY", "-5000"], "{told}");
    desk.close();
}

#[test]
fn a_command_whose_reader_has_gone_ends_quietly() {
    let desk = Desk::open();
    let store = desk.process.directory.path().join("store");
    let admin = desk.process.admin.trim_start_matches("http://");
    for args in [
        vec![
            "card",
            "list",
            "--admin",
            admin,
            "--data",
            store.to_str().unwrap(),
        ],
        vec!["programme", "check", "spec/programme/prepaid-jp.toml"],
        vec!["token", "list", "--data", store.to_str().unwrap()],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
            .args(&args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let why = String::from_utf8(done.stderr).unwrap();
        assert_eq!(
            (done.status.code(), why.as_str()),
            (Some(141), ""),
            "{args:?}"
        );
    }
    desk.close();
}

#[test]
fn a_demo_does_not_open_a_number_again_whose_card_data_were_erased() {
    let folder = tempfile::tempdir().unwrap();
    let desk = reload::open(folder.path());
    reload::edit(folder.path(), "retention_days = 540", "retention_days = 0");
    for path in [
        "/v1/programmes/reload",
        "/v1/accounts/1/close",
        "/v1/accounts/1/erase",
    ] {
        let (status, told) = desk.post(path, &json!({}));
        assert_eq!(status, 200, "{path}: {told}");
    }
    let accounts = desk.get("/healthz")["accounts"].clone();
    let config = folder.path().join("switch.conf").display().to_string();
    let args = ["--demo", "--config", &config];
    let process = Process::serve_in(desk.process.stop(), &args);
    let out = process.directory.path().join("stdout");
    let mut desk = Desk::of(process);
    assert_eq!(desk.get("/healthz")["accounts"], accounts);
    let (status, _) = desk.post("/v1/cards/lookup", &json!({ "pan": EVERYDAY }));
    assert_eq!(status, 404);
    assert_eq!(desk.code(EVERYDAY, 1), "14");
    let said = std::fs::read_to_string(out).unwrap();
    assert!(
        said.contains("1 of its numbers have no card here"),
        "{said}"
    );
    desk.close();
}
