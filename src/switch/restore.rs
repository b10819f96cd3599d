//! Reads a state back: from the newest checkpoint that is whole, else from the one before it, else
//! from nothing.

use std::hint::black_box;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread;

use crate::domain::time::UnixMs;
use crate::engine;
use crate::engine::checkpoint::{ChunkRows, StateLoader};
use crate::engine::event::Event;
use crate::engine::record;
use crate::engine::state::State;
use crate::journal::{
    Checkpoint, CheckpointError, Checkpoints, JournalError, Records, Refused, Replay,
};

/// Records that are looked at before the first of them is applied.
const LOOKED_AT: usize = 64;
/// Records that one thread hands to the other at once, at least.
const HANDED_OVER: usize = 512;
/// How often it may do so before the other has taken any.
const HANDED_AHEAD: usize = 4;

/// A state with the checkpoint it was read from.
pub struct Restored {
    /// The state at the checkpoint's position; an empty one without a checkpoint.
    pub state: State,
    /// Where it came from.
    pub base: Option<Checkpoint>,
    /// Newer checkpoints that could not be used.
    pub passed_over: Vec<CheckpointError>,
}

/// Reads the newest checkpoint that is whole.
pub fn newest(checkpoints: &Checkpoints) -> Restored {
    let mut restored = Restored {
        state: State::new(),
        base: None,
        passed_over: Vec::new(),
    };
    let found = match checkpoints.list() {
        Ok(found) => found,
        Err(error) => vec![Err(error)],
    };
    for label in found {
        let loaded = label.and_then(|label| Ok((label, load(checkpoints, &label)?)));
        match loaded {
            Ok((label, state)) => {
                restored.state = state;
                restored.base = Some(label);
                break;
            }
            Err(error) => restored.passed_over.push(error),
        }
    }
    restored
}

/// Reads one checkpoint: a thread of its own reads and decodes, this one makes the state of it.
///
/// # Errors
/// [`CheckpointError`] when it is not whole or not a state.
pub fn load(checkpoints: &Checkpoints, label: &Checkpoint) -> Result<State, CheckpointError> {
    let wrong = |what: String| checkpoints.wrong(label, what);
    let (read, taken) = thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<ChunkRows>(HANDED_AHEAD);
        let (give_back, emptied) = mpsc::channel();
        let reading = scope.spawn(move || {
            let mut before = 0;
            checkpoints.read(label, &mut |chunk| {
                let mut rows: ChunkRows = emptied.try_recv().unwrap_or_default();
                let decoded = rows.decode(chunk, before);
                before = decoded.map_err(|error| error.to_string())?;
                // Refused only by one that has found what does not fit, which is said below.
                sender.send(rows).map_err(|_| "not wanted".to_owned())
            })
        });
        let mut loader = StateLoader::new();
        let taken = receiver.into_iter().try_for_each(|mut rows| {
            loader.take(&mut rows)?;
            // Who would fill them again may be through.
            let _ = give_back.send(rows);
            Ok(())
        });
        let read = reading.join().unwrap_or_else(|panic| resume_unwind(panic));
        (read, taken.map(|()| loader))
    });
    let misfit = |error: engine::checkpoint::CheckpointError| wrong(error.to_string());
    let loader = taken.map_err(misfit)?;
    read?;
    let state = loader.finish().map_err(misfit)?;
    if state.sequence() != label.position.sequence {
        return Err(wrong(format!(
            "its state is that of sequence {}",
            state.sequence()
        )));
    }
    Ok(state)
}

/// Applies the records of a frame of the journal.
///
/// # Errors
/// [`Refused`] says which cannot be read or does not fit, and why; those before it are applied or
/// not, so the state is of no use then.
pub fn apply_frame(state: &mut State, records: Records<'_>) -> Result<(), Refused> {
    let mut decoded = Vec::new();
    decode(records, &mut decoded)?;
    apply(state, &decoded)
}

