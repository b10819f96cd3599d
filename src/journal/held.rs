//! A store that this process holds and has not read yet.

use std::path::{Path, PathBuf};

use super::Replay;
use super::checkpoint::Checkpoints;
use super::durable;
use super::error::{JournalError, StoreError};
use super::lock::StoreLock;
use super::options::SledOptions;
use super::plan::Plan;
use super::seal::Head;
use super::sled::SledJournal;

/// A directory that no other process can open as a store while this value lives.
#[derive(Debug)]
pub struct HeldStore {
    directory: PathBuf,
    lock: StoreLock,
}

impl HeldStore {
    /// Takes the store in `directory`, which is created where there is none.
    ///
    /// # Errors
    /// [`JournalError::Locked`] when another process has it open, [`JournalError::CannotOpen`] when
    /// the system refuses.
    pub fn take(directory: &Path) -> Result<HeldStore, JournalError> {
        durable::create_directory(directory)
            .map_err(|error| StoreError::io("create", directory, error))?;
        Ok(HeldStore {
            lock: StoreLock::take(directory)?,
            directory: directory.to_path_buf(),
        })
    }

    /// Where it is.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its checkpoints, read with so many bytes of cache.
    #[must_use]
    pub fn checkpoints(&self, cache_bytes: u64) -> Checkpoints {
        Checkpoints::of(&self.directory, cache_bytes)
    }

    /// The first record that its journal has, or would have.
    ///
    /// # Errors
    /// [`JournalError`] when the generations cannot be read.
    pub fn first_sequence(&self) -> Result<u64, JournalError> {
        let plan = Plan::read(&self.directory, &self.directory.join("j"))?;
        Ok(plan.first.before.sequence.saturating_add(1))
    }

    /// Opens the journal as [`SledJournal::open`] does, and hands only the records behind `base` to
    /// `replay`: the position of a checkpoint that was read.
    ///
    /// # Errors
    /// Those of [`SledJournal::open`]; also [`JournalError::Damaged`] when the journal is another
    /// one than that of the checkpoint, or ends before one, and [`JournalError::Truncated`] when
    /// it cannot be read without one.
    pub fn open(
        self,
        options: SledOptions,
        base: Option<Head>,
        replay: &mut Replay<'_>,
    ) -> Result<SledJournal, JournalError> {
        let checkpoints = self.checkpoints(options.cache_bytes).list();
        let made = checkpoints.unwrap_or_default().into_iter().flatten();
        let reach = made.map(|label| label.position.sequence).max();
        let from = (base.unwrap_or(Head::START), reach.unwrap_or(0));
        SledJournal::open_held(&self.directory, self.lock, options, from, replay)
    }
}
