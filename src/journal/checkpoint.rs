//! Checkpoints: what its owner knew at a position of the journal, so that a start need not read
//! what lies before it.
//!
//! A checkpoint is a sled store of its own, `<dir>/c/<sequence>/`, written once: chunks of opaque
//! bytes, each with its hash. It counts from the moment on at which its file `VALID` is durable,
//! and that is written only after every chunk was read back. All numbers are little-endian:
//!
//! ```text
//!  0  4  magic "CSJK"
//!  4  2  format version, 1
//!  6  2  reserved: 0
//!  8  8  sequence of the checkpoint
//! 16  4  number of the chunk, from 1
//! 20  4  bytes of its content
//! 24 32  BLAKE3 over bytes 0..24 and the content
//! 56     content
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::backup::{CopyProgress, copy_folder};
use super::bytes::Reader;
use super::durable;
use super::error::StoreError;
use super::generation::{self, Generation};
use super::group::GROUP_BYTES_MAX;
use super::label::Checkpoint;
use super::seal::Head;

const MAGIC: [u8; 4] = *b"CSJK";
const FORMAT_VERSION: u16 = 1;
const HASHED_BYTES: usize = 24;

/// A chunk's content is never larger: with its header it is no larger than a frame, for the same
/// reason.
pub const CHUNK_BYTES_MAX: usize = 60 << 10;

/// A checkpoint that cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the checkpoint in {path}: {what}", path = .path.display())]
pub struct CheckpointError {
    /// Its directory.
    pub path: PathBuf,
    /// What was expected and what is there, or what the system said.
    pub what: String,
}

/// The checkpoints of a store that this process has open or may read.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    directory: PathBuf,
    cache_bytes: u64,
}

impl Checkpoints {
    /// Of the store in a directory.
    #[must_use]
    pub fn of(store: &Path, cache_bytes: u64) -> Checkpoints {
        Checkpoints {
            directory: store.join("c"),
            cache_bytes,
        }
    }

