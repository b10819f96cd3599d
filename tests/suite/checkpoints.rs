//! A switch that starts from a checkpoint is the switch that never stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use cardswitch::domain::pan::CardToken;
use cardswitch::domain::time::UnixMs;
use cardswitch::engine::checkpoint::{ChunkRows, StateLoader};
use cardswitch::engine::command::{Body, Command as Asked, OpenAccount};
use cardswitch::engine::decide::decide;
use cardswitch::engine::record;
use cardswitch::engine::state::State;
use cardswitch::journal::{Batch, Checkpoints, HeldStore, Journal, Records, SledJournal};
use cardswitch::switch::card_file;
use cardswitch::switch::checkpointer::{Checkpointer, History, Made, Source};
use cardswitch::switch::clock;
use cardswitch::switch::config::CheckpointConfig;
use cardswitch::switch::restore;
use cardswitch::switch::rulebook::LoadedRules;
use cardswitch::switch::telemetry::Telemetry;
use cardswitch::switch::token::TokenKey;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::journal_contract::SMALL;
use crate::support::configured;
use crate::support::{Client, Draft, Process};

const DAY_MS: i64 = 86_400_000;

/// A state as chunks of a checkpoint.
pub(crate) fn written(state: &State) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let saved = state.save::<()>(&mut |chunk| {
        chunks.push(chunk.to_vec());
        Ok(())
    });
    saved.unwrap();
    chunks
}

/// The state that such chunks are.
pub(crate) fn read_back(chunks: &[Vec<u8>]) -> State {
    let (mut loader, mut rows, mut before) = (StateLoader::new(), ChunkRows::default(), 0);
    for chunk in chunks {
        before = rows.decode(chunk, before).unwrap();
        loader.take(&mut rows).unwrap();
    }
    loader.finish().unwrap()
}

pub(crate) fn api(process: &Process, path: &str, body: Option<&Value>) -> Value {
    let url = format!("{}{path}", process.admin);
    let agent = process.agent();
    let mut response = match body {
        None => agent.get(&url).call().unwrap(),
        Some(body) => agent.post(&url).send(body.to_string()).unwrap(),
    };
    serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
}

/// Sequence and digest of the state.
pub(crate) fn state(process: &Process) -> (Value, Value) {
    let view = api(process, "/v1/state", None);
    assert_eq!(view["conserved"], true, "{view}");
    (view["sequence"].clone(), view["digest"].clone())
}

fn replay(store: &Path, how: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["replay", how, "--json", "--data"])
        .arg(store)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn told(process: &Process) -> String {
    ["stdout", "stderr"]
        .map(|name| fs::read_to_string(process.directory.path().join(name)).unwrap())
        .concat()
}

fn checkpoint_file(store: &Path, sequence: &Value, name: &str) -> PathBuf {
    let sequence = sequence.as_u64().unwrap();
    store.join(format!("c/{sequence:016x}/{name}"))
}

/// A configuration in which checkpoints are made when asked for, and at a stop for so many records.
pub(crate) fn configuration(directory: &Path, at_stop_records: u64) -> String {
    let path = configured(directory, ["iso87", "iso87"]);
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("[checkpoint]\nevery_records = 0\nevery_minutes = 0\n");
    text.push_str(&format!("at_stop_records = {at_stop_records}\n"));
    fs::write(&path, text).unwrap();
    path
}

pub(crate) fn buy(process: &Process, stans: std::ops::Range<u32>) {
    let mut client = Client::connect(&process.addresses[0], "be2", "iso87-ascii");
    for stan in stans {
        let purchase = Draft::purchase(stan).set(4, "000000000100");
        assert_eq!(client.code(&purchase), "00");
    }
}

