//! The byte form of a frame: some records of one group commit, checked and chained.
//!
//! All numbers are little-endian.
//!
//! ```text
//!   0  4  magic "CSJF"
//!   4  2  format version, 1
//!   6  2  flags, reserved: must be 0
//!   8  8  term, reserved for replication: must be 0
//!  16  8  sequence of the first record
//!  24  8  sequence of the first record of the group commit this frame belongs to
//!  32  4  number of records, at least 1
//!  36  4  payload length in bytes
//!  40 32  chain hash of the frame before this one, zeros before the first
//!  72 32  chain hash of this frame: BLAKE3 over bytes 0..72 and the payload
//! 104  4  CRC-32 over bytes 0..104
//! 108     payload: for each record 4 bytes of length, then its bytes
//! ```
//!
//! The group's first sequence lets recovery tell a torn group commit (later frames of the *same*
//! group survived: it was never acknowledged) from damage (a *later* group exists, so the missing
//! frame had been acknowledged).

use std::fmt;
use std::ops::RangeInclusive;

use super::batch::PREFIX_BYTES;
use super::bytes::Reader;

/// A frame is never larger. At 16 frames a leaf of sled stays far below a quarter of a segment,
/// where sled would move it into a file of its own that nothing makes durable.
pub const FRAME_BYTES_MAX: usize = 64 << 10;

/// The largest record: one alone in a frame.
pub const RECORD_BYTES_MAX: usize = FRAME_BYTES_MAX - HEADER_BYTES - PREFIX_BYTES;

/// The most bytes of records, with their prefixes, that one frame carries.
pub(super) const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX - HEADER_BYTES;

const MAGIC: [u8; 4] = *b"CSJF";
const FORMAT_VERSION: u16 = 1;
const FLAGS: u16 = 0;
const TERM: u64 = 0;
const HASHED_HEADER_BYTES: usize = 72;
const CHECKED_HEADER_BYTES: usize = 104;
const HEADER_BYTES: usize = 108;

/// BLAKE3 hash that commits to a frame and, through it, to every frame before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// The chain before the first frame.
    pub const START: ChainHash = ChainHash([0; 32]);
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a frame stands in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Sequence of its first record.
    pub first_sequence: u64,
    /// Sequence of the first record of the group commit it belongs to.
    pub group_first_sequence: u64,
    /// Number of its records.
    pub count: u32,
    /// Chain hash of the frame before it.
    pub previous: ChainHash,
}

/// A decoded frame: every check of its own bytes passed.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Where it stands.
    pub header: FrameHeader,
    /// Its own chain hash.
    pub chain: ChainHash,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Sequence of its last record.
    #[must_use]
    pub fn last_sequence(&self) -> u64 {
        // The decoder proved that this neither underflows nor overflows.
        self.header
            .first_sequence
            .saturating_add(u64::from(self.header.count))
            .saturating_sub(1)
    }

    /// Its records in order, each with its sequence.
    pub fn records(&self) -> Records<'a> {
        Records {
            sequences: self.header.first_sequence..=self.last_sequence(),
            rest: Reader(self.payload),
        }
    }
}

/// The records of one frame in order, each with its sequence.
#[derive(Clone)]
pub struct Records<'a> {
    sequences: RangeInclusive<u64>,
    rest: Reader<'a>,
}

/// A record that its receiver refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its sequence.
    pub sequence: u64,
    /// What the receiver said.
    pub reason: String,
}