    /// All that count, newest first; those whose label cannot be read as errors. What was never
    /// finished is passed over.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Result<Checkpoint, CheckpointError>>, CheckpointError> {
        let mut found = Vec::new();
        for number in self.numbers()?.into_iter().rev() {
            let path = generation::directory(&self.directory, number);
            match Checkpoint::read(&path) {
                Ok(None) => {}
                Ok(Some(label)) if label.position.sequence == number => found.push(Ok(label)),
                Ok(Some(label)) => {
                    let what = format!("its label says sequence {}", label.position.sequence);
                    found.push(Err(CheckpointError { path, what }));
                }
                Err(what) => found.push(Err(CheckpointError { path, what })),
            }
        }
        Ok(found)
    }

    /// Reads a checkpoint: every chunk in order, each of them proven before it is handed over.
    ///
    /// # Errors
    /// [`CheckpointError`] when anything is missing or changed, or `take` refuses a chunk; what was
    /// handed over before then means nothing.
    pub fn read(
        &self,
        label: &Checkpoint,
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), CheckpointError> {
        let number = label.position.sequence;
        let path = generation::directory(&self.directory, number);
        let wrong = |what: String| CheckpointError {
            path: path.clone(),
            what,
        };
        let failed = |error: StoreError| wrong(error.fault().to_string());
        let store = Generation::open(&self.directory, number, self.cache_bytes).map_err(failed)?;
        let mut all = blake3::Hasher::new();
        let (mut chunks, mut bytes) = (0_u32, 0_u64);
        for entry in store.frames().map_err(failed)? {
            let (key, chunk) = entry.map_err(failed)?;
            chunks = chunks.saturating_add(1);
            if key != u64::from(chunks) {
                return Err(wrong(format!("expected chunk {chunks}, found {key}")));
            }
            let (hash, content) = open_chunk(&chunk, number, chunks)
                .ok_or_else(|| wrong(format!("expected chunk {chunks} as it was written")))?;
            all.update(&hash);
            bytes = bytes.saturating_add(u64::try_from(content.len()).unwrap_or(u64::MAX));
            take(content).map_err(|what| wrong(format!("chunk {chunks}: {what}")))?;
        }
        if (chunks, bytes) != (label.chunks, label.bytes) || all.finalize() != label.hash {
            let what = format!(
                "expected {} chunks of {} bytes, found {chunks} of {bytes}, or others",
                label.chunks, label.bytes
            );
            return Err(wrong(what));
        }
        Ok(())
    }

    /// Begins a checkpoint at a position.
    ///
    /// # Errors
    /// [`CheckpointError`] when there is one at this position, or the system refuses.
    pub fn begin(&self, position: Head) -> Result<CheckpointWriter, CheckpointError> {
        let path = generation::directory(&self.directory, position.sequence);
        let wrong = |what: String| CheckpointError {
            path: path.clone(),
            what,
        };
        if !matches!(Checkpoint::read(&path), Ok(None)) {
            return Err(wrong("there is one at this position already".to_owned()));
        }
        let refused = |error: io::Error| wrong(error.to_string());
        if path.is_dir() {
            // Of a process that was stopped before it could finish.
            fs::remove_dir_all(&path).map_err(refused)?;
        }
        durable::create_directory(&self.directory).map_err(refused)?;
        let store = Generation::create(&self.directory, position.sequence, self.cache_bytes)
            .map_err(|error| wrong(error.fault().to_string()))?;
        Ok(CheckpointWriter {
            path,
            store,
            position,
            chunks: 0,
            bytes: 0,
            unsynced: 0,
            all: blake3::Hasher::new(),
            buffer: Vec::new(),
        })
    }

    /// Lets a checkpoint count that was written and read back.
    ///
    /// # Errors
    /// [`CheckpointError`]; it does not count then, or does, and may be written again either way.
    pub fn mark_valid(&self, label: &Checkpoint) -> Result<(), CheckpointError> {
        let path = generation::directory(&self.directory, label.position.sequence);
        let marked = durable::sync_tree(&path).and_then(|()| label.write(&path));
        marked.map_err(|error| CheckpointError {
            what: error.to_string(),
            path,
        })
    }

    /// Removes every checkpoint that is older than `oldest`, and all that was never finished;
    /// those that are newer and cannot be read stay, for people to look at.
    ///
    /// # Errors
    /// [`CheckpointError`] names the first that cannot be removed.
    pub fn remove_before(&self, oldest: u64) -> Result<(), CheckpointError> {
        let mut removed = false;
        for number in self.numbers()? {
            let path = generation::directory(&self.directory, number);
            let is_unfinished = matches!(Checkpoint::read(&path), Ok(None));
            if number >= oldest && !is_unfinished {
                continue;
            }
            let remove = Checkpoint::erase(&path).and_then(|()| fs::remove_dir_all(&path));
            remove.map_err(|error| CheckpointError {
                what: error.to_string(),
                path,
            })?;
            removed = true;
        }
        if removed {
            let synced = durable::sync_directory(&self.directory);
            synced.map_err(|error| self.unreadable(&error))?;
        }
        Ok(())
    }

    /// Copies every checkpoint that counts, up to a sequence, to the store in another folder.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn copy_to(
        &self,
        store: &Path,
        until: u64,
        progress: &CopyProgress,
    ) -> Result<(), CheckpointError> {
        for label in self.list()?.into_iter().flatten() {
            let number = label.position.sequence;
            if number > until {
                continue;
            }
            let path = generation::directory(&self.directory, number);
            let target = generation::directory(&store.join("c"), number);
            let copied = copy_folder(&path, &target, progress);
            copied.map_err(|error| self.wrong(&label, error.to_string()))?;
        }
        Ok(())
    }

    /// What is wrong with a checkpoint, as its reader found.
    #[must_use]
    pub fn wrong(&self, label: &Checkpoint, what: String) -> CheckpointError {
        let path = generation::directory(&self.directory, label.position.sequence);
        CheckpointError { path, what }
    }

    fn numbers(&self) -> Result<Vec<u64>, CheckpointError> {
        generation::numbers(&self.directory).map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &io::Error) -> CheckpointError {
        CheckpointError {
            path: self.directory.clone(),
            what: error.to_string(),
        }
    }
}

/// A checkpoint that is being written.
#[derive(Debug)]
pub struct CheckpointWriter {
    path: PathBuf,
    store: Generation,
    position: Head,
    chunks: u32,
    bytes: u64,
    unsynced: usize,
    all: blake3::Hasher,
    buffer: Vec<u8>,
}

