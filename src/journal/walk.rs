//! Reads the frames of a store in order and proves each, by the rules of `recovery.rs`.

use std::collections::BTreeSet;
use std::path::Path;

use super::Replay;
use super::error::{JournalError, StoreError};
use super::frame::{Frame, Records, decode_frame};
use super::generation::Generation;
use super::plan::damage;
use super::ring::RingId;
use super::ring_scan::{Remnant, RingScan};
use super::seal::{Head, Seal, SealReason};

/// Reads frames in order and keeps what is proven so far.
pub(super) struct Walk<'a, 'r> {
    directory: &'a Path,
    generation: u64,
    pub(super) watermark: Head,
    /// Records up to here are not replayed.
    base: Head,
    /// The end of what is proven.
    pub(super) head: Head,
    /// Where reading began.
    begin: Head,
    pub(super) frames: u64,
    /// Bytes of frames in the generation being read.
    pub(super) bytes: u64,
    /// First sequences of the frames of the ring that sled holds as well.
    in_sled: BTreeSet<u64>,
    /// First sequences of the frames that only the ring holds.
    pub(super) from_ring: Vec<u64>,
    ring: Option<&'a RingScan>,
    /// The ring that the watermark names.
    watermark_ring: Option<RingId>,
    replay: &'a mut Replay<'r>,
}

/// From where to where a journal is read.
pub(super) struct Span {
    /// Records up to here are not replayed.
    pub(super) base: Head,
    /// Where reading begins.
    pub(super) begin: Head,
    /// The position to reach.
    pub(super) watermark: Head,
    /// The ring that the watermark names.
    pub(super) watermark_ring: Option<RingId>,
}

impl<'a, 'r> Walk<'a, 'r> {
    /// Before the first frame.
    pub(super) fn new(
        directory: &'a Path,
        span: Span,
        ring: Option<&'a RingScan>,
        replay: &'a mut Replay<'r>,
    ) -> Walk<'a, 'r> {
        Walk {
            directory,
            generation: 0,
            watermark: span.watermark,
            base: span.base,
            head: span.begin,
            begin: span.begin,
            frames: 0,
            bytes: 0,
            in_sled: BTreeSet::new(),
            from_ring: Vec::new(),
            ring,
            watermark_ring: span.watermark_ring,
            replay,
        }
    }
}

impl Walk<'_, '_> {
    pub(super) fn open(
        &mut self,
        generations: &Path,
        number: u64,
        cache_bytes: u64,
    ) -> Result<Generation, JournalError> {
        self.generation = number;
        Generation::open(generations, number, cache_bytes).map_err(|error| self.failed(error))
    }

    /// Passes over a sealed generation that lies before the base.
    pub(super) fn pass_over(&mut self, number: u64, seal: &Seal) -> Result<(), JournalError> {
        self.generation = number;
        if seal.head.sequence < self.head.sequence {
            let expected = format!("its sealed end behind sequence {}", self.head.sequence);
            return Err(self.damage(&expected, format!("its end at {}", seal.head.sequence)));
        }
        self.head = seal.head;
        self.begin = seal.head;
        Ok(())
    }

    /// Reads a sealed generation up to its seal.
    pub(super) fn sealed(
        &mut self,
        generation: &Generation,
        seal: &Seal,
    ) -> Result<(), JournalError> {
        self.bytes = 0;
        for entry in generation.frames().map_err(|error| self.failed(error))? {
            let (sequence, bytes) = entry.map_err(|error| self.failed(error))?;
            if sequence > seal.head.sequence && seal.reason == SealReason::Cut {
                break;
            }
            if sequence > self.next_sequence() {
                return Err(self.damage(&self.expected_frame(), format!("sequence {sequence}")));
            }
            self.frame(sequence, &bytes)?;
        }
        if self.head != seal.head {
            let expected = format!("its sealed end at sequence {}", seal.head.sequence);
            return Err(self.damage(&expected, format!("its end at {}", self.head.sequence)));
        }
        Ok(())
    }

