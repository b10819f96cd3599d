//! Authentication codes of messages (DE 64, DE 128) over TCP: judged before anything is done, made
//! on every answer, with keys in this process and in a device.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cardswitch::crypto::hsm::MacScheme;
use cardswitch::crypto::key::{AesKey, TdesKey};
use cardswitch::crypto::mac::{Padding, cmac, retail_mac};
use cardswitch::crypto::payshield::Settings;
use cardswitch::crypto::payshield::client::PayShield;
use cardswitch::crypto::payshield::device::Device;
use cardswitch::crypto::payshield::lmk::Lmk;
use cardswitch::crypto::software::{KeyTerms, SoftwareHsm};
use cardswitch::iso8583::Message;
use cardswitch::switch::config::{Config, LinkKeys, Listener, MacConfig, WhenFull};
use cardswitch::switch::hsm::desk::QuestionDesk;
use cardswitch::switch::hsm::key_table;
use cardswitch::switch::hsm::line::{DeviceLine, LineTerms};
use cardswitch::switch::hsm::played::Played;
use cardswitch::switch::pin_keys::random;

use crate::hsm::unhex;
use crate::support::{Client, Draft, EVERYDAY, SPECS, Switch, listener, text};

pub(crate) const TDES: &str = "CDABEF01234567891032547698BADCFE";
const AES: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const RETAIL: MacScheme = MacScheme::Retail(Padding::Zeros);

/// Ways to authenticate, with the name of their key and its digits.
pub(crate) const WAYS: [(&str, MacScheme, &str); 4] = [
    ("retail", RETAIL, TDES),
    ("bit", MacScheme::Retail(Padding::OneThenZeros), TDES),
    ("cmac", MacScheme::Cmac, TDES),
    ("aes", MacScheme::Cmac, AES),
];

fn usage(scheme: MacScheme) -> &'static str {
    match scheme {
        MacScheme::Retail(_) => "M3",
        MacScheme::Cmac => "M6",
    }
}

/// The code of a message, made without the switch's own way to it.
fn code(way: &str, covered: &[u8]) -> [u8; 8] {
    let (_, scheme, digits) = WAYS.into_iter().find(|it| it.0 == way).unwrap();
    let tdes = || TdesKey::from_hex(TDES).unwrap_or_else(|error| panic!("{error}"));
    match (scheme, digits) {
        (MacScheme::Retail(padding), _) => retail_mac(&tdes(), padding, covered),
        (MacScheme::Cmac, AES) => {
            let key = AesKey::from_bytes(&unhex(AES)).unwrap_or_else(|error| panic!("{error}"));
            *cmac(&key, covered).first_chunk().unwrap()
        }
        (MacScheme::Cmac, _) => cmac(&tdes(), covered),
    }
}

