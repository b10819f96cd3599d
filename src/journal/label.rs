//! The file `VALID` of a checkpoint: it was written whole and read back. Without it a checkpoint
//! is not one.
//!
//! ```text
//!   0  4  magic "CSJV"
//!   4  2  format version, 1
//!   6  2  form of the content's digest
//!   8  8  sequence of the last record in it
//!  16 32  chain hash of that record's frame
//!  48  4  number of chunks
//!  52  4  reserved: 0
//!  56  8  bytes of their contents
//!  64 32  BLAKE3 over the hashes of all chunks in order
//!  96 32  digest of the content, as its owner computes it
//! 128  8  when it was made, milliseconds of Unix time
//! 136  4  CRC-32 over bytes 0..136
//! ```

use std::fs;
use std::io;
use std::path::Path;

use super::bytes::Reader;
use super::durable;
use super::frame::ChainHash;
use super::seal::Head;

const NAME: &str = "VALID";
const MAGIC: [u8; 4] = *b"CSJV";
const FORMAT_VERSION: u16 = 1;
const CHECKED_BYTES: usize = 136;

/// What is known of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The position in the journal that it stands for.
    pub position: Head,
    /// Number of its chunks.
    pub chunks: u32,
    /// Bytes of their contents.
    pub bytes: u64,
    /// Digest of the content, as its owner computes it.
    pub digest: [u8; 32],
    /// In which form; digests of different forms say nothing about each other.
    pub digest_form: u16,
    /// When it was made, milliseconds of Unix time.
    pub made_at_ms: i64,
    pub(super) hash: [u8; 32],
}

impl Checkpoint {
    /// Writes the file durably: from here on the checkpoint counts.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        durable::write_file(directory, NAME, &self.encode())
    }

    /// Reads the file; `Ok(None)` when there is none, `Err` with what is wrong with it.
    pub(super) fn read(directory: &Path) -> Result<Option<Checkpoint>, String> {
        match fs::read(directory.join(NAME)) {
            Ok(bytes) => match Checkpoint::decode(&bytes) {
                Some(label) => Ok(Some(label)),
                None => Err(format!("a VALID file of {} damaged bytes", bytes.len())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("a VALID file that cannot be read: {error}")),
        }
    }

    /// Takes the mark away, so that what is removed behind it is not taken for damage.
    pub(super) fn erase(directory: &Path) -> io::Result<()> {
        match fs::remove_file(directory.join(NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => durable::sync_directory(directory),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.digest_form.to_le_bytes());
        bytes.extend_from_slice(&self.position.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.position.chain.0);
        bytes.extend_from_slice(&self.chunks.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.bytes.to_le_bytes());
        bytes.extend_from_slice(&self.hash);
        bytes.extend_from_slice(&self.digest);
        bytes.extend_from_slice(&self.made_at_ms.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Checkpoint> {
        let checked = bytes.get(..CHECKED_BYTES)?;
        let mut reader = Reader(bytes);
        if reader.array() != Some(MAGIC) || reader.u16() != Some(FORMAT_VERSION) {
            return None;
        }
        let digest_form = reader.u16()?;
        let position = Head {
            sequence: reader.u64()?,
            chain: ChainHash(reader.array()?),
        };
        let chunks = reader.u32()?;
        let is_known = reader.u32()? == 0;
        let label = Checkpoint {
            position,
            chunks,
            bytes: reader.u64()?,
            hash: reader.array()?,
            digest: reader.array()?,
            digest_form,
            made_at_ms: reader.array().map(i64::from_le_bytes)?,
        };
        let is_whole = reader.u32()? == crc32fast::hash(checked) && reader.0.is_empty();
        (is_known && is_whole).then_some(label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_back_and_any_flipped_bit_is_found() {
        let label = Checkpoint {
            position: Head {
                sequence: 77,
                chain: ChainHash([3; 32]),
            },
            chunks: 4,
            bytes: 200_000,
            digest: [5; 32],
            digest_form: 1,
            made_at_ms: 1_803_870_000_123,
            hash: [6; 32],
        };
        let bytes = label.encode();
        assert_eq!(Checkpoint::decode(&bytes), Some(label));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Checkpoint::decode(&damaged), None, "bit {bit}");
        }
    }
}
