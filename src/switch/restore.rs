//! Reads a state back: from the newest checkpoint that is whole, else from the one before it, else
//! from nothing.

use std::hint::black_box;

use crate::engine::checkpoint::StateLoader;
use crate::engine::event::Event;
use crate::engine::record;
use crate::engine::state::State;
use crate::journal::{Checkpoint, CheckpointError, Checkpoints, Records, Refused};

/// Records that are looked at before the first of them is applied.
const LOOKED_AT: usize = 64;

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

/// Applies the records of a frame of the journal.
///
/// All of them are looked at before the first is applied, as deciding does with a batch: waits for
/// memory overlap.
///
/// # Errors
/// [`Refused`] says which cannot be read or does not fit, and why; those before it are applied or
/// not, so the state is of no use then.
pub fn apply_frame(state: &mut State, records: Records<'_>) -> Result<(), Refused> {
    let mut events = Vec::with_capacity(LOOKED_AT);
    let mut records = records.peekable();
    while records.peek().is_some() {
        for (sequence, bytes) in records.by_ref().take(LOOKED_AT) {
            let (at, event) = record::decode(bytes).map_err(|error| Refused {
                sequence,
                reason: error.to_string(),
            })?;
            if let Event::Decided(decided) = &event {
                black_box(state.glance(&decided.facts));
            }
            events.push((sequence, at, event));
        }
        for (sequence, at, event) in events.drain(..) {
            let applied = state.apply(sequence, at, &event);
            applied.map_err(|error| Refused {
                sequence,
                reason: error.to_string(),
            })?;
        }
    }
    Ok(())
}
