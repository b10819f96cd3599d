//! Checkpoints of the simulated switch: the real state, written down by the real rows and read back
//! by the real loader. Their store is the world's: one is there whole or not at all, and what is
//! left of one whose bytes have changed is its label.

use std::convert::Infallible;
use std::sync::Arc;

use cardswitch::engine::checkpoint::{ChunkRows, StateLoader};
use cardswitch::engine::state::State;
use cardswitch::journal::Head;

/// The two newest are kept.
const KEPT: usize = 2;

/// A state at a position of the journal.
#[derive(Clone)]
struct Checkpoint {
    head: Head,
    chunks: Arc<Vec<Vec<u8>>>,
    is_whole: bool,
}

/// What a start may begin with, oldest first.
#[derive(Clone, Default)]
pub(crate) struct Checkpoints(Vec<Checkpoint>);

impl Checkpoints {
    /// Adds one of a state that the journal has up to a position.
    pub(crate) fn add(&mut self, state: &State, head: Head) {
        let mut chunks = Vec::new();
        let saved = state.save(&mut |chunk| {
            chunks.push(chunk.to_vec());
            Ok::<(), Infallible>(())
        });
        saved.unwrap();
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push(Checkpoint {
            head,
            chunks: Arc::new(chunks),
            is_whole: true,
        });
    }

    /// The newest has changed, as its hashes will tell.
    pub(crate) fn rot(&mut self) {
        if let Some(newest) = self.0.last_mut() {
            newest.is_whole = false;
        }
    }

    /// How far the journal was when the newest was made, whole or not.
    pub(crate) fn reach(&self) -> u64 {
        self.0.last().map_or(0, |newest| newest.head.sequence)
    }

    /// The newest that is whole: its state and position, or the beginning of all.
    pub(crate) fn newest(&self) -> (State, Head) {
        let whole = self.0.iter().rev().find(|it| it.is_whole);
        whole.map_or((State::new(), Head::START), |it| (it.load(), it.head))
    }
}

impl Checkpoint {
    fn load(&self) -> State {
        let (mut loader, mut rows, mut before) = (StateLoader::new(), ChunkRows::default(), 0);
        for chunk in self.chunks.iter() {
            before = rows.decode(chunk, before).unwrap();
            loader.take(&mut rows).unwrap();
        }
        let state = loader.finish().unwrap();
        assert_eq!(state.sequence(), self.head.sequence, "a checkpoint's state");
        state
    }
}
