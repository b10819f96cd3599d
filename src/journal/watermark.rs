//! The newest durable position, kept outside the store so that a lost end of it is seen.
//!
//! The file has 8 slots of 512 bytes (one sector each, so a torn write spoils one slot), written
//! in turn. The slot with the highest sequence counts.
//!
//! ```text
//!  0  4  magic "CSJW"
//!  4  2  format version: 1, or 2 while records may be in the ring only
//!  6  2  reserved: 0
//!  8  8  sequence of the last record
//! 16 32  chain hash of its frame
//! 48 16  version 2: identity of the ring
//! 48  4  CRC-32 over all before it (in version 2 at 64)
//! ```
//!
//! A release that knows no ring trusts no slot of version 2, and so refuses a store whose records
//! it would not find. A clean close leaves version 1.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::bytes::Reader;
use super::contain::panic_message;
use super::durable;
use super::error::{JournalError, StoreError};
use super::frame::ChainHash;
use super::options::WatermarkPolicy;
use super::ring::RingId;
use super::seal::Head;

const NAME: &str = "watermark";
const MAGIC: [u8; 4] = *b"CSJW";
const VERSION_PLAIN: u16 = 1;
const VERSION_RING: u16 = 2;
const SLOT_BYTES: usize = 512;
const SLOT_COUNT: u64 = 8;
const CHECKED_BYTES_PLAIN: usize = 48;
const CHECKED_BYTES_RING: usize = 64;
const ACTION: &str = "write";

/// How long the helper gathers commits before it writes: with the write itself below 10 ms. Its
/// syncs take the disk from the commits.
const LAZY_DELAY: Duration = Duration::from_millis(8);

/// The watermark a store was found with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is no file.
    Missing,
    /// No slot of the file can be trusted.
    Unreadable,
    /// The newest position, and the ring that may hold records beyond sled's.
    Position { head: Head, ring: Option<RingId> },
}

/// Reads the watermark of a store.
pub(super) fn read(directory: &Path) -> Result<Found, StoreError> {
    let path = directory.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    Ok(found_in(&bytes))
}

/// What the content of the file says.
pub(super) fn found_in(file: &[u8]) -> Found {
    let valid = file.chunks(SLOT_BYTES).filter_map(decode);
    match valid.max_by_key(|(head, _)| head.sequence) {
        Some((head, ring)) => Found::Position { head, ring },
        None => Found::Unreadable,
    }
}

/// Writes the whole file anew: one slot, and none of an earlier run.
pub(super) fn write(directory: &Path, head: Head, ring: Option<RingId>) -> Result<(), StoreError> {
    durable::write_file(directory, NAME, &new_file(head, ring))
        .map_err(|error| StoreError::io("create", &directory.join(NAME), error))
}

/// The content of a file with one slot.
pub(super) fn new_file(head: Head, ring: Option<RingId>) -> Vec<u8> {
    let mut bytes = encode(head, ring);
    bytes.resize(SLOT_BYTES * 8, 0);
    bytes
}

/// Writes positions into the slots in turn.
#[derive(Debug)]
struct WatermarkFile {
    path: PathBuf,
    file: File,
    slot: Slot,
    ring: Option<RingId>,
}

/// Number of a slot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot(u64);

impl Slot {
    /// The one that is written after this one.
    pub(super) fn next(self) -> Slot {
        Slot(self.0.wrapping_add(1) % SLOT_COUNT)
    }

    /// Where it lies in the file.
    pub(super) fn offset(self) -> u64 {
        self.0.saturating_mul(512)
    }
}

impl WatermarkFile {
    /// Opens what [`write`] has written.
    fn open(directory: &Path, ring: Option<RingId>) -> Result<WatermarkFile, StoreError> {
        let path = directory.join(NAME);
        let opened = OpenOptions::new().write(true).open(&path);
        let file = opened.map_err(|error| StoreError::io("open", &path, error))?;
        Ok(WatermarkFile {
            path,
            file,
            slot: Slot::default(),
            ring,
        })
    }

