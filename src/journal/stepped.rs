//! The journal with its ring, without threads: the same frames, places, ring scan and recovery over
//! a [`Medium`] of its caller, who also says when the ring is drained.
//!
//! For deterministic simulation. What is real here: the splitting into frames and group commits,
//! the ring's places and their reuse, what is drained in which order, the watermark, and every
//! check of a start. What is not: files, sled with its generations, the drain's thread.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::aligned::BLOCK_BYTES;
use super::batch::Batch;
use super::error::{JournalError, StoreError};
use super::frame::{ChainHash, FrameWriter};
use super::group::{FrameSink, write_batch};
use super::options::WatermarkPolicy;
use super::passage::{Group, Passage, Pending};
use super::recovery::{Recovery, position_to_reach};
use super::ring::{RingHeader, RingId};
use super::ring_scan::{Remnant, RingScan};
use super::seal::Head;
use super::walk::{Span, Walk};
use super::watermark::{self, Found, Slot};
use super::{Journal, Replay};

/// Where a [`SteppedJournal`] keeps its bytes. What it has taken survives the journal.
///
/// An error of any call is final: the journal writes nothing after it.
pub trait Medium: Send {
    /// The whole ring; `None` where there is none yet.
    ///
    /// # Errors
    /// What the system says.
    fn read_ring(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Makes a ring of these bytes, durably.
    ///
    /// # Errors
    /// What the system says.
    fn create_ring(&mut self, bytes: Vec<u8>) -> io::Result<()>;

    /// Writes into the ring; durable when this returns.
    ///
    /// # Errors
    /// What the system says.
    fn write_ring(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// The watermark file; `None` where there is none yet.
    ///
    /// # Errors
    /// What the system says.
    fn read_watermark(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Puts another watermark file in the place of the one that is there, durably and at once.
    ///
    /// # Errors
    /// What the system says.
    fn create_watermark(&mut self, bytes: Vec<u8>) -> io::Result<()>;

    /// Writes into the watermark file; durable when this returns.
    ///
    /// # Errors
    /// What the system says.
    fn write_watermark(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Every frame in the store, by first sequence, ascending.
    ///
    /// # Errors
    /// What the system says.
    fn frames(&mut self) -> io::Result<Vec<(u64, Vec<u8>)>>;

    /// Adds a frame to the store; durable only after [`Medium::sync_frames`].
    ///
    /// # Errors
    /// What the system says.
    fn insert_frame(&mut self, first_sequence: u64, frame: &[u8]) -> io::Result<()>;

    /// Makes every frame of the store durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_frames(&mut self) -> io::Result<()>;
}

/// A journal over a medium.
#[derive(Debug)]
pub struct SteppedJournal<D> {
    sink: RingSink<D>,
    writer: FrameWriter,
    head: Head,
    watermark: WatermarkPolicy,
    slot: Slot,
    ring: RingId,
    recovery: Recovery,
    fault: Option<JournalError>,
}

#[derive(Debug)]
struct RingSink<D> {
    medium: D,
    group: Group,
    passage: Passage,
    work: Pending,
}

impl<D: Medium> SteppedJournal<D> {
    /// Opens what is on the medium, or makes a new journal with a ring of so many bytes, and hands
    /// every record behind `base` to `replay` in order: a checkpoint's position, or
    /// [`Head::START`]. The journal must reach to `checkpointed`, where the newest checkpoint was
    /// made.
    ///
    /// # Errors
    ///
    /// As [`SledJournal::open`](super::SledJournal::open).
    pub fn open(
        mut medium: D,
        (ring_bytes, id): (u64, [u8; 16]),
        watermark: WatermarkPolicy,
        (base, checkpointed): (Head, u64),
        replay: &mut Replay<'_>,
    ) -> Result<SteppedJournal<D>, JournalError> {
        let place = Path::new("simulated");
        let failed = |error| JournalError::from(StoreError::io("read", place, error));
        let found = match medium.read_watermark().map_err(failed)? {
            Some(bytes) => watermark::found_in(&bytes),
            None => Found::Missing,
        };
        let frames = medium.frames().map_err(failed)?;
        let bytes = medium.read_ring().map_err(failed)?;
        let created = bytes.is_none();
        let position = position_to_reach(place, &found, created && frames.is_empty())?;
        let ring = RingScan::of(bytes, place, position.1)?;
        let span = Span {
            base,
            begin: Head::START,
            watermark: position.0,
            watermark_ring: position.1,
        };
        let mut walk = Walk::new(place, span, ring.as_ref(), replay);
        let beyond = walk.active(frames.into_iter().map(Ok))?;
        walk.reached_watermark(found == Found::Missing)?;
        walk.reached_checkpoints(checkpointed)?;
        let torn = walk.check_ring()?;
        walk.end()?;
        let recovery = Recovery {
            created,
            last_sequence: walk.head.sequence,
            first_sequence: 1,
            base_sequence: base.sequence,
            watermark_sequence: position.0.sequence,
            frames: walk.frames,
            generations: 1,
            frames_from_ring: u64::try_from(walk.from_ring.len()).unwrap_or(u64::MAX),
            frames_wiped: u64::try_from(torn.len()).unwrap_or(u64::MAX),
            cut: None,
        };
        // With a ring nothing lies beyond a hole in the store: the walk has refused it.
        assert!(beyond.is_none(), "a hole in a store with a ring");
        let (head, from_ring) = (walk.head, walk.from_ring);
        let header = match &ring {
            Some(scan) => {
                refill(&mut medium, scan, &from_ring).map_err(failed)?;
                wipe(&mut medium, &torn).map_err(failed)?;
                scan.header
            }
            None => {
                let header = RingHeader {
                    bytes: ring_bytes,
                    id: RingId(id),
                };
                let mut bytes = header.encode();
                bytes.resize(usize::try_from(ring_bytes).unwrap_or(0), 0);
                medium.create_ring(bytes).map_err(failed)?;
                header
            }
        };
        let file = watermark::new_file(head, Some(header.id));
        medium.create_watermark(file).map_err(failed)?;
        Ok(SteppedJournal {
            sink: RingSink {
                medium,
                group: Group::new(),
                passage: Passage::new(header.bytes, head),
                work: Pending::default(),
            },
            writer: FrameWriter::new(),
            head,
            watermark,
            slot: Slot::default(),
            ring: header.id,
            recovery,
            fault: None,
        })
    }

    /// What opening found.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Where its bytes are.
    pub fn medium(&mut self) -> &mut D {
        &mut self.sink.medium
    }

    fn append_running(&mut self, batch: &Batch) -> Result<(), JournalError> {
        let head = write_batch(batch, self.head, &mut self.writer, &mut self.sink)?;
        self.head = head;
        match self.watermark {
            WatermarkPolicy::BeforeReply => self.write_watermark(),
            WatermarkPolicy::Lazy => Ok(()),
        }
    }

    fn write_watermark(&mut self) -> Result<(), JournalError> {
        self.slot = self.slot.next();
        let bytes = watermark::encode(self.head, Some(self.ring));
        let written = self.sink.medium.write_watermark(self.slot.offset(), &bytes);
        written.map_err(|error| fault("write", error))
    }

    fn drain(&mut self) -> Result<(), JournalError> {
        self.sink.drain()?;
        match self.watermark {
            WatermarkPolicy::BeforeReply => Ok(()),
            WatermarkPolicy::Lazy => self.write_watermark(),
        }
    }

    /// Does what the threads of a running journal do beside appending: brings everything in the
    /// ring into the store, and notes a lazy watermark.
    ///
    /// # Errors
    /// Any error is final, as of [`Journal::append`].
    pub fn keep_up(&mut self) -> Result<(), JournalError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let outcome = self.drain();
        if let Err(error) = &outcome {
            self.fault = Some(error.clone());
        }
        outcome
    }
}

impl<D: Medium> Journal for SteppedJournal<D> {
    fn append(&mut self, batch: &Batch) -> Result<(), JournalError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if batch.is_empty() {
            return Ok(());
        }
        let outcome = self.append_running(batch);
        if let Err(error) = &outcome {
            self.fault = Some(error.clone());
        }
        outcome
    }

    fn last_sequence(&self) -> u64 {
        self.head.sequence
    }

    fn chain(&self) -> ChainHash {
        self.head.chain
    }
}

impl<D: Medium> RingSink<D> {
    fn drain(&mut self) -> Result<(), JournalError> {
        let RingSink {
            medium,
            passage,
            work,
            ..
        } = self;
        passage.take_pending(work);
        work.insert_into(&mut StoreSink(medium), |_, frame| {
            passage.free(frame);
            Ok(ControlFlow::Continue(()))
        })
    }
}

impl<D: Medium> FrameSink for RingSink<D> {
    fn insert(
        &mut self,
        first_sequence: u64,
        frame: &[u8],
        after: Head,
    ) -> Result<(), JournalError> {
        self.group.push(first_sequence, frame, after);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), JournalError> {
        let length = u64::try_from(self.group.as_slice().len()).unwrap_or(u64::MAX);
        let place = match self.passage.take_place(length) {
            Some(place) => place,
            None => {
                self.drain()?;
                let place = self.passage.take_place(length);
                place.ok_or_else(|| fault("write", io::ErrorKind::FileTooLarge.into()))?
            }
        };
        let offset = place.offset.saturating_add(BLOCK_BYTES as u64);
        self.medium
            .write_ring(offset, self.group.as_slice())
            .map_err(|error| fault("write", error))?;
        self.passage.push(&self.group, place);
        self.group.clear();
        Ok(())
    }
}

/// The store of a medium, as the drain fills it.
struct StoreSink<'a, D>(&'a mut D);

impl<D: Medium> FrameSink for StoreSink<'_, D> {
    fn insert(&mut self, first_sequence: u64, frame: &[u8], _: Head) -> Result<(), JournalError> {
        let inserted = self.0.insert_frame(first_sequence, frame);
        inserted.map_err(|error| fault("drain", error))
    }

    fn commit(&mut self) -> Result<(), JournalError> {
        self.0.sync_frames().map_err(|error| fault("drain", error))
    }
}

fn fault(action: &'static str, error: io::Error) -> JournalError {
    StoreError::io(action, Path::new("simulated"), error).fault()
}

/// Inserts frames of the ring into the store, durably.
fn refill(medium: &mut impl Medium, ring: &RingScan, first_sequences: &[u64]) -> io::Result<()> {
    for sequence in first_sequences {
        medium.insert_frame(*sequence, ring.frame(*sequence).unwrap_or_default())?;
    }
    match first_sequences {
        [] => Ok(()),
        [..] => medium.sync_frames(),
    }
}

/// Overwrites a torn group commit with zeros.
fn wipe(medium: &mut impl Medium, torn: &[Remnant]) -> io::Result<()> {
    for (offset, length) in torn.iter().map(Remnant::place) {
        let offset = u64::try_from(offset).map_err(io::Error::other)?;
        medium.write_ring(offset, &vec![0; length])?;
    }
    Ok(())
}
