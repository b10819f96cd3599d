//! The commit ring: a file of fixed size in which a group commit becomes durable first.
//!
//! It is filled with zeros when it is created, so that a write changes nothing but data, and it is
//! written past the page cache where the file system takes that. Frames lie at multiples of
//! 4,096 bytes in their usual form, a group commit in one write; a group that does not fit before
//! the end goes to the start. A place is used again only when sled holds its frames durably.
//!
//! The first block says what the file is and is never written again. All numbers are
//! little-endian:
//!
//! ```text
//!  0  4  magic "CSJR"
//!  4  2  format version, 1
//!  6  2  reserved: 0
//!  8  8  bytes of the whole file
//! 16 16  identity, the one in the watermark of the store it belongs to
//! 32  4  CRC-32 over bytes 0..32
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::aligned::{AlignedBuffer, BLOCK_BYTES};
use super::bytes::Reader;
use super::durable;
use super::error::StoreError;
use super::options::RingMode;

pub(super) const NAME: &str = "ring";
const UNFINISHED: &str = "ring.writing";
const MAGIC: [u8; 4] = *b"CSJR";
const FORMAT_VERSION: u16 = 1;
const CHECKED_BYTES: usize = 32;
const FILL_BYTES: usize = 1 << 20;

/// Names a ring, so that it is not taken for the one of another store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RingId(pub(super) [u8; 16]);

impl RingId {
    /// A new one, like no other.
    pub(super) fn draw(directory: &Path) -> Result<RingId, StoreError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| {
            let path = directory.join(NAME);
            StoreError::io("name", &path, io::Error::other(error.to_string()))
        })?;
        Ok(RingId(id))
    }
}

/// What the first block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RingHeader {
    pub(super) id: RingId,
    /// Bytes of the whole file.
    pub(super) bytes: u64,
}

impl RingHeader {
    /// The whole first block.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.bytes.to_le_bytes());
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes.resize(BLOCK_BYTES, 0);
        bytes
    }

    /// Reads the first block of a file; `None` when it is not one of a ring.
    pub(super) fn decode(file: &[u8]) -> Option<RingHeader> {
        let checked = file.get(..CHECKED_BYTES)?;
        let mut reader = Reader(file);
        let known = reader.array() == Some(MAGIC)
            && reader.u16() == Some(FORMAT_VERSION)
            && reader.u16() == Some(0);
        let header = RingHeader {
            bytes: reader.u64()?,
            id: RingId(reader.array()?),
        };
        (known && reader.u32()? == crc32fast::hash(checked)).then_some(header)
    }
}

/// The whole content of the ring of a store; `None` when it has none.
pub(super) fn read(directory: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let path = directory.join(NAME);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", &path, error)),
    }
}

/// Creates the ring of a store, or an empty one in the place of the one that is there; its name
/// appears only when all of it is durable.
pub(super) fn create(directory: &Path, header: RingHeader) -> Result<(), StoreError> {
    let unfinished = directory.join(UNFINISHED);
    let fill = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(&header.encode())?;
        let zeros = vec![0; FILL_BYTES];
        let mut left = usize::try_from(header.bytes)
            .unwrap_or(usize::MAX)
            .saturating_sub(BLOCK_BYTES);
        while left > 0 {
            let piece = zeros.get(..left.min(FILL_BYTES)).unwrap_or_default();
            file.write_all(piece)?;
            left = left.saturating_sub(piece.len());
        }
        file.sync_all()?;
        fs::rename(&unfinished, directory.join(NAME))?;
        durable::sync_directory(directory)
    };
    fill().map_err(|error| StoreError::io("create", &directory.join(NAME), error))
}

/// Removes the ring of a store that is to do without.
pub(super) fn remove(directory: &Path) -> Result<(), StoreError> {
    let path = directory.join(NAME);
    fs::remove_file(&path)
        .and_then(|()| durable::sync_directory(directory))
        .map_err(|error| StoreError::io("remove", &path, error))
}

/// Overwrites places (offset and length) with zeros, durably.
pub(super) fn wipe(directory: &Path, places: &[(usize, usize)]) -> Result<(), StoreError> {
    if places.is_empty() {
        return Ok(());
    }
    let path = directory.join(NAME);
    let wipe = || {
        let file = OpenOptions::new().write(true).open(&path)?;
        for (offset, length) in places {
            let offset = u64::try_from(*offset).map_err(io::Error::other)?;
            file.write_all_at(&vec![0; *length], offset)?;
        }
        file.sync_data()
    };
    wipe().map_err(|error| StoreError::io("wipe", &path, error))
}

/// The open ring of a running journal.
#[derive(Debug)]
pub(super) struct RingFile {
    path: PathBuf,
    file: File,
    mode: RingMode,
}

