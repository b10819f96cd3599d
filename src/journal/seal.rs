//! The file `SEALED` of a generation: the last position in it, so that a lost tail is seen later.
//!
//! ```text
//!  0  4  magic "CSJS"
//!  4  2  format version, 1
//!  6  2  why: 1 the generation was full, 2 a torn tail was cut
//!  8  8  sequence of the last record, 0 when the generation and all before it hold none
//! 16 32  chain hash of the last frame
//! 48  4  CRC-32 over bytes 0..48
//! ```

use std::fs;
use std::io;
use std::path::Path;

use super::bytes::Reader;
use super::durable;
use super::error::StoreError;
use super::frame::ChainHash;

const NAME: &str = "SEALED";
const MAGIC: [u8; 4] = *b"CSJS";
const FORMAT_VERSION: u16 = 1;
const CHECKED_BYTES: usize = 48;

/// A position in the journal: the last record and the chain hash of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Sequence of the record; 0 before the first.
    pub sequence: u64,
    /// Chain hash of its frame.
    pub chain: ChainHash,
}

impl Head {
    /// Before the first record.
    pub const START: Head = Head {
        sequence: 0,
        chain: ChainHash::START,
    };
}

/// Why a generation was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SealReason {
    /// It was full: no frame may follow the seal.
    Full,
    /// Recovery cut a torn tail: frames beyond the seal were never acknowledged.
    Cut,
}

/// What `SEALED` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) head: Head,
    pub(super) reason: SealReason,
}

impl Seal {
    /// Writes the file durably.
    pub(super) fn write(&self, generation: &Path) -> io::Result<()> {
        durable::write_file(generation, NAME, &self.encode())
    }

    /// Reads the file: `None` when there is none, within it what is wrong with its content.
    ///
    /// # Errors
    /// What the system refused.
    pub(super) fn read(generation: &Path) -> Result<Option<Result<Seal, String>>, StoreError> {
        let path = generation.join(NAME);
        match fs::read(&path) {
            Ok(bytes) => {
                let damaged = || format!("a SEALED file of {} damaged bytes", bytes.len());
                Ok(Some(Seal::decode(&bytes).ok_or_else(damaged)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", &path, error)),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let reason: u16 = match self.reason {
            SealReason::Full => 1,
            SealReason::Cut => 2,
        };
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&reason.to_le_bytes());
        bytes.extend_from_slice(&self.head.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.head.chain.0);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Seal> {
        let checked = bytes.get(..CHECKED_BYTES)?;
        let mut reader = Reader(bytes);
        if reader.array() != Some(MAGIC) || reader.u16() != Some(FORMAT_VERSION) {
            return None;
        }
        let reason = match reader.u16()? {
            1 => SealReason::Full,
            2 => SealReason::Cut,
            _ => return None,
        };
        let head = Head {
            sequence: reader.u64()?,
            chain: ChainHash(reader.array()?),
        };
        let whole = reader.u32()? == crc32fast::hash(checked) && reader.0.is_empty();
        whole.then_some(Seal { head, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_read_back_and_any_flipped_bit_is_found() {
        for reason in [SealReason::Full, SealReason::Cut] {
            let head = Head {
                sequence: 77,
                chain: ChainHash([3; 32]),
            };
            let seal = Seal { head, reason };
            let bytes = seal.encode();
            assert_eq!(Seal::decode(&bytes), Some(seal));
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Seal::decode(&damaged), None, "bit {bit}");
            }
        }
    }
}
