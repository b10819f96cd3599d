//! Card verification values over TCP: of tracks, of the chip's track and printed ones, with keys in
//! this process and in a device, and what is answered when that is away.

use std::fs;
use std::path::Path;

use cardswitch::crypto::cvv::{CvvKind, cvv};
use cardswitch::crypto::key::TdesKey;
use cardswitch::crypto::payshield::lmk::Lmk;
use cardswitch::switch::hsm::played::Played;

use crate::chips::{DOORS, doors, files_below, played};
use crate::hsm::unhex;
use crate::support::{Client, Draft, EVERYDAY, Process};

const KEY: &str = "0123456789ABCDEFFEDCBA9876543210";
const ZONE: &str = "89ABCDEF0123456776543210FEDCBA98";
/// Another card of the demo, whose issuer puts month and year in the other order.
const OTHER: &str = "4761739001010200";
const CHECKS: &str = "[[card_check]]\nbins = [\"476173\"]\nvalue_key = \"cvk\"\n\
                      [[card_check]]\nbins = [\"47617390010102\"]\nvalue_key = \"cvk\"\n\
                      printed_expiry = \"mmyy\"\ntrack2_value_at = 0\ntrack_required = false\n";

fn value(pan: &str, expiry: &str, kind: CvvKind<'_>) -> String {
    let key = TdesKey::from_hex(KEY).unwrap_or_else(|error| panic!("{error}"));
    let digits = cvv(&key, pan, expiry, kind).unwrap();
    digits
        .iter()
        .map(|digit| char::from(b'0' + digit))
        .collect()
}

/// Another value of three digits.
fn other(value: &str) -> String {
    let last = (value.as_bytes()[2] - b'0' + 1) % 10;
    format!("{}{last}", &value[..2])
}

fn second(pan: &str, expiry: &str, value: &str) -> String {
    format!("{pan}={expiry}20112345{value}00")
}

fn first(pan: &str, value: &str) -> String {
    format!("B{pan}^YAMADA/HANAKO^311220112345{value}00")
}

fn printed(value: &str) -> String {
    format!("{:9}{value}", "")
}

fn software(directory: &Path) -> String {
    let keys = directory.join("keys.toml");
    let text = format!(
        "zone_key = \"{ZONE}\"\nverification_key = []\n\
         [[key]]\nname = \"cvk\"\nusage = \"C0\"\nkey = \"{KEY}\"\n"
    );
    fs::write(&keys, text).unwrap();
    let path = directory.join("switch.toml");
    let keys = keys.display();
    fs::write(&path, format!("pin_keys = \"{keys}\"\n{}{CHECKS}", doors())).unwrap();
    path.to_str().unwrap().to_owned()
}

