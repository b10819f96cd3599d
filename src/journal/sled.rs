//! The journal on sled: one writer, one generation at a time, the next one created ahead.

use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use super::batch::Batch;
use super::contain::panic_message;
use super::durable;
use super::error::{JournalError, StoreError};
use super::frame::{ChainHash, FrameWriter};
use super::generation::Generation;
use super::group::{FrameSink, write_batch};
use super::lock::StoreLock;
use super::options::SledOptions;
use super::reader::{Active, JournalReader};
use super::recovery::{Opened, Recovery, recover};
use super::seal::{Head, Seal, SealReason};
use super::watermark::Watermark;
use super::{Journal, Replay};

/// A journal in a directory of one machine.
///
/// `append` returns after a device flush of the store's file, so an acknowledged record survives
/// the end of the process and a power cut. Every start proves it, see [`Recovery`]; the one gap in
/// that proof is told at [`WatermarkPolicy`](super::WatermarkPolicy).
///
/// ```
/// use cardswitch::journal::{Batch, Journal, SledJournal, SledOptions};
///
/// let directory = tempfile::tempdir()?;
/// let mut journal =
///     SledJournal::open(directory.path(), SledOptions::standard(), &mut |_, _| Ok(()))?;
/// let mut batch = Batch::new();
/// batch.clear(journal.last_sequence() + 1);
/// batch.push(|record| record.extend_from_slice(b"hold opened"));
/// journal.append(&batch)?;
/// journal.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SledJournal {
    fault: Option<JournalError>,
    head: Head,
    writer: FrameWriter,
    options: SledOptions,
    generations: PathBuf,
    recovery: Recovery,
    watermark: Watermark,
    next: Next,
    active_bytes: u64,
    /// The active generation, for readers.
    shared: Option<Active>,
    active: Generation,
    retiring: Option<JoinHandle<()>>,
    // The last field: the store is free only when everything above is closed.
    _lock: StoreLock,
}

/// The generation after the active one.
#[derive(Debug)]
enum Next {
    NotYet,
    Creating(JoinHandle<Result<Generation, StoreError>>),
    Ready(Generation),
}

impl SledJournal {
    /// Opens the store in `directory`, or creates it where there is none, and hands every record
    /// to `replay` in order.
    ///
    /// # Errors
    ///
    /// [`JournalError::Locked`] when another process has it open, [`JournalError::Damaged`] when
    /// anything acknowledged is missing or changed, [`JournalError::Replay`] when `replay` refused
    /// a record, and [`JournalError::CannotOpen`] or [`JournalError::DiskFull`] when the system
    /// refused an operation. Records already handed to `replay` then mean nothing.
    pub fn open(
        directory: &Path,
        options: SledOptions,
        replay: &mut Replay<'_>,
    ) -> Result<SledJournal, JournalError> {
        durable::create_directory(directory)
            .map_err(|error| StoreError::io("create", directory, error))?;
        let lock = StoreLock::take(directory)?;
        let opened = recover(directory, options.cache_bytes, replay)?;
        let Opened {
            active,
            spare,
            active_bytes,
            head,
            watermark_slot,
            recovery,
        } = opened;
        let watermark = Watermark::open(directory, watermark_slot, head, options.watermark)?;
        Ok(SledJournal {
            fault: None,
            head,
            writer: FrameWriter::new(),
            options,
            generations: directory.join("j"),
            recovery,
            watermark,
            next: spare.map_or(Next::NotYet, Next::Ready),
            active_bytes,
            active,
            shared: None,
            retiring: None,
            _lock: lock,
        })
    }

    /// What opening found.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Reads beside this journal; none once it has stopped.
    #[must_use]
    pub fn reader(&mut self) -> Option<JournalReader> {
        if self.shared.is_none() {
            let db = self.active.shared()?;
            self.shared = Some(Active::new(self.active.number(), db));
        }
        let directory = self.generations.parent()?.to_path_buf();
        let active = self.shared.clone()?;
        Some(JournalReader::new(
            directory,
            self.options.cache_bytes,
            active,
        ))
    }

