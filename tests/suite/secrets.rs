//! No card number, track, PIN block, card verification value or chip datum is anywhere in clear:
//! not in the store, the log, standard output or error, nor in what commands and the API say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cardswitch::journal::{SledJournal, SledOptions};

use crate::support::{Client, Draft, EVERYDAY, Process, SPECS, text};

/// Card numbers: ours, ours with a wrong check digit, nobody's, ours with 14 digits.
const CARDS: [&str; 4] = [
    EVERYDAY,
    "4761739001010118",
    "5413330089010012",
    "86001200000041",
];
const TRACK_1: &str = "B4761739001010119^YAMADA/HANAKO^31122019988776655";
const TRACK_2: &str = "4761739001010119=31122019988776655";
const TRACK_3: &str = "014761739001010119=39239200000000000000012345678";
const PIN_BLOCK: &str = "8C1F4E2AB97D3065";
/// What DE 48 holds: a card verification value between marks.
const VERIFICATION: &str = "0109202CVV*583*E";
/// What DE 55 holds: a cryptogram and the sequence of the card.
const CHIP: &str = "9F2608D3A14B5C6E7F80915F340107";

/// One secret and every way its bytes could be written down.
struct Secret {
    name: &'static str,
    needles: Vec<Vec<u8>>,
}

impl Secret {
    /// Text: as it is, in hexadecimal, in base64.
    fn text(name: &'static str, value: &str) -> Secret {
        let mut needles = vec![value.as_bytes().to_vec()];
        needles.extend(encodings(value.as_bytes()));
        Secret { name, needles }
    }

    /// Digits: like text, and packed two to a byte, beginning with either nibble.
    fn digits(name: &'static str, value: &str) -> Secret {
        let mut secret = Secret::text(name, value);
        for skipped in [0, 1] {
            let packed = packed(&value[skipped..]);
            secret.needles.extend(encodings(&packed));
            secret.needles.push(packed);
        }
        secret
    }

    /// Bytes, given in hexadecimal: raw, in hexadecimal, in base64, and as that text.
    fn bytes(name: &'static str, hex: &str) -> Secret {
        let raw = packed(hex);
        let mut secret = Secret::text(name, hex);
        secret.needles.extend(encodings(&raw));
        secret.needles.push(raw);
        secret
    }

    fn is_in(&self, place: &str) -> bool {
        self.needles
            .iter()
            .any(|needle| place.contains(&searchable(needle)))
    }
}

/// One character per byte, because the search in text is fast also in a test build.
fn searchable(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Whole bytes of hexadecimal digits; `=` is the separator of packed tracks. A last half is left.
fn packed(digits: &str) -> Vec<u8> {
    let nibble = |digit: u8| match digit {
        b'=' => 0xd,
        digit => u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap(),
    };
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| nibble(pair[0]) << 4 | nibble(pair[1]))
        .collect()
}

fn encodings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let lower: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![lower.to_uppercase().into_bytes(), lower.into_bytes()];
    all.extend([0, 1, 2].map(|offset| base64_inside(bytes, offset)));
    all
}

/// Base64 of these bytes when `offset` others stand before them: the part that does not depend on
/// what stands around.
fn base64_inside(bytes: &[u8], offset: usize) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let skipped = (3 - offset) % 3;
    let groups = bytes[skipped..].chunks_exact(3);
    groups
        .flat_map(|group| {
            let word = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            [18, 12, 6, 0].map(|shift| ALPHABET[(word >> shift & 63) as usize])
        })
        .collect()
}

fn secrets() -> Vec<Secret> {
    let mut all: Vec<Secret> = CARDS
        .iter()
        .map(|card| Secret::digits("card number", card))
        .collect();
    all.push(Secret::text("track 1", TRACK_1));
    all.push(Secret::text("name on the card", "YAMADA/HANAKO"));
    all.push(Secret::digits("track 2", TRACK_2));
    all.push(Secret::digits(
        "the issuer's part of a track",
        "2019988776655",
    ));
    all.push(Secret::digits("track 3", TRACK_3));
    all.push(Secret::bytes("PIN block", PIN_BLOCK));
    all.push(Secret::text("verification value", VERIFICATION));
    all.push(Secret::text("verification value alone", "CVV*583"));
    all.push(Secret::bytes("chip data", CHIP));
    all.push(Secret::bytes("cryptogram", "D3A14B5C6E7F8091"));
    all
}

