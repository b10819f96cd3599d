//! Conversations over TCP: what a peer of the switch may rely on, in both specifications.

use cardswitch::iso8583::Message;

use cardswitch::switch::config::ReplacementAmounts;

use crate::support::{Client, Draft, EVERYDAY, SPECS, Switch, listener, text};

/// Elements that a client matches an answer on.
const MATCHED_ON: [u8; 13] = [2, 3, 4, 7, 11, 12, 13, 32, 33, 37, 41, 42, 49];

/// Runs a conversation in each specification, against a switch of its own.
fn in_both(conversation: impl Fn(&mut Client)) {
    for spec in SPECS {
        let switch = Switch::with("be2", spec);
        conversation(&mut Client::of(&switch, spec));
        switch.stop().unwrap();
    }
}

/// Available balance of the card, as an enquiry shows it in DE 54.
fn available(client: &mut Client, stan: u32, card: &str) -> i64 {
    let enquiry = Draft::purchase(stan).set(2, card).set(3, "310000");
    let answer = client.ask(&enquiry.set(4, "000000000000"));
    assert_eq!(text(&answer, 39), "00");
    let groups = text(&answer, 54);
    assert_eq!(&groups[..8], "0002392C", "{groups}");
    groups[8..20].parse().unwrap()
}

fn assert_echoes(request: &Draft, answer: &Message) {
    for element in MATCHED_ON {
        let got = text(answer, element);
        assert_eq!(got.trim_end(), request.get(element), "DE {element}");
    }
}

// Sessions ---------------------------------------------------------------------------------------

#[test]
fn a_link_signs_on_echoes_cuts_over_and_signs_off() {
    in_both(|client| {
        for (stan, code) in [(1, "001"), (2, "301"), (3, "201"), (4, "002"), (5, "001")] {
            let answer = client.ask(&Draft::management(stan, code));
            assert_eq!(answer.mti().to_string(), "0810");
            assert_eq!(text(&answer, 39), "00", "{code}");
            assert_eq!(text(&answer, 70), code);
            assert_eq!(text(&answer, 7), "0309010203");
        }
    });
}

#[test]
fn network_management_that_is_not_in_the_table_is_refused() {
    in_both(|client| {
        assert_eq!(client.code(&Draft::management(1, "999")), "12");
        assert_eq!(client.code(&Draft::new("0800", 2)), "30");
    });
}

#[test]
fn after_signing_off_requests_are_refused_until_the_next_sign_on() {
    in_both(|client| {
        assert_eq!(client.code(&Draft::purchase(1)), "00");
        assert_eq!(client.code(&Draft::management(2, "002")), "00");
        let refused = client.ask(&Draft::purchase(3));
        assert_eq!(text(&refused, 39), "91");
        assert!(!refused.has(38));
        assert_eq!(client.code(&Draft::management(4, "301")), "00");
        assert_eq!(client.code(&Draft::management(5, "001")), "00");
        // It was never decided, so the same message is no repeat of anything.
        assert_eq!(client.code(&Draft::purchase(3)), "00");
    });
}

#[test]
fn where_sign_on_is_required_nothing_is_decided_before_it() {
    for spec in SPECS {
        let mut door = listener("be2", spec);
        door.sign_on_required = true;
        let switch = Switch::start(vec![door]);
        let mut client = Client::of(&switch, spec);
        assert_eq!(client.code(&Draft::purchase(1)), "91");
        assert_eq!(client.code(&Draft::management(2, "301")), "00");
        assert_eq!(client.code(&Draft::management(3, "001")), "00");
        assert_eq!(client.code(&Draft::purchase(1)), "00");
        // Each connection signs on for itself.
        let mut other = Client::of(&switch, spec);
        assert_eq!(other.code(&Draft::purchase(4)), "91");
        switch.stop().unwrap();
    }
}

// Messages ---------------------------------------------------------------------------------------

