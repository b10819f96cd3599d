//! The business day of each link, what was counted on it, and its reconciliation.
//!
//! A link without any cutover has the UTC calendar; from its first cutover on, its day changes with
//! cutovers only. What was counted follows from the decisions themselves, so old journals have it
//! too. The day of a hold never changes with a cutover: that one is the programme's.

use serde::{Deserialize, Serialize};

use crate::domain::facts::{LinkNumber, MessageKind, Purpose};
use crate::domain::money::Currency;
use crate::domain::reconciliation::{Balance, Claim, Row, Totals, nearest};
use crate::domain::time::{BusinessDate, UnixMs};

use super::apply::Fit;
use super::command::{Answer, Outcome};
use super::entry::is_debit;
use super::event::{Decided, Effect, Event};
use super::state::State;

/// Days of a link that are kept; older ones stay in the journal.
const DAYS_MAX: usize = 1_000;

/// Who asks: DE 7 and DE 11, which a repeat keeps.
pub type Asker = (u32, u32);

/// A cutover that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct CutOver {
    /// Of which link.
    pub link: LinkNumber,
    /// The month and day that begins, where it is said; else the next day.
    pub to: Option<(u16, u16)>,
    /// The message that asks; `None`: an operator, who always says the day.
    pub asker: Option<Asker>,
}

/// A reconciliation that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Reconcile {
    /// Of which link.
    pub link: LinkNumber,
    /// Of which month and day; else of the last day that was closed.
    pub of: Option<(u16, u16)>,
    /// In which currency; else the one that the day has.
    pub currency: Option<Currency>,
    /// What the peer counted.
    pub claim: Claim,
    /// The message that asks.
    pub asker: Asker,
}

/// What came of a reconciliation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// Which link.
    pub link: LinkNumber,
    /// Which day.
    pub date: BusinessDate,
    /// In which currency.
    pub currency: Currency,
    /// What the peer counted.
    pub claim: Claim,
    /// What was counted here.
    pub own: Totals,
    /// Whether the two agree.
    pub balance: Balance,
    /// What differs, in words.
    pub evidence: String,
    /// The message that asked.
    pub asker: Asker,
}

/// What came of a cutover: the day that is current now.
pub type CutOverDone = Option<BusinessDate>;

/// What was counted on one day in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DayTotals {
    /// The day.
    pub date: BusinessDate,
    /// The currency.
    pub currency: Currency,
    /// What was counted.
    pub totals: Totals,
    /// The last reconciliation of the day.
    pub reconciled: Option<Box<Reconciled>>,
}

/// The days of one link, oldest first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LinkBook {
    /// The current day, once there was a cutover.
    current: Option<BusinessDate>,
    /// The message that asked for the last cutover.
    asker: Option<Asker>,
    days: Vec<DayTotals>,
}

impl LinkBook {
    /// The day of the link at an instant.
    pub fn day_at(&self, at: UnixMs) -> BusinessDate {
        self.current.unwrap_or_else(|| BusinessDate::utc(at))
    }

    /// What was counted, oldest day first.
    pub fn days(&self) -> &[DayTotals] {
        &self.days
    }

    /// The current day, once there was a cutover, and the message that asked for it.
    pub(super) fn cutover(&self) -> (Option<BusinessDate>, Option<Asker>) {
        (self.current, self.asker)
    }

    /// As it was in a checkpoint.
    pub(super) fn restore_cutover(&mut self, current: Option<BusinessDate>, asker: Option<Asker>) {
        self.current = current;
        self.asker = asker;
    }

    /// The next day, as it was in a checkpoint.
    pub(super) fn restore_day(&mut self, day: DayTotals) {
        self.days.push(day);
    }

    fn row(&mut self, date: BusinessDate, currency: Currency) -> Option<&mut DayTotals> {
        let same = |row: &DayTotals| row.date == date && row.currency == currency;
        // Nearly always it is the last one.
        let position = match self.days.iter().rposition(same) {
            Some(position) => position,
            None => {
                if self.days.len() >= DAYS_MAX {
                    self.days.remove(0);
                }
                self.days.push(DayTotals {
                    date,
                    currency,
                    totals: Totals::default(),
                    reconciled: None,
                });
                self.days.len().checked_sub(1)?
            }
        };
        self.days.get_mut(position)
    }

    fn find(&self, date: BusinessDate, currency: Currency) -> Option<&DayTotals> {
        let same = |row: &&DayTotals| row.date == date && row.currency == currency;
        self.days.iter().rev().find(same)
    }
}

/// Decides a cutover.
pub(super) fn cut_over(state: &State, at: UnixMs, wanted: &CutOver) -> Outcome {
    let answer = |date: CutOverDone, event| Outcome {
        answer: Answer::CutOver(date),
        event,
    };
    let Some(book) = state.link_book(wanted.link) else {
        return answer(None, None);
    };
    let today = book.day_at(at);
    if wanted.asker.is_some() && wanted.asker == book.asker {
        return answer(Some(today), None);
    }
    let next = match wanted.to {
        Some((month, day)) => nearest(month, day, today),
        None => Some(today.next().max(BusinessDate::utc(at))),
    };
    match next {
        // A day never begins twice, and never ends before the one before it.
        Some(next) if next > today => {
            let event = Event::CutOver(wanted.link, next, wanted.asker);
            answer(Some(next), Some(event))
        }
        Some(next) if next == today => answer(Some(today), None),
        Some(_) | None => answer(None, None),
    }
}

