//! A buffer whose bytes begin at a multiple of a block, as writing past the page cache asks.

/// Bytes of a block: what is written, and where, is a multiple of it.
pub(super) const BLOCK_BYTES: usize = 4 << 10;

/// Bytes that grow by whole blocks up to a fixed size.
#[derive(Debug)]
pub(super) struct AlignedBuffer {
    /// One block longer than asked for, so that a block boundary lies in its first block.
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBuffer {
    /// An empty buffer with room for `bytes_max`, which is a multiple of a block.
    pub(super) fn new(bytes_max: usize) -> AlignedBuffer {
        let bytes = vec![0; bytes_max.saturating_add(BLOCK_BYTES)];
        // Where the boundary cannot be found nothing is aligned, and such a write is refused.
        let start = bytes.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        AlignedBuffer {
            bytes,
            start,
            length: 0,
        }
    }

    /// Adds bytes and fills up their last block with zeros.
    ///
    /// # Panics
    ///
    /// When there is no room: the caller's bound is wrong.
    pub(super) fn push_padded(&mut self, piece: &[u8]) {
        let from = self.start.saturating_add(self.length);
        let padded = padded(piece.len());
        let room = self.bytes.get_mut(from..from.saturating_add(padded));
        assert!(room.is_some(), "a group commit exceeds its largest size");
        if let Some((content, filler)) =
            room.and_then(|room| room.split_at_mut_checked(piece.len()))
        {
            content.copy_from_slice(piece);
            filler.fill(0);
            self.length = self.length.saturating_add(padded);
        }
    }

    /// What was added, a multiple of a block.
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes
            .get(self.start..self.start.saturating_add(self.length))
            .unwrap_or_default()
    }

    /// The first block, to be read into.
    pub(super) fn first_block(&mut self) -> &mut [u8] {
        self.bytes
            .get_mut(self.start..self.start.saturating_add(BLOCK_BYTES))
            .unwrap_or_default()
    }

    /// Empties the buffer and keeps its room.
    pub(super) fn clear(&mut self) {
        self.length = 0;
    }
}

/// The bytes of the whole blocks that so many bytes take.
pub(super) fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_begin_at_blocks_and_leave_nothing_of_earlier_ones_behind_them() {
        let mut buffer = AlignedBuffer::new(4 * BLOCK_BYTES);
        buffer.push_padded(&[7; 2 * BLOCK_BYTES]);
        buffer.clear();
        buffer.push_padded(&[1; 10]);
        buffer.push_padded(&[2; BLOCK_BYTES]);
        let bytes = buffer.as_slice();
        assert_eq!(bytes.as_ptr().addr() % BLOCK_BYTES, 0);
        assert_eq!(bytes.len(), 2 * BLOCK_BYTES);
        assert_eq!(bytes[..10], [1; 10]);
        assert!(bytes[10..BLOCK_BYTES].iter().all(|byte| *byte == 0));
        assert!(bytes[BLOCK_BYTES..].iter().all(|byte| *byte == 2));
    }
}