#[test]
fn a_purchase_is_approved_with_a_code_and_what_the_client_matches_on() {
    in_both(|client| {
        let purchase = Draft::purchase(1);
        let answer = client.ask(&purchase);
        assert_eq!(answer.mti().to_string(), "0110");
        assert_eq!(text(&answer, 39), "00");
        assert_eq!(text(&answer, 38).trim().len(), 6);
        assert_echoes(&purchase, &answer);
        let expected = [&MATCHED_ON[..], &[38, 39]].concat();
        let mut got: Vec<u8> = answer.elements().collect();
        got.sort_unstable_by_key(|element| expected.iter().position(|other| other == element));
        assert_eq!(got, expected, "nothing else comes back");
        assert_eq!(available(client, 2, EVERYDAY), 70_000 - 1_200);
    });
}

#[test]
fn a_card_is_known_by_its_stripe_alone() {
    in_both(|client| {
        let swiped = Draft::purchase(1)
            .without(2)
            .without(14)
            .set(35, &format!("{EVERYDAY}=31122010000000"));
        let answer = client.ask(&swiped);
        assert_eq!(text(&answer, 39), "00");
        assert!(!answer.has(2) && !answer.has(35));
    });
}

#[test]
fn every_kind_of_message_is_answered_in_its_own_type() {
    let rows = [
        ("0100", "0110"),
        ("0101", "0110"),
        ("0120", "0130"),
        ("0121", "0130"),
        ("0200", "0210"),
        ("0201", "0210"),
        ("0220", "0230"),
        ("0221", "0230"),
        ("0400", "0410"),
        ("0401", "0410"),
        ("0420", "0430"),
        ("0421", "0430"),
        ("0800", "0810"),
    ];
    in_both(|client| {
        for (stan, (mti, expected)) in (1..).zip(rows) {
            let draft = match mti {
                "0800" => Draft::management(stan, "301"),
                _ => Draft::purchase(stan).mti(mti),
            };
            let answer = client.ask(&draft);
            assert_eq!(answer.mti().to_string(), expected);
            assert_eq!(text(&answer, 39), "00", "{mti}");
        }
    });
}

#[test]
fn money_moves_as_each_message_says() {
    in_both(|client| {
        let mut stan = 0;
        let mut balance = 70_000;
        let mut step = |client: &mut Client, draft: &dyn Fn(Draft) -> Draft, by: i64| {
            stan += 2;
            let draft = draft(Draft::purchase(stan));
            assert_eq!(client.code(&draft), "00", "{} {}", draft.mti, draft.get(3));
            balance += by;
            assert_eq!(
                available(client, stan + 1, EVERYDAY),
                balance,
                "{}",
                draft.mti
            );
            draft
        };
        step(client, &|draft| draft.set(4, "000000000000"), 0);
        let held = step(client, &|draft| draft, -1_200);
        let rrn = held.get(37).to_owned();
        step(client, &|draft| draft.mti("0220").set(37, &rrn), 0);
        step(client, &|draft| draft.mti("0200"), -1_200);
        step(client, &|draft| draft.mti("0200").set(3, "200000"), 1_200);
        let load = |draft: Draft| draft.mti("0200").set(3, "210000").set(4, "000000005000");
        let load = step(client, &load, 5_000);
        step(client, &|_| Draft::reversal_of(&load, 900), -5_000);
        step(client, &|_| Draft::reversal_of(&held, 901), 1_200);
        let again = |_| Draft::reversal_of(&held, 901).mti("0421");
        step(client, &again, 0);
    });
}

#[test]
fn an_enquiry_shows_available_then_ledger() {
    in_both(|client| {
        assert_eq!(client.code(&Draft::purchase(1)), "00");
        let enquiry = Draft::purchase(2).set(3, "310000");
        let answer = client.ask(&enquiry.set(4, "000000000000"));
        assert_eq!(
            text(&answer, 54),
            "0002392C0000000688000001392C000000070000"
        );
    });
}

