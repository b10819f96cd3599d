//! A change of the programmes: asked, judged against the open accounts, kept in the journal.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::account::ProgrammeName;
use crate::domain::rulebook::Rulebook;

use super::operation::{Operation, OrderRefused};
use super::state::State;

/// Programmes to decide by from the next command on.
#[derive(Clone, Debug)]
pub struct NewRules {
    /// All of them.
    pub rulebook: Arc<Rulebook>,
    /// Their files.
    pub files: Vec<ProgrammeRecord>,
}

/// One programme file as it came into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgrammeRecord {
    /// Name of the programme.
    pub name: ProgrammeName,
    /// Version that the file states.
    pub version: u32,
    /// The whole file, so that it can be read years later.
    pub text: String,
}

/// What tells one file from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ProgrammeInForce {
    pub(super) name: ProgrammeName,
    pub(super) version: u32,
    pub(super) hash: [u8; 32],
}

impl ProgrammeInForce {
    pub(super) fn of(file: &ProgrammeRecord) -> ProgrammeInForce {
        ProgrammeInForce {
            name: file.name,
            version: file.version,
            hash: *blake3::hash(file.text.as_bytes()).as_bytes(),
        }
    }
}

/// Decides a change; nothing when these very files are in force already.
pub(super) fn decide(
    rulebook: &Rulebook,
    state: &State,
    new: &NewRules,
) -> Result<Option<Operation>, OrderRefused> {
    let mistakes: Vec<String> = state
        .programmes()
        .iter()
        .filter_map(|name| misfit(rulebook, new, name))
        .collect();
    if !mistakes.is_empty() {
        return Err(OrderRefused::NotAllowed(mistakes.join("; ")));
    }
    let files: Vec<ProgrammeInForce> = new.files.iter().map(ProgrammeInForce::of).collect();
    if files == state.programmes_in_force {
        return Ok(None);
    }
    Ok(Some(Operation::RulesChanged(new.files.clone())))
}

/// Why accounts of a programme could not live on under the new rules.
fn misfit(rulebook: &Rulebook, new: &NewRules, name: &ProgrammeName) -> Option<String> {
    let Some(after) = new.rulebook.programme(name) else {
        return Some(format!(
            "programme {name} has accounts and is not there any more"
        ));
    };
    let before = rulebook.programme(name)?;
    (before.purses != after.purses)
        .then(|| format!("programme {name} has accounts, whose purses cannot change"))
}