#[test]
fn a_start_from_a_checkpoint_gives_the_state_of_the_whole_journal() {
    let directory = tempfile::tempdir().unwrap();
    let config = configuration(directory.path(), 0);
    let args = ["--demo", "--config", &config];
    let process = Process::serve_in(directory, &args);
    let make = |process: &Process| api(process, "/v1/checkpoint", Some(&json!({})));
    buy(&process, 1..11);
    let first = make(&process);
    assert_eq!(first["made"], true, "{first}");
    let again = make(&process);
    assert_eq!(
        (&again["made"], &again["sequence"]),
        (&json!(false), &first["sequence"])
    );
    buy(&process, 11..21);
    let second = make(&process);
    buy(&process, 21..26);
    let before = state(&process);

    let process = Process::serve_in(process.kill(), &args);
    let from = |label: &Value| format!("(checkpoint at record {},", label["sequence"]);
    assert!(
        told(&process).contains(&from(&second)),
        "{}",
        told(&process)
    );
    assert_eq!(state(&process), before);
    // What was answered before the checkpoint is answered alike, and posts nothing.
    buy(&process, 3..5);
    assert_eq!(state(&process), before);
    let directory = process.stop();
    let store = directory.path().join("store");
    for (how, base) in [
        ("--from-scratch", &json!(0)),
        ("--from-checkpoint", &second["sequence"]),
    ] {
        let replayed = replay(&store, how);
        assert_eq!(replayed["digest"], before.1, "{how}: {replayed}");
        assert_eq!(replayed["base_sequence"], *base, "{how}");
        assert_eq!(replayed["conserved"], true, "{how}");
    }

    // A damaged one is told of, and the one before it takes its place.
    let damaged = checkpoint_file(&store, &second["sequence"], "db");
    let mut bytes = fs::read(&damaged).unwrap();
    bytes.iter_mut().skip(64).for_each(|byte| *byte = 0);
    fs::write(&damaged, bytes).unwrap();
    let process = Process::serve_in(directory, &args);
    let text = told(&process);
    assert!(text.contains(&from(&first)), "{text}");
    let path = damaged.parent().unwrap().display().to_string();
    assert!(text.contains(&path), "{text}");
    assert_eq!(state(&process), before);
    let third = make(&process);
    assert_eq!(third["made"], true, "{third}");
    let process = Process::serve_in(process.kill(), &args);
    assert!(told(&process).contains(&from(&third)));
    assert_eq!(state(&process), before);

    // Without any the journal is read from its first record, as long as it is whole.
    let directory = process.stop();
    for label in [&first, &third] {
        let path = checkpoint_file(&store, &label["sequence"], "VALID");
        fs::write(path, b"not valid").unwrap();
    }
    let process = Process::serve_in(directory, &args);
    let text = told(&process);
    assert!(
        text.contains("records replayed)") && !text.contains("at record"),
        "{text}"
    );
    assert_eq!(state(&process), before);
}

#[test]
fn a_stop_makes_a_checkpoint_when_enough_lies_behind_the_last() {
    let mut directory = tempfile::tempdir().unwrap();
    for (at_stop_records, is_made) in [(1_000_000, false), (3, true), (3, false)] {
        let config = configuration(directory.path(), at_stop_records);
        let process = Process::serve_in(directory, &["--demo", "--config", &config]);
        if is_made {
            buy(&process, 1..6);
        }
        let sequence = state(&process).0;
        directory = process.stop();
        let path = checkpoint_file(&directory.path().join("store"), &sequence, "VALID");
        assert_eq!(
            path.is_file(),
            is_made || at_stop_records == 3,
            "{at_stop_records}"
        );
    }
    let process = Process::serve_in(directory, &["--demo"]);
    let text = told(&process);
    assert!(text.contains(", 0 records replayed)"), "{text}");
}

/// A store with accounts that were opened at an instant.
struct Accounts {
    dir: TempDir,
    journal: SledJournal,
    state: State,
    rules: LoadedRules,
    account: OpenAccount,
    at: UnixMs,
}

impl Accounts {
    fn opened_at(at: UnixMs) -> Accounts {
        let dir = tempfile::tempdir().unwrap();
        let rules = LoadedRules::load(None, None).unwrap();
        let key = TokenKey::open(dir.path(), true).unwrap();
        let demo = include_str!("../../fixtures/demo.toml");
        let rows = card_file::parse(demo, &rules.rulebook, &key).unwrap();
        let account = rows.into_iter().next().unwrap().account;
        let journal = SledJournal::open(dir.path(), SMALL, &mut |_| Ok(())).unwrap();
        Accounts {
            dir,
            journal,
            state: State::new(),
            rules,
            account,
            at,
        }
    }

