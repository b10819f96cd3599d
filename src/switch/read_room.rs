//! How much one read of a connection may bring: little while little comes, a whole window when a
//! busy peer sends one.

use bytes::BytesMut;

/// First room, bytes; a connection that never sends more at once holds no more.
const BYTES_MIN: usize = 4_096;
/// Most room, bytes.
const BYTES_MAX: usize = 16_384;

/// The room of one connection's read buffer.
pub(super) struct ReadRoom(usize);

impl ReadRoom {
    /// The least.
    pub(super) fn new() -> ReadRoom {
        ReadRoom(BYTES_MIN)
    }

    /// Sees to it that the next read has at least half of the room.
    pub(super) fn reserve(&self, buffer: &mut BytesMut) {
        if buffer.capacity() - buffer.len() < self.0 / 2 {
            buffer.reserve(self.0);
        }
    }

    /// More room after a read of `count` bytes that filled the buffer, less after one that hardly
    /// used it.
    pub(super) fn fit(&mut self, buffer: &BytesMut, count: usize) {
        if buffer.len() == buffer.capacity() {
            self.0 = (self.0 * 2).min(BYTES_MAX);
        } else if count < self.0 / 4 {
            self.0 = (self.0 / 2).max(BYTES_MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_follows_what_a_peer_sends_between_its_bounds() {
        let mut room = ReadRoom::new();
        let mut sizes = Vec::new();
        for (held, capacity, count) in [
            (4_096, 4_096, 4_096),
            (8_192, 8_192, 8_192),
            (16_384, 16_384, 16_384),
            (5_000, 16_384, 5_000),
            (4_000, 16_384, 4_000),
            (150, 16_384, 150),
            (150, 16_384, 150),
        ] {
            let mut buffer = BytesMut::with_capacity(capacity);
            buffer.resize(held, 0);
            room.fit(&buffer, count);
            sizes.push(room.0);
        }
        assert_eq!(sizes, [8_192, 16_384, 16_384, 16_384, 8_192, 4_096, 4_096]);
        let mut buffer = BytesMut::new();
        room.reserve(&mut buffer);
        assert!(buffer.capacity() >= BYTES_MIN);
    }
}
