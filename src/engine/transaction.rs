//! Which transaction a message belongs to: the record that opened its purchase, for captures,
//! reversals and refunds of it too.

use super::apply::booked_entry;
use super::entry::{Entry, EntryId};
use super::event::{Decided, Effect};
use super::state::State;

/// The transaction of what a message does; `sequence` is its own record.
pub(super) fn of_effects(state: &State, effects: &[Effect], sequence: u64) -> Option<u64> {
    effects.iter().find_map(|effect| match effect {
        Effect::EntryOpened { refund_of, .. } => Some(refund_of.map_or(sequence, |id| id.0)),
        other => Some(of_entry(state, booked_entry(other, sequence)?)),
    })
}

/// The transaction of an entry.
pub(super) fn of_entry(state: &State, id: EntryId) -> u64 {
    let purchase = state.entry(id).and_then(Entry::refund_of);
    purchase.unwrap_or(id).0
}

impl State {
    /// The transaction of a recorded decision, right before or after it is applied.
    pub fn transaction_of(&self, decided: &Decided, sequence: u64) -> Option<u64> {
        of_effects(self, &decided.effects, sequence)
    }
}