    /// Writes the watermark and closes; dropping does the same but cannot report an error.
    ///
    /// # Errors
    ///
    /// The fault that stopped the journal earlier, or that of writing the watermark.
    pub fn close(mut self) -> Result<(), JournalError> {
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => self.watermark.close(),
        }
    }

    fn append_running(&mut self, batch: &Batch) -> Result<(), JournalError> {
        let written = write_batch(batch, self.head, &mut self.writer, &mut self.active)?;
        assert!(
            self.head.sequence < written.head.sequence,
            "a batch added no sequence"
        );
        self.watermark.note(written.head)?;
        self.head = written.head;
        self.active_bytes = self.active_bytes.saturating_add(written.bytes);
        self.rotate()
    }

    /// Creates the next generation when the active one is half full, and moves to it when full.
    fn rotate(&mut self) -> Result<(), JournalError> {
        let full = self.options.rotate_bytes;
        if self.active_bytes < full / 2 {
            return Ok(());
        }
        if matches!(self.next, Next::NotYet) {
            self.next = self.create_next().map_err(StoreError::fault)?;
        }
        // A slow creation may let the active generation grow to twice its size, not further.
        let overdue = self.active_bytes >= full.saturating_mul(2);
        let ready = match &self.next {
            Next::NotYet => false,
            Next::Creating(thread) => thread.is_finished() || overdue,
            Next::Ready(_) => true,
        };
        if self.active_bytes < full || !ready {
            return Ok(());
        }
        match std::mem::replace(&mut self.next, Next::NotYet) {
            Next::NotYet => Ok(()),
            Next::Ready(generation) => self.move_to(generation),
            Next::Creating(thread) => {
                let created = thread.join().map_err(|payload| {
                    let detail = panic_message(payload.as_ref());
                    StoreError::corrupt("create", &self.generations, detail)
                });
                let generation = created
                    .and_then(|created| created)
                    .map_err(StoreError::fault)?;
                self.move_to(generation)
            }
        }
    }

    fn create_next(&self) -> Result<Next, StoreError> {
        let number = self.active.number().saturating_add(1);
        let generations = self.generations.clone();
        let cache_bytes = self.options.cache_bytes;
        let create = move || Generation::create(&generations, number, cache_bytes);
        let thread = thread::Builder::new()
            .name("journal-next".to_owned())
            .spawn(create);
        let failed = |error| StoreError::io("start the creation of", &self.generations, error);
        thread.map(Next::Creating).map_err(failed)
    }

    /// Seals the active generation, and only then lets the next one take frames.
    fn move_to(&mut self, generation: Generation) -> Result<(), JournalError> {
        assert_eq!(
            generation.number(),
            self.active.number() + 1,
            "a generation was skipped"
        );
        let seal = Seal {
            head: self.head,
            reason: SealReason::Full,
        };
        self.active.seal(&seal).map_err(StoreError::fault)?;
        let left = std::mem::replace(&mut self.active, generation);
        self.active_bytes = 0;
        if let (Some(shared), Some(db)) = (&self.shared, self.active.shared()) {
            shared.replace(self.active.number(), db);
        }
        self.finish_retiring();
        // Closing a store takes milliseconds that no card holder should wait for.
        let path = left.path().to_path_buf();
        let thread = thread::Builder::new().name("journal-retire".to_owned());
        let thread = thread.spawn(move || drop(left));
        let failed = |error| StoreError::io("start the closing of", &path, error).fault();
        self.retiring = Some(thread.map_err(failed)?);
        Ok(())
    }

    fn finish_retiring(&mut self) {
        if let Some(thread) = self.retiring.take() {
            // It only closed a sealed store: nothing that counts can have failed.
            let _ = thread.join();
        }
    }
}

impl Journal for SledJournal {
    fn append(&mut self, batch: &Batch) -> Result<(), JournalError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if batch.is_empty() {
            return Ok(());
        }
        let outcome = self.append_running(batch);
        if let Err(error) = &outcome {
            self.fault = Some(error.clone());
            if error.is_after_write() {
                self.active.abandon();
            }
        }
        outcome
    }

    fn last_sequence(&self) -> u64 {
        self.head.sequence
    }

    fn chain(&self) -> ChainHash {
        self.head.chain
    }
}

impl FrameSink for Generation {
    fn insert(&mut self, first_sequence: u64, frame: &[u8]) -> Result<(), JournalError> {
        Generation::insert(self, first_sequence, frame).map_err(StoreError::fault)
    }

    fn commit(&mut self) -> Result<(), JournalError> {
        Generation::commit(self).map_err(StoreError::fault)
    }
}

impl Drop for SledJournal {
    fn drop(&mut self) {
        // Threads that still work on the store end before its lock goes.
        if let Next::Creating(thread) = std::mem::replace(&mut self.next, Next::NotYet) {
            let _ = thread.join();
        }
        self.finish_retiring();
    }
}
