//! Reads a state back: from the newest checkpoint that is whole, else from the one before it, else
//! from nothing.

use crate::engine::checkpoint::StateLoader;
use crate::engine::record;
use crate::engine::state::State;
use crate::journal::{Checkpoint, CheckpointError, Checkpoints};

/// A state with the checkpoint it was read from.
pub struct Restored {
    /// The state at the checkpoint's position; an empty one without a checkpoint.
    pub state: State,
    /// Where it came from.
    pub base: Option<Checkpoint>,
    /// Newer checkpoints that could not be used.
    pub passed_over: Vec<CheckpointError>,
}

/// Reads the newest checkpoint that is whole.
pub fn newest(checkpoints: &Checkpoints) -> Restored {
    let mut restored = Restored {
        state: State::new(),
        base: None,
        passed_over: Vec::new(),
    };
    let found = match checkpoints.list() {
        Ok(found) => found,
        Err(error) => vec![Err(error)],
    };
    for label in found {
        let loaded = label.and_then(|label| Ok((label, load(checkpoints, &label)?)));
        match loaded {
            Ok((label, state)) => {
                restored.state = state;
                restored.base = Some(label);
                break;
            }
            Err(error) => restored.passed_over.push(error),
        }
    }
    restored
}

/// Reads one checkpoint.
///
/// # Errors
/// [`CheckpointError`] when it is not whole or not a state.
pub fn load(checkpoints: &Checkpoints, label: &Checkpoint) -> Result<State, CheckpointError> {
    let mut loader = StateLoader::new();
    checkpoints.read(label, &mut |chunk| {
        loader.chunk(chunk).map_err(|error| error.to_string())
    })?;
    let loaded = loader.finish();
    let state = loaded.map_err(|error| checkpoints.wrong(label, error.to_string()))?;
    if state.sequence() != label.position.sequence {
        let what = format!("its state is that of sequence {}", state.sequence());
        return Err(checkpoints.wrong(label, what));
    }
    Ok(state)
}

/// Applies a record of the journal.
///
/// # Errors
/// A sentence that says why it cannot be read or does not fit.
pub fn apply_record(state: &mut State, sequence: u64, bytes: &[u8]) -> Result<(), String> {
    let (at, event) = record::decode(bytes).map_err(|error| error.to_string())?;
    state
        .apply(sequence, at, &event)
        .map_err(|error| error.to_string())
}
