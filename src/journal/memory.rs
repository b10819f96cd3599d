//! A journal in memory: the same frames, checks and errors, for tests and simulation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::batch::Batch;
use super::error::{Damage, JournalError};
use super::frame::{ChainHash, FrameWriter, decode_frame};
use super::group::{FrameSink, write_batch};
use super::seal::Head;
use super::{Journal, Replay};

/// What outlives a [`MemoryJournal`], as a disk outlives a process; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    frames: Arc<Mutex<Vec<Box<[u8]>>>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    fn frames(&self) -> MutexGuard<'_, Vec<Box<[u8]>>> {
        // Frames are added whole, so a panic elsewhere cannot have left half of one.
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A journal that keeps everything in memory.
#[derive(Debug)]
pub struct MemoryJournal {
    sink: MemorySink,
    writer: FrameWriter,
    head: Head,
    fault: Option<JournalError>,
}

#[derive(Debug)]
struct MemorySink {
    store: MemoryStore,
    group: Vec<Box<[u8]>>,
}

impl MemoryJournal {
    /// Opens a store and hands every record in it to `replay`.
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`] when the frames do not follow each other, and
    /// [`JournalError::Replay`] when `replay` refused a record.
    pub fn open(
        store: &MemoryStore,
        replay: &mut Replay<'_>,
    ) -> Result<MemoryJournal, JournalError> {
        let mut head = Head::START;
        for bytes in store.frames().iter() {
            let expected = head.sequence.saturating_add(1);
            let frame = decode_frame(bytes).map_err(|error| damage(expected, &error))?;
            if frame.header.first_sequence != expected || frame.header.previous != head.chain {
                return Err(damage(
                    expected,
                    &"a frame that does not follow the one before it",
                ));
            }
            replay(frame.records())?;
            head = Head {
                sequence: frame.last_sequence(),
                chain: frame.chain,
            };
        }
        let sink = MemorySink {
            store: store.clone(),
            group: Vec::new(),
        };
        Ok(MemoryJournal {
            sink,
            writer: FrameWriter::new(),
            head,
            fault: None,
        })
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, batch: &Batch) -> Result<(), JournalError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if batch.is_empty() {
            return Ok(());
        }
        match write_batch(batch, self.head, &mut self.writer, &mut self.sink) {
            Ok(head) => {
                self.head = head;
                Ok(())
            }
            Err(error) => {
                self.fault = Some(error.clone());
                Err(error)
            }
        }
    }

    fn last_sequence(&self) -> u64 {
        self.head.sequence
    }

    fn chain(&self) -> ChainHash {
        self.head.chain
    }
}

impl FrameSink for MemorySink {
    fn insert(&mut self, _first_sequence: u64, frame: &[u8], _: Head) -> Result<(), JournalError> {
        self.group.push(frame.into());
        Ok(())
    }

    fn commit(&mut self) -> Result<(), JournalError> {
        self.store.frames().append(&mut self.group);
        Ok(())
    }
}

fn damage(sequence: u64, found: &dyn std::fmt::Display) -> JournalError {
    JournalError::Damaged(Box::new(Damage {
        directory: "memory".into(),
        generation: 0,
        sequence,
        expected: format!("a frame from sequence {sequence}"),
        found: found.to_string(),
    }))
}