fn with_device(directory: &Path, played: &Played) -> String {
    let lmk = Lmk::test().unwrap_or_else(|error| panic!("{error}"));
    let key = lmk.wrap("C0", (&unhex(KEY), false), false, [0; 32]);
    let key = key.unwrap_or_else(|error| panic!("{error}"));
    let keys = directory.join("keys.toml");
    let row = "[[key]]\nname = \"cvk\"\nusage = \"C0\"\n";
    fs::write(&keys, format!("{row}key = \"{}\"\n", key.text())).unwrap();
    let path = directory.join("switch.toml");
    let (address, keys) = (played.address(), keys.display());
    let hsm = format!("[hsm]\naddresses = [\"{address}\"]\nkeys = \"{keys}\"\nretry_ms = 0\n");
    fs::write(&path, format!("{}{hsm}{CHECKS}", doors())).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What each of these is answered, in a message whose card was read so.
fn cases() -> Vec<(&'static str, &'static str, Draft, &'static str)> {
    let of_stripe = value(EVERYDAY, "3112", CvvKind::Track("201"));
    let of_chip = value(EVERYDAY, "3112", CvvKind::Chip);
    let of_print = value(EVERYDAY, "3112", CvvKind::Printed);
    let plain = || Draft::purchase(0);
    let track = |value: &str| plain().set(35, &second(EVERYDAY, "3112", value));
    let printed_is = |value: &str| plain().set(126, &printed(value));
    let other_card = |value: &str| plain().set(2, OTHER).set(126, &printed(value));
    vec![
        ("the stripe's", "902", track(&of_stripe), "00"),
        ("without DE 2", "902", track(&of_stripe).without(2), "00"),
        ("another", "902", track(&other(&of_stripe)), "82"),
        ("the chip's on the stripe", "902", track(&of_chip), "82"),
        ("fallback", "802", track(&of_stripe), "00"),
        ("the chip's", "052", track(&of_chip), "00"),
        ("the stripe's in the chip", "052", track(&of_stripe), "82"),
        ("over the air", "072", track("000"), "00"),
        ("none", "902", plain(), "82"),
        ("typed in", "012", plain(), "00"),
        (
            "another month",
            "902",
            plain().set(35, &second(EVERYDAY, "3111", &of_stripe)),
            "30",
        ),
        (
            "another number",
            "902",
            plain().set(35, &second(OTHER, "3112", &of_stripe)),
            "30",
        ),
        (
            "too short",
            "902",
            plain().set(35, &format!("{EVERYDAY}=3112201123")),
            "82",
        ),
        (
            "track 1",
            "902",
            plain().set(45, &first(EVERYDAY, &of_stripe)),
            "00",
        ),
        (
            "another on track 1",
            "902",
            plain().set(45, &first(EVERYDAY, &other(&of_stripe))),
            "82",
        ),
        ("no track 1", "902", plain().set(45, "B"), "82"),
        ("printed", "812", printed_is(&of_print), "00"),
        (
            "another printed",
            "812",
            printed_is(&other(&of_print)),
            "N7",
        ),
        ("none printed", "812", printed_is("   "), "00"),
        ("no digits", "812", printed_is("12A"), "N7"),
        (
            "an advice",
            "812",
            printed_is(&other(&of_print)).mti("0120"),
            "00",
        ),
        (
            "month first",
            "812",
            other_card(&value(OTHER, "1231", CvvKind::Printed)),
            "00",
        ),
        (
            "year first",
            "812",
            other_card(&value(OTHER, "3112", CvvKind::Printed)),
            "N7",
        ),
        (
            "a stripe that nobody checks",
            "902",
            plain().set(2, OTHER).set(35, &second(OTHER, "3112", "000")),
            "00",
        ),
        ("nor asks for", "902", plain().set(2, OTHER), "00"),
    ]
}

fn converse(process: &Process, door: usize) {
    let mut client = Client::connect(&process.addresses[door], "be2", DOORS[door].0);
    for (number, (what, entry, draft, code)) in (1..).zip(cases()) {
        let stan = 100 * (u32::try_from(door).unwrap() + 1) + number;
        let draft = draft.set(22, entry).set(11, &format!("{stan:06}"));
        let draft = draft.set(37, &format!("{stan:012}")).set(4, "000000000012");
        assert_eq!(client.code(&draft), code, "{what}");
    }
}

#[test]
fn values_are_verified_with_keys_in_this_process_and_none_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let config = software(directory.path());
    let process = Process::serve_in(directory, &["--demo", "--config", &config]);
    converse(&process, 0);
    converse(&process, 1);
    let directory = process.stop();
    let value = value(EVERYDAY, "3112", CvvKind::Track("201"));
    let track = second(EVERYDAY, "3112", &value);
    let own = track.split_once('=').unwrap().1.to_owned();
    for file in files_below(directory.path()) {
        let bytes = fs::read(&file).unwrap();
        let is_in = bytes
            .windows(own.len())
            .any(|window| window == own.as_bytes());
        assert!(!is_in, "{}", file.display());
    }
}

#[test]
fn values_are_verified_by_a_device_that_may_be_away() {
    let played = played("127.0.0.1:0");
    let directory = tempfile::tempdir().unwrap();
    let config = with_device(directory.path(), &played);
    let process = Process::serve_in(directory, &["--demo", "--config", &config]);
    converse(&process, 1);
    drop(played);
    let mut client = Client::connect(&process.addresses[0], "be2", DOORS[0].0);
    let value = value(EVERYDAY, "3112", CvvKind::Printed);
    let draft = Draft::purchase(901).set(22, "812");
    assert_eq!(client.code(&draft.clone().set(126, &printed(&value))), "96");
    assert_eq!(
        client.code(&draft.set(11, "000902")),
        "00",
        "needs no device"
    );
    process.stop();
}
