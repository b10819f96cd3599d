//! The acquirer simulator: scenarios and loads against a switch that approves everything but fuel.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bytes::BytesMut;
use clap::Parser;
use tokio_util::codec::Decoder;

use cardswitch::cli::acquirer::{self, AcquirerArgs, UsageError};
use cardswitch::iso8583::{self, Message, MessageSpec, MessageWriter};
use cardswitch::transport::{FrameCodec, Framing};

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    args: AcquirerArgs,
}

/// Runs `cardswitch acquirer ARGS`: whether all went well, and what it wrote.
pub(crate) fn acquirer(args: &[&str]) -> (Result<bool, UsageError>, String) {
    let line = CommandLine::try_parse_from([&["acquirer"], args].concat()).unwrap();
    let mut out = Vec::new();
    let outcome = acquirer::execute(&line.args, &mut out);
    (outcome, String::from_utf8(out).unwrap())
}

fn write_file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

/// A switch that answers everything: 57 at fuel stations, else 00; messages received are counted.
fn responder(framing: &str, spec: &str) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let framing = Framing::preset(framing).unwrap();
    let spec = MessageSpec::builtin(spec).unwrap();
    let received = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&received);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let codec = FrameCodec::new(&framing, 4_096);
            let counter = Arc::clone(&counter);
            thread::spawn(move || answer(stream.unwrap(), codec, spec, &counter));
        }
    });
    (address, received)
}

fn answer(
    mut stream: TcpStream,
    mut codec: FrameCodec,
    spec: &'static MessageSpec,
    counter: &AtomicU64,
) {
    let mut received = BytesMut::new();
    let mut piece = [0; 8_192];
    loop {
        let size = stream.read(&mut piece).unwrap_or(0);
        if size == 0 {
            return;
        }
        received.extend_from_slice(&piece[..size]);
        let mut out = BytesMut::new();
        while let Some(frame) = codec.decode(&mut received).unwrap() {
            counter.fetch_add(1, Ordering::Relaxed);
            let request = iso8583::decode(spec, frame.body).unwrap();
            let mark = codec.begin_reply(&mut out, &frame.header);
            let mut body = BytesMut::new();
            write_reply(spec, &request, &mut body);
            out.extend_from_slice(&body);
            codec.finish(&mut out, mark).unwrap();
        }
        if stream.write_all(&out).is_err() {
            return;
        }
    }
}

fn write_reply(spec: &MessageSpec, request: &Message, body: &mut BytesMut) {
    let code = if request.number(18) == Some(5541) {
        "57"
    } else {
        "00"
    };
    let mut writer = MessageWriter::begin(spec, request.mti().response().unwrap(), body);
    for de in [2, 3, 4, 7, 11, 12, 13, 32, 33, 37] {
        writer.copy(request, de).unwrap();
    }
    if code == "00" && request.mti().class() == 1 {
        writer.text(38, "4F7K2Q").unwrap();
    }
    writer.text(39, code).unwrap();
    for de in [41, 42, 49] {
        writer.copy(request, de).unwrap();
    }
    if request.text(3).is_some_and(|code| code.starts_with("31")) {
        writer.text(54, "0002392C000000008800").unwrap();
    }
    for de in [70, 90] {
        writer.copy(request, de).unwrap();
    }
    writer.finish().unwrap();
}

/// An admin API that knows one account.
fn admin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut first = String::new();
            reader.read_line(&mut first).unwrap();
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(size) = line.to_lowercase().strip_prefix("content-length:") {
                    length = size.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let json = if first.starts_with("POST /v1/cards/lookup ") {
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(body, serde_json::json!({ "pan": "4761739001010119" }));
                r#"{"account":7}"#
            } else {
                assert!(first.starts_with("GET /v1/accounts/7 "), "{first}");
                r#"{"available":8800,"purses":[
                    {"id":"withdrawable","currency":"JPY",
                     "balance":10000,"held":1200,"available":8800}]}"#
            };
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{json}",
                json.len()
            )
            .unwrap();
        }
    });
    format!("http://{address}")
}

const DAY: &str = r#"
title = "A day with one card"

[cards]
alice = { pan = "4761739001010119", expiry = "2912" }

[defaults]
processing_code = "000000"
local_time = "$now_hhmmss"
local_date = "$now_mmdd"
mcc = "5411"
entry_mode = "052"
condition = "00"
acquirer = "400001"
rrn = "$rrn"
terminal = "TERM0001"
merchant = "MERCHANT0000001"
merchant_name = "LAWSON TOKYO"
currency = "392"