    /// Reads the generation that was being written; returns the frames beyond a hole, if any.
    pub(super) fn active<B: AsRef<[u8]>>(
        &mut self,
        frames: impl Iterator<Item = Result<(u64, B), StoreError>>,
    ) -> Result<Option<u64>, JournalError> {
        self.bytes = 0;
        let mut beyond = None;
        for entry in frames {
            let (sequence, bytes) = entry.map_err(|error| self.failed(error))?;
            let bytes = bytes.as_ref();
            if planted!(TailTruncatedInTheMiddle) && decode_frame(bytes).is_err() {
                break;
            }
            while sequence > self.next_sequence() && self.take_from_ring()? {}
            let follows = sequence <= self.next_sequence() || planted!(SequenceGapAccepted);
            if beyond.is_none() && follows {
                self.frame(sequence, bytes)?;
            } else {
                self.beyond_hole(sequence, bytes)?;
                beyond = Some(beyond.unwrap_or(0_u64).saturating_add(1));
            }
        }
        while self.take_from_ring()? {}
        Ok(beyond)
    }

    /// Takes the next frame from the ring, if it is there.
    fn take_from_ring(&mut self) -> Result<bool, JournalError> {
        let sequence = self.next_sequence();
        if planted!(RingNotReplayed) {
            return Ok(false);
        }
        let Some(bytes) = self.ring.and_then(|ring| ring.frame(sequence)) else {
            return Ok(false);
        };
        if self.watermark_ring.is_none() {
            let expected = "a ring with nothing that the closed store lacks";
            return Err(self.damage(expected, format!("a frame from sequence {sequence} in it")));
        }
        self.frame(sequence, bytes)?;
        self.from_ring.push(sequence);
        Ok(true)
    }

    /// Holds the ring against what was read; returns the torn group commit that is left in it.
    pub(super) fn check_ring(&self) -> Result<Vec<Remnant>, JournalError> {
        let Some(ring) = self.ring else {
            return Ok(Vec::new());
        };
        // What lies before the first frame that was read is committed to by that frame's chain.
        let mut read = ring.whole_up_to(self.head.sequence);
        let foreign =
            read.find(|first| *first > self.begin.sequence && !self.in_sled.contains(first));
        if let Some(first) = foreign {
            let expected =
                format!("a frame from sequence {first} in sled, as there is in the ring");
            return Err(self.damage(&expected, "other frames there".to_owned()));
        }
        let beyond = ring.beyond(self.head.sequence);
        for remnant in &beyond {
            let sequence = remnant.first_sequence;
            if self.watermark_ring.is_none() {
                let expected = "a ring with nothing that the closed store lacks";
                return Err(self.damage(expected, format!("sequence {sequence} in it")));
            }
            if remnant.group_first_sequence > self.next_sequence() {
                return Err(self.damage(&self.expected_frame(), later_group(sequence)));
            }
        }
        Ok(beyond)
    }

    /// A generation created ahead of its time holds nothing.
    pub(super) fn spare(&mut self, generation: &Generation) -> Result<(), JournalError> {
        match generation
            .frames()
            .map_err(|error| self.failed(error))?
            .next()
        {
            None => Ok(()),
            Some(Err(error)) => Err(self.failed(error)),
            Some(Ok((sequence, _))) => {
                let expected = "a SEALED file in the generation before";
                Err(self.damage(
                    expected,
                    format!("none, yet sequence {sequence} in this one"),
                ))
            }
        }
    }

    /// Checks one frame that should be the next one, and replays its records.
    fn frame(&mut self, sequence: u64, bytes: &[u8]) -> Result<(), JournalError> {
        let frame = self.decode(sequence, bytes)?;
        if sequence != self.next_sequence() && !planted!(SequenceGapAccepted) {
            return Err(self.damage(&self.expected_frame(), format!("sequence {sequence} again")));
        }
        if frame.header.previous != self.head.chain && !planted!(SequenceGapAccepted) {
            let expected = format!("a frame that follows chain hash {}", self.head.chain);
            return Err(self.damage(&expected, format!("one after {}", frame.header.previous)));
        }
        let last = Head {
            sequence: frame.last_sequence(),
            chain: frame.chain,
        };
        for (position, who) in [
            (self.watermark, "the watermark"),
            (self.base, "the checkpoint"),
        ] {
            let spans = sequence <= position.sequence && position.sequence <= last.sequence;
            if spans && last != position {
                let expected = format!(
                    "chain hash {} at sequence {}, as {who} says",
                    position.chain, position.sequence
                );
                let found = format!("chain hash {} at sequence {}", last.chain, last.sequence);
                return Err(self.damage(&expected, found));
            }
        }
        if let Some(ring) = self.ring {
            if ring.contradicts(&frame) {
                let expected = format!("the frame of sequence {sequence} that is in the ring");
                return Err(self.damage(&expected, "another one".to_owned()));
            }
            if ring.frame(sequence).is_some() {
                self.in_sled.insert(sequence);
            }
        }
        // A checkpoint's position is the end of a frame.
        if last.sequence > self.base.sequence || planted!(CheckpointedReplayedAgain) {
            (self.replay)(frame.records())?;
        }
        self.head = last;
        self.frames = self.frames.saturating_add(1);
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
        Ok(())
    }

