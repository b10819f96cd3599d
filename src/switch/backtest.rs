//! Decides a recorded period again under another programme file.
//!
//! Records before the period are applied as they are. Within it every message is decided anew and
//! the new decision is applied, so what a declined purchase would not have used up is there for the
//! next one. All programmes but the one that is tried are those that the journal had in force at
//! each moment, unless somebody names others. Reads nothing itself: whoever has records hands them
//! over.

use std::collections::BTreeMap;
use std::hint::black_box;

use crate::domain::account::ProgrammeName;
use crate::domain::card::CardId;
use crate::domain::decision::Reason;
use crate::domain::facts::MessageKind;
use crate::domain::money::Currency;
use crate::domain::programme::Programme;
use crate::domain::programme_file;
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;
use crate::engine::command::{Answer, Body, Command, Housekeep};
use crate::engine::decide::decide;
use crate::engine::event::{Decided, Event, Housekept};
use crate::engine::operation::Operation;
use crate::engine::operation_rules::ProgrammeRecord;
use crate::engine::state::State;

/// Records whose places in memory are looked at before the first of them is decided.
const GLANCED_RECORDS: usize = 32;
/// Changed decisions that are told one by one.
const EXAMPLES_MAX: usize = 10;

/// One record: its sequence, when, what.
pub type Row = (u64, UnixMs, Event);

/// What would have changed.
#[derive(Debug, Default)]
pub struct Report {
    /// Messages asked for a decision within the period.
    pub decisions: u64,
    /// Decisions that came out otherwise, by what they were and what they would be, with the sums
    /// of their amounts by currency.
    pub changes: BTreeMap<(Reason, Reason), Change>,
    /// The first of them.
    pub examples: Vec<Example>,
    /// Declines by code as recorded and as they would be.
    pub declines: BTreeMap<String, (u64, u64)>,
    /// Purchases that passed and that a row in shadow would have refused.
    pub in_shadow: u64,
}

/// How often one reason became another.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Messages.
    pub count: u64,
    /// Minor units by currency.
    pub minor: BTreeMap<Currency, i64>,
}

impl Change {
    /// One message more.
    pub(super) fn add(&mut self, currency: Currency, minor: i64) {
        self.count = self.count.saturating_add(1);
        let sum = self.minor.entry(currency).or_default();
        *sum = sum.saturating_add(minor);
    }
}

/// One decision that came out otherwise.
#[derive(Clone, Debug)]
pub struct Example {
    /// Its record.
    pub sequence: u64,
    /// When.
    pub at: UnixMs,
    /// Number of the card inside the switch.
    pub card: Option<CardId>,
    /// Minor units asked.
    pub minor: i64,
    /// Why it was answered so.
    pub was: Reason,
    /// Why it would be.
    pub would_be: Reason,
    /// What the rules would say.
    pub evidence: String,
}

/// The programme that is tried, and the others.
pub struct Trial {
    /// What decides until the journal has programmes in force: the one that is tried among others.
    pub rulebook: Rulebook,
    /// Name of the one that is tried.
    pub tried: ProgrammeName,
    /// Whether the others follow the journal.
    pub follows_journal: bool,
}

/// The switch as it would be.
pub struct Backtest {
    trial: Trial,
    from: UnixMs,
    until: UnixMs,
    state: State,
    report: Report,
}

impl Backtest {
    /// Before the first record; from `from` on and before `until` it decides again.
    pub fn new(trial: Trial, from: UnixMs, until: UnixMs) -> Backtest {
        Backtest {
            trial,
            from,
            until,
            state: State::new(),
            report: Report::default(),
        }
    }

    /// Follows the next records.
    ///
    /// # Errors
    /// A sentence that says which record cannot be followed.
    pub fn follow(&mut self, rows: &[Row]) -> Result<(), String> {
        for rows in rows.chunks(GLANCED_RECORDS) {
            let decided = rows.iter().filter_map(|row| row.2.decided());
            black_box(self.state.glance(decided.map(|it| &*it.facts)));
            for (sequence, at, event) in rows {
                let outcome = if *at < self.from || *at >= self.until {
                    self.apply(*at, event)
                } else {
                    self.decide_again(*sequence, *at, event)
                };
                outcome.map_err(|sentence| format!("record {sequence}: {sentence}"))?;
            }
        }
        Ok(())
    }

    /// What would have changed.
    ///
    /// # Errors
    /// The journal knows no programme of the name that is tried.
    pub fn report(self) -> Result<Report, String> {
        let name = self.trial.tried;
        let is_known = |known: &ProgrammeName| *known == name;
        let mut in_force = self.state.programmes_in_force();
        let is_known =
            self.state.programmes().iter().any(is_known) || in_force.any(|file| is_known(file.0));
        match is_known {
            true => Ok(self.report),
            false => Err(format!("the journal knows no programme named {name}")),
        }
    }

