//! A first-in, first-out queue that grows without moving what it holds: a table of millions of rows
//! never makes a decision wait while it is copied to a larger place.

use std::collections::VecDeque;

use serde::{Serialize, Serializer};

/// Rows allocated together.
const CHUNK_ROWS: usize = 1_024;

/// The queue. Every chunk but the first and the last is full.
pub(super) struct Queue<T> {
    chunks: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue {
            chunks: VecDeque::new(),
            len: 0,
        }
    }
}

impl<T> Queue<T> {
    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a row behind all others.
    pub(super) fn push_back(&mut self, row: T) {
        let last = match self.chunks.back_mut() {
            Some(last) if last.len() < CHUNK_ROWS => last,
            _ => {
                self.chunks.push_back(VecDeque::with_capacity(CHUNK_ROWS));
                let Some(last) = self.chunks.back_mut() else {
                    return;
                };
                last
            }
        };
        last.push_back(row);
        self.len = self.len.saturating_add(1);
    }

    /// The oldest row.
    pub(super) fn front(&self) -> Option<&T> {
        self.chunks.front()?.front()
    }

    /// Takes the oldest row out.
    pub(super) fn pop_front(&mut self) -> Option<T> {
        let first = self.chunks.front_mut()?;
        let row = first.pop_front()?;
        if first.is_empty() {
            self.chunks.pop_front();
        }
        self.len = self.len.saturating_sub(1);
        Some(row)
    }

    /// The row at a position; 0 is the oldest.
    pub(super) fn get(&self, position: usize) -> Option<&T> {
        let (chunk, place) = self.place(position)?;
        self.chunks.get(chunk)?.get(place)
    }

    /// The row at a position, to be changed.
    pub(super) fn get_mut(&mut self, position: usize) -> Option<&mut T> {
        let (chunk, place) = self.place(position)?;
        self.chunks.get_mut(chunk)?.get_mut(place)
    }

    /// All rows, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// Keeps the rows that are wanted, in their order; moves others only where one is not.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&T) -> bool) {
        if self.iter().all(&is_wanted) {
            return;
        }
        let mut rows = std::mem::take(self);
        while let Some(row) = rows.pop_front() {
            if is_wanted(&row) {
                self.push_back(row);
            }
        }
    }

    fn place(&self, position: usize) -> Option<(usize, usize)> {
        let first = self.chunks.front()?.len();
        Some(match position.checked_sub(first) {
            None => (0, position),
            Some(beyond) => {
                let full = beyond.checked_div(CHUNK_ROWS)?;
                (full.checked_add(1)?, beyond.checked_rem(CHUNK_ROWS)?)
            }
        })
    }
}

impl<T: Serialize> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut rows = serializer.serialize_seq(Some(self.len))?;
        for row in self.iter() {
            rows.serialize_element(row)?;
        }
        rows.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_row_is_found_by_its_position_after_the_first_chunk_lost_some() {
        let mut queue = Queue::default();
        (0..CHUNK_ROWS).for_each(|row| queue.push_back(row));
        queue.pop_front();
        queue.push_back(CHUNK_ROWS);
        queue.push_back(CHUNK_ROWS + 1);
        let rows: Vec<_> = (0..queue.len()).filter_map(|n| queue.get(n)).collect();
        let expected: Vec<_> = (1..=CHUNK_ROWS + 1).collect();
        assert_eq!(rows, expected.iter().collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn it_holds_what_a_plain_queue_holds(
            pushes in prop::collection::vec(0_usize..5_000, 1..8),
        ) {
            let (mut queue, mut plain) = (Queue::default(), VecDeque::new());
            let mut next = 0_u32;
            for (turn, count) in pushes.into_iter().enumerate() {
                for _ in 0..count {
                    if turn % 2 == 0 {
                        queue.push_back(next);
                        plain.push_back(next);
                        next += 1;
                    } else {
                        prop_assert_eq!(queue.pop_front(), plain.pop_front());
                    }
                }
                prop_assert_eq!(queue.len(), plain.len());
                prop_assert_eq!(queue.is_empty(), plain.is_empty());
                prop_assert_eq!(queue.front(), plain.front());
                for position in [0, 1, 1_023, 1_024, 1_025, 3_000, plain.len()] {
                    prop_assert_eq!(queue.get(position), plain.get(position));
                    prop_assert_eq!(queue.get_mut(position), plain.get_mut(position));
                }
                prop_assert!(queue.iter().eq(plain.iter()));
            }
        }
    }
}
