//! `cardswitch store`: what it says of a store is true, and it changes nothing in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::checkpoints::{api, buy, configuration, state};
use crate::journal_recovery::copy;
use crate::support::Process;

fn store(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .arg("store")
        .args(args)
        .output()
        .unwrap()
}

/// Runs a command that must end with a code; what it printed.
fn ends(code: i32, args: &[&str]) -> String {
    let output = store(args);
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy);
    let text = text.concat();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    text
}

fn json_of(args: &[&str]) -> Value {
    serde_json::from_slice(&store(args).stdout).unwrap()
}

/// Every file below a folder with its content.
pub(crate) fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            files.extend(contents(&entry.path()));
        } else {
            files.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// A switch that was sold to, with two checkpoints and a copy made while it ran.
struct Sold {
    directory: TempDir,
    /// State when the copy was made, and at the end.
    copied: (Value, Value),
    last: (Value, Value),
}

impl Sold {
    fn begin() -> (Process, String) {
        let directory = tempfile::tempdir().unwrap();
        let backups = directory.path().join("backups");
        fs::create_dir(&backups).unwrap();
        let config = configuration(directory.path(), 0);
        let text = fs::read_to_string(&config).unwrap();
        let line = format!("backups_dir = {:?}\n", backups.to_str().unwrap());
        fs::write(&config, line + &text).unwrap();
        let args = ["--demo", "--config", &config];
        (Process::serve_in(directory, &args), config)
    }

    fn make() -> Sold {
        let (process, config) = Sold::begin();
        for stans in [1..8, 8..15] {
            buy(&process, stans);
            let made = api(&process, "/v1/checkpoint", Some(&json!({})));
            assert_eq!(made["made"], true, "{made}");
        }
        buy(&process, 15..20);
        let copied = state(&process);
        let data = process.directory.path().join("store");
        let data = data.to_str().unwrap();
        let backups = process.directory.path().join("backups");
        let admin = process.admin.trim_start_matches("http://").to_owned();
        let backup = |to: &Path| {
            let to = to.to_str().unwrap().to_owned();
            let args = [
                "backup", "--to", &to, "--admin", &admin, "--config", &config, "--data", data,
            ];
            args.map(str::to_owned)
        };
        let run = |code, args: &[String]| {
            ends(code, &args.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let text = run(0, &backup(&backups.join("one")));
        assert!(text.contains(copied.1.as_str().unwrap()), "{text}");
        assert_eq!(text.matches("as the journal makes it").count(), 2, "{text}");
        // Only there, and never over anything.
        run(73, &backup(&backups.join("one")));
        run(73, &backup(&process.directory.path().join("elsewhere")));
        run(73, &backup(&backups.join("../elsewhere")));
        assert!(!process.directory.path().join("elsewhere").exists());

        let view = json_of(&["inspect", "--json", "--data", data]);
        assert_eq!(view["is_open"], true, "{view}");
        assert_eq!(view["first_sequence"], 1);
        assert_eq!(view["checkpoints"].as_array().unwrap().len(), 2, "{view}");
        let text = ends(75, &["verify", "--data", data]);
        assert!(text.contains("is open in a process"), "{text}");
        buy(&process, 20..23);
        let last = state(&process);
        Sold {
            directory: process.kill(),
            copied,
            last,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

#[test]
fn a_copy_of_a_running_switch_is_proven_and_goes_on_where_it_was_made() {
    let sold = Sold::make();
    let copy_of = sold.path("backups/one");
    let (from, to) = (copy_of.to_str().unwrap(), sold.path("restored/store"));
    let restore = ["restore", "--from", from, "--data", to.to_str().unwrap()];
    ends(0, &restore);
    let text = ends(73, &restore);
    assert!(text.contains("expected an empty folder"), "{text}");
    let verified = json_of(&["verify", "--json", "--data", to.to_str().unwrap()]);
    assert_eq!(verified["digest"], sold.copied.1, "{verified}");
    assert_eq!(verified["faults"], json!([]), "{verified}");

    // Any changed, missing or foreign file is seen before anything is written.
    let files = contents(&copy_of);
    assert!(files.len() > 10);
    let elsewhere = sold.path("never");
    let refused = |because: &Path| {
        let to = elsewhere.to_str().unwrap();
        let text = ends(65, &["restore", "--from", from, "--data", to]);
        assert!(text.contains(because.to_str().unwrap()), "{text}");
        assert!(!elsewhere.exists());
    };
    for (path, bytes) in files.iter().filter(|file| !file.1.is_empty()) {
        let mut damaged = bytes.clone();
        let at = damaged.len() / 2;
        damaged[at] ^= 0x20;
        fs::write(path, &damaged).unwrap();
        refused(path);
        fs::remove_file(path).unwrap();
        refused(path);
        fs::write(path, bytes).unwrap();
    }
    let foreign = copy_of.join("j/foreign");
    fs::write(&foreign, b"?").unwrap();
    refused(&foreign);

    let restored = tempfile::tempdir().unwrap();
    copy(&to, &restored.path().join("store"));
    let config = sold.path("switch.toml");
    let args = ["--demo", "--config", config.to_str().unwrap()];
    let process = Process::serve_in(restored, &args);
    assert_eq!(state(&process), sold.copied);
    buy(&process, 17..25);
}

#[test]
fn verifying_changes_nothing_and_finds_what_is_damaged() {
    let sold = Sold::make();
    let data = sold.path("store");
    let before = contents(&data);
    let verify = ["verify", "--json", "--data", data.to_str().unwrap()];
    let verified = json_of(&verify);
    assert_eq!(verified["digest"], sold.last.1, "{verified}");
    assert_eq!(verified["checkpoints"].as_array().unwrap().len(), 2);
    assert_eq!(contents(&data), before, "verifying wrote into the store");
    // Where nobody has it open, the command itself copies it.
    let to = sold.path("offline");
    let backup = ["backup", "--data", data.to_str().unwrap(), "--to"];
    let text = ends(0, &[&backup[..], &[to.to_str().unwrap()]].concat());
    assert!(text.contains(sold.last.1.as_str().unwrap()), "{text}");
    let copied = ["verify", "--json", "--data", to.to_str().unwrap()];
    assert_eq!(json_of(&copied)["digest"], sold.last.1);

    let checkpoint = verified["checkpoints"][1].as_u64().unwrap();
    for name in [
        format!("c/{checkpoint:016x}/db"),
        format!("c/{checkpoint:016x}/VALID"),
        "j/0000000000000000/db".to_owned(),
        "watermark".to_owned(),
        "ring".to_owned(),
        "card-token.key".to_owned(),
    ] {
        let path = data.join(&name);
        let whole = fs::read(&path).unwrap();
        let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let mut damaged = whole.clone();
        damaged[20..end].iter_mut().for_each(|byte| *byte = !*byte);
        fs::write(&path, &damaged).unwrap();
        let text = ends(65, &verify[..]);
        assert!(text.contains("is damaged"), "{name}: {text}");
        fs::write(&path, &whole).unwrap();
    }
    ends(0, &verify[..]);
    ends(
        66,
        &["verify", "--data", sold.path("nowhere").to_str().unwrap()],
    );
}
