//! Chips over TCP: cryptograms of both versions verified and answered, counters used once, with
//! keys in this process and in a device, and what is answered when that is away.

use std::fs;
use std::path::Path;

use cardswitch::crypto::emv::{CryptogramVersion, answer_1, answer_2, card_key};
use cardswitch::crypto::key::TdesKey;
use cardswitch::crypto::payshield::Settings;
use cardswitch::crypto::payshield::device::Device;
use cardswitch::crypto::payshield::lmk::Lmk;
use cardswitch::iso8583::Message;
use cardswitch::switch::hsm::played::Played;
use cardswitch::switch::pin_keys::random;

use crate::hsm::unhex;
use crate::support::{Client, Draft, EVERYDAY, Process, text};

const ISSUER: &str = "0123456789ABCDEFFEDCBA9876543210";
const ZONE: &str = "89ABCDEF0123456776543210FEDCBA98";
/// Doors for the editions whose answers to chips differ.
pub(crate) const DOORS: [(&str, &str); 2] =
    [("iso87-ascii", "iso87"), ("iso87-binary", "visa-style")];

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn issuer() -> TdesKey {
    TdesKey::from_hex(ISSUER).unwrap_or_else(|error| panic!("{error}"))
}

/// A chip that makes cryptograms like a real one.
struct Card {
    version: CryptogramVersion,
    sequence_number: u8,
}

impl Card {
    const OF_10: Card = Card {
        version: CryptogramVersion::V10,
        sequence_number: 1,
    };
    const OF_18: Card = Card {
        version: CryptogramVersion::V18,
        sequence_number: 18,
    };

    fn issuer_data(&self) -> &'static str {
        match self.version {
            CryptogramVersion::V10 => "06010A03A06010",
            CryptogramVersion::V18 => "06011203A0B800",
        }
    }

    /// The purchase with this chip's data, and its request cryptogram.
    fn pays(&self, stan: u32, counter: u16) -> (Draft, [u8; 8]) {
        let own = self.issuer_data();
        let signed = format!(
            "0000000012000000000000000392000000000003922703090052BF45855800{counter:04X}{}",
            match self.version {
                CryptogramVersion::V10 => &own[6..],
                CryptogramVersion::V18 => own,
            }
        );
        let key = card_key(&issuer(), EVERYDAY, self.sequence_number).unwrap();
        let (request, _) = self.version.request(key, counter, &unhex(&signed));
        let terminal = concat!(
            "9F02060000000012009F03060000000000009F1A020392950500000000005F2A020392",
            "9A032703099C01009F370452BF458582025800"
        );
        let data = format!(
            "{terminal}9F3602{counter:04X}9F1007{own}9F2608{}9F270180",
            hexadecimal(&request)
        );
        let draft = Draft::purchase(stan)
            .set(22, "052")
            .set(23, &format!("{:03}", self.sequence_number))
            .set(55, &data);
        (draft, request)
    }

    /// What the issuer must answer.
    fn expects(&self, request: [u8; 8], counter: u16, code: &str) -> String {
        let key = card_key(&issuer(), EVERYDAY, self.sequence_number).unwrap();
        match self.version {
            CryptogramVersion::V10 => {
                let code: [u8; 2] = code.as_bytes().try_into().unwrap();
                let answer = answer_1(&key, request, code);
                format!("910A{}{}", hexadecimal(&answer), hexadecimal(&code))
            }
            CryptogramVersion::V18 => {
                let key = cardswitch::crypto::emv::session_key(&key, counter);
                let status = match code {
                    "00" => [0, 0x80, 0, 0],
                    _ => [0; 4],
                };
                let answer = answer_2(&key, request, status, &[]);
                format!("9108{}{}", hexadecimal(&answer), hexadecimal(&status))
            }
        }
    }
}

/// DE 55 of an answer as hexadecimal digits; empty without it.
fn told(answer: &Message) -> String {
    match answer.binary(55) {
        Some(bytes) => hexadecimal(&bytes),
        None => text(answer, 55),
    }
}