    /// Everything was handed over.
    pub(super) fn end(&mut self) -> Result<(), JournalError> {
        Ok((self.replay)(Records::none())?)
    }

    /// Accepts a frame beyond a hole only when the hole is an unacknowledged part of its group.
    fn beyond_hole(&self, sequence: u64, bytes: &[u8]) -> Result<(), JournalError> {
        let frame = self.decode(sequence, bytes)?;
        if self.head.sequence < self.watermark.sequence {
            let expected = format!(
                "{} (the watermark vouches for {})",
                self.expected_frame(),
                self.watermark.sequence
            );
            return Err(self.damage(&expected, format!("sequence {sequence}")));
        }
        if frame.header.group_first_sequence > self.next_sequence() {
            return Err(self.damage(&self.expected_frame(), later_group(sequence)));
        }
        if self.watermark_ring.is_some() {
            // Sled gets only what the ring held durably, and keeps it there until sled has it all.
            let expected = format!("{} in sled or in the ring", self.expected_frame());
            return Err(self.damage(&expected, format!("sequence {sequence} in sled")));
        }
        Ok(())
    }

    fn decode<'b>(&self, sequence: u64, bytes: &'b [u8]) -> Result<Frame<'b>, JournalError> {
        let frame = decode_frame(bytes).map_err(|error| {
            self.damage(
                &self.expected_frame(),
                format!("a bad frame: expected {error}"),
            )
        })?;
        match frame.header.first_sequence {
            first if first == sequence => Ok(frame),
            first => {
                let found = format!("a frame from sequence {first} stored under {sequence}");
                Err(self.damage(&self.expected_frame(), found))
            }
        }
    }

    /// The journal is at least as long as its watermark says, and has one if it has records.
    pub(super) fn reached_watermark(&self, missing: bool) -> Result<(), JournalError> {
        if planted!(WatermarkIgnored) {
            return Ok(());
        }
        if planted!(TailTruncatedInTheMiddle) {
            return Ok(());
        }
        if self.head.sequence < self.watermark.sequence {
            let expected = format!("records up to sequence {}", self.watermark.sequence);
            let found = format!("the end of the journal at {}", self.head.sequence);
            return Err(self.damage(&expected, found));
        }
        if missing && self.head.sequence > 0 {
            let expected = "a watermark file that says how far the journal reaches";
            let found = format!("none, beside records up to sequence {}", self.head.sequence);
            return Err(self.damage(expected, found));
        }
        Ok(())
    }

    /// The journal reaches every checkpoint that was made of it.
    pub(super) fn reached_checkpoints(&self, reach: u64) -> Result<(), JournalError> {
        let reach = reach.max(self.base.sequence);
        if self.head.sequence < reach {
            let expected = format!("records up to sequence {reach}, as in a checkpoint");
            let found = format!("the end of the journal at {}", self.head.sequence);
            return Err(self.damage(&expected, found));
        }
        Ok(())
    }

    fn next_sequence(&self) -> u64 {
        self.head.sequence.saturating_add(1)
    }

    fn expected_frame(&self) -> String {
        format!("a frame from sequence {}", self.next_sequence())
    }

    fn damage(&self, expected: &str, found: String) -> JournalError {
        damage(
            self.directory,
            (self.generation, self.next_sequence()),
            expected,
            found,
        )
    }

    pub(super) fn failed(&self, error: StoreError) -> JournalError {
        let expected = self.expected_frame();
        error
            .cannot_open()
            .unwrap_or_else(|found| self.damage(&expected, found))
    }
}

fn later_group(sequence: u64) -> String {
    format!("sequence {sequence}, of a later group commit: what is missing was acknowledged")
}
