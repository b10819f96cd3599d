//! Judges the decisions of one programme under another file, as they are made: a programme in
//! shadow.
//!
//! Follows the records of the journal in a state of its own, which is what the switch's was. Each
//! message of the programme is decided under the candidate on the books as they were then, the two
//! answers are compared, and then what was recorded is applied: so a difference says what the
//! candidate would have answered to that message, and none follows from another. Reads nothing
//! itself: whoever has records hands them over, away from the single writer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::domain::decision::Reason;
use crate::domain::facts::MessageKind;
use crate::domain::money::Currency;
use crate::domain::time::UnixMs;
use crate::engine::command::{Answer, Body, Command};
use crate::engine::decide::decide;
use crate::engine::event::{Decided, Event};
use crate::engine::operation::Operation;
use crate::engine::state::State;

use super::backtest::{Change, Example, Trial};

/// Differences that are kept one by one; the oldest go first.
const LATEST_MAX: usize = 100;

/// What the candidate would have answered otherwise.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Decisions of the programme that were judged again.
    pub decisions: u64,
    /// Those that would come out otherwise, by what they were and what they would be.
    pub changes: BTreeMap<(Reason, Reason), Change>,
    /// The last of them, the oldest first.
    pub latest: VecDeque<Difference>,
}

/// A decision that would come out otherwise.
#[derive(Clone, Debug)]
pub struct Difference {
    /// What was asked, answered, and would be answered.
    pub example: Example,
    /// Currency of its amount.
    pub currency: Currency,
    /// The transaction that it belongs to.
    pub trace: Option<u64>,
}

impl Seen {
    /// How many would come out otherwise.
    pub fn changed(&self) -> u64 {
        self.changes.values().map(|change| change.count).sum()
    }

    fn note(&mut self, difference: Difference) {
        let (example, currency) = (&difference.example, difference.currency);
        let change = self.changes.entry((example.was, example.would_be));
        change.or_default().add(currency, example.minor);
        if self.latest.len() >= LATEST_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(difference);
    }
}

/// The candidate with the state that it is tried on.
pub struct Shadow {
    trial: Trial,
    /// The last record that is not judged.
    after: u64,
    state: State,
    seen: Seen,
}

impl Shadow {
    /// Judges the records behind sequence `after`; those of `state` are applied already.
    pub fn new(trial: Trial, state: State, after: u64) -> Shadow {
        Shadow {
            trial,
            after,
            state,
            seen: Seen::default(),
        }
    }

    /// The last record that was followed.
    pub fn through(&self) -> u64 {
        self.state.sequence()
    }

    /// What was seen so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Follows the next record.
    ///
    /// # Errors
    /// A sentence that says which record cannot be followed.
    pub fn follow(&mut self, sequence: u64, at: UnixMs, event: &Event) -> Result<(), String> {
        if sequence > self.after {
            if let Event::Operated(operation) = event
                && let Operation::RulesChanged(files) = operation.as_ref()
            {
                self.trial.change(files)?;
            }
            if let Some(decided) = event.decided() {
                self.judge(sequence, at, decided);
            }
        }
        let applied = self.state.apply(sequence, at, event);
        applied.map_err(|error| format!("record {sequence}: {error}"))
    }

    fn judge(&mut self, sequence: u64, at: UnixMs, decided: &Decided) {
        let facts = &decided.facts;
        if !matches!(
            facts.kind,
            MessageKind::Authorization | MessageKind::Financial
        ) {
            return;
        }
        let body = Body::Message(Arc::clone(facts));
        let command = Command { sequence, at, body };
        let outcome = decide(&self.trial.rulebook, &self.state, &command);
        let Answer::Decided(decision) = outcome.answer else {
            return;
        };
        if decision.programme != self.trial.tried {
            return;
        }
        self.seen.decisions = self.seen.decisions.saturating_add(1);
        if decision.reason != decided.reason {
            self.seen.note(Difference {
                example: Example {
                    sequence,
                    at,
                    card: decided.card,
                    minor: facts.amount.minor,
                    was: decided.reason,
                    would_be: decision.reason,
                    evidence: decision.evidence.unwrap_or_default(),
                },
                currency: facts.amount.currency,
                trace: self.state.transaction_of(decided, sequence),
            });
        }
    }
}
