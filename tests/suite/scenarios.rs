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

fn play(path: &str, process: &Process, door: usize) -> (bool, String) {
    let args = CommandLine::try_parse_from([
        "acquirer",
        "run",
        path,
        "--connect",
        &process.addresses[door],
        "--spec",
        SPECS[door],
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
                let (passed, told) = play(path.to_str().unwrap(), &process, door);
                assert!(passed, "{} {spec}:\n{told}", path.display());
            }
        }
    }
    process.stop();
}
