//! Processors set apart: each thread stays where its list says, as the system tells.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{self, Process};

/// Processors that this process may use.
fn usable() -> Vec<usize> {
    list(&status(Path::new("/proc/self/status")))
}

fn status(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let row = text
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    row.unwrap_or_default().trim().to_owned()
}

/// `0-2,7` as numbers.
fn list(text: &str) -> Vec<usize> {
    let ranges = text.split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse().unwrap()..=last.parse().unwrap()
    });
    ranges.flatten().collect()
}

/// Threads of a process by their names, with the processors that each may use.
fn threads(id: u32) -> BTreeMap<String, Vec<String>> {
    let mut threads: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{id}/task")).unwrap() {
        let path = thread.unwrap().path();
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        let places = threads.entry(name.trim().to_owned()).or_default();
        places.push(status(&path.join("status")));
    }
    threads
}

fn configured(directory: &Path, cpus: &str) -> String {
    let path = support::configured(directory, ["iso87", "iso87"]);
    let doors = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{doors}\n[cpus]\n{cpus}\n")).unwrap();
    path
}

#[test]
fn every_thread_stays_on_the_processors_that_are_set_apart_for_its_kind() {
    let usable = usable();
    let (first, last) = (usable[0], usable[usable.len() - 1]);
    let directory = tempfile::tempdir().unwrap();
    let rows = format!("writer = [{last}]\nio = [{first}, {last}]\nothers = [{first}]");
    let config = configured(directory.path(), &rows);
    let process = Process::serve_in(directory, &["--demo", "--config", &config]);
    let threads = threads(process.id());
    let [first, last] = [first.to_string(), last.to_string()];
    assert_eq!(
        threads["sequencer"],
        std::slice::from_ref(&last),
        "{threads:?}"
    );
    assert_eq!(threads["io"], [first.clone(), last], "{threads:?}");
    for others in ["log-file", "journal-drain", "checkpoint", "api"] {
        let places = &threads[others];
        assert!(places.iter().all(|place| *place == first), "{threads:?}");
    }
}

#[test]
fn threads_without_a_list_may_use_what_the_process_may() {
    let usable = usable();
    let all = status(Path::new("/proc/self/status"));
    let directory = tempfile::tempdir().unwrap();
    let config = configured(directory.path(), &format!("others = [{}]", usable[0]));
    let process = Process::serve_in(directory, &["--demo", "--config", &config]);
    let threads = threads(process.id());
    assert_eq!(
        threads["sequencer"],
        std::slice::from_ref(&all),
        "{threads:?}"
    );
    assert!(
        threads["io"].iter().all(|place| *place == all),
        "{threads:?}"
    );
    assert_eq!(
        threads["checkpoint"],
        [usable[0].to_string()],
        "{threads:?}"
    );
}

#[test]
fn a_processor_that_is_not_there_is_named_and_no_store_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let config = configured(directory.path(), "io = [1023]");
    let store = directory.path().join("store");
    let out = Command::new(env!("CARGO_BIN_EXE_cardswitch"))
        .args(["serve", "--demo", "--config", &config, "--data"])
        .arg(&store)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(78), "{complaint}");
    let usable = status(Path::new("/proc/self/status"));
    let expected =
        format!("cpus.io: expected processors that this process may use ({usable}), got 1023");
    assert!(complaint.contains(&expected), "{complaint}");
    assert!(!store.exists());
}
