//! `cardswitch programme backtest`: reads the journal of a store that is not in use, for what
//! `switch/backtest.rs` does with it. One thread reads and decodes, the other decides.

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use crate::domain::time::UnixMs;
use crate::engine::record;
use crate::journal::{SledJournal, SledOptions};
use crate::switch::backtest::{Backtest, Report, Row, Trial};

/// Records handed from the reading thread to the deciding one at once.
const HANDED_RECORDS: usize = 1_024;
/// How many of those may wait.
const HANDED_BATCHES: usize = 16;

/// Decides the records of a store again, from `from` on and before `until`.
///
/// # Errors
/// A sentence that says which record cannot be read or followed.
pub fn run(data: &Path, trial: Trial, from: UnixMs, until: UnixMs) -> Result<Report, String> {
    if !data.is_dir() {
        return Err(format!("there is no store in {}", data.display()));
    }
    let (sender, receiver) = sync_channel(HANDED_BATCHES);
    thread::scope(|scope| {
        let reader = scope.spawn(move || read(data, &sender));
        let mut other = Backtest::new(trial, from, until);
        let followed = receiver.iter().try_for_each(|rows| other.follow(&rows));
        let report = followed.and_then(|()| other.report());
        // A reader that waits for room must see that nobody takes any more.
        drop(receiver);
        match (report, reader.join()) {
            (Err(sentence), _) | (Ok(_), Ok(Err(sentence))) => Err(sentence),
            (Ok(_), Err(_)) => Err("the reading thread failed".to_owned()),
            (Ok(report), Ok(Ok(()))) => Ok(report),
        }
    })
}

fn read(data: &Path, sender: &SyncSender<Vec<Row>>) -> Result<(), String> {
    let mut rows = Vec::with_capacity(HANDED_RECORDS);
    let hand_over = |rows: &mut Vec<Row>| {
        let full = std::mem::replace(rows, Vec::with_capacity(HANDED_RECORDS));
        sender
            .send(full)
            .map_err(|_| "nobody decides any more".to_owned())
    };
    let opened = SledJournal::open(data, SledOptions::standard(), &mut |records| {
        records.each(|sequence, bytes| {
            let (at, event) = record::decode(bytes).map_err(|error| error.to_string())?;
            rows.push((sequence, at, event));
            if rows.len() == HANDED_RECORDS {
                hand_over(&mut rows)?;
            }
            Ok(())
        })
    });
    let journal = opened.map_err(|error| error.to_string())?;
    hand_over(&mut rows)?;
    journal.close().map_err(|error| error.to_string())
}
