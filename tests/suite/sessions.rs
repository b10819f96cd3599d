//! Sessions as operators see them, sign them off and drain them; what a peer gets meanwhile.

use serde_json::{Value, json};

use crate::operators::Desk;
use crate::support::{Client, Draft, EVERYDAY, text};
use crate::walk::command;

/// Purchases that are under way at once.
const MANY: u32 = 180;

fn door(desk: &Desk, place: usize) -> Client {
    let specs = ["iso87-ascii", "iso87-binary"];
    Client::connect(&desk.process.addresses[place], "be2", specs[place])
}

/// The sessions that are open, once there are so many.
fn sessions(desk: &Desk, many: usize) -> Vec<Value> {
    loop {
        let answer = desk.get("/v1/sessions");
        assert_eq!(answer["next"], Value::Null);
        let told = answer["sessions"].as_array().unwrap().clone();
        if told.len() == many {
            return told;
        }
        std::thread::yield_now();
    }
}

/// The one session, once it shows this: an answer is counted a moment after it has gone.
fn shown(desk: &Desk, wanted: &[(&str, Value)]) -> Value {
    loop {
        let row = sessions(desk, 1).swap_remove(0);
        if wanted.iter().all(|(key, value)| row[*key] == *value) {
            return row;
        }
        std::thread::yield_now();
    }
}

/// What is held on the everyday account.
fn held(desk: &Desk) -> i64 {
    desk.purses(1).iter().map(|purse| purse.1).sum()
}

fn purchase(stan: u32) -> Draft {
    Draft::purchase(stan)
        .set(2, EVERYDAY)
        .set(4, "000000000010")
}

/// What a command says has all of this.
fn says(desk: &Desk, args: &[&str], parts: &[&str]) {
    let (code, told, why) = command(desk, args, None);
    assert_eq!(code, 0, "{args:?}: {why}");
    for part in parts {
        assert!(told.contains(part), "{args:?}: {told}");
    }
}

#[test]
fn a_session_is_shown_with_what_it_counts_and_signed_off_until_it_signs_on_again() {
    let mut desk = Desk::open();
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    let row = &shown(
        &desk,
        &[("messages_in", json!(1)), ("messages_out", json!(1))],
    );
    assert_eq!(row["link"], row["listener"]);
    assert!(row["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(
        (&row["signed_on"], &row["draining"]),
        (&json!("not-yet"), &json!(false))
    );
    assert_eq!(row["in_flight"], 0);
    assert!(row["last_message_at"].as_str() >= row["since"].as_str());

    assert_eq!(desk.client.code(&Draft::management(800, "001")), "00");
    assert_eq!(sessions(&desk, 1)[0]["signed_on"], "on");
    let path = format!("/v1/sessions/{}/sign-off", row["session"]);
    let (status, told) = desk.post(&path, &json!({}));
    assert_eq!((status, &told["session"]), (200, &row["session"]));
    // What was sent before it was signed off may still be let through; this was not.
    shown(&desk, &[("signed_on", json!("off"))]);
    assert_eq!(desk.code(EVERYDAY, 100), "91");
    assert_eq!(held(&desk), 100, "nothing was decided");
    assert_eq!(desk.client.code(&Draft::management(801, "301")), "00");
    assert_eq!(desk.client.code(&Draft::management(802, "001")), "00");
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    shown(
        &desk,
        &[("messages_in", json!(6)), ("messages_out", json!(6))],
    );

    assert_eq!(desk.post("/v1/sessions/99/sign-off", &json!({})).0, 404);
    assert_eq!(desk.post("/v1/sessions/99/drain", &json!({})).0, 404);
    assert_eq!(desk.post("/v1/sessions/x/drain", &json!({})).0, 400);
    let counters = &desk.get("/healthz")["counters"];
    assert_eq!(counters["sessions_signed_off"], 1);
    desk.close();
}

#[test]
fn a_drained_session_answers_what_it_took_and_ends_and_its_peer_may_come_again() {
    let desk = Desk::open();
    let mut client = door(&desk, 0);
    let all: Vec<u8> = (1..=MANY)
        .flat_map(|stan| client.frame_of(&purchase(stan)))
        .collect();
    client.write(&all);
    assert_eq!(text(&client.receive(), 39), "00");
    let mut answers = 1;
    let open = sessions(&desk, 2);
    // Two that come at once may begin in either order.
    let busy = open.iter().find(|row| row["messages_in"] != 0).unwrap();
    let path = format!("/v1/sessions/{}/drain", busy["session"]);
    assert_eq!(desk.post(&path, &json!({})).0, 200);
    while client.next_frame().is_some() {
        answers += 1;
    }
    sessions(&desk, 1);
    // Every decision was answered, and what was not taken is decided once when it comes again.
    assert_eq!(held(&desk), i64::from(answers) * 10);
    let mut again = door(&desk, 0);
    for stan in 1..=MANY {
        assert_eq!(again.code(&purchase(stan).mti("0101")), "00");
    }
    assert_eq!(held(&desk), i64::from(MANY) * 10);
    assert_eq!(desk.get("/healthz")["counters"]["sessions_drained"], 1);
    desk.close();
}

#[test]
fn a_drained_link_takes_no_session_until_it_is_resumed_and_others_go_on() {
    let mut desk = Desk::open();
    let mut other = door(&desk, 1);
    assert_eq!(other.code(&purchase(1)), "00");
    let open = sessions(&desk, 2);
    let quiet = open.iter().find(|row| row["messages_in"] == 0).unwrap();
    let link = quiet["link"].as_str().unwrap().to_owned();
    says(
        &desk,
        &["link", "sessions"],
        &[&link, "127.0.0.1", "not-yet"],
    );
    says(
        &desk,
        &["link", "drain", &link],
        &["takes no new session; 1 are drained"],
    );
    assert!(desk.client.is_closed());
    assert!(door(&desk, 0).is_closed(), "a new one is refused");
    says(
        &desk,
        &["link", "sessions"],
        &["is drained: it takes no new session"],
    );
    assert_eq!(other.code(&purchase(2)), "00");
    says(
        &desk,
        &["link", "resume", &link],
        &["may have sessions again"],
    );
    says(&desk, &["link", "resume", &link], &["nothing has changed"]);
    assert_eq!(door(&desk, 0).code(&purchase(3)), "00");
    assert_eq!(desk.post("/v1/links/nobody/drain", &json!({})).0, 404);
    desk.close();
}