/// Opens a journal and applies what it has: its records are applied on a thread of their own while
/// this one reads and decodes the next, and frees those that were applied: who made them does that
/// with less, and has more time.
///
/// # Errors
/// What `open` says; [`JournalError::Replay`] when a record cannot be read or does not fit, before
/// anything is written.
pub fn replayed<T>(
    state: &mut State,
    open: impl FnOnce(&mut Replay<'_>) -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<Vec<Decoded>>(HANDED_AHEAD);
        let (give_back, applied) = mpsc::channel();
        let mut applying = Some((
            sender,
            scope.spawn(move || {
                receiver.iter().try_for_each(|some| {
                    apply(state, &some)?;
                    // Who would free them may be through.
                    let _ = give_back.send(some);
                    Ok(())
                })
            }),
        ));
        let mut decoded = Vec::with_capacity(HANDED_OVER);
        let opened = open(&mut |records| {
            let is_end = records.is_empty();
            decode(records, &mut decoded)?;
            if decoded.len() < HANDED_OVER && !is_end {
                return Ok(());
            }
            let mut next = applied
                .try_recv()
                .unwrap_or_else(|_| Vec::with_capacity(HANDED_OVER));
            next.clear();
            let full = std::mem::replace(&mut decoded, next);
            let is_taken = applying.as_ref().map(|it| it.0.send(full));
            if matches!(is_taken, Some(Ok(()))) && !is_end {
                return Ok(());
            }
            // It is over, or the other thread has ended early, which it does for a refusal only.
            applying.take().map_or(Ok(()), ended)
        })?;
        // A journal that did not say that all was handed over: nothing of it may be left out.
        if let Some((sender, thread)) = applying {
            // Refused only by a thread that has ended, and that says why below.
            let _ = sender.send(decoded);
            ended((sender, thread))?;
        }
        Ok(opened)
    })
}

/// What came of applying, now that nothing more is handed over.
fn ended<'scope>(
    (sender, thread): (
        mpsc::SyncSender<Vec<Decoded>>,
        thread::ScopedJoinHandle<'scope, Result<(), Refused>>,
    ),
) -> Result<(), Refused> {
    drop(sender);
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// A record of the journal.
type Decoded = (u64, UnixMs, Event);

fn decode(records: Records<'_>, decoded: &mut Vec<Decoded>) -> Result<(), Refused> {
    records.each(|sequence, bytes| {
        let (at, event) = record::decode(bytes).map_err(|error| error.to_string())?;
        decoded.push((sequence, at, event));
        Ok(())
    })
}

/// Applies records. Some are looked at before the first of them is applied, as deciding does with a
/// batch: waits for memory overlap.
fn apply(state: &mut State, decoded: &[Decoded]) -> Result<(), Refused> {
    for some in decoded.chunks(LOOKED_AT) {
        let decided = some.iter().filter_map(|row| row.2.decided());
        black_box(state.glance(decided.map(|it| &*it.facts)));
        for (sequence, at, event) in some {
            let applied = state.apply(*sequence, *at, event);
            applied.map_err(|error| Refused {
                sequence: *sequence,
                reason: error.to_string(),
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::engine::event::Housekept;
    use crate::journal::{Batch, Journal, MemoryJournal, MemoryStore};

    use super::*;

    /// A journal of so many records of passing time, each a millisecond later; then this one.
    fn journal(count: i64, last: impl FnOnce(&mut Vec<u8>)) -> MemoryStore {
        let store = MemoryStore::new();
        let mut journal = MemoryJournal::open(&store, &mut |_| Ok(())).unwrap();
        let mut batch = Batch::new();
        batch.clear(1);
        for at in 1..=count {
            let event = Event::Housekept(Box::default());
            batch.push(|out| record::encode(UnixMs(at), &event, out).unwrap());
        }
        batch.push(last);
        journal.append(&batch).unwrap();
        store
    }

    #[test]
    fn a_journal_is_replayed_to_its_last_record() {
        let event = Event::Housekept(Box::<Housekept>::default());
        let store = journal(3_000, |out| {
            record::encode(UnixMs(3_001), &event, out).unwrap();
        });
        let mut state = State::new();
        replayed(&mut state, |replay| MemoryJournal::open(&store, replay)).unwrap();
        assert_eq!((state.sequence(), state.at()), (3_001, UnixMs(3_001)));
    }

    #[test]
    fn a_journal_that_does_not_say_its_end_is_replayed_to_its_last_record_too() {
        let event = Event::Housekept(Box::<Housekept>::default());
        let store = journal(600, |out| record::encode(UnixMs(601), &event, out).unwrap());
        let mut state = State::new();
        let opened = replayed(&mut state, |replay| {
            MemoryJournal::open(&store, &mut |records| match records.is_empty() {
                true => Ok(()),
                false => replay(records),
            })
        });
        opened.unwrap();
        assert_eq!(state.sequence(), 601);
    }

    #[test]
    fn a_record_that_cannot_be_read_or_does_not_fit_stops_the_opening_and_is_named() {
        let event = Event::Housekept(Box::<Housekept>::default());
        for count in [2, 600, 3_000] {
            let unreadable = journal(count, |out| out.push(99));
            let earlier = journal(count, |out| {
                record::encode(UnixMs(0), &event, out).unwrap();
            });
            for (store, reason) in [(unreadable, "version 99"), (earlier, "time goes back")] {
                let mut state = State::new();
                let opened = replayed(&mut state, |replay| MemoryJournal::open(&store, replay));
                let message = opened.map(drop).unwrap_err().to_string();
                let place = format!("record {} was refused", count + 1);
                assert!(
                    message.contains(&place) && message.contains(reason),
                    "{message}"
                );
            }
        }
    }
}
