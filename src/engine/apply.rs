//! The only mutation in the crate: one event onto the state.
//!
//! An event that does not fit the state is a bug of ours or damage of the store, so it is an error
//! that stops the process: better no answer than a wrong one.

use crate::domain::account::{AccountId, Purse, PurseIndex, Split};
use crate::domain::decision::Reason;
use crate::domain::exchange::Billed;
use crate::domain::facts::{LinkNumber, Trace};
use crate::domain::money::Currency;
use crate::domain::pan::CardToken;
use crate::domain::time::UnixMs;

use super::answers::Booked;
use super::entry::{EntryId, EntryState};
use super::event::{Decided, Effect, Event, Housekept};
use super::exchange;
use super::ledger::{LedgerAccount, Posting, sum};
use super::reconcile::LinkBook;
use super::state::{
    EXCEPTIONS_MAX, ExceptionRow, State, StoredAnswer, Told, Tombstone, is_kept_with_entries,
};
use super::usage::Usage;

/// An event that does not fit the state.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("record {sequence}: {what}")]
pub struct InvariantBroken {
    /// The record.
    pub sequence: u64,
    /// What does not fit: expected and got, no card data.
    pub what: String,
}

pub(super) type Fit = Result<(), String>;

impl State {
    /// Applies the event of record `sequence`, which happened at `at`.
    ///
    /// # Errors
    /// [`InvariantBroken`]; the state is then half-changed and must not be used any more.
    pub fn apply(
        &mut self,
        sequence: u64,
        at: UnixMs,
        event: &Event,
    ) -> Result<(), InvariantBroken> {
        let broken = |what| InvariantBroken { sequence, what };
        if Some(sequence) != self.sequence.checked_add(1) {
            return Err(broken(format!(
                "expected record {} next",
                self.sequence.saturating_add(1)
            )));
        }
        if at < self.at {
            return Err(broken(format!("time goes back from {} to {at}", self.at)));
        }
        self.sequence = sequence;
        self.at = at;
        match event {
            Event::Decided(decided) => self.apply_decided(decided),
            Event::AccountOpened(opened) => self.apply_account_opened(opened),
            Event::Housekept(housekept) => self.apply_housekept(housekept),
            Event::PinSet(card, reference) => self.change_pin(*card, |pin| {
                pin.reference = Some(*reference);
                pin.wrong_tries = 0;
            }),
            Event::PinUnlocked(card) => self.change_pin(*card, |pin| pin.wrong_tries = 0),
            Event::Operated(operation) => self.apply_operated(operation),
            Event::LinkNamed(number, name) => self.apply_link_named(*number, name),
            Event::CutOver(link, date, asker) => self.apply_cut_over(*link, *date, *asker),
            Event::Reconciled(reconciled) => self.apply_reconciled(reconciled),
        }
        .map_err(broken)
    }

    fn apply_decided(&mut self, decided: &Decided) -> Fit {
        self.count_guess(decided);
        self.count_on_link(decided);
        for effect in &decided.effects {
            self.apply_effect(decided, effect)?;
        }
        if decided.stored {
            let facts = &decided.facts;
            let key = facts.key();
            let answer = StoredAnswer {
                card: facts.card,
                minor: facts.amount.minor,
                currency: facts.amount.currency,
                purpose: facts.purpose,
                reason: decided.reason,
                code: decided.code,
                approval: decided.approval,
                told: told(decided, exchange::billed_by(self, decided)),
                card_id: decided.card,
                sequence: self.sequence,
                entry: decided
                    .effects
                    .iter()
                    .find_map(|effect| booked_entry(effect, self.sequence)),
            };
            let answers = if is_kept_with_entries(key.kind) {
                &mut self.advice_answers
            } else {
                &mut self.answers
            };
            let booked = Booked {
                entries: &self.entries,
                cards: &self.cards,
            };
            answers
                .push((self.at, key), answer, booked)
                .ok_or("a stored answer would be overwritten")?;
        }
        Ok(())
    }

