//! Which programmes a store was decided by stands in its journal, from its first record on.

use std::fs;
use std::path::Path;

use cardswitch::engine::event::Event;
use cardswitch::engine::operation::Operation;
use cardswitch::engine::record;
use cardswitch::journal::{SledJournal, SledOptions};
use cardswitch::switch::config::Config;
use cardswitch::switch::rulebook::LoadedRules;
use cardswitch::switch::store;
use cardswitch::switch::token::TokenKey;

use crate::backtest::Recorded;

/// Opens and closes the store of a folder; how many records it had and has.
fn open(data: &Path, rules: &LoadedRules) -> (u64, u64) {
    let config = Config::standard();
    let store = store::open(data, &config.journal, rules).unwrap();
    let records = (store.records, store.state.sequence());
    store.journal.close().unwrap();
    records
}

/// Of every change of programmes in a journal: its record and its files.
fn changes(data: &Path) -> Vec<(u64, Vec<String>)> {
    let mut changes = Vec::new();
    let opened = SledJournal::open(data, SledOptions::standard(), &mut |records| {
        records.each(|sequence, bytes| {
            let (_, event) = record::decode(bytes).map_err(|error| error.to_string())?;
            if let Event::Operated(operation) = event
                && let Operation::RulesChanged(files) = *operation
            {
                changes.push((sequence, files.into_iter().map(|file| file.text).collect()));
            }
            Ok(())
        })
    });
    opened.unwrap().close().unwrap();
    changes
}

#[test]
fn the_first_start_journals_its_programmes_and_a_start_under_others_those() {
    let folder = tempfile::tempdir().unwrap();
    let (data, files) = (folder.path().join("data"), folder.path().join("files"));
    let shipped = LoadedRules::load(None, None).unwrap();
    assert_eq!(open(&data, &shipped), (0, 1));
    assert_eq!(open(&data, &shipped), (1, 1), "they are in force already");
    fs::create_dir(&files).unwrap();
    for file in &shipped.files {
        let text = file.text.replace("tries_max = 3", "tries_max = 4");
        fs::write(files.join(format!("{}.toml", file.name)), text).unwrap();
    }
    let edited = LoadedRules::load(Some(&files), None).unwrap();
    assert_eq!(open(&data, &edited), (1, 2));
    assert_eq!(open(&data, &edited), (2, 2));
    let texts = |rules: &LoadedRules| rules.files.iter().map(|file| file.text.clone()).collect();
    let expected = vec![(1, texts(&shipped)), (2, texts(&edited))];
    assert_eq!(changes(&data), expected);
}

#[test]
fn a_store_of_before_goes_on_and_has_its_programmes_from_then_on() {
    let folder = Recorded::new(1_000).close();
    let data = folder.path().join("data");
    TokenKey::open(&data, true).unwrap();
    assert!(changes(&data).is_empty());
    let shipped = LoadedRules::load(None, None).unwrap();
    assert_eq!(open(&data, &shipped), (1, 2));
    assert_eq!(open(&data, &shipped), (2, 2));
    assert_eq!(changes(&data).len(), 1);
}
