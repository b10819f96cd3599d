//! Keys: `cardswitch key` run as a program, and PIN blocks judged with what it made.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use cardswitch::crypto::key::TdesKey;
use cardswitch::crypto::pin_block::{Pin, encipher};
use cardswitch::crypto::sealing::SealingKey;
use cardswitch::domain::account::AccountId;
use cardswitch::domain::conditions::PinVerdict;
use cardswitch::domain::pan::{CardToken, Pan};
use cardswitch::switch::key_file::KeyFile;
use cardswitch::switch::pin::{MadeOver, OnFile, PinDesk, PinKeys, Zone};

/// Components of the published test key 0123456789ABCDEFFEDCBA9876543210.
const COMPONENTS: [&str; 2] = [
    "11111111222222223333333344444444",
    "10325476AB89EFCDCDEF89AB32107654",
];

/// Standard output, standard error and exit code of `cardswitch key` in a directory.
pub(crate) fn key(directory: &Path, arguments: &[&str], input: &str) -> (String, String, i32) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .arg("key")
        .args(arguments)
        .current_dir(directory)
        .env_remove("CARDSWITCH_SEALING_KEY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What needs no input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (text(output.stdout), text(output.stderr), code)
}

pub(crate) const PLACE: [&str; 4] = ["--keys", "keys.toml", "--sealing-key", "sealing"];

/// A directory with a sealing key and two keys that came in as components.
pub(crate) fn ceremony() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], input: &str| {
        let (out, error, code) = key(directory.path(), arguments, input);
        assert_eq!(code, 0, "{arguments:?}: {error}");
        out
    };
    run(&["new-sealing-key", "sealing"], "");
    let lines = COMPONENTS.join("\n");
    for (name, usage, version) in [("zone", "P0", "00"), ("pvv", "V2", "01")] {
        let head = ["import", name, "--usage", usage, "--key-version", version];
        let tail = ["--components", "2", "--exportability", "E"];
        let out = run(&[&head[..], &PLACE, &tail].concat(), &lines);
        assert!(out.contains("check value 08D7B4"), "{out}");
    }
    directory
}

#[test]
fn keys_leave_and_come_back_as_key_blocks_and_outlive_a_new_sealing_key() {
    let directory = ceremony();
    let run = |arguments: &[&str], input: &str| {
        key(directory.path(), &[arguments, &PLACE].concat(), input)
    };
    let (made, error, code) = run(&["generate", "kbpk", "--usage", "K1"], "");
    assert_eq!(code, 0, "{error}");
    assert!(made.contains("export N"), "{made}");
    let (block, error, code) = run(&["export", "zone", "--under", "kbpk"], "");
    assert_eq!(code, 0, "{error}");
    assert!(block.starts_with("B0080P0TN00E0000"), "{block}");
    let (taken, error, code) = run(&["import", "again", "--under", "kbpk"], &block);
    assert_eq!(code, 0, "{error}");
    assert!(taken.contains("check value 08D7B4") && taken.contains("usage P0"));

    let (_, error, code) = key(directory.path(), &["new-sealing-key", "second"], "");
    assert_eq!(code, 0, "{error}");
    let (told, error, code) = run(&["rotate", "--new-sealing-key", "second"], "");
    assert_eq!(
        (told.trim(), code),
        ("4 keys sealed anew, sealing 1", 0),
        "{error}"
    );
    let (_, error, code) = run(&["export", "zone", "--under", "kbpk"], "");
    assert_eq!(code, 78);
    assert!(error.contains("sealed under another key"), "{error}");
    let (list, _, code) = key(directory.path(), &["list", "--keys", "keys.toml"], "");
    assert_eq!((list.lines().count(), code), (4, 0), "{list}");
    for text in [&made, &block, &taken, &told, &list, &error] {
        let is_shown = COMPONENTS.iter().any(|part| text.contains(part));
        assert!(!is_shown && !text.contains("0123456789ABCDEF"));
    }
}

#[test]
fn what_cannot_be_done_with_a_key_is_said_and_changes_nothing() {
    let directory = ceremony();
    let before = std::fs::read(directory.path().join("keys.toml")).unwrap();
    let one = COMPONENTS[0];
    for (arguments, input, expected) in [
        (vec!["generate", "zone"], "", "there already"),
        (vec!["generate", "two words"], "", "a name: expected"),
        (
            vec!["export", "none", "--under", "zone"],
            "",
            "expected one of that name",
        ),
        (
            vec!["export", "pvv", "--under", "zone"],
            "",
            "expected usage K0 or K1",
        ),
        (
            vec!["import", "x", "--components", "1"],
            one,
            "expected 2 or more, got 1",
        ),
        (
            vec!["import", "x", "--components", "2"],
            one,
            "component 2: expected a line",
        ),
        (
            vec!["import", "x", "--components", "2"],
            "zz\n",
            "component 1: expected hexadecimal",
        ),
    ] {
        let arguments = [&arguments[..], &PLACE].concat();
        let (_, error, code) = key(directory.path(), &arguments, input);
        assert!(
            code > 0 && error.contains(expected),
            "{arguments:?}: {error}"
        );
        assert!(!error.contains(one), "a component is shown");
    }
    let keyless = ["generate", "x", "--keys", "keys.toml"];
    let (_, error, code) = key(directory.path(), &keyless, "");
    assert_eq!(code, 78);
    assert!(error.contains("CARDSWITCH_SEALING_KEY"), "{error}");
    let (_, error, code) = key(directory.path(), &["new-sealing-key", "sealing"], "");
    assert!(code == 73 && error.contains("exists"), "{error}");
    let after = std::fs::read(directory.path().join("keys.toml")).unwrap();
    assert!(before == after, "a refused command changed the file");
}

#[test]
fn a_pin_block_is_judged_with_the_keys_of_a_sealed_file() {
    let directory = ceremony();
    let sealing = std::fs::read_to_string(directory.path().join("sealing")).unwrap();
    let sealing = SealingKey::from_hex(&sealing).unwrap_or_else(|error| panic!("{error}"));
    let file = KeyFile::load(&directory.path().join("keys.toml"), &sealing);
    let file = file.unwrap_or_else(|error| panic!("{error}"));
    let keys = PinKeys::of("keys", &file).unwrap_or_else(|error| panic!("{error}"));
    let desk = PinDesk::default().with_keys(keys);
    let (pan, card) = (Pan::parse("4761739001010119").unwrap(), CardToken([7; 16]));
    let reference = desk.reference("2580", MadeOver::Card(&pan)).unwrap();
    let on_file = OnFile {
        reference,
        account: AccountId(1),
        born: None,
    };
    desk.learn(card, on_file);
    let zone = TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210");
    let zone = zone.unwrap_or_else(|error| panic!("{error}"));
    for (digits, verdict) in [("2580", PinVerdict::Correct), ("2581", PinVerdict::Wrong)] {
        let pin = Pin::from_digits(digits).unwrap_or_else(|error| panic!("{error}"));
        let block = encipher(&zone, &pin, pan.expose());
        let block = block.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(desk.verdict(Zone(None), &block, &pan, &card), verdict);
    }
    let none = PinKeys::of("keys", &KeyFile::default()).err().unwrap();
    assert!(
        none.to_string()
            .contains("expected a key of usage P0, got none")
    );
}
