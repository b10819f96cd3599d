//! `cardswitch programme backtest`: decides a recorded period again under another programme file.
//!
//! Records before the period are applied as they are. Within it every message is decided anew and
//! the new decision is applied, so what a declined purchase would not have used up is there for the
//! next one. One thread reads and decodes, the other decides. All programmes but the one that is
//! tried are those that the journal had in force at each moment, unless somebody names others.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::domain::account::ProgrammeName;
use crate::domain::card::CardId;
use crate::domain::decision::Reason;
use crate::domain::facts::MessageKind;
use crate::domain::money::Currency;
use crate::domain::programme_file;
use crate::domain::rulebook::Rulebook;
use crate::domain::time::UnixMs;
use crate::engine::command::{Answer, Body, Command, Housekeep};
use crate::engine::decide::decide;
use crate::engine::event::{Decided, Event, Housekept};
use crate::engine::operation::Operation;
use crate::engine::operation_rules::ProgrammeRecord;
use crate::engine::record;
use crate::engine::state::State;
use crate::journal::{SledJournal, SledOptions};

/// Records handed from the reading thread to the deciding one at once.
const HANDED_RECORDS: usize = 1_024;
/// How many of those may wait.
const HANDED_BATCHES: usize = 16;
/// Records whose places in memory are looked at before the first of them is decided.
const GLANCED_RECORDS: usize = 32;
/// Changed decisions that are told one by one.
const EXAMPLES_MAX: usize = 10;

/// One record: its sequence, when, what.
type Row = (u64, UnixMs, Event);

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
#[derive(Debug, Default)]
pub struct Change {
    /// Messages.
    pub count: u64,
    /// Minor units by currency.
    pub minor: BTreeMap<Currency, i64>,
}

/// One decision that came out otherwise.
#[derive(Debug)]
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

/// Decides the records of a store again, from `from` on and before `until`.
///
/// # Errors
/// A sentence that says which record cannot be read or followed.
pub fn run(data: &Path, trial: Trial, from: UnixMs, until: UnixMs) -> Result<Report, String> {
    if !data.is_dir() {
        return Err(format!("there is no store in {}", data.display()));
    }
    let (sender, receiver) = sync_channel(HANDED_BATCHES);
    thread::scope(|scope| {
        let reader = scope.spawn(move || read(data, &sender));
        let report = follow(&receiver, trial, from, until);
        // A reader that waits for room must see that nobody takes any more.
        drop(receiver);
        match (report, reader.join()) {
            (Err(sentence), _) | (Ok(_), Ok(Err(sentence))) => Err(sentence),
            (Ok(_), Err(_)) => Err("the reading thread failed".to_owned()),
            (Ok(report), Ok(Ok(()))) => Ok(report),
        }
    })
}

fn read(data: &Path, sender: &SyncSender<Vec<Row>>) -> Result<(), String> {
    let mut rows = Vec::with_capacity(HANDED_RECORDS);
    let hand_over = |rows: &mut Vec<Row>| {
        let full = std::mem::replace(rows, Vec::with_capacity(HANDED_RECORDS));
        sender
            .send(full)
            .map_err(|_| "nobody decides any more".to_owned())
    };
    let opened = SledJournal::open(data, SledOptions::standard(), &mut |records| {
        records.each(|sequence, bytes| {
            let (at, event) = record::decode(bytes).map_err(|error| error.to_string())?;
            rows.push((sequence, at, event));
            if rows.len() == HANDED_RECORDS {
                hand_over(&mut rows)?;
            }
            Ok(())
        })
    });
    let journal = opened.map_err(|error| error.to_string())?;
    hand_over(&mut rows)?;
    journal.close().map_err(|error| error.to_string())
}

fn follow(
    receiver: &Receiver<Vec<Row>>,
    trial: Trial,
    from: UnixMs,
    until: UnixMs,
) -> Result<Report, String> {
    let mut other = Other {
        trial,
        state: State::new(),
        report: Report::default(),
    };
    for rows in receiver {
        for rows in rows.chunks(GLANCED_RECORDS) {
            for (_, _, event) in rows {
                if let Event::Decided(decided) = event {
                    black_box(other.state.glance(&decided.facts));
                }
            }
            for (sequence, at, event) in rows {
                let outcome = if *at < from || *at >= until {
                    other.apply(*at, event)
                } else {
                    other.decide_again(*sequence, *at, event)
                };
                outcome.map_err(|sentence| format!("record {sequence}: {sentence}"))?;
            }
        }
    }
    let Other {
        state,
        trial,
        report,
    } = other;
    let is_known = |name: &ProgrammeName| *name == trial.tried;
    let mut in_force = state.programmes_in_force();
    if state.programmes().iter().any(is_known) || in_force.any(|file| is_known(file.0)) {
        Ok(report)
    } else {
        let name = trial.tried;
        Err(format!("the journal knows no programme named {name}"))
    }
}

/// The switch as it would be.
struct Other {
    trial: Trial,
    state: State,
    report: Report,
}

impl Other {
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
    /// Other programmes came into force; the one that is tried stays.
    fn change(&mut self, files: &[ProgrammeRecord]) -> Result<(), String> {
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
        change.count += 1;
        let sum = change.minor.entry(currency).or_default();
        *sum = sum.saturating_add(example.minor);
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
