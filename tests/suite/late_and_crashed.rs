//! A hold whose time is over is let go of and its clearing posts all the same; an advice is booked
//! once although the switch is killed. In every dialect, over TCP.

use std::fs;
use std::path::Path;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use cardswitch::domain::facts::LinkNumber;
use cardswitch::domain::time::UnixMs;
use cardswitch::engine::command::{Answer, Body, Command};
use cardswitch::engine::decide::decide;
use cardswitch::engine::record;
use cardswitch::engine::state::State;
use cardswitch::iso8583::{self, MessageSpec};
use cardswitch::journal::{Batch, Checkpoints, Journal, SledJournal};
use cardswitch::switch::card_file;
use cardswitch::switch::clock;
use cardswitch::switch::config::{Config, ReplacementAmounts};
use cardswitch::switch::dialect::request::{Request, RequestParser};
use cardswitch::switch::pin::PinDesk;
use cardswitch::switch::rulebook::LoadedRules;
use cardswitch::switch::store::OpenStore;
use cardswitch::switch::token::TokenKey;

use crate::support::{Client, Draft, Process, SPECS, text};

/// The dialects of the two doors of a switch, two switches of them.
const DOORS: [[&str; 2]; 2] = [["iso87", "iso87"], ["visa-style", "mastercard-style"]];
/// More than the 45 days after which a domestic hold of the demo programme is released.
const DAYS: i64 = 46;
const DAY_MS: i64 = 86_400_000;
/// The everyday card's account: 70,000 yen.
const OPENING: i64 = 70_000;
const MINOR: i64 = 1_200;

