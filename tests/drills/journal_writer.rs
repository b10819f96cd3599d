//! The program under a power cut drill: appends and acknowledges, or checks what is left.
//!
//! `journal_writer write|verify journal|sled-flush <store directory> <acknowledgement file>`
//!
//! `write` appends random batches for ever and adds the last sequence of each to the
//! acknowledgement file after its append returned. `verify` opens the store and fails unless every
//! acknowledged record is there, whole and in order. `sled-flush` is the control: sled as its
//! documentation suggests, `flush` before the acknowledgement and no data sync of our own.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use cardswitch::journal::{Batch, Journal, SledJournal, SledOptions};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Small generations, so that cuts fall into rotations too.
const OPTIONS: SledOptions = SledOptions {
    rotate_bytes: 4 << 20,
    ..SledOptions::standard()
};
const BATCH_RECORDS_MAX: u64 = 64;
const RECORD_BYTES_MAX: u64 = 600;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["write", system, store, acknowledged] => write(system, store.as_ref(), acknowledged),
        ["verify", system, store, acknowledged] => verify(system, store.as_ref(), acknowledged),
        _ => {
            say("a part of the power cut drill, see tests/drills/power_cut.py");
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
            ExitCode::FAILURE
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
            let mut journal = SledJournal::open(store, OPTIONS, &mut |_, _| Ok(()))?;
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
            let journal = SledJournal::open(store, OPTIONS, &mut check)?;
            let recovery = journal.recovery();
            found = format!(
                "generations={} cut={:?}",
                recovery.generations, recovery.cut
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