    fn apply(&mut self, at: UnixMs, event: &Event) -> Result<(), String> {
        if let Event::Operated(operation) = event
            && let Operation::RulesChanged(files) = operation.as_ref()
            && self.trial.follows_journal
        {
            self.trial.change(files)?;
        }
        self.state
            .apply(self.state.sequence() + 1, at, event)
            .map_err(|error| error.to_string())
    }

    fn decide_again(&mut self, sequence: u64, at: UnixMs, event: &Event) -> Result<(), String> {
        match event {
            Event::Decided(decided) => self.decide_message(sequence, at, decided),
            Event::Housekept(housekept) => {
                let body = Body::Housekeep(terms(at, housekept));
                self.execute(at, body).map(|_| ())
            }
            other => self.apply(at, other),
        }
    }

    fn decide_message(
        &mut self,
        sequence: u64,
        at: UnixMs,
        decided: &Decided,
    ) -> Result<(), String> {
        let facts = &decided.facts;
        let body = Body::Message(std::sync::Arc::clone(facts));
        let Answer::Decided(decision) = self.execute(at, body)? else {
            return Err("a message was not decided".to_owned());
        };
        let asked = matches!(
            facts.kind,
            MessageKind::Authorization | MessageKind::Financial
        );
        if !asked {
            return Ok(());
        }
        self.report.decisions += 1;
        let evidence = decision.evidence.unwrap_or_default();
        if decided.reason != Reason::Approved {
            self.report.declined(decided.code.as_str()).0 += 1;
        }
        if decision.reason != Reason::Approved {
            self.report.declined(decision.code.as_str()).1 += 1;
        } else if evidence.starts_with("shadow ") {
            self.report.in_shadow += 1;
        }
        if decision.reason != decided.reason {
            self.report.changed(
                Example {
                    sequence,
                    at,
                    card: decided.card,
                    minor: facts.amount.minor,
                    was: decided.reason,
                    would_be: decision.reason,
                    evidence,
                },
                facts.amount.currency,
            );
        }
        Ok(())
    }

    fn execute(&mut self, at: UnixMs, body: Body) -> Result<Answer, String> {
        let sequence = self.state.sequence() + 1;
        let command = Command { sequence, at, body };
        let outcome = decide(&self.trial.rulebook, &self.state, &command);
        if let Some(event) = &outcome.event {
            self.apply(at, event)?;
        }
        Ok(outcome.answer)
    }
}

impl Trial {
    /// A programme among others, in place of the one of its name.
    pub fn of(programme: Programme, others: &Rulebook, follows_journal: bool) -> Trial {
        let (tried, mut rulebook) = (programme.name, others.clone());
        let mut known = rulebook.programmes.iter_mut();
        match known.find(|known| known.name == tried) {
            Some(replaced) => *replaced = programme,
            // Perhaps the journal knows it; else the report says that it does not.
            None => rulebook.programmes.push(programme),
        }
        Trial {
            rulebook,
            tried,
            follows_journal,
        }
    }

    /// Other programmes came into force; the one that is tried stays.
    pub(super) fn change(&mut self, files: &[ProgrammeRecord]) -> Result<(), String> {
        let tried = self.tried;
        let programmes = &mut self.rulebook.programmes;
        programmes.retain(|programme| programme.name == tried);
        for file in files.iter().filter(|file| file.name != tried) {
            let read = programme_file::parse(file.name.as_str(), &file.text);
            programmes.push(read.map_err(|error| error.to_string())?);
        }
        Ok(())
    }
}

impl Report {
    fn declined(&mut self, code: &str) -> &mut (u64, u64) {
        self.declines.entry(code.to_owned()).or_default()
    }

    fn changed(&mut self, example: Example, currency: Currency) {
        let change = self
            .changes
            .entry((example.was, example.would_be))
            .or_default();
        change.add(currency, example.minor);
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example);
        }
    }
}

/// The terms under which time passed, as the record tells them.
fn terms(at: UnixMs, housekept: &Housekept) -> Housekeep {
    let hours = |before: UnixMs| {
        let ms = at.0.saturating_sub(before.0);
        u32::try_from(ms / 3_600_000).unwrap_or(u32::MAX)
    };
    Housekeep {
        answers_hours: hours(housekept.answers_before),
        entries_hours: hours(housekept.entries_before),
        tombstones_hours: hours(housekept.tombstones_before),
        releases_max: usize::MAX,
    }
}
