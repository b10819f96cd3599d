//! What a stopped process left in the ring, before it is known what of it counts.
//!
//! A frame whose header and content are whole is *whole*. A header without its content is a
//! *trace*: of a frame that later ones have partly overwritten, or of a write that a power cut
//! tore.

use std::collections::BTreeMap;
use std::path::Path;

use super::aligned::{BLOCK_BYTES, padded};
use super::error::{JournalError, StoreError};
use super::frame::{ChainHash, Frame, FrameError, decode_frame, decode_header};
use super::plan::damage;
use super::ring::{self, RingHeader, RingId};

/// The ring of a store, read.
pub(super) struct RingScan {
    pub(super) header: RingHeader,
    bytes: Vec<u8>,
    /// Whole frames by their first sequence.
    whole: BTreeMap<u64, Remnant>,
    /// Traces, and second copies of whole frames.
    others: Vec<Remnant>,
}

/// A frame in the ring, or a trace of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remnant {
    pub(super) first_sequence: u64,
    pub(super) group_first_sequence: u64,
    /// Where it lies in the file, and how long it is, or says to be.
    offset: usize,
    length: usize,
    chain: Option<ChainHash>,
}

impl Remnant {
    /// Offset and length of the blocks it takes.
    pub(super) fn place(&self) -> (usize, usize) {
        (self.offset, padded(self.length))
    }
}

impl RingScan {
    /// Reads the ring, which must be the one that the watermark names if it names one.
    pub(super) fn read(
        directory: &Path,
        expected: Option<RingId>,
    ) -> Result<Option<RingScan>, JournalError> {
        let refused = |expected: &str, found: String| damage(directory, (0, 1), expected, found);
        let read = ring::read(directory).map_err(StoreError::cannot_open);
        match read {
            Ok(bytes) => RingScan::of(bytes, directory, expected),
            Err(Ok(error)) => Err(error),
            Err(Err(detail)) => Err(refused("a readable ring", detail)),
        }
    }

    /// As [`RingScan::read`], where the content of the file is there, or that there is none.
    pub(super) fn of(
        bytes: Option<Vec<u8>>,
        directory: &Path,
        expected: Option<RingId>,
    ) -> Result<Option<RingScan>, JournalError> {
        let refused = |expected: &str, found: String| damage(directory, (0, 1), expected, found);
        let Some(bytes) = bytes else {
            return match expected {
                None => Ok(None),
                Some(_) => {
                    let expected = "the file ring, which may hold the last records";
                    Err(refused(expected, "no such file".to_owned()))
                }
            };
        };
        let Some(header) = RingHeader::decode(&bytes) else {
            let found = "a file ring that does not begin like one".to_owned();
            return Err(refused("a readable ring", found));
        };
        if u64::try_from(bytes.len()) != Ok(header.bytes) {
            let expected = format!("a file ring of {} bytes", header.bytes);
            return Err(refused(&expected, format!("one of {} bytes", bytes.len())));
        }
        if expected.is_some_and(|expected| expected != header.id) {
            let expected = "the ring that the watermark names";
            return Err(refused(expected, "the ring of another store".to_owned()));
        }
        let mut scan = RingScan {
            header,
            bytes,
            whole: BTreeMap::new(),
            others: Vec::new(),
        };
        scan.find_frames()
            .map_err(|(sequence, found)| damage(directory, (0, sequence), "whole frames", found))?;
        Ok(Some(scan))
    }

    /// Looks at the start of every block that is not inside a whole frame.
    fn find_frames(&mut self) -> Result<(), (u64, String)> {
        let mut offset = BLOCK_BYTES;
        while let Some(rest) = self.bytes.get(offset..).filter(|rest| !rest.is_empty()) {
            let mut next = BLOCK_BYTES;
            if let Some((header, length)) = decode_header(rest) {
                let first_sequence = header.first_sequence;
                let mut remnant = Remnant {
                    first_sequence,
                    group_first_sequence: header.group_first_sequence,
                    offset,
                    length: length.min(rest.len()),
                    chain: None,
                };
                match rest.get(..length).map(decode_frame) {
                    Some(Ok(frame)) => {
                        remnant.chain = Some(frame.chain);
                        next = padded(length);
                    }
                    // Its content is not what its header was made for.
                    Some(Err(FrameError::Chain { .. })) | None => {}
                    // No torn write makes these: header and content are as they were written.
                    Some(Err(error)) => {
                        return Err((first_sequence, format!("a bad frame in the ring: {error}")));
                    }
                }
                self.keep(remnant)?;
            }
            offset = offset.saturating_add(next);
        }
        Ok(())
    }