/// A configuration with a door for each dialect.
pub(crate) fn configured(directory: &Path, dialects: [&str; 2]) -> String {
    let doors = dialects.iter().zip(SPECS).map(|(dialect, spec)| {
        format!(
            "[[listener]]\nname = \"{spec}\"\naddress = \"127.0.0.1:0\"\nframing = \"be2\"\n\
             spec = \"{spec}\"\ndialect = \"{dialect}\"\n"
        )
    });
    let path = directory.join("switch.toml");
    fs::write(&path, doors.collect::<String>()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What decides into a store as if it were another day.
struct Past {
    store: OpenStore,
    rules: LoadedRules,
    batch: Batch,
    at: UnixMs,
}

impl Past {
    fn open(directory: &Path) -> Past {
        let rules = LoadedRules::load(None, None).unwrap();
        // The switch itself would begin today.
        let data = directory.join("store");
        let options = Config::standard().journal.options();
        let journal = SledJournal::open(&data, options, &mut |_, _| Ok(())).unwrap();
        let store = OpenStore {
            journal,
            state: State::new(),
            records: 0,
            base_sequence: 0,
            passed_over: Vec::new(),
            checkpoints: Checkpoints::of(&data, options.cache_bytes),
            token_key: TokenKey::open(&data, true).unwrap(),
            pins: PinDesk::default(),
        };
        let mut batch = Batch::new();
        batch.clear(1);
        let at = UnixMs(clock::now().0 - DAYS * DAY_MS);
        Past {
            store,
            rules,
            batch,
            at,
        }
    }

    fn execute(&mut self, body: Body) -> Answer {
        let sequence = self.store.state.sequence() + 1;
        let at = self.at;
        let command = Command { sequence, at, body };
        let outcome = decide(&self.rules.rulebook, &self.store.state, &command);
        if let Some(event) = &outcome.event {
            self.batch
                .push(|buffer| record::encode(at, event, buffer).unwrap());
            self.store.state.apply(sequence, at, event).unwrap();
        }
        outcome.answer
    }

    /// The approval code of a message on a door.
    fn approved(&mut self, draft: &Draft, door: usize, dialect: &str) -> String {
        let spec = MessageSpec::builtin(SPECS[door]).unwrap();
        let message = iso8583::decode(spec, draft.bytes(SPECS[door])).unwrap();
        let (dialect_number, dialect) = self.rules.dialect(dialect).unwrap();
        let parser = RequestParser {
            dialect: &dialect,
            dialect_number,
            token_key: &self.store.token_key,
            pins: &PinDesk::default(),
            rulebook: &self.rules.rulebook,
            link: SPECS[door],
            link_number: LinkNumber(u16::try_from(door).unwrap() + 1),
            replacement_amounts: ReplacementAmounts::Remaining,
        };
        let Request::Card(request) = parser.parse(&message) else {
            panic!("not about a card");
        };
        match self.execute(Body::Message(request.facts)) {
            Answer::Decided(decision) => decision.approval.unwrap().to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn close(mut self) {
        self.store.journal.append(&self.batch).unwrap();
        self.store.journal.close().unwrap();
    }
}

fn get(process: &Process, path: &str) -> Value {
    let url = format!("{}{path}", process.admin);
    let mut response = ureq::get(&url).call().unwrap();
    serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
}

/// Balance and held of the everyday account, over its purses.
fn purses(process: &Process) -> (i64, i64) {
    let view = get(process, "/v1/accounts/1");
    let sum = |key: &str| {
        let purses = view["purses"].as_array().unwrap().iter();
        purses.map(|purse| purse[key].as_i64().unwrap()).sum()
    };
    (sum("balance"), sum("held"))
}

#[test]
fn a_hold_that_nobody_captured_is_released_and_its_late_clearing_posts() {
    for dialects in DOORS {
        let directory = tempfile::tempdir().unwrap();
        let config = configured(directory.path(), dialects);
        let mut past = Past::open(directory.path());
        let demo = include_str!("../../fixtures/demo.toml");
        let rulebook = past.rules.rulebook.clone();
        let rows = card_file::parse(demo, &rulebook, &past.store.token_key).unwrap();
        for row in rows {
            past.execute(Body::OpenAccount(Box::new(row.account)));
        }
        for spec in SPECS {
            past.execute(Body::NameLink(spec.to_owned()));
        }
        let holds: Vec<(Draft, String)> = (0..2_u8)
            .map(|door| {
                let hold = Draft::purchase(u32::from(door) + 1);
                let door = usize::from(door);
                let approval = past.approved(&hold, door, dialects[door]);
                (hold, approval)
            })
            .collect();
        past.close();

        let process = Process::serve_in(directory, &["--demo", "--config", &config]);
        while purses(&process) != (OPENING, 0) {
            thread::yield_now();
        }
        let mut balance = OPENING;
        for (door, (hold, approval)) in holds.iter().enumerate() {
            let mut client = Client::connect(&process.addresses[door], "be2", SPECS[door]);
            let clearing = hold
                .clone()
                .mti("0220")
                .set(11, &format!("{:06}", 900 + door))
                .set(38, approval);
            assert_eq!(client.code(&clearing), "00", "{}", dialects[door]);
            balance -= MINOR;
            assert_eq!(purses(&process), (balance, 0), "{}", dialects[door]);
            let told = get(&process, "/v1/exceptions");
            assert_eq!(told["open"], door + 1, "{told}");
            assert_eq!(told["newest"][0]["kind"], "late-capture", "{told}");
        }
        // Without any authorization it is posted too.
        let mut client = Client::connect(&process.addresses[0], "be2", SPECS[0]);
        let forced = Draft::purchase(77).mti("0220");
        assert_eq!(client.code(&forced), "00");
        assert_eq!(purses(&process), (balance - MINOR, 0));
        let told = get(&process, "/v1/exceptions");
        assert_eq!(told["newest"][0]["kind"], "unmatched-capture", "{told}");
        process.stop();
    }
}

#[test]
fn an_advice_repeated_after_a_crash_is_answered_alike_and_booked_once() {
    for dialects in DOORS {
        let mut directory: TempDir = tempfile::tempdir().unwrap();
        let mut held = 0;
        for door in 0..2 {
            let stan = u32::try_from(door).unwrap() + 1;
            let advice = Draft::purchase(stan)
                .mti("0120")
                .set(38, "STIP01")
                .set(39, "00");
            let capture = Draft::purchase(stan + 10).mti("0220").set(38, "STIP01");
            let capture = capture.set(37, advice.get(37));
            for (first, again, seen) in [(&advice, "0121", true), (&capture, "0221", false)] {
                let config = configured(directory.path(), dialects);
                let args = ["--demo", "--config", &config];
                let process = Process::serve_in(directory, &args);
                let mut client = Client::connect(&process.addresses[door], "be2", SPECS[door]);
                client.send(first);
                if seen {
                    assert_eq!(text(&client.receive(), 39), "00");
                }
                let process = Process::serve_in(process.kill(), &args);
                let mut client = Client::connect(&process.addresses[door], "be2", SPECS[door]);
                for _ in 0..2 {
                    assert_eq!(client.code(&first.clone().mti(again)), "00");
                }
                let is_capture = again == "0221";
                held += if is_capture { -MINOR } else { MINOR };
                let captured = i64::try_from(door).unwrap() + i64::from(is_capture);
                let expected = (OPENING - captured * MINOR, held);
                assert_eq!(purses(&process), expected, "{} {again}", dialects[door]);
                directory = process.stop();
            }
        }
    }
}