impl<'a> Records<'a> {
    /// Hands them on one by one, until one is refused.
    ///
    /// # Errors
    /// [`Refused`] names the record and the reason.
    pub fn each(
        self,
        mut take: impl FnMut(u64, &'a [u8]) -> Result<(), String>,
    ) -> Result<(), Refused> {
        for (sequence, record) in self {
            take(sequence, record).map_err(|reason| Refused { sequence, reason })?;
        }
        Ok(())
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<(u64, &'a [u8])> {
        let sequence = self.sequences.next()?;
        record(&mut self.rest).map(|bytes| (sequence, bytes))
    }
}

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than the header, or than the header announces; or more.
    #[error("a frame of {expected} bytes, found {found}")]
    Length {
        /// Bytes a whole frame has.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// The first four bytes are not those of a frame.
    #[error("the magic number of a frame, found other bytes")]
    Magic,
    /// The header was changed after it was written.
    #[error("header checksum {expected:08x}, found {found:08x}")]
    HeaderChecksum {
        /// Checksum stored in the frame.
        expected: u32,
        /// Checksum of the bytes that are there.
        found: u32,
    },
    /// Written by a later release.
    #[error("format version {FORMAT_VERSION}, found {found}")]
    Version {
        /// Version in the frame.
        found: u16,
    },
    /// A field this version keeps at zero is not.
    #[error("zero in the reserved field {field}, found {found}")]
    Reserved {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        found: u64,
    },
    /// Header or payload do not give the chain hash stored beside them.
    #[error("chain hash {expected}, found {found}")]
    Chain {
        /// Hash stored in the frame.
        expected: ChainHash,
        /// Hash of the bytes that are there.
        found: ChainHash,
    },
    /// The number of records does not match the payload.
    #[error("{expected} whole records in the payload, found another number")]
    Count {
        /// Number of records in the header.
        expected: u32,
    },
    /// Sequences that cannot be.
    #[error("sequences from 1 in an order that can be, found first {first} of group {group}")]
    Sequence {
        /// First sequence of the frame.
        first: u64,
        /// First sequence of its group.
        group: u64,
    },
}

/// Where a frame says it stands, and its whole length in bytes, when its header is whole; nothing
/// behind the header is looked at.
pub(super) fn decode_header(bytes: &[u8]) -> Option<(FrameHeader, usize)> {
    let header = bytes.get(..HEADER_BYTES)?;
    let mut fields = Reader(header);
    if fields.array() != Some(MAGIC) {
        return None;
    }
    let fields = read_fields(&mut fields)?;
    let checked = header.get(..CHECKED_HEADER_BYTES)?;
    let length = usize::try_from(fields.payload_length)
        .ok()?
        .checked_add(HEADER_BYTES)?;
    let whole = fields.checksum == crc32fast::hash(checked) && length <= FRAME_BYTES_MAX;
    whole.then_some((fields.header, length))
}

/// Checks every byte of a frame.
///
/// # Errors
///
/// The first check that failed; never a part of the content.
pub fn decode_frame(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let short = FrameError::Length {
        expected: HEADER_BYTES,
        found: bytes.len(),
    };
    let (header_bytes, payload) = bytes.split_at_checked(HEADER_BYTES).ok_or(short.clone())?;
    let mut fields = Reader(header_bytes);
    if fields.array() != Some(MAGIC) {
        return Err(FrameError::Magic);
    }
    let fields = read_fields(&mut fields).ok_or(short)?;
    let checked = header_bytes.get(..CHECKED_HEADER_BYTES).unwrap_or_default();
    let found = crc32fast::hash(checked);
    if fields.checksum != found {
        return Err(FrameError::HeaderChecksum {
            expected: fields.checksum,
            found,
        });
    }
    if fields.version != FORMAT_VERSION {
        return Err(FrameError::Version {
            found: fields.version,
        });
    }
    for (field, found) in [("flags", u64::from(fields.flags)), ("term", fields.term)] {
        if found != 0 {
            return Err(FrameError::Reserved { field, found });
        }
    }
    let announced = usize::try_from(fields.payload_length).unwrap_or(usize::MAX);
    if announced != payload.len() {
        let expected = announced.saturating_add(HEADER_BYTES);
        return Err(FrameError::Length {
            expected,
            found: bytes.len(),
        });
    }
    let hashed = header_bytes.get(..HASHED_HEADER_BYTES).unwrap_or_default();
    let found = chain_hash(hashed, payload);
    if fields.chain != found && !planted!(ChecksumNotChecked) {
        return Err(FrameError::Chain {
            expected: fields.chain,
            found,
        });
    }
    check_records(&fields.header, payload)?;
    Ok(Frame {
        header: fields.header,
        chain: fields.chain,
        payload,
    })
}

/// Builds frames in one buffer that is reused.
#[derive(Debug)]
pub struct FrameWriter {
    buffer: Vec<u8>,
}

impl FrameWriter {
    /// A writer with room for the largest frame.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "it allocates, which a default should not"
    )]
    pub fn new() -> FrameWriter {
        FrameWriter {
            buffer: Vec::with_capacity(FRAME_BYTES_MAX),
        }
    }

    /// Builds one frame; `payload` is `header.count` records, each behind its length.
    ///
    /// # Panics
    ///
    /// When the payload is larger than a frame carries: the caller split the batch wrongly.
    pub fn write(&mut self, header: &FrameHeader, payload: &[u8]) -> (&[u8], ChainHash) {
        assert!(
            payload.len() <= PAYLOAD_BYTES_MAX,
            "a frame would exceed its largest size"
        );
        assert!(header.count > 0, "a frame would carry no record");
        let payload_length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.extend_from_slice(&MAGIC);
        buffer.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        buffer.extend_from_slice(&FLAGS.to_le_bytes());
        buffer.extend_from_slice(&TERM.to_le_bytes());
        buffer.extend_from_slice(&header.first_sequence.to_le_bytes());
        buffer.extend_from_slice(&header.group_first_sequence.to_le_bytes());
        buffer.extend_from_slice(&header.count.to_le_bytes());
        buffer.extend_from_slice(&payload_length.to_le_bytes());
        buffer.extend_from_slice(&header.previous.0);
        let chain = chain_hash(buffer, payload);
        buffer.extend_from_slice(&chain.0);
        let checksum = crc32fast::hash(buffer);
        buffer.extend_from_slice(&checksum.to_le_bytes());
        buffer.extend_from_slice(payload);
        (&self.buffer, chain)
    }
}

