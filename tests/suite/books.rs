//! `cardswitch ledger verify`: the books of a store add up, whatever happened in it.

use std::process::Command;

use cardswitch::domain::conditions::PinVerdict;
use cardswitch::domain::facts::{Facts, Purpose};
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::engine::command::{Body, Housekeep};
use cardswitch::engine::operation::Order;

use crate::backtest::Recorded;
use crate::decisions_notation::{instant, plain_facts, token, trace};

/// Two withdrawals are authorized; the second one of the month costs a fee.
fn withdrawals() -> Recorded {
    let mut recorded = Recorded::new(50_000);
    for stan in [1, 2] {
        let facts = Facts {
            card: token("K"),
            purpose: Purpose::CashWithdrawal,
            amount: Amount::new(10_000, Currency::JPY),
            trace: trace(stan),
            pin: PinVerdict::Correct,
            ..plain_facts(100).unwrap()
        };
        let at = instant("2027-03-01 09:00").unwrap();
        recorded.take(at, Body::Message(facts.into()));
    }
    recorded
}

/// What `ledger verify` says of a store, after its entries were released.
fn verified(recorded: Recorded) -> serde_json::Value {
    let folder = recorded.close();
    let told = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["ledger", "verify", "--json", "--data"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    let line: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told.status.success(), line["conserved"] == true, "{line}");
    line
}

#[test]
fn the_fee_of_a_hold_that_expired_goes_back_in_the_books_too() {
    let mut recorded = withdrawals();
    let terms = Housekeep {
        answers_hours: 48,
        entries_hours: 2_000,
        tombstones_hours: 48,
        releases_max: 10,
    };
    let at = instant("2027-04-20 09:00").unwrap();
    recorded.take(at, Body::Housekeep(terms));
    let line = verified(recorded);
    assert_eq!(line["fault"], serde_json::Value::Null, "{line}");
    assert_eq!(line["sequence"], 4, "{line}");
}

#[test]
fn the_fee_of_a_hold_that_an_operator_released_goes_back_in_the_books_too() {
    let mut recorded = withdrawals();
    let at = instant("2027-03-02 09:00").unwrap();
    let entry = recorded.last_entry();
    recorded.take(at, Body::Operate(Box::new(Order::ReleaseHold(entry))));
    let line = verified(recorded);
    assert_eq!(line["fault"], serde_json::Value::Null, "{line}");
    assert_eq!(line["sequence"], 4, "{line}");
}
