//! Opens the generations of a store in order and proves that nothing acknowledged is missing.
//!
//! The rules, and what each is for:
//! - generations are consecutive from 0, every one but the last one or two is sealed, and a
//!   sealed one has a successor: a lost directory is seen;
//! - sequences are dense and each frame commits to the one before: a lost, exchanged or changed
//!   frame is seen;
//! - a sealed generation ends exactly at its seal: a lost tail inside the history is seen;
//! - the journal reaches the watermark and has its chain hash there: a lost end is seen.
//!
//! One kind of hole is no damage: a group commit that a power cut tore. Then the hole lies above
//! the watermark, in the generation that was being written, and every frame beyond it belongs to
//! the same group commit as what is missing, so none of it was ever acknowledged. The journal is
//! cut there: a seal marks the place, the next generation goes on, and the frames beyond the seal
//! are ignored from then on (not deleted). A frame beyond the hole that belongs to a *later* group
//! proves that the hole had been acknowledged; a frame that is whole for sled but fails our own
//! checks cannot come from a power cut. Both refuse the start.
//!
//! A start from a checkpoint reads from the generation on that holds its position: what lies before
//! is vouched for by seals and by the checkpoint, whose chain hash must be the one that is there.
//! The journal must reach every checkpoint. A journal that was truncated begins where its file
//! `FIRST` says, and cannot be read without a checkpoint.
//!
//! With a commit ring (the watermark names it) sled is behind the ring, and the ring fills what
//! sled lacks:
//! - a frame that is not in sled is taken from the ring when it follows the one before it by
//!   sequence and chain, and is then inserted into sled before anything else is written;
//! - a whole frame in the ring up to the head is in sled too, the same one: two histories are seen;
//! - what lies in the ring beyond the head is a torn group commit by the same rule as above, and is
//!   overwritten with zeros, so that no later start can take it; in sled nothing lies beyond;
//! - without a ring in the watermark (a clean close) the ring holds nothing beyond sled.

use std::collections::BTreeSet;
use std::path::Path;

use super::Replay;
use super::durable;
use super::error::{JournalError, StoreError};
use super::frame::{Frame, decode_frame};
use super::generation::Generation;
use super::group::GROUP_BYTES_MAX;
use super::plan::{Plan, damage};
use super::ring::{self, RingHeader, RingId};
use super::ring_scan::{Remnant, RingScan};
use super::seal::{Head, Seal, SealReason};
use super::watermark;

/// What the start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// True when the store did not exist and was created.
    pub created: bool,
    /// Sequence of the last record; 0 when there is none.
    pub last_sequence: u64,
    /// The first record that the journal has, or would have.
    pub first_sequence: u64,
    /// What was not replayed: everything up to this sequence; 0: all was.
    pub base_sequence: u64,
    /// Sequence the watermark vouched for.
    pub watermark_sequence: u64,
    /// Number of frames read.
    pub frames: u64,
    /// Number of generations.
    pub generations: u64,
    /// Frames that were in the commit ring only, and were brought into sled by this start.
    pub frames_from_ring: u64,
    /// Frames of a torn group commit that were wiped from the ring by this start, whole or not.
    pub frames_wiped: u64,
    /// The torn group commit that was cut off by this start.
    pub cut: Option<Cut>,
}

/// A torn group commit at the end of the journal; none of it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Generation that was sealed at the cut.
    pub generation: u64,
    /// Last sequence that counts.
    pub last_sequence: u64,
    /// Whole frames beyond the hole that were left out.
    pub frames_ignored: u64,
}

/// A store that is ready to be appended to.
pub(super) struct Opened {
    pub(super) active: Generation,
    pub(super) spare: Option<Generation>,
    pub(super) active_bytes: u64,
    pub(super) head: Head,
    /// The ring that was found; sled holds all that counts in it.
    pub(super) ring: Option<RingHeader>,
    pub(super) recovery: Recovery,
}