[[step]]
name = "sign on"
send = "0800"
network_code = "001"
expect = { mti = "0810", code = "00", 37 = "absent" }

[[step]]
name = "buy rice balls"
send = "0100"
card = "alice"
amount = 1200
expect = { mti = "0110", "39" = "00", "38" = "present", amount = "1200" }
save = { approval = 38, reference = "rrn" }
balance = { card = "alice", available = 8800, withdrawable = { balance = 10000, held = 1200 } }

[[step]]
name = "ask again"
repeat_of = "buy rice balls"
reconnect = true
expect = { code = "00", approval = "$approval", rrn = "$reference" }

[[step]]
name = "put them back"
reverse = "buy rice balls"
expect = { mti = "0430", code = "00", original = "present" }

[[step]]
name = "fuel is refused"
send = "0100"
card = "alice"
amount = 5000
mcc = "5541"
without = ["merchant_name"]
expect = { code = "57", approval = "absent" }

[[step]]
name = "balance"
send = "0100"
processing_code = "310000"
card = "alice"
amount = 0
expect = { code = "00", balances = "0002392C000000008800" }
"#;

#[test]
fn a_scenario_passes_over_every_framing_and_spec() {
    let admin = admin();
    let (_dir, path) = write_file(DAY);
    let framings = [
        "be2",
        "be2+tpdu",
        "be4",
        "be4+tpdu",
        "ascii4",
        "ascii4+tpdu",
        "bcd2",
    ];
    for spec in ["iso87-ascii", "iso87-binary"] {
        for framing in framings {
            let (address, received) = responder(framing, spec);
            let (outcome, text) = acquirer(&[
                "run",
                &path,
                "--connect",
                &address.to_string(),
                "--framing",
                framing,
                "--spec",
                spec,
                "--admin",
                &admin,
            ]);
            assert!(outcome.unwrap(), "{framing} {spec}: {text}");
            assert!(text.contains("20 passed, 0 failed"), "{text}");
            assert_eq!(received.load(Ordering::Relaxed), 6);
        }
    }
}

#[test]
fn a_scenario_is_told_in_words_and_without_card_numbers() {
    let admin = admin();
    let (_dir, path) = write_file(DAY);
    let (address, _) = responder("be2", "iso87-ascii");
    let target = address.to_string();
    let args = ["run", &path, "--connect", &target, "--admin", &admin];
    let (_, text) = acquirer(&args);
    for sentence in [
        "->  0100 purchase ¥1,200 at 5411 LAWSON TOKYO  card 476173******0119\n",
        "<-  0110 approved (00)  approval 4F7K2Q  ",
        "card 476173******0119 has withdrawable ¥10,000 (¥1,200 held)\n",
        "0101 repeat of purchase ¥1,200",
        "0420 reversal ¥1,200",
        "0110 not permitted (57)",
        "available ¥8,800",
        "0800 sign-on",
        "DE38 approval = 4F7K2Q",
        "withdrawable held = 1200",
    ] {
        assert!(text.contains(sentence), "{sentence}: {text}");
    }
    assert!(!text.contains("4761739001010119"));
    let (_, json) = acquirer(&[&args[..], &["--json"]].concat());
    assert!(!json.contains("4761739001010119"));
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!(last, serde_json::json!({ "passed": 20, "failed": 0 }));
    assert_eq!(json.lines().count(), 7);
}

#[test]
fn an_expectation_that_is_not_met_fails_the_run_and_says_what_came() {
    let rows = [
        ("expect = { code = '51' }", "DE39 code: expected 51, got 00"),
        (
            "expect = { approval = 'absent' }",
            "DE38 approval: expected absent, got 4F7K2Q",
        ),
        (
            "expect = { '54' = 'present' }",
            "DE54 balances: expected present, got nothing",
        ),
        ("expect = { mti = '0210' }", "mti: expected 0210, got 0110"),
        (
            "expect = { pan = '4761739001010011' }",
            "expected 476173******0011, got 476173******0119",
        ),
        (
            "save = { x = 54 }",
            "save x: the reply has no DE54 balances",
        ),
    ];
    let (address, _) = responder("be2", "iso87-ascii");
    for (line, expected) in rows {
        let scenario = format!(
            "title = 't'\n[cards]\nalice = {{ pan = '4761739001010119', expiry = '2912' }}\n\
             [[step]]\nsend = '0100'\ncard = 'alice'\namount = 1\n{line}\n"
        );
        let (_dir, path) = write_file(&scenario);
        let (outcome, text) = acquirer(&["run", &path, "--connect", &address.to_string()]);
        assert!(!outcome.unwrap(), "{line}");
        assert!(text.contains(expected), "{line}: {text}");
        assert!(text.contains("1 failed"), "{text}");
    }
}

