//! Reads durable records beside the writer, a page at a time; the writer never waits for it.
//!
//! Owns at most one older generation, kept open between pages. Does not know what is durable: its
//! caller names the last sequence to be read, and must have learned from the writer that it is.
//! What is durable in the ring only is waited for, until the drain has brought it into sled.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ::sled::Db;

use super::drain::Drain;
use super::error::JournalError;
use super::frame::decode_frame;
use super::generation::{self, Generation};
use super::plan::{Plan, damage};

/// The generation that is being written, for whoever reads.
#[derive(Clone, Debug)]
pub(super) struct Active(Arc<Mutex<(u64, Db)>>);

impl Active {
    pub(super) fn new(number: u64, db: Db) -> Active {
        Active(Arc::new(Mutex::new((number, db))))
    }

    /// From here on another generation is written.
    pub(super) fn replace(&self, number: u64, db: Db) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (number, db);
    }

    fn get(&self, number: u64) -> Option<Db> {
        let active = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (active.0 == number).then(|| active.1.clone())
    }
}

/// Reads the journal of a store that this process has open.
#[derive(Clone, Debug)]
pub struct JournalReader {
    directory: PathBuf,
    cache_bytes: u64,
    active: Active,
    /// Brings records from the ring; none where there is no ring.
    drain: Option<Drain>,
    /// The older generation that was read last.
    older: Arc<Mutex<Option<Generation>>>,
}

impl JournalReader {
    pub(super) fn new(
        directory: PathBuf,
        cache_bytes: u64,
        active: Active,
        drain: Option<Drain>,
    ) -> JournalReader {
        JournalReader {
            directory,
            cache_bytes,
            active,
            drain,
            older: Arc::new(Mutex::new(None)),
        }
    }

    /// Hands the records after sequence `after`, up to and including `until`, to `take` in order,
    /// until it breaks or this page is over; returns the last sequence that was handed over, or
    /// `after` when there was none. `until` must be durable.
    ///
    /// One page is at most one generation. Reading waits for the disk: not for a task of tokio.
    ///
    /// # Errors
    /// [`JournalError`] when records that should be there cannot be read.
    pub fn page(
        &self,
        after: u64,
        until: u64,
        take: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<u64, JournalError> {
        if after >= until {
            return Ok(after);
        }
        if let Some(drain) = &self.drain {
            drain.wait_for(until)?;
        }
        let plan = Plan::read(&self.directory, &self.directory.join("j"))?;
        let older = plan
            .sealed
            .iter()
            .find(|(_, seal)| seal.head.sequence > after);
        match (older, plan.unsealed.first()) {
            (Some((number, seal)), _) => {
                self.read_older(*number, (after, until.min(seal.head.sequence)), take)
            }
            (None, Some(number)) => match self.active.get(*number) {
                Some(db) => read(&db, &self.place(*number), (after, until), take),
                // The writer is about to move on: the next page finds it.
                None => Ok(after),
            },
            (None, None) => Ok(after),
        }
    }

    fn read_older(
        &self,
        number: u64,
        (after, until): (u64, u64),
        take: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<u64, JournalError> {
        // Sealed a moment ago, it may still be the one that the writer has open.
        if let Some(db) = self.active.get(number) {
            return read(&db, &self.place(number), (after, until), take);
        }
        let mut older = self.older.lock().unwrap_or_else(PoisonError::into_inner);
        if older.as_ref().is_none_or(|it| it.number() != number) {
            // The one before closes first: both would hold their caches.
            *older = None;
            let generations = self.directory.join("j");
            let opened = Generation::open(&generations, number, self.cache_bytes);
            *older = Some(opened.map_err(super::error::StoreError::fault)?);
        }
        match older.as_ref().and_then(Generation::shared) {
            Some(db) => read(&db, &self.place(number), (after, until), take),
            None => Ok(after),
        }
    }

    fn place(&self, number: u64) -> Place {
        Place {
            directory: self.directory.clone(),
            number,
        }
    }
}

/// Which generation is read, for errors.
struct Place {
    directory: PathBuf,
    number: u64,
}

fn read(
    db: &Db,
    place: &Place,
    (after, until): (u64, u64),
    take: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> Result<u64, JournalError> {
    let path = generation::directory(&place.directory.join("j"), place.number);
    let mut last = after;
    for frame in generation::frames_from(db, &path, after.saturating_add(1))
        .map_err(super::error::StoreError::fault)?
    {
        let (_, bytes) = frame.map_err(super::error::StoreError::fault)?;
        let bad = |found: String| {
            let at = (place.number, last.saturating_add(1));
            damage(&place.directory, at, "a whole frame", found)
        };
        let frame = decode_frame(&bytes).map_err(|error| bad(format!("a bad frame: {error}")))?;
        for (sequence, record) in frame.records() {
            if sequence <= last {
                continue;
            }
            if sequence > until {
                return Ok(last);
            }
            last = sequence;
            if take(sequence, record).is_break() {
                return Ok(last);
            }
        }
    }
    Ok(last)
}