impl CheckpointWriter {
    /// Adds a chunk; true when this one made the device write what was gathered.
    ///
    /// # Errors
    /// [`CheckpointError`] when it is too large or the system refuses; the checkpoint is lost then.
    pub fn chunk(&mut self, content: &[u8]) -> Result<bool, CheckpointError> {
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        if content.len() > CHUNK_BYTES_MAX {
            let what = format!("a chunk of {length} bytes, expected {CHUNK_BYTES_MAX} at most");
            return Err(self.wrong(what));
        }
        self.chunks = self.chunks.saturating_add(1);
        let hash = close_chunk(
            &mut self.buffer,
            self.position.sequence,
            (self.chunks, length),
            content,
        );
        self.all.update(&hash);
        self.bytes = self.bytes.saturating_add(u64::from(length));
        self.unsynced = self.unsynced.saturating_add(self.buffer.len());
        let inserted = self.store.insert(u64::from(self.chunks), &self.buffer);
        inserted.map_err(|error| self.wrong(error.fault().to_string()))?;
        let is_due = self.unsynced.saturating_add(CHUNK_BYTES_MAX) > GROUP_BYTES_MAX;
        if is_due {
            self.commit()?;
        }
        Ok(is_due)
    }

    /// Makes all chunks durable and closes the store; the label is not written yet.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn close(
        self,
        (digest_form, digest): (u16, [u8; 32]),
        made_at_ms: i64,
    ) -> Result<Checkpoint, CheckpointError> {
        let mut writer = self;
        writer.commit()?;
        Ok(Checkpoint {
            position: writer.position,
            chunks: writer.chunks,
            bytes: writer.bytes,
            digest,
            digest_form,
            made_at_ms,
            hash: *writer.all.finalize().as_bytes(),
        })
    }

    fn commit(&mut self) -> Result<(), CheckpointError> {
        self.unsynced = 0;
        let committed = self.store.commit();
        committed.map_err(|error| self.wrong(error.fault().to_string()))
    }

    fn wrong(&self, what: String) -> CheckpointError {
        CheckpointError {
            path: self.path.clone(),
            what,
        }
    }
}

/// Makes the bytes of a chunk; returns its hash.
fn close_chunk(
    out: &mut Vec<u8>,
    sequence: u64,
    (number, length): (u32, u32),
    content: &[u8],
) -> [u8; 32] {
    out.clear();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    let hash = hash_of(out, content);
    out.extend_from_slice(&hash);
    out.extend_from_slice(content);
    hash
}

/// Hash and content of a chunk; `None` when it is not the one that was written there.
fn open_chunk(bytes: &[u8], sequence: u64, number: u32) -> Option<([u8; 32], &[u8])> {
    let head = bytes.get(..HASHED_BYTES)?;
    let mut reader = Reader(bytes);
    let is_it = reader.array() == Some(MAGIC)
        && reader.u16() == Some(FORMAT_VERSION)
        && reader.u16() == Some(0)
        && reader.u64() == Some(sequence)
        && reader.u32() == Some(number);
    let length = usize::try_from(reader.u32()?).ok()?;
    let hash: [u8; 32] = reader.array()?;
    let content = reader.slice(length).filter(|_| reader.0.is_empty())?;
    (is_it && hash_of(head, content) == hash).then_some((hash, content))
}

fn hash_of(head: &[u8], content: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head).update(content);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chunk of version 1 as every later program must read it.
    const GOLDEN: &[u8] = include_bytes!("../../fixtures/checkpoint/chunk-v1.bin");

    #[test]
    fn a_chunk_of_version_1_reads_as_it_always_did_and_any_flipped_bit_is_found() {
        let mut bytes = Vec::new();
        let hash = close_chunk(&mut bytes, 4_711, (3, 5), b"state");
        assert_eq!(bytes, GOLDEN);
        assert_eq!(open_chunk(GOLDEN, 4_711, 3), Some((hash, &b"state"[..])));
        assert!(open_chunk(GOLDEN, 4_712, 3).is_none());
        assert!(open_chunk(GOLDEN, 4_711, 2).is_none());
        for bit in 0..GOLDEN.len() * 8 {
            let mut damaged = GOLDEN.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open_chunk(&damaged, 4_711, 3).is_none(), "bit {bit}");
        }
    }
}
