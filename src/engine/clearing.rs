//! Presentments of a clearing file: each is posted once, like an advice, and never again; what it
//! was matched with is told, so that a person can see what the file did.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::domain::decision::Reason;
use crate::domain::facts::Facts;
use crate::domain::money::Currency;
use crate::domain::rulebook::Rulebook;

use super::case::{Case, Refusal};
use super::command::{Answer, Command, Outcome};
use super::complete;
use super::decide::{Keep, Matter, case_of, conclude, judge};
use super::entry::{Entry, EntryId, EntryState};
use super::event::{Effect, Effects, Event, ExceptionKind};
use super::matching::{Found, Rung};
use super::operation::{Done, Operation, OrderRefused, Reference};
use super::state::State;
use super::verdict::Verdict;

/// One line of a clearing file.
#[derive(Clone, Debug)]
pub struct Presentment {
    /// Its batch.
    pub batch: Reference,
    /// What it says; its identity is that of batch and line.
    pub facts: Arc<Facts>,
}

/// What came of a line of a clearing file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// It is posted now.
    Posted(Posted),
    /// It was posted before, by this record; nothing changed.
    Repeated {
        /// The record.
        sequence: u64,
    },
    /// Nothing was posted.
    Refused(Refusal),
}

/// A line that was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The record that holds it.
    pub sequence: u64,
    /// What it was posted against; `None`: nothing was found.
    pub matched: Option<Matched>,
    /// What a person must look at.
    pub exceptions: SmallVec<[ExceptionKind; 1]>,
}

/// The authorization that a line was posted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched {
    /// Its entry.
    pub entry: EntryId,
    /// The rung of the ladder that found it.
    pub rung: Rung,
    /// What was authorized and not posted yet, minor units.
    pub open_minor: i64,
    /// What the line posts, minor units of the same currency.
    pub minor: i64,
    /// The currency of both.
    pub currency: Currency,
}

/// A batch that was posted whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedBatch {
    /// How many lines it has.
    pub lines: u32,
    /// The record that closed it.
    pub sequence: u64,
}

/// Decides a line.
pub(super) fn present(
    rulebook: &Rulebook,
    state: &State,
    command: &Command,
    presentment: &Presentment,
) -> Outcome {
    let facts = &presentment.facts;
    let matter = Matter::of(rulebook, state, command, facts);
    if let Some(stored) = state.answer(&facts.key()) {
        return unchanged(if stored.is_for(facts) {
            Presented::Repeated {
                sequence: stored.sequence,
            }
        } else {
            let what = format!("record {} posted this line otherwise", stored.sequence);
            Presented::Refused(Refusal::because(Reason::DuplicateContent, what))
        });
    }
    if let Some(closed) = state.closed_batch(&presentment.batch) {
        return unchanged(Presented::Repeated {
            sequence: closed.sequence,
        });
    }
    let case = match case_of(state, matter) {
        Ok(case) => case,
        Err(refusal) => return unchanged(Presented::Refused(refusal)),
    };
    let matched = matched(&case);
    let mut verdict = Verdict::accepted(Effects::new());
    judge(&case, &mut verdict);
    let Outcome { event, .. } = conclude(rulebook, state, matter, Keep::Stored, &mut verdict);
    let posted = Posted {
        sequence: command.sequence,
        matched,
        exceptions: event.as_ref().map(raised).unwrap_or_default(),
    };
    Outcome {
        answer: Answer::Presented(Presented::Posted(posted)),
        event,
    }
}

fn unchanged(presented: Presented) -> Outcome {
    Outcome {
        answer: Answer::Presented(presented),
        event: None,
    }
}

fn matched(case: &Case<'_>) -> Option<Matched> {
    match complete::target(case) {
        Found::One(entry, rung) => Some(Matched {
            entry: entry.id,
            rung,
            open_minor: open(entry),
            minor: case.amount.minor,
            currency: case.amount.currency,
        }),
        Found::Several | Found::Nothing => None,
    }
}

/// What was authorized and not posted yet: a refund holds nothing.
fn open(entry: &Entry) -> i64 {
    match entry.state {
        EntryState::Pending if entry.is_debit() => entry.held.total(),
        EntryState::Pending => entry.authorized,
        EntryState::Captured | EntryState::Released | EntryState::Reversed => 0,
    }
}

fn raised(event: &Event) -> SmallVec<[ExceptionKind; 1]> {
    let Event::Decided(decided) = event else {
        return SmallVec::new();
    };
    let kinds = decided.effects.iter().filter_map(|effect| match effect {
        Effect::ExceptionRaised { kind, .. } => Some(*kind),
        _ => None,
    });
    kinds.collect()
}

/// Decides that a batch is whole: no line of it is ever posted again.
pub(super) fn close(state: &State, sequence: u64, batch: Reference, lines: u32) -> Outcome {
    let (answer, event) = match state.closed_batch(&batch) {
        None => {
            let done = Done {
                sequence,
                before: false,
            };
            let closed = Operation::ClearingClosed { batch, lines };
            (Ok(done), Some(Event::Operated(Box::new(closed))))
        }
        Some(closed) if closed.lines == lines => {
            let done = Done {
                sequence: closed.sequence,
                before: true,
            };
            (Ok(done), None)
        }
        Some(closed) => {
            let what = format!("batch {batch} was closed with {} lines", closed.lines);
            (Err(OrderRefused::Conflict(what)), None)
        }
    };
    Outcome {
        answer: Answer::Ordered(answer),
        event,
    }
}