    fn apply_effect(&mut self, decided: &Decided, effect: &Effect) -> Fit {
        match effect {
            Effect::EntryOpened { .. } => self.apply_entry_opened(decided, effect),
            Effect::HoldRaised { entry, split } => self.raise_hold(*entry, split),
            Effect::HoldLowered { entry, split } => self.lower_hold(*entry, split),
            Effect::Posted {
                entry,
                currency,
                postings,
            } => {
                self.post(*currency, postings)?;
                self.note_posted(*entry, postings)
            }
            Effect::Offset {
                account: _,
                currency,
                postings,
            } => self.post(*currency, postings),
            Effect::ChipCounted(chip) => self.apply_chip_counted(decided, *chip),
            Effect::PinTried { wrong_tries } => {
                let card = decided.card.ok_or("a PIN without a card")?;
                self.change_pin(card, |pin| pin.wrong_tries = *wrong_tries)
            }
            Effect::PinChanged { reference } => {
                let card = decided.card.ok_or("a PIN without a card")?;
                self.change_pin(card, |pin| {
                    pin.reference = Some(*reference);
                    pin.wrong_tries = 0;
                })
            }
            Effect::FeePosted {
                entry,
                currency,
                postings,
            } => {
                self.post(*currency, postings)?;
                self.note_fee(*entry, postings)
            }
            Effect::EntryMoved { entry, state } => self.move_entry(*entry, *state),
            Effect::ExchangeHeld(change) => self.hold_exchanged(change),
            Effect::ExchangeLowered(change) => {
                self.lower_exchanged(change.entry, change.asked.minor, &change.legs)
            }
            Effect::ExchangePosted(change) => self.post_exchanged(change),
            Effect::CardActivation { is_active } => self.apply_activation(decided, *is_active),
            Effect::Counted {
                entry,
                channel,
                currency,
                date,
                minor,
                count,
            } => {
                let fresh = Usage::new(*channel, *currency, *date);
                self.count_usage(*entry, fresh, *minor, *count)
            }
            Effect::TombstoneSet { trace } => {
                self.set_tombstone((self.own_token(decided), *trace), None);
                Ok(())
            }
            Effect::PartTombstoneSet { trace, remaining } => {
                self.set_tombstone((self.own_token(decided), *trace), Some(*remaining));
                Ok(())
            }
            Effect::ExceptionRaised { kind, entry, minor } => {
                if self.exceptions.len() >= EXCEPTIONS_MAX {
                    self.exceptions.pop_front();
                }
                self.exceptions_total = self.exceptions_total.saturating_add(1);
                self.exceptions.push_back(ExceptionRow {
                    sequence: self.sequence,
                    at: self.at,
                    kind: *kind,
                    entry: *entry,
                    card: decided.card,
                    minor: *minor,
                });
                Ok(())
            }
        }
    }

    /// Counts an amount and a number of transactions of an entry in the windows that `fresh` names:
    /// those of its channel and of the wider one.
    fn count_usage(&mut self, id: EntryId, fresh: Usage, minor: i64, count: i32) -> Fit {
        let entry = self
            .entries
            .get_mut(id)
            .ok_or("usage of an unknown entry")?;
        entry.counted = entry.counted.saturating_add(minor).max(0);
        let change = i16::try_from(count.clamp(-1_000, 1_000)).unwrap_or_default();
        entry.counted_as = entry.counted_as.saturating_add(change);
        entry.channel = Some(fresh.channel);
        let account = entry.account;
        let record = self
            .account_mut(account)
            .ok_or("usage of an unknown account")?;
        for channel in [Some(fresh.channel), fresh.channel.wider()]
            .into_iter()
            .flatten()
        {
            let same =
                |usage: &&mut Usage| usage.channel == channel && usage.currency == fresh.currency;
            match record.usage.iter_mut().find(same) {
                Some(usage) => usage.count(fresh.date, minor, count),
                None => {
                    let mut usage = Usage { channel, ..fresh };
                    usage.count(fresh.date, minor, count);
                    record.usage.push(usage);
                }
            }
        }
        Ok(())
    }

