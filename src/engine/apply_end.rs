//! Applies the end of an account: its closing, and the erasing of its cards' data.

use std::collections::BTreeSet;

use crate::domain::account::{AccountId, PurseIndex};
use crate::domain::card::{CardId, CardStatus};
use crate::domain::pan::CardToken;

use super::answers::Booked;
use super::apply::Fit;
use super::ledger::Postings;
use super::operation_end::{EndOperation, Ending};
use super::state::{State, StoredAnswer};

impl State {
    pub(super) fn apply_end(&mut self, operation: &EndOperation) -> Fit {
        match operation {
            EndOperation::AccountClosed { account, movements } => {
                self.close_account(*account, movements)?;
                self.date_closing(*account);
                Ok(())
            }
            EndOperation::ClosingDated(account) => {
                self.account(*account).ok_or("an unknown account closes")?;
                self.date_closing(*account);
                Ok(())
            }
            EndOperation::CardDataErased(account) => self.erase_card_data(*account),
        }
    }

    fn date_closing(&mut self, account: AccountId) {
        let closed_at = self.at;
        self.endings.entry(account).or_insert(Ending {
            closed_at,
            erased_at: None,
        });
    }

    /// Posts what closes the purses of an account, and closes its cards.
    pub(super) fn close_account(
        &mut self,
        account: AccountId,
        movements: &[(PurseIndex, Postings)],
    ) -> Fit {
        let record = self.account(account).ok_or("an unknown account closes")?;
        let cards = record.cards.clone();
        for (purse, postings) in movements {
            let record = self.account(account).ok_or("an unknown account closes")?;
            let purses = &record.account.purses;
            let purse = purses.get(purse.position()).ok_or("an unknown purse")?;
            let currency = purse.currency;
            self.post(currency, postings)?;
        }
        for card in cards {
            self.set_status(card, CardStatus::Closed)?;
        }
        Ok(())
    }

    /// Takes all that names a card of an account out of the state, or could be matched with one.
    /// Purses, ledger, limits and the numbers of account and cards stay.
    fn erase_card_data(&mut self, id: AccountId) -> Fit {
        let record = self.account(id).ok_or("an unknown account is erased")?;
        if record.account.purses.iter().any(|purse| purse.held != 0) {
            return Err("card data are erased while a purse holds money".to_owned());
        }
        let cards = record.cards.clone();
        let entries: Vec<_> = record.entries.iter().collect();
        // Entries first: their answers are kept by themselves from then on, and go below.
        for entry in entries {
            if let Some(rested_at) = self.entry(entry).map(|entry| entry.rested_at) {
                self.forget_entry(entry, rested_at);
            }
        }
        let mut tokens = BTreeSet::new();
        for card in &cards {
            tokens.extend(self.erase_card(*card)?);
        }
        // What was answered before the number had a card names it as well.
        let is_its = |answer: &StoredAnswer| {
            let card = answer.card_id;
            tokens.contains(&answer.card) && card.is_none_or(|card| cards.contains(&card))
        };
        let booked = Booked {
            entries: &self.entries,
            cards: &self.cards,
        };
        for answers in [&mut self.answers, &mut self.advice_answers] {
            let kept = answers.erase(is_its, booked);
            kept.ok_or("a stored answer is there twice")?;
        }
        let stones = self.tombstones_by_age.iter().map(|(_, key)| *key);
        let stones: Vec<_> = stones.filter(|key| tokens.contains(&key.0)).collect();
        for key in &stones {
            self.tombstones.remove(key);
        }
        let by_age = &mut self.tombstones_by_age;
        by_age.retain(|(_, key)| !tokens.contains(&key.0));
        self.date_closing(id);
        let at = self.at;
        if let Some(ending) = self.endings.get_mut(&id) {
            ending.erased_at = Some(at);
        }
        Ok(())
    }

    /// Erases one card; returns the tokens of its number and of its devices' numbers.
    fn erase_card(&mut self, id: CardId) -> Result<Vec<CardToken>, String> {
        let card = self.card(id).ok_or("an unknown card is erased")?;
        let (own, expiry) = (card.token, card.expiry);
        let devices = self.device_tokens.range(of_card(id)).map(|row| row.0.1);
        let tokens: Vec<CardToken> = devices.chain([own]).collect();
        for token in &tokens {
            self.cards_by_token.remove(token, id);
            self.device_tokens.remove(&(id, *token));
        }
        let chips = self.chips.range((id, 0)..=(id, u8::MAX)).map(|row| *row.0);
        for chip in chips.collect::<Vec<_>>() {
            self.chips.remove(&chip);
        }
        self.activations.remove(&id);
        self.holders.forget_card(id, expiry);
        let position = id.0.checked_sub(1).and_then(|it| usize::try_from(it).ok());
        let card = position.and_then(|position| self.cards.get_mut(position));
        card.ok_or("an unknown card is erased")?.erase();
        Ok(tokens)
    }
}

/// The keys of a card's devices.
fn of_card(id: CardId) -> std::ops::RangeInclusive<(CardId, CardToken)> {
    (id, CardToken([0; 16]))..=(id, CardToken([u8::MAX; 16]))
}
