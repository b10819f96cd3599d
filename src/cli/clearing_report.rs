//! What a clearing file did, in numbers and line by line where a person must look.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::switch::clearing::{LineOutcome, Status};

/// Lines named one by one, of each kind.
const NAMED_MAX: usize = 1_000;

/// A line of the file that a person must look at.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Named {
    /// Its number in the file.
    pub(super) number: u64,
    /// Its own name, where it has one.
    pub(super) line: String,
    /// What is the matter.
    pub(super) what: String,
}

/// How many lines posted more, less or as much as was authorized, and by how much.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Against {
    as_authorized: u64,
    over: u64,
    over_minor: BTreeMap<String, i64>,
    under: u64,
    under_minor: BTreeMap<String, i64>,
}

/// The report.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Report {
    pub(super) batch: String,
    pub(super) lines: u64,
    pub(super) posted: u64,
    pub(super) repeated: u64,
    pub(super) refused: u64,
    /// Whether no line of the batch can be posted again.
    pub(super) closed: bool,
    matched_by: BTreeMap<String, u64>,
    unmatched: u64,
    against: Against,
    exceptions: Vec<Named>,
    exceptions_total: u64,
    refusals: Vec<Named>,
}

impl Report {
    /// The report of a batch of which nothing is done yet.
    pub(super) fn of(batch: &str) -> Report {
        Report {
            batch: batch.to_owned(),
            ..Report::default()
        }
    }

    /// Notes a line that was not posted because it cannot be.
    pub(super) fn refuse(&mut self, number: u64, line: String, what: String) {
        self.refused += 1;
        if self.refusals.len() < NAMED_MAX {
            self.refusals.push(Named { number, line, what });
        }
    }

    /// Notes what came of a line.
    pub(super) fn note(&mut self, number: u64, outcome: LineOutcome) {
        match outcome.status {
            Status::Repeated => self.repeated += 1,
            Status::Refused => {
                let reason = outcome.reason.unwrap_or_default();
                self.refuse(number, outcome.line, reason);
            }
            Status::Posted => self.note_posted(number, outcome),
        }
    }

    fn note_posted(&mut self, number: u64, outcome: LineOutcome) {
        self.posted += 1;
        match &outcome.against {
            None => self.unmatched += 1,
            Some(against) => {
                *self.matched_by.entry(against.rung.clone()).or_default() += 1;
                let beyond = against.minor.saturating_sub(against.open_minor);
                let (count, sums) = match beyond {
                    0 => {
                        self.against.as_authorized += 1;
                        return self.note_exceptions(number, outcome);
                    }
                    1.. => (&mut self.against.over, &mut self.against.over_minor),
                    _ => (&mut self.against.under, &mut self.against.under_minor),
                };
                *count += 1;
                let sum = sums.entry(against.currency.clone()).or_default();
                *sum = sum.saturating_add(beyond.saturating_abs());
            }
        }
        self.note_exceptions(number, outcome);
    }

    fn note_exceptions(&mut self, number: u64, outcome: LineOutcome) {
        for kind in outcome.exceptions {
            self.exceptions_total += 1;
            if self.exceptions.len() < NAMED_MAX {
                let kind = serde_json::to_value(kind).unwrap_or_default();
                let record = outcome.sequence.unwrap_or_default();
                self.exceptions.push(Named {
                    number,
                    line: outcome.line.clone(),
                    what: format!("{}, record {record}", kind.as_str().unwrap_or_default()),
                });
            }
        }
    }

    /// Whether every line is posted, now or before.
    pub(super) fn is_whole(&self) -> bool {
        self.refused == 0 && self.posted + self.repeated == self.lines
    }

    /// The report for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "batch {}: {} lines, {} posted, {} posted before, {} refused{}",
            self.batch,
            self.lines,
            self.posted,
            self.repeated,
            self.refused,
            if self.closed { "; closed" } else { "" },
        )?;
        for (rung, count) in &self.matched_by {
            writeln!(out, "  matched by {rung}: {count}")?;
        }
        writeln!(out, "  matched with nothing: {}", self.unmatched)?;
        let against = &self.against;
        writeln!(out, "  as authorized: {}", against.as_authorized)?;
        for (word, count, sums) in [
            ("over", against.over, &against.over_minor),
            ("under", against.under, &against.under_minor),
        ] {
            let sums = sums
                .iter()
                .map(|(currency, minor)| format!("{minor} {currency}"));
            let sums = sums.collect::<Vec<_>>().join(", ");
            let sums = if sums.is_empty() {
                sums
            } else {
                format!(" by {sums}")
            };
            writeln!(out, "  {word} what was authorized: {count}{sums}")?;
        }
        writeln!(out, "  to be looked at: {}", self.exceptions_total)?;
        self.exceptions.iter().try_for_each(|row| named(out, row))?;
        self.refusals.iter().try_for_each(|row| named(out, row))
    }
}

fn named(out: &mut String, row: &Named) -> std::fmt::Result {
    let name = match row.line.as_str() {
        "" => String::new(),
        name => format!(" ({name})"),
    };
    writeln!(out, "  line {}{name}: {}", row.number, row.what)
}