struct Fields {
    version: u16,
    flags: u16,
    term: u64,
    header: FrameHeader,
    payload_length: u32,
    chain: ChainHash,
    checksum: u32,
}

fn read_fields(reader: &mut Reader<'_>) -> Option<Fields> {
    let (version, flags, term) = (reader.u16()?, reader.u16()?, reader.u64()?);
    let (first_sequence, group_first_sequence) = (reader.u64()?, reader.u64()?);
    let (count, payload_length) = (reader.u32()?, reader.u32()?);
    let (previous, chain) = (ChainHash(reader.array()?), ChainHash(reader.array()?));
    let header = FrameHeader {
        first_sequence,
        group_first_sequence,
        count,
        previous,
    };
    Some(Fields {
        version,
        flags,
        term,
        header,
        payload_length,
        chain,
        checksum: reader.u32()?,
    })
}

fn chain_hash(hashed_header: &[u8], payload: &[u8]) -> ChainHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(hashed_header).update(payload);
    ChainHash(*hasher.finalize().as_bytes())
}

fn check_records(header: &FrameHeader, payload: &[u8]) -> Result<(), FrameError> {
    let (first, group) = (header.first_sequence, header.group_first_sequence);
    let ends = first.checked_add(u64::from(header.count)).is_some();
    if first == 0 || group == 0 || group > first || !ends {
        return Err(FrameError::Sequence { first, group });
    }
    let mut rest = Reader(payload);
    let whole = (0..header.count).all(|_| record(&mut rest).is_some());
    if header.count == 0 || !whole || !rest.0.is_empty() {
        return Err(FrameError::Count {
            expected: header.count,
        });
    }
    Ok(())
}

fn record<'a>(rest: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = usize::try_from(rest.u32()?).ok()?;
    rest.slice(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: FrameHeader = FrameHeader {
        first_sequence: 5,
        group_first_sequence: 4,
        count: 2,
        previous: ChainHash([9; 32]),
    };
    const PAYLOAD: [u8; 13] = [3, 0, 0, 0, 1, 2, 3, 2, 0, 0, 0, 4, 5];

    fn built() -> (Vec<u8>, ChainHash) {
        let mut writer = FrameWriter::new();
        let (bytes, chain) = writer.write(&HEADER, &PAYLOAD);
        (bytes.to_vec(), chain)
    }

    #[test]
    fn what_was_written_is_read_back() {
        let (bytes, chain) = built();
        let frame = decode_frame(&bytes).unwrap();
        assert_eq!(
            (frame.header, frame.chain, frame.last_sequence()),
            (HEADER, chain, 6)
        );
        let records: Vec<_> = frame.records().collect();
        assert_eq!(records, [(5, &[1, 2, 3][..]), (6, &[4, 5][..])]);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let (bytes, _) = built();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_frame(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_truncation_and_every_extra_byte_is_found() {
        let (mut bytes, _) = built();
        for length in 0..bytes.len() {
            assert!(decode_frame(&bytes[..length]).is_err(), "length {length}");
        }
        bytes.push(0);
        assert!(decode_frame(&bytes).is_err());
    }

    #[test]
    fn a_record_count_that_does_not_match_the_payload_is_found() {
        for (count, payload) in [(1, &PAYLOAD[..]), (3, &PAYLOAD[..]), (2, &PAYLOAD[..12])] {
            let mut writer = FrameWriter::new();
            let header = FrameHeader { count, ..HEADER };
            let (bytes, _) = writer.write(&header, payload);
            assert_eq!(
                decode_frame(bytes).unwrap_err(),
                FrameError::Count { expected: count }
            );
        }
    }

    #[test]
    fn fields_kept_for_later_must_be_zero() {
        for (offset, field) in [(6, "flags"), (8, "term")] {
            let (mut bytes, _) = built();
            bytes[offset] = 1;
            let checksum = crc32fast::hash(&bytes[..CHECKED_HEADER_BYTES]);
            bytes[CHECKED_HEADER_BYTES..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
            assert_eq!(
                decode_frame(&bytes).unwrap_err(),
                FrameError::Reserved { field, found: 1 }
            );
        }
    }
}