    /// The card's own token, whichever of its numbers the message gave.
    fn own_token(&self, decided: &Decided) -> CardToken {
        let card = decided.card.and_then(|id| self.card(id));
        card.map_or(decided.facts.card, |card| card.token)
    }

    /// What remains after several reversals of one original is the least that any of them left.
    fn set_tombstone(&mut self, key: (CardToken, Trace), remaining: Option<i64>) {
        match self.tombstones.get_mut(&key) {
            Some(stone) => {
                stone.remaining = stone
                    .remaining
                    .and_then(|before| remaining.map(|now| now.min(before)));
            }
            None => {
                self.tombstones.insert(key, Tombstone { remaining });
                self.tombstones_by_age.push_back((self.at, key));
            }
        }
    }

    fn raise_hold(&mut self, id: EntryId, split: &Split) -> Fit {
        let entry = self
            .entries
            .get_mut(id)
            .ok_or("a hold of an unknown entry")?;
        for (purse, minor) in split.parts() {
            entry.held.add(purse, minor);
        }
        let (account, currency) = (entry.account, entry.currency);
        self.hold_in_purses(account, currency, split)
    }

    pub(super) fn hold_in_purses(
        &mut self,
        account: AccountId,
        currency: Currency,
        split: &Split,
    ) -> Fit {
        for (purse, minor) in split.parts() {
            let purse = self.purse_mut(account, purse, currency)?;
            purse.held = purse
                .held
                .checked_add(minor)
                .ok_or("held amount overflows")?;
        }
        Ok(())
    }

    /// Lets go of everything that an entry holds.
    fn lower_whole(&mut self, id: EntryId) -> Fit {
        if let Some(exchange) = self.exchanges.get(&id) {
            let (minor, legs) = (exchange.held_minor, exchange.held.clone());
            self.lower_exchanged(id, minor, &legs)?;
        }
        let entry = self.entries.get(id).ok_or("an unknown entry is let go")?;
        let held = entry.held.clone();
        self.lower_hold(id, &held)
    }

    fn lower_hold(&mut self, id: EntryId, split: &Split) -> Fit {
        let entry = self
            .entries
            .get_mut(id)
            .ok_or("a hold of an unknown entry")?;
        entry.held.take_exactly(split)?;
        let (account, currency) = (entry.account, entry.currency);
        for (purse, minor) in split.parts() {
            let purse = self.purse_mut(account, purse, currency)?;
            purse.held = purse
                .held
                .checked_sub(minor)
                .map(|left| match planted!(HoldReleasedTwice) {
                    true => left.saturating_sub(minor).max(0),
                    false => left,
                })
                .filter(|held| *held >= 0)
                .ok_or("a purse would hold less than nothing")?;
        }
        Ok(())
    }

    pub(super) fn post(&mut self, currency: Currency, postings: &[Posting]) -> Fit {
        if sum(postings) != 0 {
            return Err(format!("postings sum to {}, expected 0", sum(postings)));
        }
        for posting in postings {
            match posting.account {
                LedgerAccount::Purse(account, index) => {
                    let purse = self.purse_mut(account, index, currency)?;
                    purse.balance = purse
                        .balance
                        .checked_add(posting.minor)
                        .ok_or("a balance overflows")?;
                    let is_negative = purse.balance < 0;
                    self.note_negative(account, index, is_negative);
                }
                other => self
                    .ledger
                    .add(other, currency, posting.minor)
                    .ok_or("a ledger total overflows")?,
            }
        }
        Ok(())
    }

    /// Since when a purse is below zero.
    fn note_negative(&mut self, account: AccountId, index: PurseIndex, is_negative: bool) {
        let key = (account, index);
        if is_negative {
            self.negatives.entry(key).or_insert(self.at);
        } else if !self.negatives.is_empty() {
            self.negatives.remove(&key);
        }
    }