/// Opens or creates the generations under `directory` and replays every record behind `base`, up
/// to `reach` at least.
pub(super) fn recover(
    directory: &Path,
    cache_bytes: u64,
    (base, reach): (Head, u64),
    replay: &mut Replay<'_>,
) -> Result<Opened, JournalError> {
    let generations = directory.join("j");
    let found = watermark::read(directory)?;
    let plan = Plan::read(directory, &generations)?;
    begins_before(directory, &plan, base)?;
    let (watermark, watermark_ring) = position_to_reach(directory, &found, plan.is_empty())?;
    let ring = RingScan::read(directory, watermark_ring)?;
    let mut walk = Walk::new(
        directory,
        (base, plan.first.before),
        (watermark, watermark_ring),
        ring.as_ref(),
        replay,
    );
    for (number, seal) in &plan.sealed {
        if seal.head.sequence < base.sequence {
            walk.pass_over(*number, seal)?;
            continue;
        }
        let generation = walk.open(&generations, *number, cache_bytes)?;
        walk.sealed(&generation, seal)?;
    }
    let (mut active, mut spare, mut hole) = (None, None, None);
    if let Some(number) = plan.unsealed.first() {
        let generation = walk.open(&generations, *number, cache_bytes)?;
        let frames = generation.frames().map_err(|error| walk.failed(error))?;
        hole = walk.active(frames)?;
        active = Some(generation);
    }
    if let Some(number) = plan.unsealed.get(1) {
        let generation = walk.open(&generations, *number, cache_bytes)?;
        walk.spare(&generation)?;
        spare = Some(generation);
    }
    walk.reached_watermark(found == watermark::Found::Missing)?;
    walk.reached_checkpoints(reach)?;
    let torn = walk.check_ring()?;
    let recovery = Recovery {
        created: plan.is_empty(),
        last_sequence: walk.head.sequence,
        first_sequence: plan.first.before.sequence.saturating_add(1),
        base_sequence: base.sequence,
        watermark_sequence: walk.watermark.sequence,
        frames: walk.frames,
        generations: plan.count().max(1),
        frames_from_ring: count(walk.from_ring.len()),
        frames_wiped: count(torn.len()),
        cut: None,
    };
    let (head, active_bytes, from_ring) = (walk.head, walk.bytes, walk.from_ring);
    // From here nothing is in doubt. What a new or half-created store lacks is made now, and what
    // a process was removing when it stopped goes.
    let cleared = plan.first.remove_before(&generations);
    cleared.map_err(|error| StoreError::io("shorten", &generations, error))?;
    let active = match active {
        Some(active) => active,
        None => {
            durable::create_directory(&generations)
                .map_err(|error| StoreError::io("create", &generations, error))?;
            Generation::create(&generations, 0, cache_bytes)?
        }
    };
    if let Some(ring) = &ring {
        fill(&active, ring, &from_ring)?;
        let places: Vec<_> = torn.iter().map(Remnant::place).collect();
        ring::wipe(directory, &places)?;
    }
    let opened = Opened {
        active,
        spare,
        active_bytes,
        head,
        ring: ring.map(|ring| ring.header),
        recovery,
    };
    match hole {
        None => Ok(opened),
        Some(frames_ignored) => opened.cut(&generations, cache_bytes, frames_ignored),
    }
}

