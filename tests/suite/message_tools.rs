//! The tools for people: `cardswitch message` and `cardswitch doctor`, run as programs.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

/// Standard output, standard error and exit code of a run with this standard input.
fn run(arguments: &[&str], input: &[u8]) -> (String, String, i32) {
    run_with(arguments, input, "no")
}

fn run_with(arguments: &[&str], input: &[u8], reveal: &str) -> (String, String, i32) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(arguments)
        .env("CARDSWITCH_REVEAL", reveal)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.code().unwrap(),
    )
}

const PURCHASE: &str = "fixtures/messages/iso87-ascii/003-purchase-chip.hex";
const PAN: &str = "4761739001010119";

#[test]
fn a_message_is_described_in_words_and_as_json() {
    let (words, _, code) = run(
        &["message", "describe", PURCHASE, "--spec", "iso87-ascii"],
        b"",
    );
    assert_eq!(code, 0);
    assert!(words.contains("\"476173******0119\""), "{words}");
    let arguments = [
        "message",
        "describe",
        PURCHASE,
        "--spec",
        "iso87-ascii",
        "--json",
    ];
    let (json, _, code) = run(&arguments, b"");
    assert_eq!(code, 0);
    let start = "{\"mti\":\"0100\",\"fields\":{\"2\":\"476173******0119\",\"3\":\"000000\"";
    assert!(json.starts_with(start), "{json}");
    assert!(json.contains("\"35\":\"(withheld, length 37)\""), "{json}");
    assert!(!words.contains(PAN) && !json.contains(PAN));
}

#[test]
fn card_data_is_revealed_only_when_the_environment_agrees() {
    let arguments = [
        "message",
        "describe",
        PURCHASE,
        "--spec",
        "iso87-ascii",
        "--reveal",
    ];
    let (shown, error, code) = run(&arguments, b"");
    assert_eq!((shown.as_str(), code), ("", 65));
    assert!(error.contains("CARDSWITCH_REVEAL=yes"), "{error}");
    let (shown, error, code) = run_with(&arguments, b"", "yes");
    assert_eq!(code, 0);
    assert!(shown.contains(PAN));
    assert!(error.contains("card data"), "{error}");
}

#[test]
fn json_becomes_the_same_bytes_again_in_every_form_and_framing() {
    for spec in ["iso87-ascii", "iso87-binary"] {
        let file = format!("fixtures/messages/{spec}/018-every-element.hex");
        let arguments = [
            "message",
            "convert",
            file.as_str(),
            "--spec",
            spec,
            "--output",
            "json",
            "--reveal",
        ];
        let (json, error, code) = run_with(&arguments, b"", "yes");
        assert_eq!(code, 0, "{error}");
        let arguments = [
            "message",
            "convert",
            file.as_str(),
            "--spec",
            spec,
            "--output",
            "hex",
        ];
        let (hex, _, _) = run(&arguments, b"");
        for framing in ["be2", "nac+tpdu", "vap", "base24tcp", "hex"] {
            for form in ["hex", "base64"] {
                let build = [
                    "message",
                    "build",
                    "--spec",
                    spec,
                    "--framing",
                    framing,
                    "--output",
                    form,
                ];
                let (wire, error, code) = run(&build, json.as_bytes());
                assert_eq!(code, 0, "{error}");
                let back = [
                    "message",
                    "convert",
                    "--spec",
                    spec,
                    "--framing",
                    framing,
                    "--output",
                    "hex",
                    "--input",
                    form,
                ];
                let (again, error, code) = run(&back, wire.as_bytes());
                assert_eq!(
                    (again.as_str(), code),
                    (hex.as_str(), 0),
                    "{framing}: {error}"
                );
            }
        }
    }
}

#[test]
fn a_message_moves_to_another_specification_and_back() {
    let to = |from: &str, to: &str, input: &[u8]| {
        let arguments = [
            "message",
            "convert",
            "--spec",
            from,
            "--to-spec",
            to,
            "--output",
            "hex",
            "--input",
            "hex",
        ];
        let (hex, error, code) = run(&arguments, input);
        assert_eq!(code, 0, "{error}");
        hex
    };
    let ascii = std::fs::read(PURCHASE).unwrap();
    let binary = to("iso87-ascii", "iso87-binary", &ascii);
    let again = to("iso87-binary", "iso87-ascii", binary.as_bytes());
    assert_eq!(again, to("iso87-ascii", "iso87-ascii", &ascii));
    assert!(binary.len() < again.len());
}

