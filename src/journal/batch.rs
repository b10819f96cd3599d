//! The records of one group commit, gathered in one buffer that is reused between batches.

use std::ops::Range;

/// Bytes of the length in front of each record.
pub(super) const PREFIX_BYTES: usize = 4;

/// Records with dense sequences, in the byte form a frame carries them (length, then bytes).
///
/// ```
/// use cardswitch::journal::Batch;
///
/// let mut batch = Batch::new();
/// batch.clear(7);
/// assert_eq!(batch.push(|record| record.extend_from_slice(b"hold opened")), 7);
/// assert_eq!(batch.push(|record| record.extend_from_slice(b"hold captured")), 8);
/// assert_eq!(batch.len(), 2);
/// ```
#[derive(Debug)]
pub struct Batch {
    first_sequence: u64,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    scratch: Vec<u8>,
}

impl Batch {
    /// An empty batch whose first record will have sequence 1.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a default hides which sequence comes first"
    )]
    pub fn new() -> Batch {
        Batch {
            first_sequence: 1,
            bytes: Vec::new(),
            ends: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Empties the batch, keeps its buffers, and names the sequence of its next first record.
    pub fn clear(&mut self, next_sequence: u64) {
        self.first_sequence = next_sequence;
        self.bytes.clear();
        self.ends.clear();
    }

    /// Adds one record and returns its sequence; `write` gets an empty buffer to fill.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        self.scratch.clear();
        write(&mut self.scratch);
        // A length beyond u32 saturates here and is refused by append as too large.
        let length = u32::try_from(self.scratch.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&self.scratch);
        self.ends.push(self.bytes.len());
        self.last_sequence()
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when nothing was pushed since the last [`clear`](Batch::clear).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all records with their length prefixes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The sequence of the first record, or of the record that would be pushed first.
    #[must_use]
    pub fn first_sequence(&self) -> u64 {
        self.first_sequence
    }

    /// The sequence of the last record; one before the first when the batch is empty.
    #[must_use]
    pub fn last_sequence(&self) -> u64 {
        self.sequence_of(self.len()).saturating_sub(1)
    }

    /// The sequence of the record with this index (0 is the first).
    pub(super) fn sequence_of(&self, index: usize) -> u64 {
        self.first_sequence
            .saturating_add(u64::try_from(index).unwrap_or(u64::MAX))
    }

    /// The largest range of records from `start` whose bytes fit into `bytes_max`.
    ///
    /// Empty when the record at `start` alone does not fit, or when there is none.
    pub(super) fn fitting(&self, start: usize, bytes_max: usize) -> Range<usize> {
        let offset = self.offset(start);
        let rest = self.ends.get(start..).unwrap_or_default();
        let count = rest.partition_point(|end| end.saturating_sub(offset) <= bytes_max);
        start..start.saturating_add(count)
    }

    /// Sequence and length of the first record longer than `bytes_max`.
    pub(super) fn longer_than(&self, bytes_max: usize) -> Option<(u64, usize)> {
        let mut start = 0;
        for (index, end) in self.ends.iter().enumerate() {
            let length = end.saturating_sub(start).saturating_sub(PREFIX_BYTES);
            if length > bytes_max {
                return Some((self.sequence_of(index), length));
            }
            start = *end;
        }
        None
    }

    /// The bytes of a range of records, as a frame carries them.
    pub(super) fn payload(&self, records: Range<usize>) -> &[u8] {
        self.bytes
            .get(self.offset(records.start)..self.offset(records.end))
            .unwrap_or_default()
    }

    /// Where the record with this index starts.
    fn offset(&self, index: usize) -> usize {
        match index.checked_sub(1) {
            None => 0,
            Some(before) => self.ends.get(before).copied().unwrap_or(self.bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_dense_from_the_one_named_at_clear() {
        let mut batch = Batch::new();
        batch.clear(41);
        assert_eq!(batch.last_sequence(), 40);
        assert_eq!(batch.push(|record| record.push(1)), 41);
        assert_eq!(batch.push(|_| ()), 42);
        assert_eq!(
            (batch.len(), batch.byte_len(), batch.last_sequence()),
            (2, 9, 42)
        );
    }

    #[test]
    fn a_range_of_records_never_exceeds_the_bytes_allowed() {
        let mut batch = Batch::new();
        batch.clear(1);
        for length in [10, 20, 30] {
            batch.push(|record| record.resize(length, 7));
        }
        // (start, bytes allowed, records that fit): prefixes take 4 bytes each
        let cases = [
            (0, 13, 0..0),
            (0, 14, 0..1),
            (0, 37, 0..1),
            (0, 38, 0..2),
            (0, 72, 0..3),
            (1, 58, 1..3),
            (2, 34, 2..3),
            (3, 100, 3..3),
        ];
        for (start, bytes_max, expected) in cases {
            assert_eq!(
                batch.fitting(start, bytes_max),
                expected,
                "{start} {bytes_max}"
            );
        }
        assert_eq!(batch.payload(1..2).len(), 24);
    }
}
