//! Every scenario in `fixtures/scenarios` passes against `serve --demo`, again and again.

use std::fs;
use std::path::PathBuf;

use clap::Parser;

use cardswitch::cli::acquirer::{self, AcquirerArgs};

use crate::lifecycle::{DIALECTS, Dialect, files, needs_own_switch};
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
        "--data",
        process.directory.path().join("store").to_str().unwrap(),
    ]);
    let mut out = Vec::new();
    let passed = acquirer::execute(&args.unwrap().args, &mut out).unwrap();
    (passed, String::from_utf8(out).unwrap())
}

/// Plays scenarios that need no switch of their own.
fn play_all(paths: &[PathBuf], process: &Process, door: usize, spec: &str) {
    for path in paths {
        let (passed, told) = play(path.to_str().unwrap(), process, door, spec);
        assert!(passed, "{} {spec}:\n{told}", path.display());
    }
}

/// The scenarios of a dialect that a switch which serves others can bear.
fn harmless(dialect: &Dialect) -> Vec<PathBuf> {
    let files = files(dialect).into_values();
    let paths: Vec<PathBuf> = files.filter(|path| !needs_own_switch(path)).collect();
    assert!(paths.len() >= 28, "{}: {paths:?}", dialect.name);
    paths
}

/// A switch with a door for each of these dialects and specifications.
fn serve(doors: &[(&str, &str)]) -> Process {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("switch.toml");
    let doors = doors.iter().map(|(dialect, spec)| {
        format!(
            "[[listener]]\nname = \"{dialect} {spec}\"\naddress = \"127.0.0.1:0\"\n\
             framing = \"be2\"\nspec = \"{spec}\"\ndialect = \"{dialect}\"\n"
        )
    });
    fs::write(&config, doors.collect::<String>()).unwrap();
    Process::serve_in(directory, &["--demo", "--config", config.to_str().unwrap()])
}

fn dialect(name: &str) -> &'static Dialect {
    DIALECTS.iter().find(|row| row.name == name).unwrap()
}

#[test]
fn every_scenario_passes_twice_in_both_specifications_on_one_store() {
    let process = Process::serve(&["--demo"]);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/scenarios");
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.is_file()).collect();
    paths.sort();
    paths.extend(harmless(dialect("iso87")));
    for _ in 0..2 {
        for (door, spec) in SPECS.iter().enumerate() {
            play_all(&paths, &process, door, spec);
        }
    }
    process.stop();
}

#[test]
fn the_life_of_a_transaction_passes_in_the_visa_style() {
    plays_in_both_specifications("visa-style");
}

#[test]
fn the_life_of_a_transaction_passes_in_the_mastercard_style() {
    plays_in_both_specifications("mastercard-style");
}

#[test]
fn the_life_of_a_transaction_passes_in_the_edition_of_1993() {
    plays_in_both_specifications("iso93");
}

#[test]
fn the_life_of_a_transaction_passes_in_the_edition_of_2003() {
    plays_in_both_specifications("iso2003");
}

fn plays_in_both_specifications(name: &str) {
    let row = dialect(name);
    let doors: Vec<(&str, &str)> = row.specs.iter().map(|spec| (name, *spec)).collect();
    let process = serve(&doors);
    for (door, spec) in row.specs.iter().enumerate() {
        play_all(&harmless(row), &process, door, spec);
    }
    process.stop();
}
