//! New keys of a link over TCP (0800): taken under the key-exchange key, proven, kept over a
//! restart, with the key before still good for a while.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cardswitch::crypto::hsm::{ExportKey, Hsm, KeyForm};
use cardswitch::crypto::key::{BlockKey, TdesKey};
use cardswitch::crypto::mac::{Padding, retail_mac};
use cardswitch::crypto::payshield::Settings;
use cardswitch::crypto::payshield::client::PayShield;
use cardswitch::crypto::payshield::device::Device;
use cardswitch::crypto::payshield::lmk::Lmk;
use cardswitch::crypto::pin_block::{Pin, encipher};
use cardswitch::crypto::software::{KeyTerms, SoftwareHsm};
use cardswitch::iso8583::Message;
use cardswitch::switch::config::{Config, ExchangeConfig, LinkKeys, Listener, MacConfig};
use cardswitch::switch::hsm::desk::QuestionDesk;
use cardswitch::switch::hsm::key_table;
use cardswitch::switch::hsm::line::{DeviceLine, LineTerms};
use cardswitch::switch::hsm::played::Played;
use cardswitch::switch::pin_keys::random;

use crate::hsm::unhex;
use crate::macs::{TDES, hexadecimal, size, with_code};
use crate::support::{Client, Draft, EVERYDAY, Process, SPECS, Switch, listener, text};

const EXCHANGE: &str = "B5C8D0E0F2F4131516191A1C1F202325";
const NEXT: &str = "01070B0D0E1013158A8C8F919294979B";
const AFTER: &str = "4C4F5152545758585B5D5E6162646768";
/// PIN keys of the demo.
const ZONE: &str = "0123456789ABCDEFFEDCBA9876543210";
const PVV: &str = "89ABCDEF0123456776543210FEDCBA98";

fn key(digits: &str) -> TdesKey {
    TdesKey::from_hex(digits).unwrap_or_else(|error| panic!("{error}"))
}

/// The halves of a key, each under the key-exchange key, and its check value.
fn halves(digits: &str) -> String {
    let exchange = key(EXCHANGE);
    let halves = unhex(digits);
    let halves = halves.as_chunks::<8>().0.iter();
    let wrapped: Vec<u8> = halves.flat_map(|half| exchange.encrypt(*half)).collect();
    hexadecimal(&wrapped) + &hexadecimal(&key(digits).check_value())
}

/// The key in a block under the key-exchange key.
fn block(digits: &str, usage: &str) -> String {
    let hsm = SoftwareHsm::new(random);
    for (name, usage, digits) in [("exchange", "K0", EXCHANGE), ("key", usage, digits)] {
        let terms = KeyTerms {
            name: name.to_owned(),
            usage: usage.to_owned(),
            version: "00".to_owned(),
            mode: b'N',
            is_exportable: true,
        };
        let added = hsm.add(terms, &unhex(digits), false);
        added.unwrap_or_else(|error| panic!("{error}"));
    }
    let ask = ExportKey {
        name: "key",
        under: "exchange",
        as_block: true,
    };
    match hsm.export_key(&ask) {
        Ok(KeyForm::Block(block)) => block,
        _ => panic!("no block"),
    }
}

fn sealed(draft: Draft, spec: &str, digits: &str) -> Draft {
    with_code(draft, spec, |covered| {
        retail_mac(&key(digits), Padding::Zeros, covered)
    })
}

/// Under which of these keys an answer is authenticated.
fn seal_of(answer: &Message, spec: &str) -> &'static str {
    let (covered, came) = answer.bytes().split_at(answer.bytes().len() - size(spec));
    let is_of = |digits: &&str| {
        let made = retail_mac(&key(digits), Padding::Zeros, covered);
        came == made || came == hexadecimal(&made).as_bytes()
    };
    [TDES, NEXT, AFTER]
        .into_iter()
        .find(is_of)
        .unwrap_or("none")
}

/// A conversation under keys that change.
struct Peer {
    client: Client,
    stan: u32,
}

impl Peer {
    fn of(process: &Process, door: usize) -> Peer {
        let client = Client::connect(&process.addresses[door], "be2", SPECS[door]);
        // Both doors have messages of one acquirer.
        let stan = if door == 0 { 0 } else { 1_000 };
        Peer { client, stan }
    }