    /// Keeps the entry's own account of what was posted for it.
    fn note_posted(&mut self, id: EntryId, postings: &[Posting]) -> Fit {
        let entry = self
            .entries
            .get_mut(id)
            .ok_or("a posting for an unknown entry")?;
        let before = entry.posted.total();
        for posting in postings {
            let LedgerAccount::Purse(_, purse) = posting.account else {
                continue;
            };
            let debited = posting.minor.checked_neg().ok_or("a posting overflows")?;
            let forward = if entry.is_debit() {
                debited
            } else {
                posting.minor
            };
            if forward >= 0 {
                entry.posted.add(purse, forward);
            } else {
                let back = forward.checked_neg().ok_or("a posting overflows")?;
                if !planted!(ReversalCreditsTwice) {
                    entry.posted.take_exactly(&Split::whole(purse, back))?;
                }
            }
        }
        let change = entry.posted.total().saturating_sub(before);
        if let Some(original) = entry.refund_of()
            && let Some(purchase) = self.entries.get_mut(original)
        {
            purchase.note_refunded(change);
        }
        Ok(())
    }

    fn move_entry(&mut self, id: EntryId, state: EntryState) -> Fit {
        let at = self.at;
        let entry = self.entries.get_mut(id).ok_or("an unknown entry moves")?;
        entry.state = state;
        if state != EntryState::Pending {
            entry.rested_at = at;
            self.resting.push_back((at, id));
        }
        Ok(())
    }

    fn purse_mut(
        &mut self,
        account: AccountId,
        index: PurseIndex,
        currency: Currency,
    ) -> Result<&mut Purse, String> {
        let record = self
            .account_mut(account)
            .ok_or("a purse of an unknown account")?;
        let purse = record
            .account
            .purses
            .get_mut(index.position())
            .ok_or("a purse that is not there")?;
        if purse.currency == currency {
            Ok(purse)
        } else {
            Err(format!("{currency} in a purse of {}", purse.currency))
        }
    }

    fn apply_link_named(&mut self, number: LinkNumber, name: &str) -> Fit {
        if self.next_link_number() != Some(number) || self.link_number(name).is_some() {
            return Err(format!("link number {} does not follow", number.0));
        }
        self.links.push(name.to_owned());
        self.link_books.push(LinkBook::default());
        Ok(())
    }

    fn apply_housekept(&mut self, housekept: &Housekept) -> Fit {
        for id in &housekept.expired {
            self.release(*id)?;
        }
        self.drop_due_expiries();
        let booked = Booked {
            entries: &self.entries,
            cards: &self.cards,
        };
        let (answers, advices) = (&mut self.answers, &mut self.advice_answers);
        answers.forget_before(housekept.answers_before, booked);
        advices.forget_before(housekept.entries_before, booked);
        while let Some((at, key)) = self.tombstones_by_age.front()
            && *at < housekept.tombstones_before
        {
            self.tombstones.remove(key);
            self.tombstones_by_age.pop_front();
        }
        while let Some((at, reference)) = self.references_by_age.front()
            && *at < housekept.entries_before
        {
            self.references.remove(reference);
            self.movements.remove(reference);
            self.references_by_age.pop_front();
        }
        while let Some((at, id)) = self.resting.front().copied()
            && at < housekept.entries_before
        {
            self.resting.pop_front();
            self.forget_entry(id, at);
        }
        Ok(())
    }

    /// Lets go of what an entry still holds; what was not needed does not count any more.
    pub(super) fn release(&mut self, id: EntryId) -> Fit {
        let held = self
            .entries
            .get(id)
            .ok_or("an unknown entry expires")?
            .held
            .clone();
        self.lower_whole(id)?;
        let entry = self.entries.get(id).ok_or("an unknown entry expires")?;
        let untouched = entry.posted.is_empty();
        if let (true, Some(channel)) = (entry.is_debit(), entry.channel) {
            let usage = Usage::new(channel, entry.currency, entry.date);
            let mut minor = held.total().min(entry.counted).saturating_neg();
            if planted!(ExpiredHoldGivenBackTwice) {
                minor = minor.saturating_mul(2);
            }
            self.count_usage(id, usage, minor, if untouched { -1 } else { 0 })?;
        }
        if untouched {
            self.give_back_fee(id)?;
        }
        let rest = if untouched {
            EntryState::Released
        } else {
            EntryState::Captured
        };
        self.move_entry(id, rest)?;
        Ok(())
    }

