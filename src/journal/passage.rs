//! What is on its way from the ring into sled, without threads and files.
//!
//! Invariants: frames reach sled in order; a place is freed only after the sync of sled that
//! follows the insertion of its frames.

use std::ops::ControlFlow;

use super::aligned::{AlignedBuffer, BLOCK_BYTES, padded};
use super::error::JournalError;
use super::frame::FRAME_BYTES_MAX;
use super::group::{FrameSink, GROUP_BYTES_MAX};
use super::ring::{Place, Places};
use super::seal::Head;

/// The most that a group commit takes with the padding of its frames: any two frames of a group
/// that follow each other are longer than the largest frame, so there are at most 20.
const PADDED_GROUP_BYTES_MAX: usize = GROUP_BYTES_MAX + FRAME_BYTES_MAX + 20 * BLOCK_BYTES;

/// The group that is being gathered, as it will lie in the ring.
#[derive(Debug)]
pub(super) struct Group {
    bytes: AlignedBuffer,
    frames: Vec<GroupFrame>,
}

/// A frame of the group being gathered.
#[derive(Clone, Copy, Debug)]
struct GroupFrame {
    first_sequence: u64,
    /// Where it begins in the gathered bytes.
    start: usize,
    length: usize,
    after: Head,
}

impl Group {
    /// An empty one, with room for the largest.
    pub(super) fn new() -> Group {
        Group {
            bytes: AlignedBuffer::new(PADDED_GROUP_BYTES_MAX),
            frames: Vec::new(),
        }
    }

    /// Adds a frame.
    pub(super) fn push(&mut self, first_sequence: u64, frame: &[u8], after: Head) {
        self.frames.push(GroupFrame {
            first_sequence,
            start: self.as_slice().len(),
            length: frame.len(),
            after,
        });
        self.bytes.push_padded(frame);
    }

    /// The bytes of the ring.
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// Empties it and keeps its room.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.bytes.clear();
    }
}

/// Frames on their way to sled.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    frames: Vec<PendingFrame>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct PendingFrame {
    first_sequence: u64,
    /// Where it ends in the pending bytes.
    end: usize,
    /// The journal's head with it.
    pub(super) after: Head,
    /// The ring is free up to here once this frame is durable in sled.
    place_end: u64,
}

impl Pending {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Inserts the frames, with a sync each time so many bytes are in; `durable` hears of the last
    /// frame of each sync, and may end it there.
    pub(super) fn insert_into<S: FrameSink>(
        &self,
        sink: &mut S,
        mut durable: impl FnMut(&mut S, &PendingFrame) -> Result<ControlFlow<()>, JournalError>,
    ) -> Result<(), JournalError> {
        let (mut start, mut unsynced) = (0, 0_usize);
        for (index, frame) in self.frames.iter().enumerate() {
            let bytes = self.bytes.get(start..frame.end).unwrap_or_default();
            start = frame.end;
            sink.insert(frame.first_sequence, bytes, frame.after)?;
            unsynced = unsynced.saturating_add(bytes.len());
            let is_last = index.saturating_add(1) == self.frames.len();
            if !is_last && unsynced < GROUP_BYTES_MAX {
                continue;
            }
            if !planted!(DrainNotSynced) {
                sink.commit()?;
            }
            unsynced = 0;
            if durable(sink, frame)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The ring's places, and the frames in it that sled lacks.
#[derive(Debug)]
pub(super) struct Passage {
    places: Places,
    pending: Pending,
    /// Last sequence in the ring, and in sled.
    written: u64,
    drained: u64,
}

impl Passage {
    /// Of an empty ring of so many bytes, into a store that ends at `head`.
    pub(super) fn new(ring_bytes: u64, head: Head) -> Passage {
        Passage {
            places: Places::new(ring_bytes),
            pending: Pending::default(),
            written: head.sequence,
            drained: head.sequence,
        }
    }

    /// A place for so many bytes; `None` until more was freed.
    pub(super) fn take_place(&mut self, length: u64) -> Option<Place> {
        self.places.take(length)
    }

    /// Takes over a group that is durable at its place.
    pub(super) fn push(&mut self, group: &Group, place: Place) {
        let bytes = group.as_slice();
        let start = place
            .end
            .saturating_sub(u64::try_from(bytes.len()).unwrap_or(0));
        for frame in &group.frames {
            let content = bytes.get(frame.start..frame.start.saturating_add(frame.length));
            let behind = frame.start.saturating_add(padded(frame.length));
            let pending = &mut self.pending;
            pending.bytes.extend_from_slice(content.unwrap_or_default());
            pending.frames.push(PendingFrame {
                first_sequence: frame.first_sequence,
                end: pending.bytes.len(),
                after: frame.after,
                place_end: start.saturating_add(u64::try_from(behind).unwrap_or(0)),
            });
            self.written = frame.after.sequence;
        }
    }

    /// Gives away everything that sled lacks, in the place of what `work` was.
    pub(super) fn take_pending(&mut self, work: &mut Pending) {
        work.bytes.clear();
        work.frames.clear();
        std::mem::swap(&mut self.pending, work);
    }

    /// Sled holds everything up to this frame durably.
    pub(super) fn free(&mut self, frame: &PendingFrame) {
        self.places.free(frame.place_end);
        self.drained = frame.after.sequence;
    }

    /// Whether there is anything that sled lacks and nobody took yet.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether less than half of the ring is free.
    pub(super) fn is_half_full(&self) -> bool {
        self.places.is_half_full()
    }

    /// Last sequence in the ring.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Last sequence in sled.
    pub(super) fn drained(&self) -> u64 {
        self.drained
    }
}