    fn write(&mut self, head: Head) -> Result<(), StoreError> {
        // The slot of the newest position is never the one that is overwritten.
        self.slot = self.slot.next();
        let offset = self.slot.offset();
        self.file
            .write_all_at(&encode(head, self.ring), offset)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| StoreError::io(ACTION, &self.path, error))
    }
}

/// Keeps the watermark behind the journal, as its policy says.
#[derive(Debug)]
pub(super) enum Watermark {
    /// Written by `note`.
    BeforeReply(BeforeReply),
    /// Written by a helper thread.
    Lazy(Lazy),
}

/// The file of the policy [`WatermarkPolicy::BeforeReply`].
#[derive(Debug)]
pub(super) struct BeforeReply(WatermarkFile);

impl Watermark {
    /// Writes the position recovery arrived at, and the ring that takes records from now on.
    pub(super) fn open(
        directory: &Path,
        head: Head,
        ring: Option<RingId>,
        policy: WatermarkPolicy,
    ) -> Result<Watermark, JournalError> {
        write(directory, head, ring)?;
        let file = WatermarkFile::open(directory, ring)?;
        Ok(match policy {
            WatermarkPolicy::BeforeReply => Watermark::BeforeReply(BeforeReply(file)),
            WatermarkPolicy::Lazy => Watermark::Lazy(Lazy::start(file)?),
        })
    }

    /// Notes a position that is durable in the store.
    pub(super) fn note(&mut self, head: Head) -> Result<(), JournalError> {
        match self {
            Watermark::BeforeReply(BeforeReply(file)) => {
                file.write(head).map_err(StoreError::fault)
            }
            Watermark::Lazy(lazy) => lazy.note(head),
        }
    }

    /// Writes what was noted, and ends.
    pub(super) fn close(&mut self) -> Result<(), JournalError> {
        match self {
            Watermark::BeforeReply(_) => Ok(()),
            Watermark::Lazy(lazy) => lazy.close(),
        }
    }
}

/// The helper thread of the policy [`WatermarkPolicy::Lazy`].
#[derive(Debug)]
pub(super) struct Lazy {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    due: Option<Head>,
    asleep: bool,
    closing: bool,
    fault: Option<JournalError>,
}