    fn add(&mut self, count: u32) {
        let mut batch = Batch::new();
        for _ in 0..count {
            let sequence = self.state.sequence() + 1;
            let mut account = self.account.clone();
            let mut token = [0; 16];
            token[..8].copy_from_slice(&sequence.to_be_bytes());
            account.card.token = CardToken(token);
            let command = Asked {
                sequence,
                at: self.at,
                body: Body::OpenAccount(Box::new(account)),
            };
            let event = decide(&self.rules.rulebook, &self.state, &command)
                .event
                .unwrap();
            batch.clear(sequence);
            batch.push(|buffer| record::encode(self.at, &event, buffer).unwrap());
            self.journal.append(&batch).unwrap();
            self.state.apply(sequence, self.at, &event).unwrap();
            if sequence.is_multiple_of(100) {
                // Generations are created ahead by a thread of their own.
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
    }
}

#[test]
fn history_behind_two_checkpoints_goes_when_it_is_old_enough() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let now = clock::now().0;
    for (age_days, is_removed) in [(0, false), (3, true)] {
        let mut accounts = Accounts::opened_at(UnixMs(now - age_days * DAY_MS));
        let telemetry = Arc::new(Telemetry::default());
        let checkpoints = Checkpoints::of(accounts.dir.path(), SMALL.cache_bytes);
        let source = Source {
            data_dir: accounts.dir.path().to_path_buf(),
            reader: accounts.journal.reader().unwrap(),
            checkpoints: checkpoints.clone(),
            last: 0,
            begun_at: 0,
            telemetry: Arc::clone(&telemetry),
        };
        let terms = CheckpointConfig {
            every_records: 0,
            every_minutes: 0,
            at_stop_records: 0,
            keep_history_days: 1,
        };
        let checkpointer = Checkpointer::start(source, terms).unwrap();
        let desk = checkpointer.desk();
        let mut made: Vec<Made> = Vec::new();
        for _ in 0..3 {
            accounts.add(1_500);
            telemetry.records.fetch_add(1_500, Relaxed);
            made.push(
                runtime
                    .block_on(desk.make(History::AsConfigured))
                    .unwrap()
                    .unwrap(),
            );
        }
        checkpointer.end(true);
        let removed: Vec<bool> = made.iter().map(|it| it.generations_removed > 0).collect();
        assert_eq!(removed, [false, is_removed, is_removed], "{made:?}");
        let kept = checkpoints.list().unwrap().len();
        assert_eq!(kept, 2);
        let digest = accounts.state.digest();
        accounts.journal.close().unwrap();
        let held = HeldStore::take(accounts.dir.path()).unwrap();
        assert_eq!(held.first_sequence().unwrap() > 1, is_removed);
        drop(held);
        // From the newest, and from the one before it.
        for label in checkpoints.list().unwrap() {
            let label = label.unwrap();
            let mut state = restore::load(&checkpoints, &label).unwrap();
            let mut apply = |records: Records<'_>| restore::apply_frame(&mut state, records);
            let held = HeldStore::take(accounts.dir.path()).unwrap();
            held.open(SMALL, Some(label.position), &mut apply).unwrap();
            assert_eq!(state.digest(), digest);
        }
    }
}

#[test]
fn history_that_never_fills_a_generation_goes_as_well() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let now = clock::now().0;
    let (kept, removed) = (History::AsConfigured, History::Removed);
    for (age_days, history, expected) in [
        (0, kept, [0, 0, 0, 0]),
        (3, kept, [0, 0, 1, 1]),
        (0, removed, [0, 0, 1, 1]),
    ] {
        let mut accounts = Accounts::opened_at(UnixMs(now - age_days * DAY_MS));
        let telemetry = Arc::new(Telemetry::default());
        let checkpoints = Checkpoints::of(accounts.dir.path(), SMALL.cache_bytes);
        let source = Source {
            data_dir: accounts.dir.path().to_path_buf(),
            reader: accounts.journal.reader().unwrap(),
            checkpoints: checkpoints.clone(),
            last: 0,
            begun_at: 0,
            telemetry: Arc::clone(&telemetry),
        };
        let terms = CheckpointConfig {
            every_records: 0,
            every_minutes: 0,
            at_stop_records: 0,
            keep_history_days: 1,
        };
        let checkpointer = Checkpointer::start(source, terms).unwrap();
        let desk = checkpointer.desk();
        let mut gone = Vec::new();
        for _ in 0..4 {
            accounts.add(5);
            telemetry.records.fetch_add(5, Relaxed);
            let made = runtime.block_on(desk.make(history)).unwrap().unwrap();
            gone.push(made.generations_removed);
        }
        checkpointer.end(true);
        assert_eq!(gone, expected, "{age_days} days, {history:?}");
        let digest = accounts.state.digest();
        accounts.journal.close().unwrap();
        let newest = checkpoints.list().unwrap().into_iter().next().unwrap();
        let label = newest.unwrap();
        let mut state = restore::load(&checkpoints, &label).unwrap();
        let mut apply = |records: Records<'_>| restore::apply_frame(&mut state, records);
        let held = HeldStore::take(accounts.dir.path()).unwrap();
        assert_eq!(held.first_sequence().unwrap() > 1, expected != [0; 4]);
        held.open(SMALL, Some(label.position), &mut apply).unwrap();
        assert_eq!(state.digest(), digest);
    }
}
