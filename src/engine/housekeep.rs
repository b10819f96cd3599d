//! The passing of time, as data: holds whose time is over are released (rule A33), and what nobody
//! will ask for any more is forgotten.

use crate::domain::time::UnixMs;

use super::command::{Answer, Housekeep, Outcome};
use super::entry::{EntryId, EntryState};
use super::event::{Event, Housekept};
use super::state::State;

/// Decides what is due at an instant.
pub(super) fn decide(state: &State, at: UnixMs, terms: &Housekeep) -> Outcome {
    let mut due = due_holds(state, at);
    let mut expired: Vec<EntryId> = due.by_ref().take(terms.releases_max).collect();
    if planted!(HoldNeverExpires) {
        expired.clear();
    }
    let more = due.next().is_some();
    let housekept = Housekept {
        expired,
        answers_before: at.minus_hours(terms.answers_hours),
        entries_before: at.minus_hours(terms.entries_hours),
        tombstones_before: at.minus_hours(terms.tombstones_hours),
    };
    let released = housekept.expired.len();
    let anything = released > 0 || is_anything_forgotten(state, &housekept);
    Outcome {
        answer: Answer::Housekept { released, more },
        event: anything.then(|| Event::Housekept(Box::new(housekept))),
    }
}

fn due_holds(state: &State, at: UnixMs) -> impl Iterator<Item = EntryId> + '_ {
    state
        .expiries
        .values()
        .flat_map(move |queue| {
            queue
                .iter()
                .take_while(move |(expires_at, _)| *expires_at <= at)
        })
        .map(|(_, id)| *id)
        .filter(|id| {
            state
                .entry(*id)
                .is_some_and(|entry| entry.state == EntryState::Pending)
        })
}

fn is_anything_forgotten(state: &State, housekept: &Housekept) -> bool {
    let older = |front: Option<UnixMs>, before: UnixMs| front.is_some_and(|at| at < before);
    older(
        state.answers.oldest(state.booked()),
        housekept.answers_before,
    ) || older(
        state.advice_answers.oldest(state.booked()),
        housekept.entries_before,
    ) || older(
        state.resting.front().map(|row| row.0),
        housekept.entries_before,
    ) || older(
        state.tombstones_by_age.front().map(|row| row.0),
        housekept.tombstones_before,
    )
}