pub(crate) fn doors() -> String {
    let door = |(spec, dialect): (&str, &str)| {
        format!(
            "[[listener]]\nname = \"{spec}\"\naddress = \"127.0.0.1:0\"\nframing = \"be2\"\n\
             spec = \"{spec}\"\ndialect = \"{dialect}\"\n"
        )
    };
    DOORS.map(door).concat()
}

const CHECKS: &str = "[[card_check]]\nbins = [\"4\"]\n\
                      [[card_check]]\nbins = [\"476173\"]\nchip_key = \"chip\"\n";

/// Keys in this process.
fn software(directory: &Path) -> String {
    let keys = directory.join("keys.toml");
    let text = format!(
        "zone_key = \"{ZONE}\"\nverification_key = []\n\
         [[key]]\nname = \"chip\"\nusage = \"E0\"\nkey = \"{ISSUER}\"\n"
    );
    fs::write(&keys, text).unwrap();
    let path = directory.join("switch.toml");
    let keys = keys.display();
    fs::write(&path, format!("pin_keys = \"{keys}\"\n{}{CHECKS}", doors())).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The same key in a device, and none for PINs.
fn with_device(directory: &Path, played: &Played) -> String {
    let lmk = Lmk::test().unwrap_or_else(|error| panic!("{error}"));
    let key = lmk.wrap("E0", (&unhex(ISSUER), false), false, [0; 32]);
    let key = key.unwrap_or_else(|error| panic!("{error}"));
    let keys = directory.join("keys.toml");
    let row = "[[key]]\nname = \"chip\"\nusage = \"E0\"\n";
    fs::write(&keys, format!("{row}key = \"{}\"\n", key.text())).unwrap();
    let path = directory.join("switch.toml");
    let (address, keys) = (played.address(), keys.display());
    let hsm = format!("[hsm]\naddresses = [\"{address}\"]\nkeys = \"{keys}\"\nretry_ms = 0\n");
    fs::write(&path, format!("{}{hsm}{CHECKS}", doors())).unwrap();
    path.to_str().unwrap().to_owned()
}

pub(crate) fn played(address: &str) -> Played {
    let device = Device::new(Settings::STANDARD, random);
    let device = device.unwrap_or_else(|error| panic!("{error}"));
    Played::start(address.parse().unwrap(), device, 4).unwrap()
}

/// Both chips through one door; every purchase has a counter of its own above `from`.
fn converse(process: &Process, door: usize, from: u16) {
    let mut client = Client::connect(&process.addresses[door], "be2", DOORS[door].0);
    let mut stan = 100 * u32::try_from(door + 1).unwrap();
    for card in [Card::OF_10, Card::OF_18] {
        let mut next = || {
            stan += 1;
            stan
        };
        let (approved, request) = card.pays(next(), from);
        let answer = client.ask(&approved);
        assert_eq!(text(&answer, 39), "00");
        assert_eq!(told(&answer), card.expects(request, from, "00"));
        // The same message again: the same answer, and no replay.
        let again = client.ask(&approved.clone().mti("0101"));
        assert_eq!(text(&again, 39), "00");
        assert_eq!(told(&again), told(&answer));
        // The same cryptogram in another message.
        let (replayed, _) = card.pays(next(), from);
        let answer = client.ask(&replayed);
        assert_eq!(text(&answer, 39), "82");
        // It is the card's own, so the card is told of the decline.
        assert_eq!(told(&answer), card.expects(request, from, "82"));
        // A decline for another reason is told to the card too, and uses the counter.
        let (dear, request) = card.pays(next(), from + 1);
        let answer = client.ask(&dear.clone().set(4, "000000090000"));
        assert_eq!(text(&answer, 39), "51");
        assert_eq!(told(&answer), card.expects(request, from + 1, "51"));
        assert_eq!(client.code(&dear.set(11, &format!("{:06}", next()))), "82");
        // Who is no card gets nothing to learn from.
        let (whole, _) = card.pays(next(), from + 2);
        let data = whole.get(55).to_owned();
        let other = |old: &str, new: &str| {
            assert!(data.contains(old), "{old}");
            data.replace(old, new)
        };
        let (own, unknown) = match card.version {
            CryptogramVersion::V10 => ("06010A", "06010B"),
            CryptogramVersion::V18 => ("060112", "060113"),
        };
        for (data, code) in [
            (other("9F0206000000001200", "9F0206000000000100"), "82"),
            (other(own, unknown), "82"),
            (other("9F270180", "9F270140"), "30"),
            (other("82025800", "82025800".repeat(2).as_str()), "30"),
            (data[..data.len() - 2].to_owned(), "30"),
        ] {
            let bent = whole.clone().set(55, &data);
            let answer = client.ask(&bent.set(11, &format!("{:06}", next())));
            assert_eq!(text(&answer, 39), code);
            assert_eq!(told(&answer), "");
        }
        let bare = Draft::purchase(next()).set(22, "052");
        assert_eq!(
            client.code(&bare),
            "82",
            "read by its chip, and no cryptogram"
        );
        assert_eq!(client.code(&whole), "00", "none of that used its counter");
        assert_eq!(
            client.code(&Draft::purchase(next()).set(22, "902")),
            "00",
            "the stripe"
        );
    }
}

#[test]
fn a_chip_is_verified_and_answered_with_keys_in_this_process_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let config = software(directory.path());
    let process = Process::serve_in(directory, &["--demo", "--config", &config]);
    converse(&process, 0, 0x1C);
    converse(&process, 1, 0x2C);
    let (used, request) = Card::OF_10.pays(901, 0x1D);
    // Killed: what was answered is in the journal, counters included.
    let process = Process::serve_in(process.kill(), &["--demo", "--config", &config]);
    let mut client = Client::connect(&process.addresses[0], "be2", DOORS[0].0);
    assert_eq!(client.code(&used), "82");
    let (fresh, _) = Card::OF_10.pays(902, 0x1F);
    assert_eq!(client.code(&fresh), "00", "below the highest, and not used");
    let directory = process.stop();
    // No cryptogram is kept anywhere.
    let digits = hexadecimal(&request);
    for needle in [
        request.to_vec(),
        digits.to_lowercase().into_bytes(),
        digits.into_bytes(),
    ] {
        for file in files_below(directory.path()) {
            let bytes = fs::read(&file).unwrap();
            let is_in = bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!is_in, "{}", file.display());
        }
    }
}