/// Inserts frames of the ring into sled, durably.
fn fill(active: &Generation, ring: &RingScan, first_sequences: &[u64]) -> Result<(), StoreError> {
    let mut unsynced = 0_usize;
    for sequence in first_sequences {
        let frame = ring.frame(*sequence).unwrap_or_default();
        active.insert(*sequence, frame)?;
        unsynced = unsynced.saturating_add(frame.len());
        if unsynced >= GROUP_BYTES_MAX {
            active.commit()?;
            unsynced = 0;
        }
    }
    match unsynced {
        0 => Ok(()),
        _ => active.commit(),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

impl Opened {
    /// Seals the active generation before a hole and goes on in the next one.
    fn cut(
        mut self,
        generations: &Path,
        cache_bytes: u64,
        frames_ignored: u64,
    ) -> Result<Opened, JournalError> {
        let number = self.active.number().saturating_add(1);
        // The successor comes first: a sealed generation without one would be refused.
        let next = match self.spare.take() {
            Some(spare) => spare,
            None => Generation::create(generations, number, cache_bytes)?,
        };
        self.active.seal(&Seal {
            head: self.head,
            reason: SealReason::Cut,
        })?;
        self.recovery.cut = Some(Cut {
            generation: self.active.number(),
            last_sequence: self.head.sequence,
            frames_ignored,
        });
        self.recovery.generations = self.recovery.generations.saturating_add(1);
        Ok(Opened {
            active: next,
            active_bytes: 0,
            ..self
        })
    }
}

/// The position the records must reach; a store without generations must have no watermark.
pub(super) fn position_to_reach(
    directory: &Path,
    found: &watermark::Found,
    empty: bool,
) -> Result<(Head, Option<RingId>), JournalError> {
    match found {
        watermark::Found::Position { head, .. } if empty => {
            let expected = format!(
                "the records up to sequence {} of its watermark",
                head.sequence
            );
            Err(damage(
                directory,
                (0, 1),
                &expected,
                "no generation at all".to_owned(),
            ))
        }
        watermark::Found::Position { head, ring } => Ok((*head, *ring)),
        watermark::Found::Missing => Ok((Head::START, None)),
        watermark::Found::Unreadable => {
            let found = "a watermark file without one whole slot".to_owned();
            Err(damage(directory, (0, 1), "a readable watermark", found))
        }
    }
}

/// The journal reaches back to the base.
fn begins_before(directory: &Path, plan: &Plan, base: Head) -> Result<(), JournalError> {
    let before = plan.first.before;
    if base.sequence > before.sequence || base == before {
        return Ok(());
    }
    let first = before.sequence.saturating_add(1);
    if base == Head::START {
        return Err(JournalError::Truncated { first });
    }
    let at = (plan.first.generation, first);
    let expected = format!("a checkpoint of this journal, which begins with record {first}");
    let found = format!("one at sequence {}", base.sequence);
    Err(damage(directory, at, &expected, found))
}

/// Reads frames in order and keeps what is proven so far.
pub(super) struct Walk<'a, 'r> {
    directory: &'a Path,
    generation: u64,
    watermark: Head,
    /// Records up to here are not replayed.
    base: Head,
    /// The end of what is proven.
    pub(super) head: Head,
    /// Where reading began.
    begin: Head,
    pub(super) frames: u64,
    /// Bytes of frames in the generation being read.
    bytes: u64,
    /// First sequences of the frames of the ring that sled holds as well.
    in_sled: BTreeSet<u64>,
    /// First sequences of the frames that only the ring holds.
    pub(super) from_ring: Vec<u64>,
    ring: Option<&'a RingScan>,
    /// The ring that the watermark names.
    watermark_ring: Option<RingId>,
    replay: &'a mut Replay<'r>,
}

impl<'a, 'r> Walk<'a, 'r> {
    /// Before the first frame; `watermark` is the position to reach, and the ring it names.
    pub(super) fn new(
        directory: &'a Path,
        (base, begin): (Head, Head),
        (watermark, watermark_ring): (Head, Option<RingId>),
        ring: Option<&'a RingScan>,
        replay: &'a mut Replay<'r>,
    ) -> Walk<'a, 'r> {
        Walk {
            directory,
            generation: 0,
            watermark,
            base,
            head: begin,
            begin,
            frames: 0,
            bytes: 0,
            in_sled: BTreeSet::new(),
            from_ring: Vec::new(),
            ring,
            watermark_ring,
            replay,
        }
    }
}

impl Walk<'_, '_> {
    fn open(
        &mut self,
        generations: &Path,
        number: u64,
        cache_bytes: u64,
    ) -> Result<Generation, JournalError> {
        self.generation = number;
        Generation::open(generations, number, cache_bytes).map_err(|error| self.failed(error))
    }

    /// Passes over a sealed generation that lies before the base.
    fn pass_over(&mut self, number: u64, seal: &Seal) -> Result<(), JournalError> {
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
    fn sealed(&mut self, generation: &Generation, seal: &Seal) -> Result<(), JournalError> {
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
    fn spare(&mut self, generation: &Generation) -> Result<(), JournalError> {
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
        let base = self.base.sequence;
        for (sequence, record) in frame.records().filter(|record| record.0 > base) {
            (self.replay)(sequence, record)
                .map_err(|reason| JournalError::Replay { sequence, reason })?;
        }
        self.head = last;
        self.frames = self.frames.saturating_add(1);
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
        Ok(())
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
            let found = format!(
                "the end of the journal after sequence {}",
                self.head.sequence
            );
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
    fn reached_checkpoints(&self, reach: u64) -> Result<(), JournalError> {
        let reach = reach.max(self.base.sequence);
        if self.head.sequence < reach {
            let expected = format!("records up to sequence {reach}, as in a checkpoint");
            let found = format!(
                "the end of the journal after sequence {}",
                self.head.sequence
            );
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

    fn failed(&self, error: StoreError) -> JournalError {
        let expected = self.expected_frame();
        error
            .cannot_open()
            .unwrap_or_else(|found| self.damage(&expected, found))
    }
}

fn later_group(sequence: u64) -> String {
    format!("sequence {sequence}, of a later group commit: what is missing was acknowledged")
}
