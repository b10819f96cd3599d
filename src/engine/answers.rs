//! Stored answers to messages, oldest first (lifecycle D.2).
//!
//! Nearly every approval opens an entry that says all there is to say about it, so its row only
//! names the entry. Answers that say more, or something else, are kept whole.

use std::borrow::Cow;

use crate::domain::card::Card;
use crate::domain::decision::{Reason, ResponseCode};
use crate::domain::facts::TraceKey;
use crate::domain::time::UnixMs;

use super::checkpoint::AnswerRow as Kept;
use super::entry::{Entry, EntryId};
use super::queue::Queue;
use super::state::StoredAnswer;
use super::tables::{EntryTable, HashIndex};

/// Answers, oldest first.
#[derive(Default)]
pub(super) struct AnswerTable {
    forgotten: u64,
    rows: Queue<AnswerRow>,
    index: HashIndex,
    /// The few codes with which approvals are answered.
    codes: Vec<ResponseCode>,
}

/// One stored answer.
enum AnswerRow {
    /// What its entry says, with the code at this place.
    OfEntry(EntryId, u8),
    /// By itself.
    Whole(Box<WholeAnswer>),
}

struct WholeAnswer {
    at: UnixMs,
    key: TraceKey,
    answer: StoredAnswer,
}

/// A row as it reads: when it was given, to which message, what it was.
pub(super) type AnswerAt<'a> = (UnixMs, TraceKey, Cow<'a, StoredAnswer>);

/// Where entries and cards are to be found.
#[derive(Clone, Copy)]
pub(super) struct Booked<'a> {
    pub(super) entries: &'a EntryTable,
    pub(super) cards: &'a [Card],
}

impl<'a> Booked<'a> {
    fn entry(&self, id: EntryId) -> Option<(&'a Entry, &'a Card)> {
        let entry = self.entries.get(id)?;
        let position = usize::try_from(entry.card.0.checked_sub(1)?).ok()?;
        Some((entry, self.cards.get(position)?))
    }
}

