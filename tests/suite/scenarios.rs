//! Every scenario in `fixtures/scenarios` passes against `serve --demo`, again and again.

use std::fs;
use std::path::PathBuf;

use clap::Parser;

use cardswitch::cli::acquirer::{self, AcquirerArgs};

use crate::support::{Process, SPECS};

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    args: AcquirerArgs,
}

fn play(path: &str, process: &Process, door: usize, spec: &str) -> (bool, String) {
    let args = CommandLine::try_parse_from([
        "acquirer",
        "run",
        path,
        "--connect",
        &process.addresses[door],
        "--spec",
        spec,
        "--admin",
        &process.admin,
    ]);
    let mut out = Vec::new();
    let passed = acquirer::execute(&args.unwrap().args, &mut out).unwrap();
    (passed, String::from_utf8(out).unwrap())
}

#[test]
fn every_scenario_passes_twice_in_both_specifications_on_one_store() {
    let process = Process::serve(&["--demo"]);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/scenarios");
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in [folder.to_owned(), format!("{folder}/life")] {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        paths.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.is_file()),
        );
    }
    paths.sort();
    assert!(paths.len() >= 30, "{paths:?}");
    for _ in 0..2 {
        for path in &paths {
            for (door, spec) in SPECS.iter().enumerate() {
                let (passed, told) = play(path.to_str().unwrap(), &process, door, spec);
                assert!(passed, "{} {spec}:\n{told}", path.display());
            }
        }
    }
    process.stop();
}

/// Scenarios of the life of a transaction whose private elements are those of the generic dialect.
const GENERIC_ONLY: [&str; 3] = [
    "04-partial-approval.toml",
    "07-incremental-clear.toml",
    "15-original-credit.toml",
];

#[test]
fn the_life_of_a_transaction_passes_in_both_network_style_dialects() {
    const DIALECTS: [&str; 2] = ["visa-style", "mastercard-style"];
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("switch.toml");
    let doors = DIALECTS.iter().zip(SPECS).map(|(dialect, spec)| {
        format!(
            "[[listener]]\nname = \"{dialect}\"\naddress = \"127.0.0.1:0\"\n\
             framing = \"be2\"\nspec = \"{spec}\"\ndialect = \"{dialect}\"\n"
        )
    });
    fs::write(&config, doors.collect::<String>()).unwrap();
    let process = Process::serve(&["--demo", "--config", config.to_str().unwrap()]);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/scenarios");
    let files = |name: &str| {
        let entries = fs::read_dir(format!("{folder}/{name}")).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    for (door, dialect) in DIALECTS.iter().enumerate() {
        let own = files(dialect);
        assert!(own.len() >= 3, "{own:?}");
        let is_told_alike = |path: &PathBuf| !GENERIC_ONLY.iter().any(|name| path.ends_with(name));
        let alike = files("life").into_iter().filter(is_told_alike);
        for path in alike.chain(own) {
            let (passed, told) = play(path.to_str().unwrap(), &process, door, SPECS[door]);
            assert!(passed, "{} {dialect}:\n{told}", path.display());
        }
    }
    process.stop();
}

#[test]
fn the_life_of_a_transaction_passes_in_the_edition_of_1993() {
    const SPECS: [&str; 2] = ["iso93-ascii", "iso93-binary"];
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("switch.toml");
    let doors = SPECS.map(|spec| {
        format!(
            "[[listener]]\nname = \"{spec}\"\naddress = \"127.0.0.1:0\"\n\
             framing = \"be2\"\nspec = \"{spec}\"\ndialect = \"iso93\"\n"
        )
    });
    fs::write(&config, doors.concat()).unwrap();
    let process = Process::serve(&["--demo", "--config", config.to_str().unwrap()]);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/scenarios/iso93");
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 30, "{paths:?}");
    for (door, spec) in SPECS.iter().enumerate() {
        for path in &paths {
            let (passed, told) = play(path.to_str().unwrap(), &process, door, spec);
            assert!(passed, "{} {spec}:\n{told}", path.display());
        }
    }
    process.stop();
}