#[test]
fn a_switch_that_is_not_there_is_told_once_and_nothing_is_played() {
    let (_dir, path) = write_file(DAY);
    let (outcome, told) = acquirer(&["run", &path, "--connect", "127.0.0.1:1"]);
    let reason = outcome.unwrap_err().to_string();
    assert!(reason.starts_with("connect to 127.0.0.1:1: "), "{reason}");
    assert!(reason.contains("is a switch running there?"), "{reason}");
    assert_eq!(told, "");
}

#[test]
fn every_mistake_of_a_scenario_is_reported_before_anything_is_sent() {
    let scenario = r#"
title = 5
colour = "red"
[target]
connect = "127.0.0.1:1"
port = 1
[cards]
alice = { pan = "4761x", expiry = "2912", pin = "1234" }
bob = { pan = "4761739001010119", expiry = "2912" }
[defaults]
amuont = "1"
[[step]]
name = "one"
send = "0110"
[[step]]
name = "one"
send = "0100"
card = "carol"
amount = "$unknown"
[[step]]
repeat_of = "nobody"
[[step]]
delay_ms = -1
later = "soon"
crash = 1
exception = 3
await_reply = false
expect = { flavour = "sweet" }
[[step]]
reverse = "one"
send = "0100"
balance = { card = "dave" }
[[step]]
balance = { card = "bob", available = "+5", withdrawable = { held = "-1" }, rest = "5" }
"#;
    let (_dir, path) = write_file(scenario);
    let (outcome, _) = acquirer(&["run", &path]);
    let text = outcome.unwrap_err().to_string();
    for expected in [
        "title: expected a text",
        "colour: expected one of",
        "target.port: expected one of",
        "cards.alice.pan: expected a text of 8 to 19 digits, got 5 bytes",
        "cards.alice.pin: a card has pan and expiry",
        "defaults.amuont: no element",
        "step 1 'one': send: expected the four digits of a request",
        "step 2 'one': an earlier step has this name",
        "step 2 'one': card: \"carol\" is not in [cards]",
        "step 2 'one': amount: '$unknown' is no variable",
        "step 3: repeat_of: no earlier step is named \"nobody\"",
        "step 4: delay_ms: expected 0 to 600000",
        "step 4: later: expected a number with m, h or d",
        "step 4: crash: expected true or false",
        "step 4: exception: expected a kind, or \"none\"",
        "step 4: await_reply: without a reply there is a message",
        "step 4: expect: 'flavour' is neither mti nor an element",
        "step 5: send: a reversal is a 04xx",
        "step 5: balance: expected card",
        "step 6: balance: rest: expected minor units, or a change such as \"-1200\"",
        "step 6: balance: a change needs an earlier look",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn what_the_spec_does_not_take_is_a_mistake_with_its_step() {
    let (_dir, path) = write_file(
        "title = 't'\n[[step]]\nname = 'too long'\nsend = '0100'\nmcc = '54111'\n\
         pin_block = 'xyz'\nterminal = 'TERM0001'\n",
    );
    let (address, received) = responder("be2", "iso87-ascii");
    let (outcome, _) = acquirer(&["run", &path, "--connect", &address.to_string()]);
    let text = outcome.unwrap_err().to_string();
    assert!(text.contains("step 1 'too long': DE18 mcc"), "{text}");
    assert!(text.contains("step 1 'too long': DE52 pin_block"), "{text}");
    assert_eq!(received.load(Ordering::Relaxed), 0);
}

const CARDS: &str = "
[[card]]
pan = '4761739001010119'
expiry = '2912'
programme = 'prepaid-jp'
[[card]]
pan = '4761739001010011'
expiry = '2912'
[[card]]
pan = '4761739001013'
expiry = '2912'
";

#[test]
fn what_only_a_switch_of_ones_own_bears_is_done_to_no_other() {
    for key in ["crash = true", "later = \"46d\""] {
        let (address, received) = responder("be2", "iso87-ascii");
        let scenario = format!(
            "title = \"t\"\n[[step]]\nsend = \"0800\"\nnetwork_code = \"301\"\n\
             [[step]]\nname = \"then\"\n{key}\n"
        );
        let (_dir, path) = write_file(&scenario);
        let (outcome, _) = acquirer(&["run", &path, "--connect", &address.to_string()]);
        let text = outcome.unwrap_err().to_string();
        assert!(
            text.contains("step 'then'") && text.contains("--own-switch"),
            "{text}"
        );
        assert_eq!(received.load(Ordering::Relaxed), 0, "{key}");
    }
}

#[test]
fn a_reply_that_nobody_waits_for_is_not_taken_for_another() {
    let (address, received) = responder("be2", "iso87-ascii");
    let (_dir, path) = write_file(
        "title = \"t\"\n\
         [[step]]\nname = \"a\"\nsend = \"0800\"\nnetwork_code = \"301\"\nawait_reply = false\n\
         [[step]]\nsend = \"0800\"\nnetwork_code = \"001\"\n\
         expect = { code = \"00\", network_code = \"001\" }\n",
    );
    let (outcome, told) = acquirer(&["run", &path, "--connect", &address.to_string()]);
    assert!(outcome.unwrap(), "{told}");
    assert_eq!(received.load(Ordering::Relaxed), 2);
}

#[test]
fn a_load_gets_one_reply_for_every_message() {
    let (_dir, cards) = write_file(CARDS);
    let paces = [["--window", "1"], ["--window", "16"], ["--rate", "2000"]];
    for (framing, spec) in [("be2", "iso87-binary"), ("ascii4+tpdu", "iso87-ascii")] {
        for pace in paces {
            let (address, received) = responder(framing, spec);
            let address = address.to_string();
            let mut args = vec!["load", "--connect", &address, "--framing", framing];
            args.extend([
                "--spec",
                spec,
                "--cards",
                &cards,
                "--connections",
                "3",
                "--json",
            ]);
            args.extend(["--duration", "60ms", "--warmup", "20ms", "--sign-on"]);
            args.extend(["--mix", "purchase=60,reversal=15,repeat=15,balance=10"]);
            args.extend(pace);
            let (outcome, text) = acquirer(&args);
            let report: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(outcome.unwrap(), "{text}");
            if pace == ["--rate", "2000"] {
                // The schedule alone decides what is sent.
                assert_eq!(report["sent"], 120, "{text}");
            }
            assert_eq!(report["unmatched"], 0, "{text}");
            assert!(received.load(Ordering::Relaxed) > report["replies"].as_u64().unwrap());
            let codes = report["codes"].as_array().unwrap();
            assert!(codes.iter().all(|row| row["code"] == "00"), "{text}");
            assert_eq!(codes[0]["kind"], "purchase", "{text}");
        }
    }
}

#[test]
fn a_load_counts_what_is_not_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // Accepts by the backlog of the listener and never answers.
    let (_dir, cards) = write_file(CARDS);
    let (outcome, text) = acquirer(&[
        "load",
        "--connect",
        &address,
        "--cards",
        &cards,
        "--connections",
        "2",
        "--window",
        "3",
        "--duration",
        "20ms",
        "--warmup",
        "0s",
        "--reply-timeout",
        "30ms",
        "--json",
    ]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(!outcome.unwrap());
    assert_eq!(report["timeouts"], 6, "{text}");
    assert_eq!(report["replies"], 0, "{text}");
    drop(listener);
}

#[test]
fn a_load_that_cannot_run_says_why() {
    let (_dir, cards) = write_file(CARDS);
    let cards = cards.as_str();
    let rows = [
        (vec!["--connections", "0"], "run a load without connections"),
        (vec!["--window", "0"], "run a load without a window"),
        (
            vec!["--connections", "1000", "--window", "1000"],
            "run 1000000 messages in flight",
        ),
        (vec!["--cards", "missing.toml"], "read missing.toml"),
        (vec!["--spec", "missing.toml"], "read the spec missing.toml"),
    ];
    for (args, expected) in rows {
        let cards: &[&str] = if args.contains(&"--cards") {
            &[]
        } else {
            &["--cards", cards]
        };
        let (outcome, _) = acquirer(&[&["load", "--json"], cards, &args].concat());
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
