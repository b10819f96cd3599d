//! Webhooks: what they are told is signed and whole, what fails is repeated and then put aside, and
//! nobody who pays waits for them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use cardswitch::ops::webhook::Secret;
use serde_json::{Value, json};

use crate::operators::Desk;
use crate::support::{Client, EVERYDAY, Process};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// A telling is awaited for so long at most.
const PATIENCE: Duration = Duration::from_secs(60);
/// Looks are so far apart: a token is refused that asks too often.
const A_LOOK: Duration = Duration::from_millis(20);

/// One telling as it came.
struct Told {
    id: String,
    body: Value,
}

/// Somebody who is told: answers the first tellings with these, all others with 204.
struct Consumer {
    url: String,
    told: Receiver<Told>,
}

impl Consumer {
    fn listen(answers: &'static [u16]) -> Consumer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Consumer::take(listener, answers)
    }

    fn take(listener: TcpListener, answers: &'static [u16]) -> Consumer {
        let url = format!("http://{}/cards", listener.local_addr().unwrap());
        let (sender, told) = mpsc::channel();
        thread::spawn(move || {
            let mut answers = answers.iter().copied();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                while let Some(one) = read(&mut stream) {
                    let status = answers.next().unwrap_or(204);
                    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                    if sender.send(one).is_err() {
                        return;
                    }
                    if stream.write_all(answer.as_bytes()).is_err() {
                        break;
                    }
                }
            }
        });
        Consumer { url, told }
    }

    fn next(&self) -> Told {
        self.told.recv_timeout(PATIENCE).unwrap()
    }
}

/// Reads one request and proves its signature.
fn read(stream: &mut TcpStream) -> Option<Told> {
    let mut reader = BufReader::new(stream);
    let mut headers = std::collections::BTreeMap::new();
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|count| *count > 0)?;
    assert_eq!(line.trim_end(), "POST /cards HTTP/1.1");
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).unwrap();
    let id = headers["webhook-id"].clone();
    let seconds: i64 = headers["webhook-timestamp"].parse().unwrap();
    let signed = Secret::parse(SECRET).unwrap().sign(&id, seconds, &body);
    assert_eq!(headers["webhook-signature"], signed);
    assert_eq!(headers["content-type"], "application/json");
    assert!(!body.contains(EVERYDAY), "a card number went out");
    let body = serde_json::from_str(&body).unwrap();
    Some(Told { id, body })
}

