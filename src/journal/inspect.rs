//! What can be told of a store without opening it: nothing is written, nobody is disturbed.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use super::checkpoint::{CheckpointError, Checkpoints};
use super::error::{JournalError, StoreError};
use super::generation;
use super::label::Checkpoint;
use super::plan::Plan;
use super::ring::{self, RingHeader};
use super::watermark::{self, Found};

/// What is on the disk.
#[derive(Debug)]
pub struct StoreView {
    /// Whether a process has it open.
    pub is_open: bool,
    /// The first record that the journal has, or would have.
    pub first_sequence: u64,
    /// The generations that count, in order.
    pub generations: Vec<GenerationView>,
    /// The sequence that the watermark vouches for, and whether the ring may hold more than sled;
    /// `None`: there is no watermark that can be read.
    pub watermark: Option<(u64, bool)>,
    /// Bytes of the ring; `None`: there is none that can be read.
    pub ring_bytes: Option<u64>,
    /// The checkpoints, newest first, with the bytes they take on the disk.
    pub checkpoints: Vec<Result<(Checkpoint, u64), CheckpointError>>,
}

/// One generation on the disk.
#[derive(Clone, Copy, Debug)]
pub struct GenerationView {
    /// Its number.
    pub number: u64,
    /// The last sequence in it, where it is sealed.
    pub sealed_at: Option<u64>,
    /// Bytes that it takes on the disk.
    pub bytes: u64,
}

/// Looks at the store in a directory.
///
/// # Errors
/// [`JournalError`] when there is none, or what is there makes no sense.
pub fn view(directory: &Path) -> Result<StoreView, JournalError> {
    let generations = directory.join("j");
    if !generations.is_dir() {
        let error = io::ErrorKind::NotFound.into();
        return Err(StoreError::io("look into", &generations, error).into());
    }
    let plan = Plan::read(directory, &generations)?;
    let size = |number| size_of_folder(&generation::directory(&generations, number));
    let sealed = plan.sealed.iter().map(|(number, seal)| GenerationView {
        number: *number,
        sealed_at: Some(seal.head.sequence),
        bytes: size(*number),
    });
    let unsealed = plan.unsealed.iter().map(|number| GenerationView {
        number: *number,
        sealed_at: None,
        bytes: size(*number),
    });
    let checkpoints = Checkpoints::of(directory, 0);
    let sized = |label: Checkpoint| {
        let folder = generation::directory(&directory.join("c"), label.position.sequence);
        (label, size_of_folder(&folder))
    };
    let found = match checkpoints.list() {
        Ok(found) => found,
        Err(error) => vec![Err(error)],
    };
    Ok(StoreView {
        is_open: is_open(directory),
        first_sequence: plan.first.before.sequence.saturating_add(1),
        generations: sealed.chain(unsealed).collect(),
        watermark: match watermark::read(directory)? {
            Found::Position { head, ring } => Some((head.sequence, ring.is_some())),
            Found::Missing | Found::Unreadable => None,
        },
        ring_bytes: ring::read(directory)?
            .and_then(|bytes| RingHeader::decode(&bytes))
            .map(|header| header.bytes),
        checkpoints: found.into_iter().map(|label| label.map(sized)).collect(),
    })
}

/// Whether a process has the store open.
#[must_use]
pub fn is_open(directory: &Path) -> bool {
    let Ok(file) = File::open(directory.join("LOCK")) else {
        return false;
    };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Bytes that the files of a folder take; what cannot be read counts nothing.
fn size_of_folder(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => size_of_folder(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
