//! Rules over TCP that no scenario can play: what an operator, another programme file, a count or
//! the years must bring about first.

use serde_json::json;

use crate::card_life::block;
use crate::operators::Desk;
use crate::reload::{edit, open};
use crate::support::{Client, Draft, EVERYDAY, Process};

const UNVERIFIED: &str = "4761739001010218";

#[test]
fn a_card_answers_by_its_status_and_pays_again_once_it_is_active() {
    let mut desk = Desk::open();
    for (status, code) in [
        ("stolen", "43"),
        ("lost", "41"),
        ("frozen", "62"),
        ("active", "00"),
    ] {
        let order = json!({ "status": status });
        assert_eq!(desk.post("/v1/cards/1/status", &order).0, 200, "{status}");
        assert_eq!(desk.code(EVERYDAY, 100), code, "{status}");
    }
    desk.close();
}

#[test]
fn the_sixth_withdrawal_of_a_day_is_one_too_many_until_one_is_given_back() {
    let mut desk = Desk::open();
    let pin = block("2580", EVERYDAY);
    let cash = |desk: &mut Desk| {
        let draft = desk.purchase(EVERYDAY, 1_000).mti("0200");
        draft.set(3, "010000").set(18, "6011").set(52, &pin)
    };
    let withdrawals: Vec<Draft> = (0..5).map(|_| cash(&mut desk)).collect();
    for withdrawal in &withdrawals {
        assert_eq!(desk.client.code(withdrawal), "00");
    }
    let sixth = cash(&mut desk);
    assert_eq!(desk.client.code(&sixth), "65");
    let undone = Draft::reversal_of(&withdrawals[4], 901);
    assert_eq!(desk.client.code(&undone), "00");
    let again = cash(&mut desk);
    assert_eq!(desk.client.code(&again), "00");
    desk.close();
}

#[test]
fn a_denied_merchant_is_refused_and_an_allowed_one_passes_its_category() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = open(folder.path());
    let at = |desk: &mut Desk, merchant: &str, terminal: &str, mcc: &str| {
        let draft = desk.purchase(EVERYDAY, 100).set(42, merchant);
        desk.client.code(&draft.set(41, terminal).set(18, mcc))
    };
    let codes = |desk: &mut Desk| {
        [
            at(desk, "BAD-SHOP-000001", "TERM0001", "5411"),
            at(desk, "GOOD-SHOP-00001", "TERM0666", "5411"),
            at(desk, "GOOD-SHOP-00001", "TERM0001", "5541"),
            at(desk, "SOME-SHOP-00001", "TERM0001", "5541"),
        ]
    };
    assert_eq!(codes(&mut desk), ["00", "00", "57", "57"]);
    for (list, listed) in [
        ("denied_acceptors", "BAD-SHOP-000001"),
        ("denied_terminals", "TERM0666"),
        ("allowed_acceptors", "GOOD-SHOP-00001"),
    ] {
        let row = |inside: &str| format!("{list} = [{inside}]");
        edit(folder.path(), &row(""), &row(&format!("{listed:?}")));
    }
    assert_eq!(desk.post("/v1/programmes/reload", &json!({})).0, 200);
    assert_eq!(codes(&mut desk), ["57", "57", "00", "57"]);
    desk.close();
}

#[test]
fn years_later_a_verified_holders_card_pays_and_anothers_has_ended() {
    let before = Process::serve(&["--demo"]);
    let purchase = |stan, pan: &str| Draft::purchase(stan).set(2, pan).without(14);
    let mut client = Client::connect(&before.addresses[0], "be2", "iso87-ascii");
    assert_eq!(client.code(&purchase(1, UNVERIFIED)), "00");
    // Long after the last month on the cards, and before that of the next card.
    let seconds = (6 * 365 * 86_400).to_string();
    let process = Process::serve_in(before.stop(), &["--demo", "--clock-ahead", &seconds]);
    let mut client = Client::connect(&process.addresses[0], "be2", "iso87-ascii");
    // The pass that renews cards begins with the start.
    let mut codes = (2..20_000).map(|stan| client.code(&purchase(stan, EVERYDAY)));
    assert_eq!(codes.find(|code| code != "54").unwrap(), "00");
    drop(codes);
    assert_eq!(client.code(&purchase(20_000, UNVERIFIED)), "54");
    process.stop();
}