/// Every message of the conversation: approved, declined, refused, undone; each with all secrets.
fn drafts(first_stan: u32) -> Vec<Draft> {
    let full = |stan: u32| {
        Draft::purchase(first_stan + stan)
            .set(35, TRACK_2)
            .set(36, TRACK_3)
            .set(45, TRACK_1)
            .set(48, VERIFICATION)
            .set(52, PIN_BLOCK)
            .set(55, CHIP)
    };
    let without_pin = |stan| full(stan).without(52);
    let mut drafts = vec![
        without_pin(1),
        without_pin(1).mti("0101"),
        without_pin(1).set(4, "000000009999"),
        full(2),
        without_pin(3).set(18, "5541"),
        without_pin(4).set(4, "000000900000"),
        without_pin(5).without(2),
        without_pin(6).mti("0200"),
        without_pin(7).mti("0200").set(3, "200000"),
        without_pin(8).mti("0120"),
        without_pin(9).mti("0220"),
        Draft::reversal_of(&without_pin(6), first_stan + 10),
        Draft::reversal_of(&without_pin(99), first_stan + 11),
        full(12).without(3),
        full(13).without(49),
        full(14).mti("0600"),
        full(15).set(3, "990000"),
        full(16).set(14, "9999"),
        // A merchant's system that writes the card number where it does not belong.
        without_pin(17).set(43, &format!("{EVERYDAY} MISPLACED")),
        without_pin(18).set(60, TRACK_2).set(61, EVERYDAY),
        Draft::management(first_stan + 19, "301").set(48, VERIFICATION),
        Draft::management(first_stan + 20, "999").set(48, TRACK_2),
    ];
    for (stan, card) in (30..).zip(CARDS) {
        drafts.push(without_pin(stan).set(2, card));
    }
    drafts
}

/// Messages that do not decode: cut anywhere, a byte too many, bytes bent, in the clear.
fn damaged(spec: &str) -> Vec<Vec<u8>> {
    let draft = &drafts(500)[3];
    let whole = draft.bytes(spec).to_vec();
    let mut all: Vec<Vec<u8>> = (1..whole.len())
        .step_by(7)
        .map(|cut| whole[..cut].to_vec())
        .collect();
    all.push([&whole[..], EVERYDAY.as_bytes()].concat());
    for at in (0..whole.len()).step_by(11) {
        let mut bent = whole.clone();
        bent[at] ^= 0x80;
        all.push(bent);
    }
    all.push(TRACK_2.as_bytes().to_vec());
    all
}

/// Chip data are bytes in the binary specification and text in the other.
fn converse(address: &str, spec: &'static str, first_stan: u32) {
    let mut client = Client::connect(address, "be2", spec);
    let mut codes = String::new();
    for draft in drafts(first_stan) {
        codes += &client.code(&draft);
    }
    for code in ["00", "94", "81", "57", "51", "30", "12", "14", "15"] {
        assert!(codes.contains(code), "{code} is not in {codes}");
    }
    for body in damaged(spec) {
        let frame = client.framed(&body);
        client.write(&frame);
    }
    // The last answer comes after all of them: each was taken note of.
    client.send(&Draft::management(first_stan + 99, "301"));
    while text(&client.receive(), 11) != format!("{:06}", first_stan + 99) {}
    // Without a frame around it: the connection ends, and the log says why.
    let mut plain = Client::connect(address, "be2", spec);
    plain.write(EVERYDAY.as_bytes());
    plain.finish();
    assert!(plain.is_closed());
}

fn cardswitch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(args)
        .output()
        .unwrap()
}