impl AnswerTable {
    /// The answer to a message.
    pub(super) fn get<'a>(
        &'a self,
        key: &TraceKey,
        booked: Booked<'a>,
    ) -> Option<Cow<'a, StoredAnswer>> {
        let numbers = self.index.candidates(key);
        let mut rows = numbers.filter_map(|number| self.row(number));
        let row = rows.find(|row| is_to(row, key, booked))?;
        self.read(row, booked).map(|row| row.2)
    }

    /// Whether a message with this hash has an answer, most probably this one.
    pub(super) fn is_indexed(&self, key: &TraceKey) -> bool {
        self.index.candidates(key).next().is_some()
    }

    /// Stores an answer; `None` when the message has one already.
    pub(super) fn push(
        &mut self,
        (at, key): (UnixMs, TraceKey),
        answer: StoredAnswer,
        booked: Booked<'_>,
    ) -> Option<()> {
        let row = match self.said_by_entry((at, &key), &answer, booked) {
            Some((id, code)) => AnswerRow::OfEntry(id, code),
            None => AnswerRow::Whole(Box::new(WholeAnswer { at, key, answer })),
        };
        self.keep(&key, row, booked)
    }

    fn keep(&mut self, key: &TraceKey, row: AnswerRow, booked: Booked<'_>) -> Option<()> {
        let count = u64::try_from(self.rows.len()).ok()?;
        let number = self.forgotten.checked_add(count)?;
        let (forgotten, rows) = (self.forgotten, &self.rows);
        let is_taken = |number| {
            let row = row_of(forgotten, rows, number);
            row.is_some_and(|row| is_to(row, key, booked))
        };
        self.index.insert_unless(key, number, is_taken)?;
        self.rows.push_back(row);
        Some(())
    }

    /// The entry that says all of an answer, and the place of its code.
    fn said_by_entry(
        &mut self,
        (at, key): (UnixMs, &TraceKey),
        answer: &StoredAnswer,
        booked: Booked<'_>,
    ) -> Option<(EntryId, u8)> {
        let id = EntryId(answer.sequence);
        let (entry, card) = booked.entry(id)?;
        let says_it = entry.opened_at == at
            && key_of(entry) == *key
            && answer_of(entry, card, answer.code) == *answer;
        if !says_it {
            return None;
        }
        Some((id, self.place_of(answer.code)?))
    }

    /// The place of a code with which an approval is answered.
    fn place_of(&mut self, code: ResponseCode) -> Option<u8> {
        let known = self.codes.iter().position(|known| *known == code);
        let place = u8::try_from(known.unwrap_or(self.codes.len())).ok()?;
        if known.is_none() {
            self.codes.push(code);
        }
        Some(place)
    }

    /// Keeps the answer of an entry that is about to be forgotten by itself, if there still is one.
    pub(super) fn part_from(&mut self, id: EntryId, booked: Booked<'_>) {
        let Some((entry, _)) = booked.entry(id) else {
            return;
        };
        let is_its = |row: &AnswerRow| matches!(row, AnswerRow::OfEntry(of, _) if *of == id);
        let mut numbers = self.index.candidates(&key_of(entry));
        let number = numbers.find(|number| self.row(*number).is_some_and(is_its));
        let Some(number) = number else {
            return;
        };
        let whole = self.row(number).and_then(|row| self.read(row, booked));
        let whole = whole.map(|(at, key, answer)| WholeAnswer {
            at,
            key,
            answer: answer.into_owned(),
        });
        let position = number.checked_sub(self.forgotten);
        let position = position.and_then(|position| usize::try_from(position).ok());
        let row = position.and_then(|position| self.rows.get_mut(position));
        if let (Some(row), Some(whole)) = (row, whole) {
            *row = AnswerRow::Whole(Box::new(whole));
        }
    }

    /// When the oldest answer was given.
    pub(super) fn oldest(&self, booked: Booked<'_>) -> Option<UnixMs> {
        given_at(self.rows.front()?, booked)
    }

    /// Forgets answers given before an instant.
    pub(super) fn forget_before(&mut self, before: UnixMs, booked: Booked<'_>) {
        while let Some(row) = self.rows.front()
            && given_at(row, booked).is_none_or(|at| at < before)
        {
            if let Some((_, key, _)) = self.read(row, booked) {
                self.index.remove(&key, self.forgotten);
            }
            self.rows.pop_front();
            self.forgotten = self.forgotten.saturating_add(1);
        }
        if self.rows.is_empty() {
            self.index = HashIndex::default();
        }
    }

    /// Forgets answers of which no entry tells any more; `None` when two of the others are to one
    /// message.
    ///
    /// Looks at every row. Others move only where one is found, which takes an account whose last
    /// message came within the time that answers are kept.
    pub(super) fn erase(
        &mut self,
        is_erased: impl Fn(&StoredAnswer) -> bool,
        booked: Booked<'_>,
    ) -> Option<()> {
        let is_its = |row: &AnswerRow| match row {
            AnswerRow::Whole(row) => is_erased(&row.answer),
            AnswerRow::OfEntry(..) => false,
        };
        if !self.rows.iter().any(is_its) {
            return Some(());
        }
        let mut rows = std::mem::take(&mut self.rows);
        self.index = HashIndex::default();
        self.forgotten = 0;
        while let Some(row) = rows.pop_front() {
            let key = match &row {
                AnswerRow::Whole(row) => row.key,
                AnswerRow::OfEntry(id, _) => key_of(booked.entries.get(*id)?),
            };
            if !is_its(&row) {
                self.keep(&key, row, booked)?;
            }
        }
        Some(())
    }

    /// All answers, oldest first.
    pub(super) fn rows<'a>(&'a self, booked: Booked<'a>) -> impl Iterator<Item = AnswerAt<'a>> {
        let rows = self.rows.iter();
        rows.filter_map(move |row| self.read(row, booked))
    }

    /// All answers as a checkpoint keeps them, oldest first.
    pub(super) fn kept(&self) -> impl Iterator<Item = Kept<'_>> {
        self.rows.iter().filter_map(|row| {
            Some(match row {
                AnswerRow::OfEntry(id, code) => {
                    Kept::OfEntry(*id, *self.codes.get(usize::from(*code))?)
                }
                AnswerRow::Whole(row) => {
                    let answer = Cow::Borrowed(&row.answer);
                    match row.answer.told.as_ref().and_then(|told| told.billed) {
                        Some(billed) => Kept::Billed(row.at, row.key, answer, billed),
                        None => Kept::Whole(row.at, row.key, answer),
                    }
                }
            })
        })
    }

    /// The next answer, as it was in a checkpoint; `None` when its entry is not there, or its
    /// message has an answer already.
    pub(super) fn restore(&mut self, kept: Kept<'_>, booked: Booked<'_>) -> Option<()> {
        let (key, row) = match kept {
            Kept::OfEntry(id, code) => {
                let (entry, _) = booked.entry(id)?;
                (key_of(entry), AnswerRow::OfEntry(id, self.place_of(code)?))
            }
            Kept::Whole(at, key, answer) => (key, whole(at, key, answer.into_owned())),
            Kept::Billed(at, key, answer, billed) => {
                let mut answer = answer.into_owned();
                answer.told.as_mut()?.billed = Some(billed);
                (key, whole(at, key, answer))
            }
        };
        self.keep(&key, row, booked)
    }

    fn read<'a>(&'a self, row: &'a AnswerRow, booked: Booked<'a>) -> Option<AnswerAt<'a>> {
        match row {
            AnswerRow::Whole(row) => Some((row.at, row.key, Cow::Borrowed(&row.answer))),
            AnswerRow::OfEntry(id, code) => {
                let code = *self.codes.get(usize::from(*code))?;
                let (entry, card) = booked.entry(*id)?;
                let answer = answer_of(entry, card, code);
                Some((entry.opened_at, key_of(entry), Cow::Owned(answer)))
            }
        }
    }

    fn row(&self, number: u64) -> Option<&AnswerRow> {
        row_of(self.forgotten, &self.rows, number)
    }
}