    /// The code of an answer, and the key that it is authenticated with.
    fn says(&mut self, draft: &Draft) -> (String, &'static str) {
        let answer = self.client.ask(draft);
        let seal = seal_of(&answer, self.client.spec());
        (text(&answer, 39), seal)
    }

    fn next(&mut self) -> u32 {
        self.stan += 1;
        self.stan
    }

    fn brings(&mut self, code: &str, new: &str, under: &str) -> (String, &'static str) {
        let draft = Draft::management(self.next(), code).set(48, new);
        let draft = sealed(draft, self.client.spec(), under);
        self.says(&draft)
    }

    fn pays(&mut self, under: &str) -> (String, &'static str) {
        let draft = sealed(
            Draft::purchase(self.next()).set(4, "000000000100"),
            self.client.spec(),
            under,
        );
        self.says(&draft)
    }
}

/// A configuration with keys in a clear file: messages and PINs of both doors have keys of their
/// own.
fn configured(directory: &Path, overlap_seconds: u64) -> String {
    let row = |(name, usage, digits): (&str, &str, &str)| {
        format!("[[key]]\nname = \"{name}\"\nusage = \"{usage}\"\nkey = \"{digits}\"\n")
    };
    let keys = [
        ("mac", "M3", TDES),
        ("pin-a", "P0", AFTER),
        ("exchange", "K0", EXCHANGE),
    ];
    let text = format!(
        "zone_key = \"{ZONE}\"\n[[verification_key]]\nindex = 1\nkey = \"{PVV}\"\n{}",
        keys.map(row).concat()
    );
    fs::write(directory.join("keys.toml"), text).unwrap();
    let door = |spec: &str| {
        format!(
            "[[listener]]\nname = \"{spec}\"\naddress = \"127.0.0.1:0\"\nframing = \"be2\"\n\
             spec = \"{spec}\"\npin_key = \"pin-a\"\n\
             mac = {{ key = \"mac\", algorithm = \"x9.19\" }}\n\
             key_exchange = {{ under = \"exchange\", overlap_seconds = {overlap_seconds} }}\n"
        )
    };
    let keys = directory.join("keys.toml").display().to_string();
    let text = format!("pin_keys = \"{keys}\"\n{}", SPECS.map(door).concat());
    let path = directory.join("switch.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn serve(overlap_seconds: u64) -> (Process, String) {
    let directory = tempfile::tempdir().unwrap();
    let config = configured(directory.path(), overlap_seconds);
    let process = Process::serve_in(directory, &["--demo", "--config", &config]);
    (process, config)
}

fn told(code: &str, under: &'static str) -> (String, &'static str) {
    (code.to_owned(), under)
}

#[test]
fn a_new_key_counts_at_once_the_one_before_it_for_a_while_and_both_over_a_restart() {
    let (process, config) = serve(86_400);
    for door in 0..2 {
        let mut peer = Peer::of(&process, door);
        assert_eq!(peer.pays(TDES), told("00", TDES));
        // The answer has the key of its request; who lost it asks again.
        assert_eq!(peer.brings("163", &halves(NEXT), TDES), told("00", TDES));
        assert_eq!(peer.brings("163", &halves(NEXT), TDES), told("00", TDES));
        assert_eq!(peer.pays(NEXT), told("00", NEXT));
        assert_eq!(peer.pays(TDES), told("00", TDES));
        assert_eq!(peer.pays(AFTER), told("96", NEXT));
    }
    let directory = process.stop();
    let kept = fs::read_to_string(directory.path().join("store/link-keys.toml")).unwrap();
    for digits in [TDES, NEXT, AFTER, EXCHANGE] {
        assert!(!kept.contains(digits) && !kept.contains(&digits.to_lowercase()));
    }
    assert!(kept.contains("check_value"));
    let process = Process::serve_in(directory, &["--demo", "--config", &config]);
    for door in 0..2 {
        let mut peer = Peer::of(&process, door);
        peer.stan += 100;
        assert_eq!(peer.pays(NEXT), told("00", NEXT));
        assert_eq!(peer.pays(TDES), told("00", TDES));
        // A third one: the first is good no more.
        assert_eq!(
            peer.brings("161", &block(AFTER, "M3"), NEXT),
            told("00", NEXT)
        );
        assert_eq!(peer.pays(AFTER), told("00", AFTER));
        assert_eq!(peer.pays(NEXT), told("00", NEXT));
        assert_eq!(peer.pays(TDES), told("96", AFTER));
    }
    let process = Process::serve_in(process.kill(), &["--demo", "--config", &config]);
    let mut peer = Peer::of(&process, 0);
    peer.stan += 200;
    assert_eq!(peer.pays(AFTER), told("00", AFTER));
    assert_eq!(peer.pays(TDES), told("96", AFTER));
    let directory = process.stop();
    let log = fs::read_to_string(directory.path().join("stdout")).unwrap();
    let value = hexadecimal(&key(AFTER).check_value());
    let said = |log: &str, value: &str| log.contains("\"check_value\"") && log.contains(value);
    assert!(!said(&log, &value), "taken before this start");
    for digits in [TDES, NEXT, AFTER, EXCHANGE, &halves(AFTER)[..32]] {
        assert!(!log.contains(digits));
    }
}

#[test]
fn without_an_overlap_the_key_before_is_good_for_nothing() {
    let (process, _) = serve(0);
    let mut peer = Peer::of(&process, 0);
    assert_eq!(peer.brings("163", &halves(NEXT), TDES), told("00", TDES));
    assert_eq!(peer.pays(TDES), told("96", NEXT));
    assert_eq!(peer.pays(NEXT), told("00", NEXT));
    process.stop();
}

#[test]
fn what_is_no_key_or_not_the_links_own_changes_nothing() {
    let (process, _) = serve(300);
    let good = halves(NEXT);
    let mut wrong_value = good.clone();
    wrong_value.replace_range(32.., "000000");
    let mut damaged = good.clone();
    damaged.replace_range(0..2, if good.starts_with("00") { "11" } else { "00" });
    let of_pins = block(NEXT, "P0");
    let of_exchange = block(NEXT, "K0");
    let mut broken = block(NEXT, "M3");
    broken.replace_range(20..22, if broken[20..22] == *"00" { "11" } else { "00" });
    let mut peer = Peer::of(&process, 0);
    for (code, new, expected) in [
        ("163", wrong_value.as_str(), "96"),
        ("163", &damaged, "96"),
        ("163", &good[..32], "30"),
        ("163", "", "30"),
        ("163", &of_pins, "96"),
        ("161", &of_exchange, "30"),
        ("161", &good, "30"),
        ("161", &broken, "96"),
        ("162", &good[..37], "30"),
    ] {
        let said = match new {
            "" => {
                let draft = Draft::management(peer.next(), code);
                let draft = sealed(draft, SPECS[0], TDES);
                peer.says(&draft)
            }
            new => peer.brings(code, new, TDES),
        };
        assert_eq!(said, told(expected, TDES), "{code} {}", new.len());
        assert_eq!(peer.pays(TDES), told("00", TDES));
        assert_eq!(peer.pays(NEXT), told("96", TDES));
    }
    // Somebody else brings a good one.
    assert_eq!(peer.brings("163", &good, AFTER), told("96", TDES));
    assert_eq!(peer.pays(NEXT), told("96", TDES));
    process.stop();
}

/// A purchase with a PIN block under a key.
fn with_pin(draft: Draft, pin: &str, zone: &str) -> Draft {
    let pin = Pin::from_digits(pin).unwrap_or_else(|error| panic!("{error}"));
    let block = encipher(&key(zone), &pin, EVERYDAY).unwrap();
    draft.set(52, &hexadecimal(&block))
}

#[test]
fn a_new_pin_key_of_one_link_is_no_other_links() {
    let (process, config) = serve(300);
    let mut peers = [Peer::of(&process, 0), Peer::of(&process, 1)];
    let judge = |peer: &mut Peer, pin: &str, zone: &str| {
        let draft = Draft::purchase(peer.next()).set(4, "000000000100");
        let draft = sealed(with_pin(draft, pin, zone), peer.client.spec(), TDES);
        peer.says(&draft).0
    };
    for peer in &mut peers {
        assert_eq!(judge(peer, "2580", AFTER), "00");
        assert_eq!(
            judge(peer, "2580", ZONE),
            "81",
            "the key of nobody in particular"
        );
    }
    assert_eq!(
        peers[0].brings("162", &halves(NEXT), TDES),
        told("00", TDES)
    );
    for (peer, expected) in peers.iter_mut().zip(["00", "81"]) {
        assert_eq!(judge(peer, "2580", NEXT), expected);
        assert_eq!(judge(peer, "2580", AFTER), "00");
    }
    assert_eq!(judge(&mut peers[0], "2581", NEXT), "55", "a try, once");
    assert_eq!(judge(&mut peers[0], "2580", NEXT), "00");
    let process = Process::serve_in(process.stop(), &["--demo", "--config", &config]);
    for (door, expected) in ["00", "81"].into_iter().enumerate() {
        let mut peer = Peer::of(&process, door);
        peer.stan += 100;
        assert_eq!(judge(&mut peer, "2580", NEXT), expected);
    }
    process.stop();
}

#[test]
fn a_link_without_key_exchange_takes_none_and_signs_on_and_off_as_ever() {
    let switch = Switch::start(vec![listener("be2", SPECS[0])]);
    let mut client = Client::of(&switch, SPECS[0]);
    let new = Draft::management(1, "163").set(48, &halves(NEXT));
    assert_eq!(client.code(&new), "12");
    for (stan, code) in [(2, "001"), (3, "301"), (4, "002")] {
        assert_eq!(client.code(&Draft::management(stan, code)), "00");
    }
    switch.stop().unwrap();
}

#[test]
fn a_device_takes_a_new_key_and_authenticates_with_it() {
    let device = Device::new(Settings::STANDARD, random).unwrap_or_else(|error| panic!("{error}"));
    let played = Played::start("127.0.0.1:0".parse().unwrap(), device, 4).unwrap();
    let lmk = Lmk::test().unwrap_or_else(|error| panic!("{error}"));
    let row = |(name, usage, digits): (&str, &str, &str)| {
        let wrapped = lmk.wrap(usage, (&unhex(digits), false), false, [0; 32]);
        let wrapped = wrapped.unwrap_or_else(|error| panic!("{error}"));
        format!(
            "[[key]]\nname = \"{name}\"\nusage = \"{usage}\"\nkey = \"{}\"\n",
            wrapped.text()
        )
    };
    let table = [("mac", "M3", TDES), ("exchange", "K0", EXCHANGE)].map(row);
    let table = key_table::parse("table", &table.concat()).unwrap_or_else(|e| panic!("{e}"));
    let deadline = Duration::from_secs(9);
    let terms = LineTerms {
        addresses: vec![played.address()],
        connections_max: 2,
        deadline,
        retry: Duration::ZERO,
        health_every: Duration::from_secs(60),
        header_characters: 4,
    };
    let hsm = PayShield::new(DeviceLine::new(terms).unwrap(), Settings::STANDARD, table);
    let door = Listener {
        keys: LinkKeys {
            mac: Some(MacConfig {
                key: "mac".to_owned(),
                scheme: cardswitch::crypto::hsm::MacScheme::Retail(Padding::Zeros),
                is_required: true,
            }),
            exchange: Some(ExchangeConfig {
                under: "exchange".to_owned(),
                overlap_seconds: 300,
            }),
            ..LinkKeys::default()
        },
        ..listener("be2", SPECS[1])
    };
    let config = Config {
        listeners: vec![door],
        ..Config::standard()
    };
    let switch = Switch::keyed(config, |pins| {
        let desk = QuestionDesk::new(2, deadline).unwrap();
        pins.with_hsm(Arc::new(hsm)).with_desk(desk)
    });
    let client = Client::of(&switch, SPECS[1]);
    let mut peer = Peer { client, stan: 1 };
    let mut wrong = halves(NEXT);
    wrong.replace_range(32.., "000000");
    assert_eq!(peer.brings("163", &wrong, TDES), told("96", TDES));
    assert_eq!(peer.pays(NEXT), told("96", TDES));
    assert_eq!(peer.brings("163", &halves(NEXT), TDES), told("00", TDES));
    assert_eq!(peer.pays(NEXT), told("00", NEXT));
    assert_eq!(peer.pays(TDES), told("00", TDES));
    switch.stop().unwrap();
}