    /// Drops queue heads whose entry is at rest, by itself or released just now.
    fn drop_due_expiries(&mut self) {
        let entries = &self.entries;
        for queue in self.expiries.values_mut() {
            while let Some((_, id)) = queue.front()
                && entries
                    .get(*id)
                    .is_none_or(|entry| entry.state != EntryState::Pending)
            {
                queue.pop_front();
            }
        }
        self.expiries.retain(|_, queue| !queue.is_empty());
    }

    /// Forgets an entry at rest, unless it has moved again since.
    pub(super) fn forget_entry(&mut self, id: EntryId, rested_at: UnixMs) {
        if self
            .entries
            .get(id)
            .is_none_or(|entry| entry.rested_at != rested_at)
        {
            return;
        }
        let booked = Booked {
            entries: &self.entries,
            cards: &self.cards,
        };
        self.answers.part_from(id, booked);
        self.advice_answers.part_from(id, booked);
        let Some(entry) = self.entries.remove(id) else {
            return;
        };
        self.exchanges.remove(&id);
        if self.activations.get(&entry.card) == Some(&id) {
            self.activations.remove(&entry.card);
        }
        if let Some(record) = self.account_mut(entry.account) {
            record.entries.remove(id);
        }
    }
}

/// What an answer tells beside its code and approval.
fn told(decided: &Decided, billed: Option<Billed>) -> Option<Box<Told>> {
    let approved = |effect: &Effect| match effect {
        Effect::EntryOpened { authorized, .. } => Some(*authorized),
        _ => None,
    };
    let approved_minor = match decided.reason {
        Reason::PartiallyApproved => decided.effects.iter().find_map(approved),
        _ => None,
    };
    let converted = |effect: &Effect| match effect {
        Effect::ExchangeHeld(change) | Effect::ExchangePosted(change) => Some(change.asked.minor),
        _ => None,
    };
    // Where the entry has the transaction's own currency, the part is a part of what was asked.
    let facts = &decided.facts;
    let in_own_currency = |effect: &Effect| match effect {
        Effect::EntryOpened {
            currency,
            authorized,
            ..
        } => {
            let billed = facts.billing.is_some_and(|it| it.currency != *currency);
            (billed && *currency == facts.amount.currency).then_some(*authorized)
        }
        _ => None,
    };
    let part_of_asked = |effect: &Effect| converted(effect).or_else(|| in_own_currency(effect));
    let approved_transaction = approved_minor.and_then(|_| {
        let mut effects = decided.effects.iter();
        effects.find_map(part_of_asked)
    });
    let balances = decided.balances.as_deref();
    (balances.is_some() || approved_minor.is_some() || billed.is_some()).then(|| {
        Box::new(Told {
            balances: balances.cloned(),
            approved_minor,
            approved_transaction,
            billed,
        })
    })
}

/// The entry that an effect opens, holds for or posts for.
pub(super) fn booked_entry(effect: &Effect, sequence: u64) -> Option<EntryId> {
    match effect {
        Effect::EntryOpened { .. } => Some(EntryId(sequence)),
        Effect::HoldRaised { entry, .. }
        | Effect::HoldLowered { entry, .. }
        | Effect::Posted { entry, .. }
        | Effect::FeePosted { entry, .. }
        | Effect::EntryMoved { entry, .. } => Some(*entry),
        Effect::ExchangeHeld(change)
        | Effect::ExchangeLowered(change)
        | Effect::ExchangePosted(change) => Some(change.entry),
        Effect::Offset { .. }
        | Effect::PinTried { .. }
        | Effect::PinChanged { .. }
        | Effect::ChipCounted(_)
        | Effect::CardActivation { .. }
        | Effect::Counted { .. }
        | Effect::TombstoneSet { .. }
        | Effect::PartTombstoneSet { .. }
        | Effect::ExceptionRaised { .. } => None,
    }
}