impl Lazy {
    fn start(mut file: WatermarkFile) -> Result<Lazy, StoreError> {
        let state = State {
            due: None,
            asleep: false,
            closing: false,
            fault: None,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let path = file.path.clone();
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("journal-watermark".to_owned())
            .spawn(move || theirs.write_until_closed(&mut file))
            .map_err(|error| StoreError::io("start the writer of", &path, error))?;
        Ok(Lazy {
            shared,
            thread: Some(thread),
        })
    }

    fn note(&self, head: Head) -> Result<(), JournalError> {
        let mut state = self.shared.lock();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        state.due = Some(head);
        // Most commits find the helper awake and gathering: they cost no system call here.
        if std::mem::take(&mut state.asleep) {
            self.shared.changed.notify_one();
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), JournalError> {
        self.shared.lock().closing = true;
        self.shared.changed.notify_one();
        let panicked = self.thread.take().and_then(|thread| thread.join().err());
        if let Some(payload) = panicked {
            let detail = panic_message(payload.as_ref());
            return Err(JournalError::Fault {
                action: ACTION,
                path: NAME.into(),
                detail,
            });
        }
        self.shared.lock().fault.clone().map_or(Ok(()), Err)
    }
}

impl Drop for Lazy {
    fn drop(&mut self) {
        // An error here has no receiver; the next start checks what is on disk.
        let _ = self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_until_closed(&self, file: &mut WatermarkFile) {
        loop {
            let (due, closing) = self.next_due();
            let outcome = due.map_or(Ok(()), |head| file.write(head));
            if let Err(error) = outcome {
                self.lock().fault = Some(error.fault());
                return;
            }
            if closing {
                return;
            }
        }
    }

    /// Waits for a position, then a little for newer ones; returns at once when closing.
    fn next_due(&self) -> (Option<Head>, bool) {
        let idle = |state: &mut State| state.due.is_none() && !state.closing;
        let mut state = self.lock();
        state.asleep = true;
        let state = self
            .changed
            .wait_while(state, idle)
            .unwrap_or_else(PoisonError::into_inner);
        let gathered = self
            .changed
            .wait_timeout_while(state, LAZY_DELAY, |state| !state.closing);
        let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        state.asleep = false;
        (state.due.take(), state.closing)
    }
}

/// The bytes of a slot.
pub(super) fn encode(head: Head, ring: Option<RingId>) -> Vec<u8> {
    let version = match ring {
        None => VERSION_PLAIN,
        Some(_) => VERSION_RING,
    };
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&head.sequence.to_le_bytes());
    bytes.extend_from_slice(&head.chain.0);
    if let Some(RingId(id)) = ring {
        bytes.extend_from_slice(&id);
    }
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn decode(slot: &[u8]) -> Option<(Head, Option<RingId>)> {
    let mut reader = Reader(slot);
    if reader.array() != Some(MAGIC) {
        return None;
    }
    let has_ring = match reader.u16()? {
        VERSION_PLAIN => false,
        VERSION_RING => true,
        _ => return None,
    };
    let is_known = reader.u16()? == 0;
    let head = Head {
        sequence: reader.u64()?,
        chain: ChainHash(reader.array()?),
    };
    let (ring, checked) = match has_ring {
        false => (None, slot.get(..CHECKED_BYTES_PLAIN)?),
        true => (
            Some(RingId(reader.array()?)),
            slot.get(..CHECKED_BYTES_RING)?,
        ),
    };
    let is_whole = reader.u32()? == crc32fast::hash(checked);
    (is_known && is_whole).then_some((head, ring))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(sequence: u64) -> Head {
        Head {
            sequence,
            chain: ChainHash([5; 32]),
        }
    }

    #[test]
    fn the_newest_slot_counts_and_a_spoilt_one_falls_back_to_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        for ring in [None, Some(RingId([3; 16]))] {
            write(directory.path(), Head::START, ring).unwrap();
            let mut file = WatermarkFile::open(directory.path(), ring).unwrap();
            for sequence in 1..=20 {
                file.write(head(sequence)).unwrap();
            }
            let newest = Found::Position {
                head: head(20),
                ring,
            };
            assert_eq!(read(directory.path()).unwrap(), newest);
            file.file
                .write_all_at(&[0xff; 20], 512 * (20 % SLOT_COUNT))
                .unwrap();
            let before = Found::Position {
                head: head(19),
                ring,
            };
            assert_eq!(read(directory.path()).unwrap(), before);
        }
    }

    #[test]
    fn any_flipped_bit_of_a_slot_is_found() {
        for ring in [None, Some(RingId([3; 16]))] {
            let bytes = encode(head(7), ring);
            assert_eq!(decode(&bytes), Some((head(7), ring)));
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                damaged.resize(SLOT_BYTES, 0);
                assert_eq!(decode(&damaged), None, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_lazy_watermark_is_exact_after_it_was_closed() {
        let directory = tempfile::tempdir().unwrap();
        let policy = WatermarkPolicy::Lazy;
        let mut watermark = Watermark::open(directory.path(), Head::START, None, policy).unwrap();
        for sequence in 1..=1000 {
            watermark.note(head(sequence)).unwrap();
        }
        watermark.close().unwrap();
        let found = read(directory.path()).unwrap();
        assert!(matches!(found, Found::Position { head: newest, .. } if newest == head(1000)));
    }

    #[test]
    fn a_file_without_one_good_slot_is_told_from_a_missing_file() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()).unwrap(), Found::Missing);
        fs::write(directory.path().join(NAME), [0; 4096]).unwrap();
        assert_eq!(read(directory.path()).unwrap(), Found::Unreadable);
    }
}