/// Bytes of DE 64 and DE 128.
pub(crate) fn size(spec: &str) -> usize {
    if spec == "iso87-ascii" { 16 } else { 8 }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The message with a code at its end.
pub(crate) fn with_code(draft: Draft, spec: &str, code: impl Fn(&[u8]) -> [u8; 8]) -> Draft {
    let is_long = draft.elements.keys().any(|element| *element > 64);
    let place = if is_long { 128 } else { 64 };
    let draft = draft.set(place, &"00".repeat(8));
    let bytes = draft.bytes(spec);
    let made = code(&bytes[..bytes.len() - size(spec)]);
    draft.set(place, &hexadecimal(&made))
}

fn sealed(draft: Draft, spec: &str, way: &str) -> Draft {
    with_code(draft, spec, |covered| code(way, covered))
}

/// Whether an answer ends with its code.
fn is_sealed(answer: &Message, spec: &str, way: &str) -> bool {
    let (covered, came) = answer.bytes().split_at(answer.bytes().len() - size(spec));
    let made = code(way, covered);
    let last = answer.elements().last().unwrap();
    let expected = if answer.elements().any(|it| it > 64 && it < 128) {
        128
    } else {
        64
    };
    last == expected && (came == made || came == hexadecimal(&made).as_bytes())
}

fn door(spec: &str, way: &str, is_required: bool) -> Listener {
    let (name, scheme, _) = WAYS.into_iter().find(|it| it.0 == way).unwrap();
    let mac = MacConfig {
        key: name.to_owned(),
        scheme,
        is_required,
    };
    Listener {
        keys: LinkKeys {
            mac: Some(mac),
            ..LinkKeys::default()
        },
        ..listener("be2", spec)
    }
}

fn software() -> SoftwareHsm {
    let hsm = SoftwareHsm::new(random);
    for (name, scheme, digits) in WAYS {
        let terms = KeyTerms {
            name: name.to_owned(),
            usage: usage(scheme).to_owned(),
            version: "00".to_owned(),
            mode: b'N',
            is_exportable: false,
        };
        let added = hsm.add(terms, &unhex(digits), digits == AES);
        added.unwrap_or_else(|error| panic!("{error}"));
    }
    hsm
}

fn config(listeners: Vec<Listener>) -> Config {
    Config {
        listeners,
        ..Config::standard()
    }
}

fn guarded(listeners: Vec<Listener>) -> Switch {
    Switch::keyed(config(listeners), |pins| {
        pins.with_hsm(Arc::new(software()))
    })
}

/// The same with the keys in a device.
fn with_device(listeners: Vec<Listener>, deadline: Duration) -> (Switch, Played) {
    let device = Device::new(Settings::STANDARD, random).unwrap_or_else(|error| panic!("{error}"));
    let played = Played::start("127.0.0.1:0".parse().unwrap(), device, 4).unwrap();
    let lmk = Lmk::test().unwrap_or_else(|error| panic!("{error}"));
    let row = |(name, scheme, digits): (&str, MacScheme, &str)| {
        let key = lmk.wrap(
            usage(scheme),
            (&unhex(digits), digits == AES),
            false,
            [0; 32],
        );
        let key = key.unwrap_or_else(|error| panic!("{error}"));
        let usage = usage(scheme);
        format!(
            "[[key]]\nname = \"{name}\"\nusage = \"{usage}\"\nkey = \"{}\"\n",
            key.text()
        )
    };
    let table = key_table::parse("table", &WAYS.map(row).concat());
    let table = table.unwrap_or_else(|error| panic!("{error}"));
    let terms = LineTerms {
        addresses: vec![played.address()],
        connections_max: 4,
        deadline,
        retry: Duration::ZERO,
        health_every: Duration::from_secs(60),
        header_characters: 4,
    };
    let desk = QuestionDesk::new(4, deadline).unwrap();
    let hsm = PayShield::new(DeviceLine::new(terms).unwrap(), Settings::STANDARD, table);
    let switch = Switch::keyed(config(listeners), |pins| {
        pins.with_hsm(Arc::new(hsm)).with_desk(desk)
    });
    (switch, played)
}

/// What a door answers that wants codes; every answer has one.
fn demands_codes(switch: &Switch, client: &mut Client, way: &str) {
    let spec = client.spec();
    let telemetry = &switch.telemetry;
    let mut asked = |draft: &Draft, expected: &str, what: &str| {
        let (refused, records) = (
            telemetry.macs_refused.load(Relaxed),
            telemetry.records.load(Relaxed),
        );
        let answer = client.ask(draft);
        assert_eq!(text(&answer, 39), expected, "{spec} {way}: {what}");
        assert!(is_sealed(&answer, spec, way), "{spec} {way}: {what}");
        let is_refused = expected == "96";
        let more = telemetry.macs_refused.load(Relaxed) - refused;
        assert_eq!(more, u64::from(is_refused), "{what}");
        if is_refused {
            assert_eq!(telemetry.records.load(Relaxed), records, "{what}");
            assert!(!answer.has(2) && !answer.has(4) && answer.has(11), "{what}");
        }
    };
    let purchase = |stan| sealed(Draft::purchase(stan), spec, way);
    asked(&purchase(1), "00", "its own code");
    asked(
        &sealed(Draft::purchase(1).mti("0101"), spec, way),
        "00",
        "a repeat",
    );
    asked(&Draft::purchase(1).mti("0101"), "96", "a repeat of anybody");
    asked(&purchase(2).set(4, "000000000001"), "96", "another amount");
    asked(&purchase(2).mti("0200"), "96", "another type");
    asked(&Draft::purchase(2), "96", "none");
    asked(
        &with_code(Draft::purchase(2), spec, |_| [0; 8]),
        "96",
        "zeros",
    );
    let half = |covered: &[u8]| {
        let mut made = code(way, covered);
        made[4..].fill(0);
        made
    };
    asked(
        &with_code(Draft::purchase(2), spec, half),
        "96",
        "half of it",
    );
    let other = if way == "retail" { "bit" } else { "retail" };
    asked(
        &sealed(Draft::purchase(2), spec, other),
        "96",
        "made in another way",
    );
    asked(&purchase(2).set(102, "1"), "96", "something behind it");
    asked(&purchase(2), "00", "the same trace number, now its own");
    asked(
        &sealed(Draft::management(3, "301"), spec, way),
        "00",
        "an echo",
    );
    asked(&Draft::management(3, "301"), "96", "an echo without a code");
    let reversal = Draft::reversal_of(&Draft::purchase(2), 4);
    asked(&reversal, "96", "a reversal of anybody");
    asked(&sealed(reversal, spec, way), "00", "a reversal");
    let advice = Draft::purchase(5).mti("0120").set(39, "00");
    asked(&advice, "96", "an advice of anybody");
    asked(&sealed(advice, spec, way), "00", "an advice");
    let unread = sealed(
        Draft::purchase(6).set(4, "000000000000").without(3),
        spec,
        way,
    );
    asked(&unread, "30", "its own, and no good message");
}

#[test]
fn what_is_not_proven_to_be_the_links_own_is_refused_undecided_and_every_answer_is_proven() {
    for spec in SPECS {
        for (way, ..) in WAYS {
            let switch = guarded(vec![door(spec, way, true)]);
            let mut client = Client::of(&switch, spec);
            demands_codes(&switch, &mut client, way);
            switch.stop().unwrap();
        }
    }
}

#[test]
fn a_device_judges_and_makes_the_same_codes() {
    for spec in SPECS {
        for (way, ..) in WAYS {
            let (switch, _played) =
                with_device(vec![door(spec, way, true)], Duration::from_secs(9));
            let mut client = Client::of(&switch, spec);
            demands_codes(&switch, &mut client, way);
            switch.stop().unwrap();
        }
    }
}

#[test]
fn signing_on_and_off_is_nobody_elses_either() {
    let spec = SPECS[1];
    let mut door = door(spec, "retail", true);
    door.sign_on_required = true;
    let switch = guarded(vec![door]);
    let mut client = Client::of(&switch, spec);
    let own = |draft: Draft| sealed(draft, spec, "retail");
    assert_eq!(client.code(&Draft::management(1, "001")), "96");
    assert_eq!(client.code(&own(Draft::purchase(2))), "91");
    assert_eq!(client.code(&own(Draft::management(3, "001"))), "00");
    assert_eq!(client.code(&Draft::management(4, "002")), "96");
    assert_eq!(client.code(&own(Draft::purchase(5))), "00");
    switch.stop().unwrap();
}

#[test]
fn where_codes_are_not_demanded_one_that_comes_is_judged_and_the_others_are_answered_without() {
    for spec in SPECS {
        let switch = guarded(vec![door(spec, "retail", false)]);
        let mut client = Client::of(&switch, spec);
        let answer = client.ask(&Draft::purchase(1));
        assert_eq!(text(&answer, 39), "00");
        assert!(!answer.has(64) && !answer.has(128));
        let answer = client.ask(&sealed(Draft::purchase(2), spec, "retail"));
        assert!(text(&answer, 39) == "00" && is_sealed(&answer, spec, "retail"));
        let answer = client.ask(&sealed(Draft::purchase(3), spec, "bit"));
        assert!(text(&answer, 39) == "96" && is_sealed(&answer, spec, "retail"));
        switch.stop().unwrap();
    }
}

#[test]
fn an_unauthenticated_wrong_pin_guess_or_unknown_card_leaves_no_trace() {
    let spec = SPECS[0];
    let switch = guarded(vec![door(spec, "cmac", true)]);
    let mut client = Client::of(&switch, spec);
    let before = switch.telemetry.records.load(Relaxed);
    for stan in 1..20 {
        let unknown = Draft::purchase(stan).set(2, "4000000000000002");
        assert_eq!(client.code(&unknown), "96");
    }
    assert_eq!(switch.telemetry.records.load(Relaxed), before);
    assert_eq!(switch.telemetry.macs_refused.load(Relaxed), 19);
    switch.stop().unwrap();
}

#[test]
fn a_link_that_names_no_key_of_this_kind_does_not_open() {
    for (key, scheme, expected) in [
        (
            "retail",
            MacScheme::Cmac,
            "expected one of usage M6, got M3",
        ),
        ("aes", RETAIL, "expected one of usage M3, got M6"),
        ("none", RETAIL, "there is no key none"),
    ] {
        let mut door = door(SPECS[0], "retail", true);
        door.keys.mac = Some(MacConfig {
            key: key.to_owned(),
            scheme,
            is_required: true,
        });
        let error = Switch::refused(config(vec![door]), |pins| {
            pins.with_hsm(Arc::new(software()))
        });
        assert!(error.contains(expected), "{error}");
    }
}

fn tell(played: &Played, fault: &str) {
    played.tell(fault.parse().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn messages_of_a_link_go_on_in_their_order_however_long_a_device_takes_for_each() {
    let spec = SPECS[0];
    let (switch, played) = with_device(vec![door(spec, "retail", true)], Duration::from_secs(30));
    tell(&played, "M8=delay:150");
    let mut client = Client::of(&switch, spec);
    let all: Vec<Draft> = (1..=12)
        .map(|stan| {
            let minor = format!("{:012}", 100 * stan);
            sealed(Draft::purchase(stan).set(4, &minor), spec, "retail")
        })
        .collect();
    // Its sign-off stands in the middle: what comes behind is refused, what came before is not.
    let off = sealed(Draft::management(90, "002"), spec, "retail");
    let mut frames: Vec<u8> = Vec::new();
    for (index, draft) in all.iter().enumerate() {
        if index == 6 {
            frames.extend(client.frame_of(&off));
        }
        frames.extend(client.frame_of(draft));
    }
    client.write(&frames);
    client.finish();
    let mut codes = std::collections::BTreeMap::new();
    for _ in 0..13 {
        let answer = client.receive();
        assert!(is_sealed(&answer, spec, "retail"));
        codes.insert(text(&answer, 11), text(&answer, 39));
    }
    assert!(client.is_closed());
    for stan in 1..=12 {
        let expected = if stan <= 6 { "00" } else { "91" };
        assert_eq!(codes[&format!("{stan:06}")], expected, "{stan}");
    }
    switch.stop().unwrap();
}

#[test]
fn what_a_device_does_not_judge_is_refused_and_what_it_does_not_authenticate_is_not_said() {
    let spec = SPECS[1];
    let (switch, played) = with_device(vec![door(spec, "cmac", true)], Duration::from_secs(9));
    let mut client = Client::of(&switch, spec);
    let own = |draft: Draft| sealed(draft, spec, "cmac");
    for fault in ["M8=15", "M8=garble", "M8=hang-up"] {
        tell(&played, fault);
        assert_eq!(client.code(&own(Draft::purchase(1))), "96", "{fault}");
    }
    tell(&played, "M8=ok");
    tell(&played, "M6=15");
    let before = switch.telemetry.records.load(Relaxed);
    client.send(&own(Draft::purchase(2)));
    // Nothing can be said of it; a message behind it is told.
    while switch.telemetry.records.load(Relaxed) == before {
        std::thread::yield_now();
    }
    assert!(client.hears_nothing_for(Duration::from_millis(50)));
    tell(&played, "M6=ok");
    let answer = client.ask(&own(Draft::purchase(2).mti("0101")));
    assert_eq!(text(&answer, 39), "00", "the stored answer");
    assert!(is_sealed(&answer, spec, "cmac"));
    switch.stop().unwrap();
}

#[test]
fn a_window_of_one_is_enough_for_a_device_and_a_full_one_declines_in_time() {
    let spec = SPECS[1];
    for when_full in [WhenFull::Wait, WhenFull::Decline] {
        let mut door = door(spec, "retail", true);
        door.in_flight_max = 1;
        door.when_full = when_full;
        let (switch, _played) = with_device(vec![door], Duration::from_secs(30));
        let mut client = Client::of(&switch, spec);
        let all: Vec<Draft> = (1..=9)
            .map(|stan| sealed(Draft::purchase(stan), spec, "retail"))
            .collect();
        let frames: Vec<u8> = all.iter().flat_map(|it| client.frame_of(it)).collect();
        client.write(&frames);
        client.finish();
        let mut approved = 0;
        while let Some(frame) = client.next_frame() {
            let spec = cardswitch::iso8583::MessageSpec::builtin(spec).unwrap();
            let answer = cardswitch::iso8583::decode(spec, frame.body).unwrap();
            assert!(is_sealed(&answer, "iso87-binary", "retail"));
            match text(&answer, 39).as_str() {
                "00" => approved += 1,
                code => assert_eq!((code, when_full), ("91", WhenFull::Decline)),
            }
        }
        match when_full {
            WhenFull::Wait => assert_eq!(approved, 9),
            WhenFull::Decline => assert!(approved >= 1),
        }
        switch.stop().unwrap();
    }
}

#[test]
fn the_card_of_a_refused_message_is_not_named_anywhere() {
    let spec = SPECS[0];
    let switch = guarded(vec![door(spec, "retail", true)]);
    let mut client = Client::of(&switch, spec);
    let answer = client.ask(&Draft::purchase(1));
    assert_eq!(text(&answer, 39), "96");
    let elements: Vec<u8> = answer.elements().collect();
    assert_eq!(elements, [7, 11, 12, 32, 37, 39, 41, 64]);
    let bytes = String::from_utf8_lossy(answer.bytes()).into_owned();
    assert!(!bytes.contains(EVERYDAY));
    switch.stop().unwrap();
}
