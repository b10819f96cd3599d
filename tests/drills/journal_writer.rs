//! The program under the drills of the journal: appends and acknowledges, or checks what is left.
//!
//! `journal_writer write|short|verify journal|sled-flush <store directory> <acknowledgement file>`
//!
//! `write` appends random batches for ever and adds the last sequence of each to the
//! acknowledgement file after its append returned. `short` does so a fixed number of times, crosses
//! everything that a journal does on the way, and ends with the exit code of the error it met, if
//! any. `verify` opens the store and fails unless every
//! acknowledged record is there, whole and in order. `sled-flush` is the control: sled as its
//! documentation suggests, `flush` before the acknowledgement and no data sync of our own.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use cardswitch::journal::{
    Batch, CommitPoint, Journal, JournalError, RING_BYTES_MIN, Records, SledJournal, SledOptions,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Small generations and a small ring, so that cuts fall where each of them begins again too.
const OPTIONS: SledOptions = SledOptions {
    rotate_bytes: 4 << 20,
    commit: CommitPoint::Ring {
        bytes: RING_BYTES_MIN,
    },
    ..SledOptions::standard()
};
/// The generations of a short run.
const SHORT_OPTIONS: SledOptions = SledOptions {
    rotate_bytes: 64 << 10,
    ..OPTIONS
};
const SHORT_RUNS: u64 = 2;
const SHORT_BATCHES: u64 = 24;
/// A reader waits after each so many batches, and so calls everything into sled.
const READ_EVERY: u64 = 6;
const BATCH_RECORDS_MAX: u64 = 64;
const RECORD_BYTES_MAX: u64 = 600;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["write", system, store, acknowledged] => write(system, store.as_ref(), acknowledged),
        ["short", "journal", store, acknowledged] => short(store.as_ref(), acknowledged),
        ["verify", system, store, acknowledged] => verify(system, store.as_ref(), acknowledged),
        _ => {
            say("a part of the drills tests/drills/power_cut.py and every_syscall.py");
            return ExitCode::SUCCESS;
        }
    };
    match outcome {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("FAIL {error}"));
            let journal = error.downcast_ref::<JournalError>();
            journal.map_or(ExitCode::FAILURE, |error| ExitCode::from(error.exit_code()))
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn write(system: &str, store: &Path, acknowledged: &str) -> Outcome<String> {
    let mut acknowledged = OpenOptions::new()
        .create(true)
        .append(true)
        .open(acknowledged)?;
    let mut random = u64::from(std::process::id()) * 0x9E37_79B9 + 1;
    match system {
        "journal" => {
            let mut journal = SledJournal::open(store, OPTIONS, &mut |_| Ok(()))?;
            let mut batch = Batch::new();
            loop {
                batch.clear(journal.last_sequence() + 1);
                for _ in 0..=next(&mut random) % BATCH_RECORDS_MAX {
                    let sequence = batch.last_sequence() + 1;
                    batch.push(|bytes| bytes.extend_from_slice(&record(sequence)));
                }
                journal.append(&batch)?;
                acknowledge(&mut acknowledged, journal.last_sequence())?;
            }
        }
        "sled-flush" => {
            let db = sled::Config::new()
                .path(store)
                .flush_every_ms(None)
                .open()?;
            let mut sequence = 0_u64;
            loop {
                for _ in 0..=next(&mut random) % BATCH_RECORDS_MAX {
                    sequence += 1;
                    db.insert(sequence.to_be_bytes(), record(sequence))?;
                }
                db.flush()?;
                acknowledge(&mut acknowledged, sequence)?;
            }
        }
        other => Err(format!("no system {other}").into()),
    }
}

/// Opens, appends, reads, rotates, wraps the ring and closes; then once more on what is there.
fn short(store: &Path, acknowledged: &str) -> Outcome<String> {
    let mut acknowledged = OpenOptions::new()
        .create(true)
        .append(true)
        .open(acknowledged)?;
    for _ in 0..SHORT_RUNS {
        let mut journal = SledJournal::open(store, SHORT_OPTIONS, &mut |_| Ok(()))?;
        let reader = journal.reader().ok_or("no reader")?;
        let mut batch = Batch::new();
        for number in 1..=SHORT_BATCHES {
            let first = journal.last_sequence() + 1;
            batch.clear(first);
            for sequence in first..first + 60 * (number % 3) + 1 {
                batch.push(|bytes| bytes.extend_from_slice(&record(sequence)));
            }
            journal.append(&batch)?;
            let last = journal.last_sequence();
            acknowledge(&mut acknowledged, last)?;
            if number % READ_EVERY == 0 {
                let mut nothing = |_: u64, _: &[u8]| ControlFlow::Continue(());
                reader.page(last - 1, last, &mut nothing)?;
            }
        }
        drop(reader);
        journal.close()?;
    }
    Ok("DONE".to_owned())
}

fn verify(system: &str, store: &Path, acknowledged: &str) -> Outcome<String> {
    let mut last = 0;
    let mut check = |sequence: u64, bytes: &[u8]| {
        let wrong = sequence != last + 1 || bytes != record(sequence);
        last += 1;
        if wrong {
            Err(format!("record {last} is missing or changed"))
        } else {
            Ok(())
        }
    };
    let mut found = String::new();
    match system {
        "journal" => {
            let mut replay = |records: Records<'_>| records.each(&mut check);
            let journal = SledJournal::open(store, OPTIONS, &mut replay)?;
            let recovery = journal.recovery();
            found = format!(
                "generations={} from_ring={} wiped={} cut={:?}",
                recovery.generations,
                recovery.frames_from_ring,
                recovery.frames_wiped,
                recovery.cut
            );
        }
        "sled-flush" => {
            let db = sled::Config::new()
                .path(store)
                .flush_every_ms(None)
                .open()?;
            for entry in &*db {
                let (key, bytes) = entry?;
                check(u64::from_be_bytes(key.as_ref().try_into()?), &bytes)?;
            }
        }
        other => return Err(format!("no system {other}").into()),
    }
    let acknowledged = fs::read(acknowledged)?;
    let (whole, _) = acknowledged.as_chunks::<8>();
    let newest = whole.last().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    match newest {
        newest if newest <= last => Ok(format!("OK acknowledged={newest} found={last} {found}")),
        newest => Err(format!("LOST acknowledged={newest} found={last}").into()),
    }
}

fn acknowledge(file: &mut fs::File, sequence: u64) -> Outcome<()> {
    Ok(file.write_all(&sequence.to_le_bytes())?)
}

/// The one record a sequence can have: its number, then bytes that follow from it.
fn record(sequence: u64) -> Vec<u8> {
    let mut state = sequence.wrapping_mul(0x2545_F491_4F6C_DD1D) | 1;
    let length = 8 + next(&mut state) % RECORD_BYTES_MAX;
    let mut bytes = sequence.to_le_bytes().to_vec();
    bytes.extend((8..length).map(|_| next(&mut state).to_le_bytes()[3]));
    bytes
}

/// Xorshift: the drill needs variety, not secrecy.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
