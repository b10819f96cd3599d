//! The sled side of a journal: the generation that takes frames, and the one created ahead of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::contain::panic_message;
use super::error::{JournalError, StoreError};
use super::generation::Generation;
use super::group::FrameSink;
use super::options::SledOptions;
use super::reader::Active;
use super::seal::{Head, Seal, SealReason};

/// Generations in use; whoever holds it is their only writer.
#[derive(Debug)]
pub(super) struct Store {
    generations: PathBuf,
    options: SledOptions,
    next: Next,
    active_bytes: u64,
    /// The end of what was taken, and of what of that is durable.
    taken: Head,
    durable: Head,
    /// The active generation, for readers.
    shared: Option<Active>,
    active: Generation,
    retiring: Option<JoinHandle<()>>,
}

/// The generation after the active one.
#[derive(Debug)]
enum Next {
    NotYet,
    Creating(JoinHandle<Result<Generation, StoreError>>),
    Ready(Generation),
}

/// A store that the journal and the drain of its ring both know.
pub(super) type SharedStore = Arc<Mutex<Store>>;

/// Takes the store; a thread that panicked with it has left nothing half done in memory.
pub(super) fn lock(store: &SharedStore) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Over what recovery has opened; `active_bytes` of frames are in `active`, up to `head`.
    pub(super) fn new(
        directory: &Path,
        options: SledOptions,
        (active, active_bytes, head): (Generation, u64, Head),
        spare: Option<Generation>,
    ) -> Store {
        Store {
            generations: directory.join("j"),
            options,
            next: spare.map_or(Next::NotYet, Next::Ready),
            active_bytes,
            taken: head,
            durable: head,
            shared: None,
            active,
            retiring: None,
        }
    }

    /// The generation that is written, for readers; none once the store was abandoned.
    pub(super) fn reader(&mut self) -> Option<Active> {
        if self.shared.is_none() {
            let db = self.active.shared()?;
            self.shared = Some(Active::new(self.active.number(), db));
        }
        self.shared.clone()
    }

    /// Leaves everything as it is: after a fault nothing is written.
    pub(super) fn abandon(&mut self) {
        self.active.abandon();
    }

    /// Creates the next generation when the active one is half full, and moves to it when full;
    /// `head` is the end of what was committed.
    pub(super) fn rotate(&mut self, head: Head) -> Result<(), JournalError> {
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
        match self.take_next()? {
            None => Ok(()),
            Some(generation) => self.move_to(generation, head),
        }
    }

    /// Moves to the next generation now, however little is in the active one; false where that has
    /// nothing, or where nothing is written any more.
    pub(super) fn seal_now(&mut self) -> Result<bool, JournalError> {
        let is_idle = self.active_bytes == 0 || self.taken != self.durable;
        if is_idle || self.active.shared().is_none() {
            return Ok(false);
        }
        if matches!(self.next, Next::NotYet) {
            self.next = self.create_next().map_err(StoreError::fault)?;
        }
        match self.take_next()? {
            None => Ok(false),
            Some(generation) => {
                let moved = self.move_to(generation, self.durable);
                if moved.is_err() {
                    // As after any fault of the writer: it hears of it with the next frame.
                    self.abandon();
                }
                moved.map(|()| true)
            }
        }
    }

    /// The next generation, waited for where it is being created.
    fn take_next(&mut self) -> Result<Option<Generation>, JournalError> {
        match std::mem::replace(&mut self.next, Next::NotYet) {
            Next::NotYet => Ok(None),
            Next::Ready(generation) => Ok(Some(generation)),
            Next::Creating(thread) => {
                let created = thread.join().map_err(|payload| {
                    let detail = panic_message(payload.as_ref());
                    StoreError::corrupt("create", &self.generations, detail)
                });
                let generation = created.and_then(|created| created);
                generation.map(Some).map_err(StoreError::fault)
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
    fn move_to(&mut self, generation: Generation, head: Head) -> Result<(), JournalError> {
        assert_eq!(
            generation.number(),
            self.active.number() + 1,
            "a generation was skipped"
        );
        let seal = Seal {
            head,
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

impl FrameSink for Store {
    fn insert(
        &mut self,
        first_sequence: u64,
        frame: &[u8],
        after: Head,
    ) -> Result<(), JournalError> {
        let length = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        self.active_bytes = self.active_bytes.saturating_add(length);
        self.taken = after;
        let inserted = self.active.insert(first_sequence, frame);
        inserted.map_err(StoreError::fault)
    }

    fn commit(&mut self) -> Result<(), JournalError> {
        self.active.commit().map_err(StoreError::fault)?;
        self.durable = self.taken;
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Threads that still work on the store end before its lock goes.
        if let Next::Creating(thread) = std::mem::replace(&mut self.next, Next::NotYet) {
            let _ = thread.join();
        }
        self.finish_retiring();
    }
}
