//! Limits of single cards: kept, decided, and what is used of them.
//!
//! What a card has used is added up from its entries when somebody asks: they are kept for longer
//! than any month, cost nothing to cards without limits, and a limit counts from the moment it is
//! set what the card did before.

use crate::domain::account::AccountId;
use crate::domain::card::{CardId, CardStatus};
use crate::domain::card_limit::{CardLimit, CardWindow};
use crate::domain::rulebook::Rulebook;
use crate::domain::time::BusinessDate;

use super::apply::Fit;
use super::command::{Answer, Outcome};
use super::entry::Entry;
use super::event::Event;
use super::operate::{account_of, card_of};
use super::operation::{Done, Operation, OrderRefused};
use super::operation_card::CardOperation;
use super::state::{AccountRecord, State};

impl State {
    /// The limits that a card has of its own.
    pub fn card_limits(&self, card: CardId) -> &[CardLimit] {
        self.card_limits.get(&card).map_or(&[], Vec::as_slice)
    }

    /// Amount and number of what a card has used of such a limit on a day.
    pub fn used_by_card(
        &self,
        record: &AccountRecord,
        card: CardId,
        limit: &CardLimit,
        date: BusinessDate,
    ) -> (i64, u32) {
        let is_within = |entry: &&Entry| match limit.window {
            CardWindow::Transaction => false,
            CardWindow::Day => entry.date >= date,
            CardWindow::Month => entry.date.month_index() >= date.month_index(),
        };
        let counts = |entry: &&Entry| {
            let covered = entry.channel.is_some_and(|it| limit.channel.covers(it));
            covered && entry.currency == limit.currency && entry.card == card
        };
        let youngest = record.entries.iter().rev();
        let within = youngest
            .filter_map(|id| self.entry(id))
            .take_while(is_within);
        Entry::added_up(within.filter(counts))
    }

    /// Keeps limits of a card in place of those that it had; `None`: there is no such card.
    pub(super) fn keep_card_limits(&mut self, id: CardId, limits: &[CardLimit]) -> Option<()> {
        let account = self.card(id)?.account;
        if limits.is_empty() {
            self.card_limits.remove(&id);
        } else {
            self.card_limits.insert(id, limits.to_vec());
        }
        self.note_limited_card(account, id)
    }

    /// Notes whether a card of an account, or this one that is to be one, has rules of its own.
    pub(super) fn note_limited_card(&mut self, account: AccountId, id: CardId) -> Option<()> {
        let record = self.account(account)?;
        let is_limited = |card: &CardId| {
            self.card_limits.contains_key(card) || self.card_controls.contains_key(card)
        };
        let has_limited_card = is_limited(&id) || record.cards.iter().any(is_limited);
        self.account_mut(account)?.account.has_limited_card = has_limited_card;
        Some(())
    }

    /// Limits of a card go on with the one that replaces it.
    pub(super) fn pass_on_limits(&mut self, from: CardId, to: CardId) -> Fit {
        let limits = self.card_limits(from).to_vec();
        let kept = self.keep_card_limits(to, &limits);
        kept.ok_or("an unknown card replaces another".to_owned())
    }
}

/// Decides which limits a card has of its own; it would make the record `sequence`.
pub(super) fn set_limits(
    rulebook: &Rulebook,
    state: &State,
    (sequence, id): (u64, CardId),
    limits: &[CardLimit],
) -> Outcome {
    let is_known = state.card_limits(id) == limits;
    let answer = may_have(rulebook, state, id, limits).map(|()| Done {
        sequence: if is_known { state.sequence() } else { sequence },
        before: is_known,
    });
    let operation = || Operation::Card(CardOperation::LimitsSet(id, limits.to_vec()));
    let is_new = answer.is_ok() && !is_known;
    Outcome {
        answer: Answer::Ordered(answer),
        event: is_new.then(|| Event::Operated(Box::new(operation()))),
    }
}

fn may_have(
    rulebook: &Rulebook,
    state: &State,
    id: CardId,
    limits: &[CardLimit],
) -> Result<(), OrderRefused> {
    let card = card_of(state, id)?;
    let (record, _) = account_of(rulebook, state, card.account)?;
    if card.status == CardStatus::Closed {
        let what = format!("card {} is closed", id.0);
        return Err(OrderRefused::Conflict(what));
    }
    CardLimit::check(limits).map_err(|no| OrderRefused::NotAllowed(no.to_string()))?;
    let purses = &record.account.purses;
    let is_foreign =
        |limit: &&CardLimit| !purses.iter().any(|purse| purse.currency == limit.currency);
    match limits.iter().find(is_foreign) {
        Some(limit) => {
            let what = format!("the account has no purse in {}", limit.currency);
            Err(OrderRefused::NotAllowed(what))
        }
        None => Ok(()),
    }
}
