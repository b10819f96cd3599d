//! Opens the store of a data directory: checkpoint, journal, replayed state, card token key.
//!
//! Whoever opens it to write says by which programmes: where the journal does not have these very
//! files in force, they come first of all.

use std::path::Path;
use std::sync::Arc;

use crate::engine::command::{Answer, Body, Command};
use crate::engine::decide::decide;
use crate::engine::operation::Order;
use crate::engine::operation_rules::NewRules;
use crate::engine::record;
use crate::engine::state::State;
use crate::journal::{
    Batch, CheckpointError, Checkpoints, HeldStore, Journal, JournalError, SledJournal,
};

use super::clock;
use super::config::JournalConfig;
use super::pin::PinDesk;
use super::restore::{self, Restored};
use super::rulebook::LoadedRules;
use super::token::{TokenKey, TokenKeyError};

/// A store, open and replayed.
pub struct OpenStore {
    /// The journal, ready for the next record.
    pub journal: SledJournal,
    /// The state that all its records make.
    pub state: State,
    /// Records that were there when it was opened.
    pub records: u64,
    /// Of them those that were not replayed, because a checkpoint stands for them.
    pub base_sequence: u64,
    /// Checkpoints that could not be used.
    pub passed_over: Vec<CheckpointError>,
    /// Where checkpoints are.
    pub checkpoints: Checkpoints,
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
    /// The journal refuses, and checkpoints could not be used.
    #[error("{error}\n{}", list(.passed_over))]
    Checkpoints {
        /// What the journal said.
        error: JournalError,
        /// The checkpoints.
        passed_over: Vec<CheckpointError>,
    },
    /// The card token key cannot be had.
    #[error(transparent)]
    TokenKey(#[from] TokenKeyError),
    /// Accounts of a programme that is not loaded.
    #[error("the store has accounts of programme {0}, which is not among the loaded programmes")]
    ProgrammeMissing(String),
    /// The replayed state does not add up.
    #[error("the replayed journal does not add up: {0}")]
    NotConserved(#[from] crate::engine::digest::NotConserved),
    /// The programmes cannot be put in force.
    #[error("put the programmes in force: {0}")]
    Programmes(String),
}

impl StoreError {
    /// Exit code of a process that stops for this (sysexits).
    pub fn exit_code(&self) -> u8 {
        match self {
            StoreError::Journal(error) => error.exit_code(),
            StoreError::Checkpoints { .. }
            | StoreError::TokenKey(_)
            | StoreError::NotConserved(_) => 65,
            StoreError::ProgrammeMissing(_) => 78,
            StoreError::Programmes(_) => 70,
        }
    }
}

fn list(errors: &[CheckpointError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Opens the store in a data directory, replays its journal behind the newest checkpoint that is
/// whole, or from the first record, and puts the programmes in force.
///
/// # Errors
/// [`StoreError`] says what stands in the way; nothing is changed then.
pub fn open(
    data_dir: &Path,
    journal: &JournalConfig,
    rules: &LoadedRules,
) -> Result<OpenStore, StoreError> {
    let options = journal.options();
    let held = HeldStore::take(data_dir)?;
    let checkpoints = held.checkpoints(options.cache_bytes);
    let Restored {
        mut state,
        base,
        passed_over,
    } = restore::newest(&checkpoints);
    let base = base.map(|base| base.position);
    let opened = held.open(options, base, &mut |records| {
        restore::apply_frame(&mut state, records)
    });
    let journal = match opened {
        Ok(journal) => journal,
        Err(error) if passed_over.is_empty() => return Err(error.into()),
        Err(error) => return Err(StoreError::Checkpoints { error, passed_over }),
    };
    state.check_conservation()?;
    for name in state.programmes() {
        if rules.rulebook.programme(name).is_none() {
            return Err(StoreError::ProgrammeMissing(name.to_string()));
        }
    }
    let token_key = TokenKey::open(data_dir, state.sequence() == 0)?;
    let mut store = OpenStore {
        pins: PinDesk::of(&state),
        records: state.sequence(),
        base_sequence: base.map_or(0, |base| base.sequence),
        passed_over,
        checkpoints,
        journal,
        state,
        token_key,
    };
    put_in_force(&mut store, rules)?;
    Ok(store)
}

/// Journals the programme files unless they are in force already, so that nobody who reads the
/// journal has to guess what its decisions were made by.
fn put_in_force(store: &mut OpenStore, rules: &LoadedRules) -> Result<(), StoreError> {
    let order = Order::ChangeRules(NewRules {
        rulebook: Arc::clone(&rules.rulebook),
        files: rules.files.clone(),
    });
    let command = Command {
        sequence: store.state.sequence().saturating_add(1),
        at: clock::now().max(store.state.at()),
        body: Body::Operate(Box::new(order)),
    };
    let outcome = decide(&rules.rulebook, &store.state, &command);
    if let Answer::Ordered(Err(refused)) = &outcome.answer {
        return Err(StoreError::Programmes(refused.to_string()));
    }
    let Some(event) = &outcome.event else {
        return Ok(());
    };
    let mut batch = Batch::new();
    batch.clear(command.sequence);
    let mut written = Ok(());
    batch.push(|buffer| written = record::encode(command.at, event, buffer));
    written.map_err(|error| StoreError::Programmes(error.to_string()))?;
    store.journal.append(&batch)?;
    let applied = store.state.apply(command.sequence, command.at, event);
    applied.map_err(|broken| StoreError::Programmes(broken.to_string()))
}