pub(crate) fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![path],
        })
        .collect()
}

#[test]
fn a_chip_is_verified_and_answered_by_a_device_that_may_be_away() {
    let played = played("127.0.0.1:0");
    let address = played.address().to_string();
    let directory = tempfile::tempdir().unwrap();
    let config = with_device(directory.path(), &played);
    let process = Process::serve_in(directory, &["--demo", "--config", &config]);
    converse(&process, 1, 0x1C);
    converse(&process, 0, 0x2C);
    let mut client = Client::connect(&process.addresses[0], "be2", DOORS[0].0);
    let (first, request) = Card::OF_10.pays(901, 0x3C);
    drop(played);
    assert_eq!(client.code(&first), "96");
    assert_eq!(
        client.code(&Draft::purchase(902).set(22, "902")),
        "00",
        "needs no device"
    );
    let back = self::played(&address);
    let answer = client.ask(&first.mti("0101"));
    assert_eq!(text(&answer, 39), "00");
    assert_eq!(told(&answer), Card::OF_10.expects(request, 0x3C, "00"));
    // A device that judges, and is away when the answer is made: the decision stands.
    back.tell("KW=03".parse().unwrap_or_else(|error| panic!("{error}")));
    let (refused, _) = Card::OF_18.pays(903, 0x3D);
    let answer = client.ask(&refused);
    assert_eq!(
        (text(&answer, 39).as_str(), told(&answer).as_str()),
        ("96", "")
    );
    process.stop();
}

#[test]
fn a_check_without_its_key_stops_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let config = software(directory.path());
    let text = fs::read_to_string(&config).unwrap();
    for (old, new, told) in [
        (
            "chip_key = \"chip\"",
            "chip_key = \"imk\"",
            "there is no key imk",
        ),
        (
            "chip_key = \"chip\"",
            "chip_key = \"zone\"",
            "expected usage E0, got P0",
        ),
    ] {
        fs::write(&config, text.replace(old, new)).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_cardswitch"))
            .args(["serve", "--config", &config, "--data"])
            .arg(directory.path().join("store"))
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{error}");
        assert!(error.contains(told), "{error}");
    }
}
