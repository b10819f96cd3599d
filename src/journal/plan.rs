//! What generations a store has and how each was left, before any of them is opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Damage, JournalError, StoreError};
use super::generation;
use super::seal::Seal;

/// The generations on disk, before any of them is opened.
pub(super) struct Plan {
    pub(super) sealed: Vec<(u64, Seal)>,
    pub(super) unsealed: Vec<u64>,
}

impl Plan {
    pub(super) fn read(directory: &Path, generations: &Path) -> Result<Plan, JournalError> {
        let mut plan = Plan {
            sealed: Vec::new(),
            unsealed: Vec::new(),
        };
        for (number, expected) in numbers(generations)?.into_iter().zip(0..) {
            let damage = |expected: &str, found: String| {
                let last = plan.sealed.last().map_or(0, |(_, seal)| seal.head.sequence);
                damage(directory, (number, last.saturating_add(1)), expected, found)
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
            match Seal::read(&path).map_err(|found| damage("a whole SEALED file or none", found))? {
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
        let last = self.sealed.last().map_or(0, |(_, seal)| seal.head.sequence);
        let next = (self.count(), last.saturating_add(1));
        if self.unsealed.is_empty() && !self.sealed.is_empty() {
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

/// The numbers of the generations in ascending order.
fn numbers(generations: &Path) -> Result<Vec<u64>, JournalError> {
    let failed = |error| StoreError::io("read", generations, error);
    let entries = match fs::read_dir(generations) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error).into()),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        numbers.extend(name.to_str().and_then(generation::number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