#[test]
fn a_decline_says_why_and_moves_nothing() {
    type Change = fn(Draft) -> Draft;
    let rows: [(&str, Change); 9] = [
        ("57", |draft| draft.set(18, "5541")),
        ("51", |draft| draft.set(4, "000000900000")),
        ("61", |draft| {
            draft.set(2, "4761739001010200").set(4, "000001000001")
        }),
        ("54", |draft| {
            draft.set(2, "4761739001010226").set(14, "2401")
        }),
        ("41", |draft| draft.set(2, "4761739001010234")),
        ("62", |draft| draft.set(2, "4761739001010242")),
        ("14", |draft| draft.set(2, "4761739001010118")),
        ("15", |draft| draft.set(2, "4000000000000002")),
        ("57", |draft| draft.set(60, "0000000002")),
    ];
    in_both(|client| {
        for (stan, (code, change)) in (1..).zip(&rows) {
            let draft = change(Draft::purchase(stan));
            let answer = client.ask(&draft);
            assert_eq!(text(&answer, 39), *code, "row {stan}");
            assert!(!answer.has(38));
            assert_echoes(&draft, &answer);
        }
        assert_eq!(available(client, 100, EVERYDAY), 70_000);
    });
}

#[test]
fn a_repeat_gets_the_first_answer_and_other_content_is_a_duplicate() {
    for spec in SPECS {
        let switch = Switch::with("be2", spec);
        let first = Client::of(&switch, spec).ask(&Draft::purchase(1));
        // The answer was lost with its connection.
        let mut client = Client::of(&switch, spec);
        let again = client.ask(&Draft::purchase(1).mti("0101"));
        assert_eq!(again.bytes(), first.bytes());
        let other = client.ask(&Draft::purchase(1).set(4, "000000001300"));
        assert_eq!(text(&other, 39), "94");
        assert!(!other.has(38));
        assert_eq!(available(&mut client, 2, EVERYDAY), 70_000 - 1_200);
        switch.stop().unwrap();
    }
}

#[test]
fn a_reversal_that_comes_first_makes_its_original_fail() {
    in_both(|client| {
        let late = Draft::purchase(1);
        assert_eq!(client.code(&Draft::reversal_of(&late, 2)), "00");
        let answer = client.ask(&late);
        assert_eq!(text(&answer, 39), "96");
        assert_eq!(available(client, 3, EVERYDAY), 70_000);
    });
}

// What cannot be processed -----------------------------------------------------------------------

#[test]
fn what_is_missing_or_unknown_is_answered_with_its_code() {
    let rows = [
        ("no processing code", Draft::purchase(1).without(3), "30"),
        ("no amount", Draft::purchase(2).without(4), "30"),
        ("no transmission time", Draft::purchase(3).without(7), "30"),
        ("no currency", Draft::purchase(4).without(49), "30"),
        ("no card", Draft::purchase(5).without(2), "30"),
        (
            "a purpose nobody has",
            Draft::purchase(6).set(3, "990000"),
            "12",
        ),
        (
            "a month that is none",
            Draft::purchase(7).set(14, "3113"),
            "30",
        ),
        ("file action", Draft::purchase(8).mti("0300"), "12"),
        ("administration", Draft::purchase(10).mti("0600"), "12"),
        ("a fee collection", Draft::purchase(11).mti("0720"), "12"),
    ];
    in_both(|client| {
        for (what, draft, code) in &rows {
            let answer = client.ask(draft);
            assert_eq!(text(&answer, 39), *code, "{what}");
            assert!(!answer.has(38), "{what}");
            let mti: u32 = draft.mti.parse().unwrap();
            assert_eq!(
                answer.mti().to_string(),
                format!("{:04}", mti / 10 * 10 + 10)
            );
        }
        assert_eq!(
            client.code(&Draft::purchase(50)),
            "00",
            "the link still works"
        );
    });
}