fn whole(at: UnixMs, key: TraceKey, answer: StoredAnswer) -> AnswerRow {
    AnswerRow::Whole(Box::new(WholeAnswer { at, key, answer }))
}

fn row_of(forgotten: u64, rows: &Queue<AnswerRow>, number: u64) -> Option<&AnswerRow> {
    rows.get(usize::try_from(number.checked_sub(forgotten)?).ok()?)
}

fn is_to(row: &AnswerRow, key: &TraceKey, booked: Booked<'_>) -> bool {
    match row {
        AnswerRow::Whole(row) => row.key == *key,
        AnswerRow::OfEntry(id, _) => {
            let entry = booked.entries.get(*id);
            entry.is_some_and(|entry| key_of(entry) == *key)
        }
    }
}

fn given_at(row: &AnswerRow, booked: Booked<'_>) -> Option<UnixMs> {
    match row {
        AnswerRow::Whole(row) => Some(row.at),
        AnswerRow::OfEntry(id, _) => booked.entries.get(*id).map(|entry| entry.opened_at),
    }
}

fn key_of(entry: &Entry) -> TraceKey {
    TraceKey {
        kind: entry.opened_by,
        trace: entry.trace,
        terminal: entry.terminal(),
    }
}

/// The answer to the message that opened an entry, if it was approved as it stood.
fn answer_of(entry: &Entry, card: &Card, code: ResponseCode) -> StoredAnswer {
    StoredAnswer {
        card: card.token,
        minor: entry.authorized,
        currency: entry.currency,
        purpose: entry.purpose,
        reason: Reason::Approved,
        code,
        approval: entry.approval(),
        told: None,
        card_id: Some(entry.card),
        sequence: entry.id.0,
        entry: Some(entry.id),
    }
}