    fn keep(&mut self, remnant: Remnant) -> Result<(), (u64, String)> {
        if remnant.chain.is_none() {
            self.others.push(remnant);
            return Ok(());
        }
        match self.whole.insert(remnant.first_sequence, remnant) {
            Some(other) if other.chain != remnant.chain => {
                let found = "two frames of the same sequence in the ring".to_owned();
                return Err((remnant.first_sequence, found));
            }
            // The same bytes at another place take nothing away.
            Some(copy) => self.others.push(copy),
            None => {}
        }
        Ok(())
    }

    /// The bytes of the whole frame that begins with a sequence.
    pub(super) fn frame(&self, first_sequence: u64) -> Option<&[u8]> {
        let found = self.whole.get(&first_sequence)?;
        self.bytes
            .get(found.offset..found.offset.saturating_add(found.length))
    }

    /// Whether the ring holds another frame than this one under the same sequence.
    pub(super) fn contradicts(&self, frame: &Frame<'_>) -> bool {
        let found = self.whole.get(&frame.header.first_sequence);
        found.is_some_and(|found| found.chain != Some(frame.chain))
    }

    /// First sequences of all whole frames up to a sequence, ascending.
    pub(super) fn whole_up_to(&self, sequence: u64) -> impl Iterator<Item = u64> {
        self.whole.range(..=sequence).map(|(first, _)| *first)
    }

    /// Whole frames and traces that begin beyond a sequence.
    pub(super) fn beyond(&self, sequence: u64) -> Vec<Remnant> {
        let whole = self.whole.values();
        let all = whole.chain(&self.others).copied();
        all.filter(|remnant| remnant.first_sequence > sequence)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{FrameHeader, FrameWriter};
    use super::*;

    const RECORD: [u8; 5000] = [7; 5000];

    /// A ring with frames of sequences 1, 2 and 3 at blocks 1, 2 and 4; the second has two blocks.
    fn ring() -> Vec<u8> {
        let mut bytes = vec![0; 6 * BLOCK_BYTES];
        for (sequence, block, length) in [(1, 1, 20_usize), (2, 2, RECORD.len()), (3, 4, 10)] {
            let header = FrameHeader {
                first_sequence: sequence,
                group_first_sequence: sequence,
                count: 1,
                previous: ChainHash([sequence as u8; 32]),
            };
            let mut payload = (length as u32).to_le_bytes().to_vec();
            payload.extend_from_slice(&RECORD[..length]);
            let mut writer = FrameWriter::new();
            let (frame, _) = writer.write(&header, &payload);
            bytes[block * BLOCK_BYTES..][..frame.len()].copy_from_slice(frame);
        }
        bytes
    }

    /// First sequences of the whole frames, and of the traces.
    fn scan(bytes: Vec<u8>) -> Result<(Vec<u64>, Vec<u64>), (u64, String)> {
        let header = RingHeader {
            id: RingId([1; 16]),
            bytes: bytes.len() as u64,
        };
        let mut scan = RingScan {
            header,
            bytes,
            whole: BTreeMap::new(),
            others: Vec::new(),
        };
        scan.find_frames()?;
        let others = scan.others.iter().map(|other| other.first_sequence);
        Ok((scan.whole_up_to(u64::MAX).collect(), others.collect()))
    }

    #[test]
    fn any_flipped_bit_takes_away_its_frame_and_no_other() {
        assert_eq!(scan(ring()).unwrap(), (vec![1, 2, 3], vec![]));
        for (sequence, block, length) in [(1, 1, 132), (2, 2, 5112), (3, 4, 122)] {
            let others: Vec<u64> = [1, 2, 3].into_iter().filter(|s| *s != sequence).collect();
            // Of the long one every bit near its ends, and one of each byte between.
            for bit in (0..length * 8).filter(|bit| length < 200 || *bit < 1000 || bit % 9 == 0) {
                let mut bytes = ring();
                bytes[block * BLOCK_BYTES + bit / 8] ^= 1 << (bit % 8);
                let (whole, traces) = scan(bytes).unwrap();
                assert_eq!(whole, others, "bit {bit} of frame {sequence}");
                let is_trace = bit >= 108 * 8;
                assert_eq!(
                    traces == [sequence],
                    is_trace,
                    "bit {bit} of frame {sequence}"
                );
            }
        }
    }

    #[test]
    fn a_frame_that_was_partly_written_over_leaves_a_trace_and_hides_nothing() {
        let mut bytes = ring();
        let third = bytes[4 * BLOCK_BYTES..5 * BLOCK_BYTES].to_vec();
        bytes[3 * BLOCK_BYTES..4 * BLOCK_BYTES].copy_from_slice(&third);
        // Its second block is another frame now, a copy of the third.
        assert_eq!(scan(bytes).unwrap(), (vec![1, 3], vec![2, 3]));
    }
}