/// A configuration with one webhook.
fn configuration(directory: &Path, url: &str, rows: &str) -> String {
    let secret = directory.join("secret");
    fs::write(&secret, SECRET).unwrap();
    let mut text = format!(
        "[[webhook]]\nname = \"holders\"\nurl = {url:?}\nsecret_file = {:?}\nretry_ms = 10\n\
         {rows}\n",
        secret.display()
    );
    for spec in ["iso87-ascii", "iso87-binary"] {
        text += &format!(
            "[[listener]]\nname = \"{spec}\"\naddress = \"127.0.0.1:0\"\nframing = \"be2\"\n\
             spec = \"{spec}\"\n"
        );
    }
    let path = directory.join("switch.toml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn served(url: &str, rows: &str) -> (Desk, String) {
    let directory = tempfile::tempdir().unwrap();
    let config = configuration(directory.path(), url, rows);
    let process = Process::serve_in(directory, &["--demo", "--config", &config]);
    (Desk::of(process), config)
}

/// Asks until the webhook is as wanted.
fn awaited(desk: &Desk, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..1_500 {
        let told = desk.get("/v1/webhooks/holders");
        if is_so(&told) {
            return told;
        }
        thread::sleep(A_LOOK);
    }
    panic!("{what}: {}", desk.get("/v1/webhooks/holders"));
}

/// What the command line says of webhooks.
fn said(desk: &Desk, words: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args([
            "webhook",
            "--admin",
            desk.process.admin.trim_start_matches("http://"),
        ])
        .arg("--data")
        .arg(desk.process.directory.path().join("store"))
        .args(words)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{complaint}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_notice_is_told_signed_repeated_until_it_is_taken_and_not_told_again_after_a_restart() {
    let consumer = Consumer::listen(&[500, 503]);
    let (mut desk, config) = served(&consumer.url, "tells = \"notices\"");
    awaited(&desk, "it begins", |told| told["next"].as_u64() > Some(0));
    assert_eq!(desk.code(EVERYDAY, 99_000_000), "61");
    let first = consumer.next();
    let row = &first.body["notices"][0];
    assert_eq!(row["kind"], "decline", "{}", first.body);
    assert_eq!(row["number"], "476173******0119");
    for _ in 0..2 {
        let again = consumer.next();
        assert_eq!(
            (again.id, again.body),
            (first.id.clone(), first.body.clone())
        );
    }
    let sequence = row["sequence"].as_u64();
    awaited(&desk, "it is taken", |told| {
        told["next"].as_u64() >= sequence
    });
    let told = desk.get("/v1/webhooks");
    assert_eq!(told["webhooks"][0]["failures"], 2, "{told}");
    assert_eq!(told["webhooks"][0]["failures_in_row"], 0);
    assert_eq!(desk.get("/v1/webhooks/holders")["dead"], json!([]));
    assert_eq!(desk.status("/v1/webhooks/others"), 404);

    let directory = desk.process.stop();
    let process = Process::serve_in(directory, &["--demo", "--config", &config]);
    let mut desk = Desk::of(process);
    // The first trace number was used before the restart.
    let _ = desk.purchase(EVERYDAY, 1);
    assert_eq!(desk.code(EVERYDAY, 98_000_000), "61");
    let next = consumer.next();
    let rows = next.body["notices"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{}", next.body);
    assert!(rows[0]["sequence"].as_u64() > sequence);
    desk.close();
}

#[test]
fn what_nobody_takes_is_put_aside_while_cards_pay_and_told_again_on_demand() {
    // Bound, and then let go of: nobody is there.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/cards");
    let (mut desk, _) = served(&url, "tells = \"activity\"\nattempts_max = 2");
    awaited(&desk, "it begins", |told| told["next"].as_u64() > Some(0));
    for minor in [100, 200, 300] {
        assert_eq!(desk.code(EVERYDAY, minor), "00");
    }
    let has_all = |told: &Value| told["behind"] == 0 && told["dead"] != json!([]);
    let aside = awaited(&desk, "it is put aside", has_all);
    let dead = &aside["dead"][0];
    assert!(aside["last_failure"].is_string(), "{aside}");
    assert!(said(&desk, &["list"]).contains("holders"));
    assert!(said(&desk, &["show", "holders"]).contains(&address.to_string()));

    let consumer = Consumer::take(TcpListener::bind(address).unwrap(), &[]);
    let words = said(&desk, &["replay", "holders"]);
    assert!(words.contains("again"), "{words}");
    let mut sequences = Vec::new();
    while sequences.last() < Some(&dead["through"].as_u64().unwrap()) {
        let told = consumer.next();
        let rows = told.body["activity"].as_array().unwrap();
        sequences.extend(rows.iter().map(|row| row["sequence"].as_u64().unwrap()));
    }
    let first = dead["after"].as_u64().unwrap() + 1;
    let all: Vec<u64> = (first..=dead["through"].as_u64().unwrap()).collect();
    assert_eq!(sequences, all);
    let is_whole = |told: &Value| told["dead"] == json!([]) && told["again"] == json!([]);
    awaited(&desk, "it is told", is_whole);
    assert!(said(&desk, &["replay", "holders"]).contains("nothing was put aside"));

    let (status, _) = desk.post(
        "/v1/webhooks/holders/replay",
        &json!({ "after": 0, "through": 2 }),
    );
    assert_eq!(status, 200);
    assert_eq!(consumer.next().body["through"], 2);
    let beyond = json!({ "after": 0, "through": 1_000_000 });
    for wrong in [
        beyond,
        json!({ "after": 2, "through": 2 }),
        json!({ "after": 1 }),
    ] {
        assert_eq!(desk.post("/v1/webhooks/holders/replay", &wrong).0, 400);
    }
    desk.close();
}

#[test]
fn one_who_never_answers_holds_up_no_payment() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/cards", listener.local_addr().unwrap());
    let (mut desk, _) = served(&url, "tells = \"activity\"\ntimeout_ms = 60000");
    awaited(&desk, "it begins", |told| told["next"].as_u64() > Some(0));
    assert_eq!(desk.code(EVERYDAY, 100), "00");
    // The connection is taken by the system, and nobody ever reads from it.
    let (stream, _) = listener.accept().unwrap();
    let mut client = Client::connect(&desk.process.addresses[0], "be2", "iso87-ascii");
    for minor in 1..40 {
        let draft = desk.purchase(EVERYDAY, minor);
        assert_eq!(client.code(&draft), "00");
    }
    let told = desk.get("/v1/webhooks/holders");
    assert!(told["behind"].as_u64() >= Some(39), "{told}");
    drop((stream, listener));
    desk.close();
}

#[test]
fn a_webhook_whose_secret_is_none_stops_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let config = configuration(
        directory.path(),
        "http://127.0.0.1:1/",
        "tells = \"notices\"",
    );
    fs::write(directory.path().join("secret"), "whsec_AAAA").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args([
            "serve",
            "--admin",
            "127.0.0.1:0",
            "--config",
            &config,
            "--data",
        ])
        .arg(directory.path().join("store"))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(78), "{complaint}");
    assert!(complaint.contains("webhook \"holders\""), "{complaint}");
    assert!(!complaint.contains("AAAA"), "{complaint}");
}