impl RingFile {
    /// Opens the ring in the fastest way that its file system takes.
    pub(super) fn open(directory: &Path) -> Result<RingFile, StoreError> {
        let path = directory.join(NAME);
        let open = |flags| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).custom_flags(flags);
            options.open(&path)
        };
        let direct = open(libc::O_DSYNC | DIRECT).and_then(|file| probe(&file).map(|()| file));
        let opened = match direct {
            Ok(file) if DIRECT != 0 => Ok((file, RingMode::Direct)),
            // Whatever stands in the way, the other mode meets it too or does without.
            _ => open(libc::O_DSYNC).map(|file| (file, RingMode::Buffered)),
        };
        let (file, mode) = opened.map_err(|error| StoreError::io("open", &path, error))?;
        Ok(RingFile { path, file, mode })
    }

    /// How it is written.
    pub(super) fn mode(&self) -> RingMode {
        self.mode
    }

    /// Writes a group commit at a place behind the first block; durable when this returns.
    pub(super) fn write(&self, place: u64, group: &[u8]) -> Result<(), StoreError> {
        let offset = place.saturating_add(BLOCK_BYTES as u64);
        self.file
            .write_all_at(group, offset)
            .map_err(|error| StoreError::io("write", &self.path, error))
    }
}

/// Past the page cache; not every system knows it.
#[cfg(target_os = "linux")]
const DIRECT: i32 = libc::O_DIRECT;
#[cfg(not(target_os = "linux"))]
const DIRECT: i32 = 0;

/// A file system may take the flag and refuse the use of it.
fn probe(file: &File) -> io::Result<()> {
    let mut buffer = AlignedBuffer::new(BLOCK_BYTES);
    match file.read_at(buffer.first_block(), 0)? {
        BLOCK_BYTES => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Which bytes behind the first block are in use. Positions only grow; a place is a position
/// within the size.
#[derive(Debug)]
pub(super) struct Places {
    size: u64,
    written: u64,
    freed: u64,
}

/// A place for a group commit, and the position behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) end: u64,
}

impl Places {
    /// All free, in a ring of so many bytes with its first block.
    pub(super) fn new(ring_bytes: u64) -> Places {
        Places {
            size: ring_bytes.saturating_sub(BLOCK_BYTES as u64),
            written: 0,
            freed: 0,
        }
    }

    /// A place that nobody needs any more; `None` as long as there is none.
    pub(super) fn take(&mut self, length: u64) -> Option<Place> {
        let offset = self.written % self.size;
        let skipped = match offset.saturating_add(length) > self.size {
            true => self.size.saturating_sub(offset),
            false => 0,
        };
        let end = self.written.saturating_add(skipped).saturating_add(length);
        if self.freed == self.written {
            // Empty: what is skipped was free.
            self.freed = self.freed.saturating_add(skipped);
        }
        if end.saturating_sub(self.freed) > self.size && !planted!(RingReusedBeforeDrain) {
            return None;
        }
        self.written = end;
        let offset = end.saturating_sub(length) % self.size;
        Some(Place { offset, end })
    }

    /// Everything before this position is free.
    pub(super) fn free(&mut self, position: u64) {
        assert!(
            self.freed <= position && position <= self.written,
            "a place was freed that was not in use"
        );
        self.freed = position;
    }

    /// Whether less than half is free.
    pub(super) fn is_half_full(&self) -> bool {
        self.written.saturating_sub(self.freed) > self.size / 2
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn a_header_is_read_back_and_any_flipped_bit_is_found() {
        let header = RingHeader {
            id: RingId([9; 16]),
            bytes: 1 << 20,
        };
        let bytes = header.encode();
        assert_eq!(RingHeader::decode(&bytes), Some(header));
        for bit in 0..36 * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RingHeader::decode(&damaged), None, "bit {bit}");
        }
    }

    /// Takes and frees by a fixed die and holds every place against all that are in use.
    #[test]
    fn a_place_in_use_is_never_given_again_and_an_empty_ring_takes_the_largest_group() {
        let size = 64 * BLOCK_BYTES as u64;
        let mut places = Places::new(size + BLOCK_BYTES as u64);
        let mut used: VecDeque<(Place, u64)> = VecDeque::new();
        let (mut die, mut refused, mut laps) = (7_u64, 0, 0);
        for _ in 0..20_000 {
            die = die.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let length = (1 + (die >> 33) % 60) * BLOCK_BYTES as u64;
            let Some(place) = places.take(length) else {
                refused += 1;
                let (oldest, _) = used.pop_front().expect("an empty ring refused a group");
                places.free(oldest.end);
                continue;
            };
            assert!(place.offset + length <= size, "beyond the end");
            for (other, other_length) in &used {
                let apart = place.offset + length <= other.offset
                    || other.offset + other_length <= place.offset;
                assert!(
                    apart,
                    "{place:?} of {length} and {other:?} of {other_length}"
                );
            }
            laps += u64::from(place.offset == 0);
            used.push_back((place, length));
        }
        assert!(refused > 1_000 && laps > 1_000, "{refused} {laps}");
    }
}
