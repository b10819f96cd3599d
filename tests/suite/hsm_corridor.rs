//! PINs over TCP while a device keeps the keys: verdicts, counters, and what is answered when the
//! device is silent, refuses or is dead.

use std::path::Path;

use cardswitch::crypto::key::TdesKey;
use cardswitch::crypto::payshield::Settings;
use cardswitch::crypto::payshield::device::Device;
use cardswitch::crypto::payshield::lmk::Lmk;
use cardswitch::crypto::pin_block::{Pin, encipher};
use cardswitch::switch::hsm::played::Played;
use cardswitch::switch::pin_keys::random;

use crate::hsm::unhex;
use crate::support::{Client, Draft, EVERYDAY, Process, SPECS, text};

/// The keys of the demo: name, usage, version, digits, check value.
const KEYS: [[&str; 5]; 2] = [
    [
        "zone",
        "P0",
        "00",
        "0123456789ABCDEFFEDCBA9876543210",
        "08D7B4",
    ],
    ["pvv", "V2", "01", "89ABCDEF0123456776543210FEDCBA98", ""],
];
/// Another card of the demo.
const OTHER: &str = "4761739001010200";

fn played(address: &str) -> Played {
    let device = Device::new(Settings::STANDARD, random);
    let device = device.unwrap_or_else(|error| panic!("{error}"));
    Played::start(address.parse().unwrap(), device, 4).unwrap()
}

fn table(keys: &[[&str; 5]]) -> String {
    let lmk = Lmk::test().unwrap_or_else(|error| panic!("{error}"));
    let row = |[name, usage, version, digits, value]: &[&str; 5]| {
        let key = lmk.wrap(usage, (&unhex(digits), false), false, [0; 32]);
        let key = key.unwrap_or_else(|error| panic!("{error}"));
        let value = match *value {
            "" => String::new(),
            value => format!("check_value = \"{value}\"\n"),
        };
        format!(
            "[[key]]\nname = \"{name}\"\nusage = \"{usage}\"\nversion = \"{version}\"\n\
             key = \"{}\"\n{value}",
            key.text()
        )
    };
    keys.iter().map(row).collect()
}

