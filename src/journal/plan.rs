//! What generations a store has and how each was left, before any of them is opened.

use std::path::{Path, PathBuf};

use super::error::{Damage, JournalError, StoreError};
use super::first::First;
use super::generation;
use super::seal::{Head, Seal};

/// The generations on disk, before any of them is opened.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where the journal begins.
    pub(super) first: First,
    pub(super) sealed: Vec<(u64, Seal)>,
    pub(super) unsealed: Vec<u64>,
}

impl Plan {
    pub(super) fn read(directory: &Path, generations: &Path) -> Result<Plan, JournalError> {
        let read = First::read(generations);
        let first = read.map_err(|error| StoreError::io("read", generations, error))?;
        let mut plan = Plan {
            first: first
                .map_err(|found| damage(directory, (0, 1), "a whole file FIRST or none", found))?,
            sealed: Vec::new(),
            unsealed: Vec::new(),
        };
        let numbers = generation::numbers(generations);
        let mut numbers = numbers.map_err(|error| StoreError::io("read", generations, error))?;
        // What lies before it was being removed when a process stopped.
        numbers.retain(|number| *number >= plan.first.generation);
        for (number, expected) in numbers.into_iter().zip(plan.first.generation..) {
            let damage = |expected: &str, found: String| {
                let next = plan.last_sealed().sequence.saturating_add(1);
                damage(directory, (number, next), expected, found)
            };
            if number != expected {
                let expected = format!("generation {expected:016x}");
                return Err(damage(
                    &expected,
                    format!("generation {number:016x} instead"),
                ));
            }
            let path = generation::directory(generations, number);
            if let Some(name) = generation::missing_file(&path) {
                let found = format!("no such file in {}", path.display());
                return Err(damage(&format!("its file {name}"), found));
            }
            let seal = Seal::read(&path)?.transpose();
            match seal.map_err(|found| damage("a whole SEALED file or none", found))? {
                Some(seal) if plan.unsealed.is_empty() => plan.sealed.push((number, seal)),
                Some(_) => {
                    let expected = "a SEALED file in the generation before";
                    return Err(damage(expected, "one in this generation only".to_owned()));
                }
                None => plan.unsealed.push(number),
            }
        }
        plan.check_end(directory)?;
        Ok(plan)
    }

    /// A sealed generation has a successor, and at most one spare generation lies ahead.
    fn check_end(&self, directory: &Path) -> Result<(), JournalError> {
        let last = self.last_sealed().sequence;
        let number = self.first.generation.saturating_add(self.count());
        let next = (number, last.saturating_add(1));
        let has_past = !self.sealed.is_empty() || self.first != First::WHOLE;
        if self.unsealed.is_empty() && has_past {
            let expected = "this generation, because the one before is sealed";
            return Err(damage(
                directory,
                next,
                expected,
                "no directory for it".to_owned(),
            ));
        }
        if self.unsealed.len() > 2 {
            let found = format!("{} unsealed generations at the end", self.unsealed.len());
            return Err(damage(
                directory,
                next,
                "at most 2 that are not sealed",
                found,
            ));
        }
        Ok(())
    }

    /// Where the unsealed generations begin.
    pub(super) fn last_sealed(&self) -> Head {
        let last = self.sealed.last();
        last.map_or(self.first.before, |(_, seal)| seal.head)
    }

    /// The journal reaches back to a position.
    pub(super) fn reaches_back_to(&self, directory: &Path, base: Head) -> Result<(), JournalError> {
        let before = self.first.before;
        if base.sequence > before.sequence || base == before {
            return Ok(());
        }
        let first = before.sequence.saturating_add(1);
        if base == Head::START {
            return Err(JournalError::Truncated { first });
        }
        let at = (self.first.generation, first);
        let expected = format!("a checkpoint of this journal, which begins with record {first}");
        let found = format!("one at sequence {}", base.sequence);
        Err(damage(directory, at, &expected, found))
    }

    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.sealed.len().saturating_add(self.unsealed.len())).unwrap_or(u64::MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

/// Damage at a place: generation, and the first sequence in doubt.
pub(super) fn damage(
    directory: &Path,
    (generation, sequence): (u64, u64),
    expected: &str,
    found: String,
) -> JournalError {
    JournalError::Damaged(Box::new(Damage {
        directory: PathBuf::from(directory),
        generation,
        sequence,
        expected: expected.to_owned(),
        found,
    }))
}