/// What a command says on both streams.
fn said_by(args: &[&str]) -> Vec<u8> {
    let output = cardswitch(args);
    [output.stdout, output.stderr].concat()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn api(process: &Process, method: &str, path: &str, body: &str) -> Vec<u8> {
    let agent = process.agent();
    let url = format!("{}{path}", process.admin);
    let mut response = match method {
        "GET" => agent.get(&url).call().unwrap(),
        _ => agent
            .post(&url)
            .content_type(if path.ends_with("import") {
                "application/toml"
            } else {
                "application/json"
            })
            .send(body)
            .unwrap(),
    };
    response.body_mut().read_to_vec().unwrap()
}

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/demo.toml");

/// What the API answers, also to those who misuse it.
fn ask_the_api(process: &Process) -> Vec<(String, Vec<u8>)> {
    let demo = fs::read_to_string(DEMO).unwrap();
    let lookup = format!("{{\"pan\":\"{EVERYDAY}\"}}");
    let unknown = format!("{{\"pan\":\"{}\"}}", CARDS[2]);
    let wrong = format!("{{\"pan\":\"{EVERYDAY}\",");
    let broken = format!("[[card]]\npan = \"{EVERYDAY}\nkyc = 1");
    let refused = demo.replace(CARDS[0], CARDS[1]);
    let path = format!("/v1/accounts/{EVERYDAY}");
    let rows = [
        ("POST", "/v1/import", demo.as_str()),
        ("POST", "/v1/import", &refused),
        ("POST", "/v1/import", &broken),
        ("POST", "/v1/cards/lookup", &lookup),
        ("POST", "/v1/cards/lookup", &unknown),
        ("POST", "/v1/cards/lookup", &wrong),
        ("GET", "/v1/accounts/1", ""),
        ("GET", path.as_str(), ""),
        ("GET", "/v1/exceptions", ""),
        ("GET", "/v1/state", ""),
        ("GET", "/healthz", ""),
    ];
    rows.iter()
        .map(|(method, path, body)| (format!("{method} {path}"), api(process, method, path, body)))
        .collect()
}

/// What the commands say about a stopped store.
fn ask_the_commands(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let store = folder.join("store");
    let store = store.to_str().unwrap();
    let broken = folder.join("broken.toml");
    let demo = fs::read_to_string(DEMO).unwrap();
    fs::write(&broken, demo.replace(CARDS[0], CARDS[1])).unwrap();
    let no_toml = folder.join("no.toml");
    fs::write(&no_toml, format!("[[card]]\npan = \"{EVERYDAY}\nkyc = 1")).unwrap();
    let scenario = folder.join("scenario.toml");
    fs::write(
        &scenario,
        format!("title = 't'\n[cards]\na = {{ pan = \"{EVERYDAY}\n"),
    )
    .unwrap();
    let paths = [&broken, &no_toml, &scenario].map(|path| path.to_str().unwrap());
    let rows: [&[&str]; 6] = [
        &["import", DEMO, "--data", store],
        &["import", paths[0], "--data", store],
        &["import", paths[1], "--data", store],
        &["acquirer", "run", paths[2]],
        &["replay", "--decisions", "--data", store],
        &["tail", "--no-follow", "--data", store],
    ];
    let said = rows
        .iter()
        .map(|args| (format!("cardswitch {}", args[0]), said_by(args)))
        .collect();
    for path in paths {
        fs::remove_file(path).unwrap();
    }
    said
}

#[test]
fn no_secret_is_written_anywhere() {
    let process = Process::serve(&[]);
    let mut places = ask_the_api(&process);
    for (spec, address) in SPECS.into_iter().zip(process.addresses.clone()) {
        converse(&address, spec, if spec == SPECS[0] { 1_000 } else { 2_000 });
    }
    places.extend(ask_the_api(&process));
    let directory = process.stop();
    places.extend(ask_the_commands(directory.path()));
    for path in files_below(directory.path()) {
        places.push((path.display().to_string(), fs::read(&path).unwrap()));
    }
    let names: Vec<&str> = places.iter().map(|place| place.0.as_str()).collect();
    for part in ["stdout", "stderr", "decisions.jsonl", "/store/"] {
        assert!(names.iter().any(|name| name.contains(part)), "{names:?}");
    }
    let mut records = Vec::new();
    let store = directory.path().join("store");
    let journal = SledJournal::open(&store, SledOptions::standard(), &mut |frame| {
        frame.for_each(|(_, record)| records.extend_from_slice(record));
        Ok(())
    });
    drop(journal.unwrap());
    assert!(records.len() > 10_000, "the conversation was recorded");
    places.push(("the journal's records".to_owned(), records));

    let secrets = secrets();
    let hits: Vec<String> = places
        .iter()
        .flat_map(|(place, bytes)| {
            let text = searchable(bytes);
            let found: Vec<_> = secrets
                .iter()
                .filter(|secret| secret.is_in(&text))
                .collect();
            found
                .into_iter()
                .map(move |secret| format!("{} in {place}", secret.name))
        })
        .collect();
    assert!(hits.is_empty(), "{hits:#?}");
    let log = places
        .iter()
        .find(|place| place.0.ends_with("decisions.jsonl"));
    let log = String::from_utf8_lossy(&log.unwrap().1).into_owned();
    assert!(
        log.contains("476173******0119"),
        "the log shows masked numbers"
    );
}

#[test]
fn the_search_finds_a_secret_however_it_is_written() {
    for secret in secrets() {
        for needle in &secret.needles {
            assert!(
                needle.len() >= 4,
                "{} is too short to look for",
                secret.name
            );
            let place = [b"\x00\xff-", &needle[..], b"-\xff\x00"].concat();
            assert!(secret.is_in(&searchable(&place)), "{}", secret.name);
        }
        assert!(!secret.is_in("476173******0119 MARUYAMA STORE 000000001200"));
    }
    let card = Secret::digits("card number", EVERYDAY);
    // BCD beginning in the middle of a byte, base64 with something before it.
    let packed = [0x04, 0x76, 0x17, 0x39, 0x00, 0x10, 0x10, 0x11, 0x90];
    assert!(card.is_in(&searchable(&packed)));
    assert!(card.is_in("eHg0NzYxNzM5MDAxMDEwMTE5eA=="));
}