#[test]
fn a_masked_message_is_not_built() {
    let rows = [
        (
            r#"{"mti":"0100","fields":{"2":"476173******0119"}}"#,
            "DE 2: the value is masked",
        ),
        (
            r#"{"mti":"0100","fields":{"43":"(withheld, length 40)"}}"#,
            "DE 43: the value is masked",
        ),
        (
            r#"{"mti":"0100","fields":{"3":"12a"}}"#,
            "DE 3: expected content class n",
        ),
        (
            r#"{"mti":"0100","fields":{"52":"xyz"}}"#,
            "DE 52: expected pairs of hexadecimal",
        ),
        (r#"{"mti":"01x0","fields":{}}"#, "four decimal digits"),
        (r#"{"mti":"0100","felds":{}}"#, "expected {\"mti\""),
    ];
    for (json, expected) in rows {
        let (out, error, code) = run(
            &["message", "build", "--spec", "iso87-ascii"],
            json.as_bytes(),
        );
        assert_eq!((out.as_str(), code), ("", 65), "{json}");
        assert!(error.contains(expected), "{json}: {error}");
        assert!(!error.contains("476173"), "{error}");
    }
}

#[test]
fn wrong_messages_are_named_with_place_and_reason() {
    let mut lines = String::new();
    for json in [
        r#"{"mti":"0800","fields":{"7":"1121190312","11":1,"70":"301"}}"#,
        r#"{"mti":"0800","fields":{"7":"1121190312","11":2,"70":"001"}}"#,
    ] {
        let (hex, _, _) = run(
            &["message", "build", "--spec", "iso87-ascii"],
            json.as_bytes(),
        );
        lines.push_str(&hex);
    }
    let good = run(
        &["message", "validate", "--spec", "iso87-ascii"],
        lines.as_bytes(),
    );
    let expected = "message 1: 0800, 3 elements, 55 bytes: good\n\
                    message 2: 0800, 3 elements, 55 bytes: good\n";
    assert_eq!(good, (expected.to_owned(), String::new(), 0));
    // The last digit of DE 70 becomes a letter.
    let bad = format!("{}41\n", &lines.trim_end()[..lines.trim_end().len() - 2]);
    let (out, _, code) = run(
        &["message", "validate", "--spec", "iso87-ascii"],
        bad.as_bytes(),
    );
    assert_eq!(code, 1);
    assert!(
        out.contains("message 2: 0800, 2 elements, 55 bytes: wrong at byte 54: DE 70"),
        "{out}"
    );
}

#[test]
fn differences_are_shown_masked() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, json: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, json).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let one = path(
        "one",
        r#"{"mti":"0100","fields":{"2":"4761739001010119","4":"1"}}"#,
    );
    let two = path(
        "two",
        r#"{"mti":"0100","fields":{"2":"5413330089010012","11":"7"}}"#,
    );
    let diff = |a: &str, b: &str| {
        run(
            &["message", "diff", a, "--with", b, "--spec", "iso87-binary"],
            b"",
        )
    };
    let expected = "message 1 DE 2: \"476173******0119\", \"541333******0012\"\n\
                    message 1 DE 4: \"000000000001\", absent\n\
                    message 1 DE 11: absent, \"000007\"\n";
    assert_eq!(diff(&one, &two), (expected.to_owned(), String::new(), 1));
    assert_eq!(diff(&one, &one), (String::new(), String::new(), 0));
}

#[test]
fn a_redacted_message_has_the_same_shape_and_no_card() {
    for spec in ["iso87-ascii", "iso87-binary"] {
        let file = format!("fixtures/messages/{spec}/018-every-element.hex");
        let (hex, error, code) = run(&["message", "redact", &file, "--spec", spec], b"");
        assert_eq!(code, 0, "{error}");
        let describe = ["message", "describe", "--spec", spec, "--input", "hex"];
        let (redacted, _, _) = run(&describe, hex.as_bytes());
        let (original, _, _) = run(&["message", "describe", &file, "--spec", spec], b"");
        assert_eq!(redacted, original, "masked, both look the same");
        let reveal = [
            "message", "describe", "--spec", spec, "--input", "hex", "--reveal", "--json",
        ];
        let (revealed, _, _) = run_with(&reveal, hex.as_bytes(), "yes");
        assert!(revealed.contains("\"35\":\"00000000"), "{revealed}");
        assert!(
            revealed.contains("\"52\":\"0000000000000000\""),
            "{revealed}"
        );
    }
}

