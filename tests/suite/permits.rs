//! What one link may send, and from where it may come: over real sockets, counted and logged.

use std::sync::atomic::Ordering::Relaxed;

use cardswitch::domain::money::Currency;
use cardswitch::switch::config::Listener;
use cardswitch::switch::networks::AllowList;
use cardswitch::switch::permits::Permits;

use crate::support::{Client, Draft, Switch, listener};

/// A card of another programme than the everyday one.
const GIFT: &str = "4456531000000013";

fn door(may: Permits) -> Listener {
    Listener {
        may,
        ..listener("be2", "iso87-ascii")
    }
}

fn texts(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| (*text).to_owned()).collect())
}

#[test]
fn a_link_sends_what_it_may_and_nothing_else() {
    let yen = |stan: u32, minor: &str| Draft::purchase(stan).set(4, minor);
    let advice = |stan: u32, minor: &str| yen(stan, minor).mti("0120").set(39, "00");
    let types = Permits {
        message_types: Some(vec![100, 400]),
        ..Permits::default()
    };
    let bins = Permits {
        bins: texts(&["400000", "47617390"]),
        ..Permits::default()
    };
    let programmes = Permits {
        programmes: texts(&["gift-code"]),
        ..Permits::default()
    };
    let amounts = Permits {
        amounts_max: Some(vec![(Currency::JPY, 1_200)]),
        ..Permits::default()
    };
    let gift = |stan: u32| Draft::purchase(stan).set(2, GIFT);
    let dollars = |stan: u32| Draft::purchase(stan).set(49, "840");
    let rows: [(&Permits, &str, Draft, &str); 15] = [
        (&types, "its type", Draft::purchase(1), "00"),
        (
            &types,
            "a repeat goes with it",
            Draft::purchase(1).mti("0101"),
            "00",
        ),
        (&types, "another type", Draft::purchase(2).mti("0200"), "57"),
        (&types, "an advice", advice(3, "000000000010"), "57"),
        (
            &types,
            "management always",
            Draft::management(4, "301"),
            "00",
        ),
        (&bins, "longer digits of the card", Draft::purchase(1), "00"),
        (&bins, "another card", gift(2), "57"),
        (&programmes, "another programme", Draft::purchase(1), "57"),
        (
            &programmes,
            "no number at all",
            Draft::purchase(2).without(2),
            "30",
        ),
        (&amounts, "as much", yen(1, "000000001200"), "00"),
        (&amounts, "one more", yen(2, "000000001201"), "57"),
        (
            &amounts,
            "an advice of more",
            advice(3, "000000001201"),
            "57",
        ),
        (&amounts, "no other currency", dollars(4), "57"),
        (
            &amounts,
            "what was within it, undone",
            yen(5, "000000001200"),
            "00",
        ),
        (
            &amounts,
            "a question about no amount",
            yen(6, "000000000000"),
            "00",
        ),
    ];
    for (permits, name, draft, code) in rows {
        let switch = Switch::start(vec![door(permits.clone())]);
        let mut client = Client::of(&switch, "iso87-ascii");
        assert_eq!(client.code(&draft), code, "{name}");
        let refused = switch.telemetry.requests_not_permitted.load(Relaxed);
        assert_eq!(refused, u64::from(code == "57"), "{name}");
        switch.stop().unwrap();
    }
}

#[test]
fn what_is_refused_is_not_recorded_so_that_it_may_be_sent_again_elsewhere() {
    let little = Permits {
        amounts_max: Some(vec![(Currency::JPY, 1)]),
        ..Permits::default()
    };
    let mut free = door(Permits::default());
    free.name = "free".to_owned();
    let switch = Switch::start(vec![door(little), free]);
    let mut client = Client::of(&switch, "iso87-ascii");
    let records = || switch.telemetry.records.load(Relaxed);
    let before = records();
    assert_eq!(client.code(&Draft::purchase(1)), "57");
    assert_eq!(records(), before);
    let mut other = Client::connect(switch.addresses()[1], "be2", "iso87-ascii");
    assert_eq!(other.code(&Draft::purchase(1)), "00");
    // Its reversal is of any amount: it undoes what was within the bounds, or nothing.
    assert_eq!(
        client.code(&Draft::reversal_of(&Draft::purchase(1), 2)),
        "00"
    );
    switch.stop().unwrap();
}

#[test]
fn an_address_on_no_list_is_closed_before_anything_is_read() {
    let allowed = |networks: &[&str]| {
        let networks = networks.iter().map(|text| text.parse().unwrap());
        AllowList::only(networks.collect())
    };
    let mut near = listener("be2", "iso87-ascii");
    near.allow = allowed(&["10.0.0.0/8", "127.0.0.1"]);
    let mut far = listener("be2", "iso87-binary");
    far.allow = allowed(&["10.0.0.0/8"]);
    let switch = Switch::start(vec![near, far]);
    let mut client = Client::of(&switch, "iso87-ascii");
    assert_eq!(client.code(&Draft::purchase(1)), "00");
    let mut stranger = Client::connect(switch.addresses()[1], "be2", "iso87-binary");
    assert!(stranger.is_closed());
    assert_eq!(switch.telemetry.connections_denied.load(Relaxed), 1);
    assert_eq!(switch.telemetry.connections_accepted.load(Relaxed), 1);
    switch.stop().unwrap();
}
