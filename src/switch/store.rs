//! Opens the store of a data directory: journal, replayed state, card token key.

use std::path::Path;

use crate::domain::rulebook::Rulebook;
use crate::engine::record;
use crate::engine::state::State;
use crate::journal::{JournalError, SledJournal};

use super::config::JournalConfig;
use super::pin::PinDesk;
use super::token::{TokenKey, TokenKeyError};

/// A store, open and replayed.
pub struct OpenStore {
    /// The journal, ready for the next record.
    pub journal: SledJournal,
    /// The state that all its records make.
    pub state: State,
    /// Names cards.
    pub token_key: TokenKey,
    /// Judges PIN blocks; without keys until it is given some.
    pub pins: PinDesk,
}

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The journal refuses.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The card token key cannot be had.
    #[error(transparent)]
    TokenKey(#[from] TokenKeyError),
    /// Accounts of a programme that is not loaded.
    #[error("the store has accounts of programme {0}, which is not among the loaded programmes")]
    ProgrammeMissing(String),
    /// The replayed state does not add up.
    #[error("the replayed journal does not add up: {0}")]
    NotConserved(#[from] crate::engine::digest::NotConserved),
}

impl StoreError {
    /// Exit code of a process that stops for this (sysexits).
    pub fn exit_code(&self) -> u8 {
        match self {
            StoreError::Journal(error) => error.exit_code(),
            StoreError::TokenKey(_) | StoreError::NotConserved(_) => 65,
            StoreError::ProgrammeMissing(_) => 78,
        }
    }
}

/// Opens the store in a data directory and replays its journal from the first record.
///
/// # Errors
/// [`StoreError`] says what stands in the way; nothing is changed then.
pub fn open(
    data_dir: &Path,
    journal: &JournalConfig,
    rulebook: &Rulebook,
) -> Result<OpenStore, StoreError> {
    let mut state = State::new();
    let journal = SledJournal::open(data_dir, journal.options(), &mut |sequence, bytes| {
        let (at, event) = record::decode(bytes).map_err(|error| error.to_string())?;
        state
            .apply(sequence, at, &event)
            .map_err(|error| error.to_string())
    })?;
    state.check_conservation()?;
    for name in state.programmes() {
        if rulebook.programme(name).is_none() {
            return Err(StoreError::ProgrammeMissing(name.to_string()));
        }
    }
    let token_key = TokenKey::open(data_dir, state.sequence() == 0)?;
    Ok(OpenStore {
        pins: PinDesk::of(&state),
        journal,
        state,
        token_key,
    })
}