#[test]
fn the_doctor_reads_a_capture_and_a_connection() {
    let build = [
        "message",
        "build",
        "--spec",
        "iso87-binary",
        "--framing",
        "ascii4+tpdu",
        "--output",
        "hex",
    ];
    let json = br#"{"mti":"0800","fields":{"7":"1121190312","11":1,"70":"301"}}"#;
    let (wire, _, _) = run(&build, json);
    let sentence = "peer speaks ascii4+tpdu; the message fits iso87-binary";
    let (out, _, code) = run(&["doctor", "-"], wire.as_bytes());
    assert_eq!((out.lines().next(), code), (Some(sentence), 0));
    let (out, _, code) = run(&["doctor", "-", "--input", "binary"], &[0xFF; 30]);
    assert_eq!((out.as_str(), code), ("peer speaks nothing we know\n", 1));

    let mut doctor = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["doctor", "--listen", "127.0.0.1:0", "--connections", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(doctor.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.split([' ', ';']).nth(2).unwrap();
    let mut peer = TcpStream::connect(address).unwrap();
    peer.write_all(&crate::golden_messages::hex(&wire)).unwrap();
    drop(peer);
    assert_eq!(lines.next().unwrap().unwrap(), sentence);
    assert!(doctor.wait().unwrap().success());
}

/// Stops the switch that a test started, however the test ends.
struct Serving(std::process::Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_live_listener_says_what_a_stranger_speaks() {
    let folder = tempfile::tempdir().unwrap();
    // Two free ports: bound together, then released for the switch.
    let ports = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [door, admin] = ports.map(|port| port.local_addr().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["serve", "--data", folder.path().to_str().unwrap()])
        .args(["--listen", &format!("{door},be2,iso87-ascii")])
        .args(["--admin", &admin.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let _serving = Serving(child);
    assert!(lines.any(|line| line.unwrap().starts_with("listening")));
    let json = br#"{"mti":"0800","fields":{"7":"1121190312","11":1,"70":"301"}}"#;
    let build = |spec, framing| {
        let arguments = ["message", "build", "--spec", spec, "--framing", framing];
        crate::golden_messages::hex(&run(&arguments, json).0)
    };
    let rows = [
        (
            build("iso87-binary", "ascii4+tpdu"),
            "peer speaks ascii4+tpdu, this listener expects be2; the message fits iso87-binary, \
             this listener expects iso87-ascii",
        ),
        (
            build("iso87-ascii", "amex"),
            "peer speaks amex, this listener expects be2; the message fits iso87-ascii",
        ),
        (
            build("iso87-binary", "be2"),
            "peer speaks be2 as expected; the message fits iso87-binary, \
             this listener expects iso87-ascii",
        ),
        (
            b"GET / HTTP/1.1\r\n\r\n".to_vec().into(),
            "peer speaks HTTP, not ISO 8583: a browser or a health check; \
             this listener expects be2 and iso87-ascii",
        ),
    ];
    for (wire, expected) in rows {
        let mut peer = TcpStream::connect(door).unwrap();
        peer.write_all(&wire).unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        let line = lines.find(|line| line.as_ref().unwrap().contains("\"diagnosis\""));
        let line: serde_json::Value = line.unwrap().unwrap().parse().unwrap();
        assert_eq!(line["diagnosis"], expected);
    }
}

#[test]
fn chip_data_is_json_inside_json_both_ways() {
    let describe = [
        "message",
        "describe",
        "--spec",
        "iso87-binary",
        "--input",
        "hex",
        "--json",
    ];
    let build = ["message", "build", "--spec", "iso87-binary"];
    // A nested item, a repeated one, an unknown one, and one that does not fit its row.
    let json = "{\"mti\":\"0100\",\"fields\":{\"3\":\"000000\",\
                \"55\":{\"9F26\":\"0102030405060708\",\
                \"70\":{\"5A\":\"4761739001010119\"},\"9A\":\"261121\",\"DF0A\":\"77\",\
                \"9A#2\":\"261122\",\"9A#3\":\"AA\"}}}\n";
    let (_, error, code) = run(&build, json.as_bytes());
    assert_eq!(code, 65, "{error}");
    assert!(
        error.contains("part 9A: expected content class n"),
        "{error}"
    );
    let json = json.replace(",\"9A#3\":\"AA\"", "");
    let (wire, error, code) = run(&build, json.as_bytes());
    assert_eq!((error.as_str(), code), ("", 0));
    let chip = "9F260801020304050607087".to_owned()
        + "00A5A0847617390010101199A03261121DF0A01779A03261122";
    assert!(wire.trim_end().ends_with(&chip), "{wire}");
    let mut revealed = describe.to_vec();
    revealed.push("--reveal");
    assert_eq!(run_with(&revealed, wire.as_bytes(), "yes").0, json);

    let (masked, _, _) = run(&describe, wire.as_bytes());
    assert!(masked.contains("\"5A\":\"476173******0119\""), "{masked}");
    assert!(
        masked.contains("\"DF0A\":\"(withheld, length 2)\""),
        "{masked}"
    );
    let (_, error, code) = run(&build, masked.as_bytes());
    assert_eq!(code, 65);
    assert!(
        error.contains("DE 55: 70: part 5A: the value is masked"),
        "{error}"
    );

    let validate = [
        "message",
        "validate",
        "--spec",
        "iso87-binary",
        "--input",
        "hex",
    ];
    let misfit = wire.replace("9A03261122", "9A0326112F");
    let (verdict, _, code) = run(&validate, misfit.as_bytes());
    assert_eq!(code, 1);
    let why = "wrong: DE 55: part 9A at byte 36 of the element: expected content class n";
    assert!(verdict.contains(why), "{verdict}");
    let redact = [
        "message",
        "redact",
        "--spec",
        "iso87-binary",
        "--input",
        "hex",
    ];
    let (redacted, _, _) = run(&redact, wire.as_bytes());
    assert!(
        redacted.contains("5A0847617300000001199A03261121DF0A0100"),
        "{redacted}"
    );
    assert_eq!(redacted.len(), wire.len());
}