/// A configuration with two doors and devices.
fn configured(directory: &Path, addresses: &[String], more: &str) -> String {
    std::fs::write(directory.join("keys.toml"), table(&KEYS)).unwrap();
    let keys = directory.join("keys.toml").display().to_string();
    let mut text = String::new();
    for spec in SPECS {
        text.push_str(&format!(
            "[[listener]]\nname = \"{spec}\"\naddress = \"127.0.0.1:0\"\nframing = \"be2\"\n\
             spec = \"{spec}\"\n"
        ));
    }
    text.push_str(&format!(
        "[hsm]\naddresses = {addresses:?}\nkeys = \"{keys}\"\nretry_ms = 0\n{more}"
    ));
    let path = directory.join("switch.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn serve(played: &Played, more: &str) -> (Process, String) {
    let directory = tempfile::tempdir().unwrap();
    let config = configured(directory.path(), &[played.address().to_string()], more);
    let process = Process::serve_in(directory, &["--demo", "--config", &config]);
    (process, config)
}

fn block(digits: &str, pan: &str) -> String {
    let zone = TdesKey::from_hex(KEYS[0][3]).unwrap_or_else(|error| panic!("{error}"));
    let pin = Pin::from_digits(digits).unwrap_or_else(|error| panic!("{error}"));
    let block = encipher(&zone, &pin, pan).unwrap();
    block.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn with_pin(stan: u32, digits: &str) -> Draft {
    Draft::purchase(stan).set(52, &block(digits, EVERYDAY))
}

fn tell(played: &Played, fault: &str) {
    played.tell(fault.parse().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn a_wrong_pin_counts_and_whatever_the_device_does_instead_of_judging_does_not() {
    for (door, spec) in SPECS.into_iter().enumerate() {
        let played = played("127.0.0.1:0");
        let (process, _) = serve(&played, "");
        let mut client = Client::connect(&process.addresses[door], "be2", spec);
        assert_eq!(client.code(&with_pin(1, "2580")), "00");
        assert_eq!(client.code(&with_pin(2, "2581")), "55");
        // None of these is a try.
        let mut stan = 10;
        for (fault, code) in [
            ("EC=20", "81"),
            ("EC=24", "81"),
            ("EC=15", "96"),
            ("EC=garble", "96"),
            ("EC=hang-up", "96"),
        ] {
            tell(&played, fault);
            for _ in 0..2 {
                stan += 1;
                assert_eq!(client.code(&with_pin(stan, "2580")), code, "{fault}");
            }
            tell(&played, "EC=ok");
        }
        let damaged = Draft::purchase(30).set(52, "0123456789ABCDEF");
        assert_eq!(client.code(&damaged), "81", "no PIN in the block");
        assert_eq!(client.code(&with_pin(31, "2581")), "55", "the second try");
        assert_eq!(client.code(&with_pin(32, "2581")), "75", "the third");
        assert_eq!(client.code(&with_pin(33, "2580")), "75", "locked");
        assert_eq!(client.code(&Draft::purchase(34)), "00", "without a PIN");
        process.stop();
    }
}

#[test]
fn a_dead_device_is_96_without_a_try_and_the_same_message_is_judged_when_it_is_back() {
    let played = played("127.0.0.1:0");
    let address = played.address().to_string();
    let (process, config) = serve(&played, "");
    let mut client = Client::connect(&process.addresses[0], "be2", SPECS[0]);
    assert_eq!(client.code(&with_pin(1, "2581")), "55");
    drop(played);
    for stan in 2..6 {
        assert_eq!(client.code(&with_pin(stan, "2581")), "96");
    }
    assert_eq!(client.code(&Draft::purchase(6)), "00", "needs no device");
    let back = self::played(&address);
    assert_eq!(client.code(&with_pin(5, "2581").mti("0101")), "55");
    drop(back);
    assert_eq!(
        client.code(&with_pin(5, "2581").mti("0101")),
        "55",
        "stored"
    );
    // A start without a device: the tries are where they were.
    let process = Process::serve_in(process.stop(), &["--demo", "--config", &config]);
    let mut client = Client::connect(&process.addresses[0], "be2", SPECS[0]);
    assert_eq!(client.code(&with_pin(7, "2580")), "96");
    let _back = self::played(&address);
    assert_eq!(client.code(&with_pin(8, "2581")), "75", "the third try");
    process.stop();
}

#[test]
fn a_silent_device_is_96_when_its_time_is_over() {
    let played = played("127.0.0.1:0");
    let (process, _) = serve(&played, "deadline_ms = 50\n");
    tell(&played, "EC=silence");
    let mut client = Client::connect(&process.addresses[1], "be2", SPECS[1]);
    for stan in 1..6 {
        assert_eq!(client.code(&with_pin(stan, "2580")), "96");
    }
    process.stop();
}

#[test]
fn who_waits_for_a_device_holds_up_its_own_card_and_no_other() {
    let played = played("127.0.0.1:0");
    let (process, _) = serve(&played, "deadline_ms = 30000\n");
    tell(&played, "EC=delay:1500");
    let mut client = Client::connect(&process.addresses[0], "be2", SPECS[0]);
    let all = [
        with_pin(1, "2580"),
        Draft::purchase(2),
        Draft::purchase(3).set(2, OTHER),
        with_pin(4, "2580"),
        Draft::purchase(5),
    ];
    let frames: Vec<u8> = all.iter().flat_map(|it| client.frame_of(it)).collect();
    client.write(&frames);
    let answers: Vec<_> = all.iter().map(|_| client.receive()).collect();
    let stans: Vec<String> = answers.iter().map(|answer| text(answer, 11)).collect();
    assert_eq!(stans, ["000003", "000001", "000002", "000004", "000005"]);
    assert!(answers[1..].iter().all(|answer| text(answer, 39) == "00"));
    // What is with the device when the peer says no more, or the switch stops, is still answered.
    client.write(&client.frame_of(&with_pin(6, "2580")));
    client.finish();
    assert_eq!(text(&client.receive(), 11), "000006");
    assert!(client.is_closed());
    process.stop();
}

#[test]
fn a_new_pin_is_taken_only_where_the_device_may_judge_the_choice() {
    for (more, first, second) in [
        ("", "81", "55"),
        ("device_judges_choice = true\n", "00", "00"),
    ] {
        let played = played("127.0.0.1:0");
        let (process, _) = serve(&played, more);
        let mut client = Client::connect(&process.addresses[0], "be2", SPECS[0]);
        let change = |stan, new| {
            let change = with_pin(stan, "2580").set(3, "700000");
            change.set(125, &block(new, EVERYDAY))
        };
        assert_eq!(client.code(&change(1, "1111")), "81", "excluded");
        assert_eq!(client.code(&change(2, "9357")), first);
        assert_eq!(client.code(&with_pin(3, "9357")), second);
        process.stop();
    }
}

#[test]
fn a_device_with_other_keys_than_the_table_says_stops_the_start() {
    let played = played("127.0.0.1:0");
    let directory = tempfile::tempdir().unwrap();
    let config = configured(directory.path(), &[played.address().to_string()], "");
    let mut other = KEYS;
    other[0][4] = "08D7B5";
    std::fs::write(directory.path().join("keys.toml"), table(&other)).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["serve", "--config", &config, "--data"])
        .arg(directory.path().join("store"))
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{error}");
    assert!(
        error.contains("key zone: it has another check value"),
        "{error}"
    );
}
