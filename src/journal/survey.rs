//! Reads every record that a store's files have, also those that no start needs any more.

use super::error::JournalError;
use super::frame::decode_frame;
use super::generation::Generation;
use super::held::HeldStore;
use super::plan::{Plan, damage};
use super::ring_scan::RingScan;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whereabouts {
    /// In the generation with this number.
    Generation(u64),
    /// In the ring, be it in a generation as well or not.
    Ring,
}

/// Takes a record with its place and sequence; what it says against it ends the reading.
type Take<'a> = dyn FnMut(Whereabouts, u64, &[u8]) -> Result<(), String> + 'a;

impl HeldStore {
    /// Hands every record of every generation to `take`, then those of the whole frames in the
    /// ring, which stay there until they are written over.
    ///
    /// # Errors
    /// [`JournalError`] when a frame cannot be read, or `take` refuses a record.
    pub fn survey(&self, cache_bytes: u64, take: &mut Take<'_>) -> Result<(), JournalError> {
        let directory = self.directory();
        let generations = directory.join("j");
        let plan = Plan::read(directory, &generations)?;
        let sealed = plan.sealed.iter().map(|row| row.0);
        for number in sealed.chain(plan.unsealed.iter().copied()) {
            let generation = Generation::open(&generations, number, cache_bytes)?;
            for entry in generation.frames()? {
                let (sequence, bytes) = entry?;
                let whereabouts = Whereabouts::Generation(number);
                self.hand_over(whereabouts, (sequence, bytes.as_ref()), take)?;
            }
        }
        let Some(ring) = RingScan::read(directory, None)? else {
            return Ok(());
        };
        for sequence in ring.whole_up_to(u64::MAX) {
            let bytes = ring.frame(sequence).unwrap_or_default();
            self.hand_over(Whereabouts::Ring, (sequence, bytes), take)?;
        }
        Ok(())
    }

    fn hand_over(
        &self,
        whereabouts: Whereabouts,
        (sequence, bytes): (u64, &[u8]),
        take: &mut Take<'_>,
    ) -> Result<(), JournalError> {
        let number = match whereabouts {
            Whereabouts::Generation(number) => number,
            Whereabouts::Ring => 0,
        };
        let frame = decode_frame(bytes).map_err(|error| {
            let expected = "a whole frame";
            damage(
                self.directory(),
                (number, sequence),
                expected,
                error.to_string(),
            )
        })?;
        let taken = frame
            .records()
            .each(|sequence, record| take(whereabouts, sequence, record));
        Ok(taken?)
    }
}
