//! Too much at once, and a disk that is nearly full: what is turned away, and what never is.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use cardswitch::switch::config::{Config, WhenFull};

use crate::support::{Client, Draft, Switch, listener, text};

fn yen(stan: u32) -> Draft {
    Draft::purchase(stan).set(4, "000000000001")
}

#[test]
fn declines_what_exceeds_a_full_window_with_91_and_answers_every_message_once() {
    let mut door = listener("be2", "iso87-ascii");
    (door.in_flight_max, door.when_full) = (1, WhenFull::Decline);
    let switch = Switch::start(vec![door]);
    let mut client = Client::of(&switch, "iso87-ascii");
    // Advices and echoes between the questions: none of them may be turned away.
    let drafts = (1..=120).map(|stan| match stan % 4 {
        0 => yen(stan).mti("0120").set(39, "00").set(38, "ABCDEF"),
        1 => Draft::management(stan, "301"),
        _ => yen(stan),
    });
    let drafts: Vec<Draft> = drafts.collect();
    let all: Vec<u8> = drafts.iter().flat_map(|it| client.frame_of(it)).collect();
    client.write(&all);
    let mut answers: BTreeMap<String, String> = BTreeMap::new();
    for _ in &drafts {
        let answer = client.receive();
        let code = text(&answer, 39);
        assert!(answers.insert(text(&answer, 11), code).is_none());
    }
    let coded = |code: &str| answers.values().filter(|it| *it == code).count();
    let turned_away = coded("91");
    assert_eq!(coded("00") + turned_away, 120);
    assert!(turned_away > 0, "60 questions at once with room for one");
    let counted = switch.telemetry.requests_turned_away.load(Relaxed);
    assert_eq!(counted, u64::try_from(turned_away).unwrap());
    for (stan, code) in answers {
        if stan.parse::<u32>().unwrap() % 4 < 2 {
            assert_eq!(code, "00", "{stan} only tells something");
        }
    }
    switch.stop().unwrap();
}

#[test]
fn declines_with_96_while_the_disk_is_nearly_full_and_goes_on_taking_reversals() {
    let mut config = Config::standard();
    config.listeners = vec![listener("be2", "iso87-ascii")];
    // More than any disk has.
    config.journal.keep_free_mib = 1 << 30;
    let switch = Switch::configured(config);
    let mut client = Client::of(&switch, "iso87-ascii");
    // The disk is looked at as soon as the switch runs, not before it answers.
    let declined = (1..10_000).find(|stan| match client.code(&yen(*stan)).as_str() {
        "00" => false,
        code => {
            assert_eq!(code, "96");
            true
        }
    });
    let declined = declined.expect("the disk to be looked at");
    let advice = yen(20_000).mti("0120").set(39, "00").set(38, "ABCDEF");
    assert_eq!(client.code(&advice), "00");
    let reversal = Draft::reversal_of(&yen(20_000), 20_001);
    assert_eq!(client.code(&reversal), "00");
    let again = yen(declined).mti("0101");
    assert_eq!(
        client.code(&again),
        "96",
        "it was not decided, so nothing was kept"
    );
    assert_eq!(client.code(&Draft::management(20_002, "301")), "00");
    switch.stop().unwrap();
}
