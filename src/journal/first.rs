//! The file `j/FIRST`: where a truncated journal begins. It is there only once something was
//! removed, and it is durable before anything is.
//!
//! ```text
//!  0  4  magic "CSJT"
//!  4  2  format version, 1
//!  6  2  reserved: 0
//!  8  8  number of the first generation that counts
//! 16  8  sequence of the last record before it
//! 24 32  chain hash of the last frame before it
//! 56  4  CRC-32 over bytes 0..56
//! ```

use std::fs;
use std::io;
use std::path::Path;

use super::bytes::Reader;
use super::durable;
use super::frame::ChainHash;
use super::generation;
use super::seal::Head;

const NAME: &str = "FIRST";
const MAGIC: [u8; 4] = *b"CSJT";
const FORMAT_VERSION: u16 = 1;
const CHECKED_BYTES: usize = 56;

/// Where a journal begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct First {
    /// Number of its first generation.
    pub(super) generation: u64,
    /// What lay before it.
    pub(super) before: Head,
}

impl First {
    /// Of a journal from which nothing was removed.
    pub(super) const WHOLE: First = First {
        generation: 0,
        before: Head::START,
    };

    /// Writes the file durably.
    pub(super) fn write(&self, generations: &Path) -> io::Result<()> {
        durable::write_file(generations, NAME, &self.encode())
    }

    /// Reads the file; where there is none, the journal is whole.
    pub(super) fn read(generations: &Path) -> io::Result<Result<First, String>> {
        match fs::read(generations.join(NAME)) {
            Ok(bytes) => {
                let damaged = || format!("a file FIRST of {} damaged bytes", bytes.len());
                Ok(First::decode(&bytes).ok_or_else(damaged))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ok(First::WHOLE)),
            Err(error) => Err(error),
        }
    }

    /// Removes the generations that lie before it.
    pub(super) fn remove_before(&self, generations: &Path) -> io::Result<()> {
        let numbers = generation::numbers(generations)?;
        let mut gone = numbers.into_iter().filter(|it| *it < self.generation);
        let mut removed = false;
        gone.try_for_each(|number| {
            removed = true;
            fs::remove_dir_all(generation::directory(generations, number))
        })?;
        match removed {
            true => durable::sync_directory(generations),
            false => Ok(()),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.before.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.before.chain.0);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<First> {
        let checked = bytes.get(..CHECKED_BYTES)?;
        let mut reader = Reader(bytes);
        let is_known = reader.array() == Some(MAGIC)
            && reader.u16() == Some(FORMAT_VERSION)
            && reader.u16() == Some(0);
        let first = First {
            generation: reader.u64()?,
            before: Head {
                sequence: reader.u64()?,
                chain: ChainHash(reader.array()?),
            },
        };
        let is_whole = reader.u32()? == crc32fast::hash(checked) && reader.0.is_empty();
        (is_known && is_whole).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_read_back_and_any_flipped_bit_is_found() {
        let before = Head {
            sequence: 77,
            chain: ChainHash([3; 32]),
        };
        let first = First {
            generation: 5,
            before,
        };
        let bytes = first.encode();
        assert_eq!(First::decode(&bytes), Some(first));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(First::decode(&damaged), None, "bit {bit}");
        }
    }
}
