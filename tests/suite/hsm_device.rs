//! HSM devices: the published vectors over host commands, and every way in which a device fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use cardswitch::crypto::hsm::{
    Hsm, HsmError, MacOver, MacScheme, PinBlock, PinMethod, PinSource, PinValue, Verdict, VerifyPin,
};
use cardswitch::crypto::key::TdesKey;
use cardswitch::crypto::payshield::client::{PayShield, TableKey};
use cardswitch::crypto::payshield::device::Device;
use cardswitch::crypto::payshield::lmk::Lmk;
use cardswitch::crypto::payshield::{Line, Settings};
use cardswitch::crypto::pin_block::{Format, Pin, encipher};
use cardswitch::switch::hsm::key_table;
use cardswitch::switch::hsm::line::{DeviceLine, LineTerms};
use cardswitch::switch::hsm::played::{FaultOf, Played};
use cardswitch::switch::pin_keys::random;

use crate::hsm::{AES, KEYS, every_vector, unhex};

const SETTINGS: Settings = Settings {
    device_judges_choice: true,
    ..Settings::STANDARD
};
const PAN: &str = "1122334455667788";

/// The keys of the vectors under the test LMK.
fn table() -> Vec<TableKey> {
    let lmk = Lmk::test().unwrap_or_else(|error| panic!("{error}"));
    let mut text = String::new();
    for (name, usage, version, digits) in KEYS {
        let bytes = unhex(digits);
        let key = lmk.wrap(usage, (&bytes, AES.contains(&name)), false, [3; 32]);
        let key = key.unwrap_or_else(|error| panic!("{name}: {error}"));
        let (key, exportable) = (key.text(), name != "zone");
        text.push_str(&format!(
            "[[key]]\nname = \"{name}\"\nusage = \"{usage}\"\nversion = \"{version}\"\n\
             key = \"{key}\"\nexportable = {exportable}\n"
        ));
    }
    key_table::parse("table", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn device(settings: Settings) -> Device {
    Device::new(settings, random).unwrap_or_else(|error| panic!("{error}"))
}

/// A device without a network.
struct Beside(Device);

impl Line for Beside {
    fn name(&self) -> String {
        "beside".to_owned()
    }

    fn exchange(&self, command: &'static str, fields: &[u8]) -> Result<Vec<u8>, HsmError> {
        Ok(self.0.answer(&[command.as_bytes(), fields].concat()))
    }
}

/// A device without a network, with the keys of the vectors.
pub(crate) fn beside() -> PayShield<impl Line> {
    PayShield::new(Beside(device(SETTINGS)), SETTINGS, table())
}

fn played(address: SocketAddr) -> Played {
    Played::start(address, device(SETTINGS), 4).unwrap()
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn terms(addresses: Vec<SocketAddr>) -> LineTerms {
    LineTerms {
        addresses,
        connections_max: 2,
        deadline: Duration::from_secs(30),
        retry: Duration::ZERO,
        health_every: Duration::from_secs(3_600),
        header_characters: 4,
    }
}

fn connected(terms: LineTerms) -> PayShield<DeviceLine> {
    PayShield::new(DeviceLine::new(terms).unwrap(), SETTINGS, table())
}

/// The verdict about PIN 4524, whose value is 8523.
fn judge(hsm: &dyn Hsm, value: [u8; 4]) -> Result<Verdict, HsmError> {
    let zone = TdesKey::from_hex(KEYS[0].3).unwrap_or_else(|error| panic!("{error}"));
    let pin = Pin::from_digits("4524").unwrap_or_else(|error| panic!("{error}"));
    let block = encipher(&zone, &pin, PAN).unwrap();
    hsm.verify_pin(&VerifyPin {
        pin: PinSource::Block(PinBlock {
            key: "zone",
            format: Format::Iso0,
            bytes: &block,
            pan: PAN,
        }),
        method: PinMethod::Pvv {
            key: "pvv",
            index: 1,
            over: PAN,
        },
        value: &PinValue::Pvv(value),
    })
}

const RIGHT: [u8; 4] = [8, 5, 2, 3];

fn fault(text: &str) -> FaultOf {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_device_answers_every_published_vector_whatever_is_not_sure_about_it() {
    for settings in [
        SETTINGS,
        Settings {
            kw_scheme: b'0',
            kw_has_unpredictable: false,
            kw_device_fills: true,
            cmac_algorithm: b'5',
            block_scheme: b'T',
            account_end: b'*',
            ..SETTINGS
        },
    ] {
        every_vector(&PayShield::new(Beside(device(settings)), settings, table()));
    }
}

#[test]
fn a_device_over_tcp_answers_every_published_vector_and_many_callers_share_two_connections() {
    let played = played(anywhere());
    let hsm = Arc::new(connected(terms(vec![played.address()])));
    every_vector(&*hsm);
    assert!(hsm.health().unwrap().contains("PLAYED"));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let hsm = Arc::clone(&hsm);
            std::thread::spawn(move || {
                (0..20).all(|_| {
                    judge(&*hsm, RIGHT) == Ok(Verdict::Right)
                        && judge(&*hsm, [0; 4]) == Ok(Verdict::Wrong)
                })
            })
        })
        .collect();
    assert!(callers.into_iter().all(|caller| caller.join().unwrap()));
}

#[test]
fn whatever_a_device_answers_instead_no_pin_is_right_and_each_failure_has_its_name() {
    let played = played(anywhere());
    let hsm = connected(terms(vec![played.address()]));
    for (told, expected) in [
        ("EC=20", "no PIN of this card"),
        ("EC=24", "no PIN of this card"),
        ("EC=10", "refused EC with 10: the parity of a key is wrong"),
        ("EC=13", "refused EC with 13: the LMK"),
        ("EC=15", "refused EC with 15"),
        ("EC=02", "refused EC with 02"),
        ("EC=68", "refused EC with 68: the command is disabled"),
        ("EC=99", "refused EC with 99: not in the list"),
        ("EC=garble", "answered EC with something else"),
        ("EC=hang-up", "no device can be reached"),
        ("*=80", "refused EC with 80"),
    ] {
        played.tell(fault(told));
        let error = judge(&hsm, RIGHT).err().unwrap();
        assert!(error.to_string().contains(expected), "{told}: {error}");
        let is_malformed = error == HsmError::MalformedPinBlock;
        assert_eq!(error.is_outage(), !is_malformed, "{told}");
        played.tell(fault(&format!("{}=ok", &told[..told.find('=').unwrap()])));
        assert_eq!(judge(&hsm, RIGHT), Ok(Verdict::Right), "after {told}");
    }
    played.tell(fault("EC=01"));
    assert_eq!(judge(&hsm, RIGHT), Ok(Verdict::Wrong));
    played.tell(fault("EC=delay:5"));
    assert_eq!(judge(&hsm, RIGHT), Ok(Verdict::Right), "slow is not late");
}

#[test]
fn a_silent_device_is_late_and_after_three_times_away_until_it_answers_a_look() {
    let played = played(anywhere());
    played.tell(fault("EC=silence"));
    let hsm = connected(LineTerms {
        deadline: Duration::from_millis(30),
        retry: Duration::from_secs(3_600),
        ..terms(vec![played.address()])
    });
    let late = HsmError::Late {
        command: "EC",
        limit_ms: 30,
    };
    // The look at the start may come in between, and it is answered.
    let errors: Vec<HsmError> = (0..8).map(|_| judge(&hsm, RIGHT).err().unwrap()).collect();
    let counted = errors.iter().take_while(|error| **error == late).count();
    assert!((3..=6).contains(&counted), "{errors:?}");
    assert!(errors[counted].to_string().contains("failed a moment ago"));
}

#[test]
fn a_dead_device_is_refused_at_once_and_used_again_when_it_is_back() {
    let played = played(anywhere());
    let address = played.address();
    let hsm = connected(terms(vec![address]));
    assert_eq!(judge(&hsm, RIGHT), Ok(Verdict::Right));
    drop(played);
    let error = judge(&hsm, RIGHT).err().unwrap();
    assert!(matches!(error, HsmError::Unreachable { .. }), "{error}");
    assert!(hsm.health().is_err());
    let _back = self::played(address);
    assert_eq!(judge(&hsm, RIGHT), Ok(Verdict::Right));
}

#[test]
fn a_second_device_takes_over_and_the_look_brings_the_first_one_back() {
    let (one, two) = (played(anywhere()), played(anywhere()));
    let hsm = connected(LineTerms {
        retry: Duration::from_secs(3_600),
        health_every: Duration::from_millis(5),
        ..terms(vec![one.address(), two.address()])
    });
    let address = one.address();
    drop(one);
    for _ in 0..3 {
        assert_eq!(judge(&hsm, RIGHT), Ok(Verdict::Right), "the second");
    }
    let _one = played(address);
    while hsm.line().devices_up() < 2 {
        std::thread::yield_now();
    }
    drop(two);
    assert_eq!(judge(&hsm, RIGHT), Ok(Verdict::Right), "the first");
}

#[test]
fn what_no_device_may_see_or_say_is_not_offered() {
    let settings = Settings::STANDARD;
    let hsm = PayShield::new(Beside(device(settings)), settings, table());
    let pin = Pin::from_digits("4524").unwrap_or_else(|error| panic!("{error}"));
    let method = |over| PinMethod::Pvv {
        key: "pvv",
        index: 1,
        over,
    };
    let clear = hsm.verify_pin(&VerifyPin {
        pin: PinSource::Clear(&pin),
        method: method(PAN),
        value: &PinValue::Pvv(RIGHT),
    });
    assert!(matches!(clear, Err(HsmError::NotOffered { .. })));
    let block = PinBlock {
        key: "zone",
        format: Format::Iso0,
        bytes: &[0; 8],
        pan: PAN,
    };
    let of_account = hsm.verify_pin(&VerifyPin {
        pin: PinSource::Block(block),
        method: method("000000000070"),
        value: &PinValue::Pvv(RIGHT),
    });
    assert!(matches!(of_account, Err(HsmError::NotOffered { .. })));
    let new = hsm.set_pin(&cardswitch::crypto::hsm::SetPin {
        pin: PinSource::Block(block),
        method: method(PAN),
        may_be_chosen: &|_| true,
    });
    assert!(matches!(new, Err(HsmError::NotOffered { .. })));
}

#[test]
fn check_values_of_the_table_and_of_the_device_must_agree() {
    let hsm = |value: &str| {
        let mut keys = table();
        keys.truncate(2);
        keys[0].note.check_value = Some(unhex(value).try_into().unwrap());
        PayShield::new(Beside(device(SETTINGS)), SETTINGS, keys)
    };
    assert_eq!(key_table::disagreements(&hsm("08D7B4")), [""; 0]);
    let told = key_table::disagreements(&hsm("08D7B5"));
    assert_eq!(told, ["key zone: it has another check value"]);
}

#[test]
fn mistakes_of_a_key_table_are_told_all_at_once_and_faults_are_checked() {
    let text = "[[key]]\nname = \"a\"\nusage = \"P0\"\nkey = \"U12\"\n\
                [[key]]\nname = \"a\"\nusage = \"P0\"\nkey = \"\"\ncheck_value = \"12\"\n";
    let error = key_table::parse("keys", text).err().unwrap().to_string();
    for part in ["U and 32", "there already", "expected six digits"] {
        assert!(error.contains(part), "{error}");
    }
    for wrong in ["EC", "EC=", "E=20", "EC=200", "EC=delay:x", "ECC=20"] {
        assert!(wrong.parse::<FaultOf>().is_err(), "{wrong}");
    }
}

/// A device that answers anything.
struct Anything(Vec<u8>);

impl Line for Anything {
    fn name(&self) -> String {
        "anything".to_owned()
    }

    fn exchange(&self, _: &'static str, _: &[u8]) -> Result<Vec<u8>, HsmError> {
        Ok(self.0.clone())
    }
}

proptest! {
    #[test]
    fn no_answer_but_the_right_one_makes_a_pin_right(
        head in prop_oneof![Just("ED"), Just("ED0"), Just("EC00"), Just("M900"), Just("")],
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let answer = [head.as_bytes(), &tail].concat();
        let is_yes = answer.starts_with(b"ED00");
        let hsm = PayShield::new(Anything(answer), SETTINGS, table());
        prop_assert_eq!(judge(&hsm, RIGHT) == Ok(Verdict::Right), is_yes);
        let over = MacOver { key: "mac", scheme: MacScheme::Cmac, message: b"" };
        prop_assert!(hsm.make_mac(&over).is_err());
    }

    #[test]
    fn a_played_device_answers_whatever_it_is_told(
        code in prop::sample::select(vec![
            "NC", "BU", "EC", "EA", "FW", "BK", "CC", "CY", "KQ", "KW", "M6", "M8", "A6", "A8",
            "ZZ",
        ]),
        tail in prop::collection::vec(any::<u8>(), 0..200),
        letters in "[U0-9A-F;S]{0,160}",
    ) {
        let device = device(SETTINGS);
        for fields in [&tail[..], letters.as_bytes()] {
            let answer = device.answer(&[code.as_bytes(), fields].concat());
            prop_assert!(answer.len() >= 4 && answer[0] == code.as_bytes()[0]);
        }
    }
}