/// A message, cut or bent after DE 11 in some way.
fn damaged(spec: &str, stan: u32) -> Vec<(&'static str, Vec<u8>)> {
    let whole = Draft::purchase(stan).bytes(spec).to_vec();
    let mut rows = vec![("bytes behind the end", [&whole[..], b"12"].concat())];
    rows.push((
        "the last byte is missing",
        whole[..whole.len() - 1].to_vec(),
    ));
    let half = whole.len() / 2;
    rows.push(("the second half is missing", whole[..half].to_vec()));
    let shop = whole.windows(4).position(|part| part == b"TERM").unwrap();
    let mut bent = whole.clone();
    bent[shop] = 0x07;
    rows.push(("a control character in a text", bent));
    let mut currency = whole.clone();
    let at = currency.len() - 3;
    currency[at] = 0xff;
    rows.push(("no character at all", currency));
    rows
}

#[test]
fn a_damaged_message_whose_type_and_trace_can_be_read_is_answered_30() {
    in_both(|client| {
        for spec_row in 0..damaged(client.spec(), 1).len() {
            let stan = 100 + u32::try_from(spec_row).unwrap();
            let (what, body) = damaged(client.spec(), stan).swap_remove(spec_row);
            let frame = client.framed(&body);
            client.write(&frame);
            let answer = client.receive();
            assert_eq!(answer.mti().to_string(), "0110", "{what}");
            assert_eq!(text(&answer, 39), "30", "{what}");
            assert_eq!(text(&answer, 11), format!("{stan:06}"), "{what}");
        }
        assert_eq!(client.code(&Draft::purchase(1)), "00");
        assert_eq!(available(client, 2, EVERYDAY), 70_000 - 1_200);
    });
}

#[test]
fn what_cannot_be_answered_is_not_and_the_next_message_is() {
    in_both(|client| {
        let whole = Draft::purchase(1).bytes(client.spec()).to_vec();
        let rows: [&[u8]; 5] = [
            &[0],
            b"GET / HTTP/1.1",
            &[0xff; 40],
            &whole[..2],
            &whole[..20],
        ];
        for body in rows {
            let frame = client.framed(body);
            client.write(&frame);
        }
        assert_eq!(client.code(&Draft::purchase(2)), "00");
    });
}

#[test]
fn an_answer_to_something_never_asked_is_not_answered() {
    in_both(|client| {
        client.send(&Draft::purchase(1).mti("0110").set(39, "00"));
        client.send(&Draft::management(2, "301").mti("0810").set(39, "00"));
        client.send(&Draft::purchase(3).mti("0430"));
        assert_eq!(client.code(&Draft::management(4, "301")), "00");
    });
}

#[test]
fn a_link_may_say_that_its_peer_sends_the_reversed_amount() {
    let amounts = |minor: i64| format!("{minor:012}000000000000D00000000D00000000");
    // What DE 95 says, and what is held of 3,000 afterwards: by the standard, and on such a link.
    for (stated, remaining, reversed) in [
        (2_000, 2_000, 1_000),
        (3_000, 3_000, 0),
        (0, 0, 0),
        (3_001, 3_000, 3_000),
    ] {
        for (quirk, held) in [
            (ReplacementAmounts::Remaining, remaining),
            (ReplacementAmounts::Reversed, reversed),
        ] {
            let mut door = listener("be2", SPECS[0]);
            door.replacement_amounts = quirk;
            let switch = Switch::start(vec![door]);
            let mut client = Client::of(&switch, SPECS[0]);
            let hold = Draft::purchase(1).set(4, "000000003000");
            assert_eq!(client.code(&hold), "00");
            let reversal = Draft::reversal_of(&hold, 2).set(95, &amounts(stated));
            assert_eq!(client.code(&reversal), "00");
            let left = available(&mut client, 3, EVERYDAY);
            assert_eq!(left, 70_000 - held, "{stated} {quirk:?}");
            switch.stop().unwrap();
        }
    }
}