/// Decides a reconciliation. The same message again gets the same answer.
pub(super) fn reconcile(state: &State, at: UnixMs, wanted: &Reconcile) -> Outcome {
    let unknown = || Outcome {
        answer: Answer::Reconciled(None),
        event: None,
    };
    let Some(book) = state.link_book(wanted.link) else {
        return unknown();
    };
    let today = book.day_at(at);
    let date = match wanted.of {
        Some((month, day)) => nearest(month, day, today),
        None => Some(last_closed(book, today)),
    };
    let Some(date) = date else { return unknown() };
    let of_day = |row: &&DayTotals| row.date == date;
    let currency = wanted.currency.or_else(|| {
        let mut rows = book.days.iter().filter(of_day);
        let only = rows.next()?;
        rows.next().is_none().then_some(only.currency)
    });
    let currency = currency.unwrap_or(Currency::from_numeric(0));
    let row = book.find(date, currency);
    if let Some(earlier) = row.and_then(|row| row.reconciled.as_deref())
        && earlier.asker == wanted.asker
        && earlier.claim == wanted.claim
    {
        return Outcome {
            answer: Answer::Reconciled(Some(Box::new(earlier.clone()))),
            event: None,
        };
    }
    let own = row.map_or_else(Totals::default, |row| row.totals);
    let (balance, evidence) = wanted.claim.against(&own);
    let reconciled = Reconciled {
        link: wanted.link,
        date,
        currency,
        claim: wanted.claim,
        own,
        balance,
        evidence,
        asker: wanted.asker,
    };
    Outcome {
        answer: Answer::Reconciled(Some(Box::new(reconciled.clone()))),
        event: Some(Event::Reconciled(Box::new(reconciled))),
    }
}

/// The last day before today on which something was counted, else today.
fn last_closed(book: &LinkBook, today: BusinessDate) -> BusinessDate {
    let days = book.days.iter().map(|row| row.date);
    days.filter(|date| *date < today).max().unwrap_or(today)
}

impl State {
    /// The days of a link; `None` when no link has this number.
    pub fn link_book(&self, link: LinkNumber) -> Option<&LinkBook> {
        let position = usize::from(link.0.checked_sub(1)?);
        self.link_books.get(position)
    }

    pub(super) fn link_book_mut(&mut self, link: LinkNumber) -> Option<&mut LinkBook> {
        let position = usize::from(link.0.checked_sub(1)?);
        self.link_books.get_mut(position)
    }

    /// Counts a decision on the day of its link.
    pub(super) fn count_on_link(&mut self, decided: &Decided) {
        let Some((row, minor)) = counted(decided) else {
            return;
        };
        let at = self.at;
        let Some(book) = self.link_book_mut(decided.facts.link) else {
            return;
        };
        let date = book.day_at(at);
        if let Some(day) = book.row(date, decided.facts.amount.currency) {
            day.totals.count(row, minor);
        }
    }

    pub(super) fn apply_cut_over(
        &mut self,
        link: LinkNumber,
        date: BusinessDate,
        asker: Option<Asker>,
    ) -> Fit {
        let at = self.at;
        let book = self
            .link_book_mut(link)
            .ok_or("an unknown link cuts over")?;
        if date <= book.day_at(at) {
            return Err("a day begins that is over".to_owned());
        }
        book.current = Some(date);
        book.asker = asker;
        Ok(())
    }

    pub(super) fn apply_reconciled(&mut self, reconciled: &Reconciled) -> Fit {
        let book = self
            .link_book_mut(reconciled.link)
            .ok_or("an unknown link is reconciled")?;
        let row = book
            .row(reconciled.date, reconciled.currency)
            .ok_or("a day that cannot be kept")?;
        if row.totals != reconciled.own {
            return Err("a reconciliation tells other totals than were counted".to_owned());
        }
        row.reconciled = Some(Box::new(reconciled.clone()));
        Ok(())
    }
}

/// In which row a decision counts, and with which amount of the transaction.
fn counted(decided: &Decided) -> Option<(Row, i64)> {
    let facts = &decided.facts;
    if facts.link == LinkNumber::default() || !decided.reason.is_approved() {
        return None;
    }
    let minor = facts.amount.minor;
    let debit = is_debit(facts.purpose);
    let row = match facts.kind {
        MessageKind::Authorization | MessageKind::Financial
            if facts.purpose == Purpose::BalanceEnquiry =>
        {
            Row::Enquiry
        }
        MessageKind::Authorization => Row::Authorization,
        MessageKind::AuthorizationAdvice if facts.stand_in_approved => Row::Authorization,
        MessageKind::AuthorizationAdvice => return None,
        MessageKind::Financial | MessageKind::FinancialAdvice if debit => Row::Debit,
        MessageKind::Financial | MessageKind::FinancialAdvice => Row::Credit,
        MessageKind::Reversal => {
            let gave_back = |effect: &Effect| matches!(effect, Effect::Posted { .. });
            // The reversal of an authorization moves no money, and of nothing counts nothing.
            if !decided.effects.iter().any(gave_back) {
                return None;
            }
            let remaining = facts.replacement_minor.unwrap_or(0);
            let reversed = minor.saturating_sub(remaining).max(0);
            let row = if debit {
                Row::DebitReversal
            } else {
                Row::CreditReversal
            };
            return Some((row, reversed));
        }
    };
    Some((row, approved_minor(decided).unwrap_or(minor)))
}

/// Of an approval of a part: the part, in the currency of the transaction.
fn approved_minor(decided: &Decided) -> Option<i64> {
    if decided.reason == crate::domain::decision::Reason::Approved {
        return None;
    }
    let opened = decided.effects.iter().find_map(|effect| match effect {
        Effect::EntryOpened { authorized, .. } => Some(*authorized),
        _ => None,
    });
    opened.map(|minor| decided.facts.approved_part(minor).amount.minor)
}
