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
//! A start from a checkpoint reads from the generation on that holds its position, where its chain
//! hash must be. The journal must reach every checkpoint. A truncated one begins where its file
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

use std::path::Path;

use super::Replay;
use super::durable;
use super::error::{JournalError, StoreError};
use super::generation::Generation;
use super::group::GROUP_BYTES_MAX;
use super::plan::{Plan, damage};
use super::ring::{self, RingHeader, RingId};
use super::ring_scan::{Remnant, RingScan};
use super::seal::{Head, Seal, SealReason};
use super::walk::{Span, Walk};
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
/// to `checkpointed` at least.
pub(super) fn recover(
    directory: &Path,
    cache_bytes: u64,
    (base, checkpointed): (Head, u64),
    replay: &mut Replay<'_>,
) -> Result<Opened, JournalError> {
    let generations = directory.join("j");
    let found = watermark::read(directory)?;
    let plan = Plan::read(directory, &generations)?;
    plan.reaches_back_to(directory, base)?;
    let (watermark, watermark_ring) = position_to_reach(directory, &found, plan.is_empty())?;
    let ring = RingScan::read(directory, watermark_ring)?;
    let span = Span {
        base,
        begin: plan.first.before,
        watermark,
        watermark_ring,
    };
    let mut walk = Walk::new(directory, span, ring.as_ref(), replay);
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
    walk.reached_checkpoints(checkpointed)?;
    let torn = walk.check_ring()?;
    walk.end()?;
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
        active.fill_in(*sequence, frame)?;
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
