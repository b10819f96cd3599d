//! Applying what happens beside the money of an entry: fees, and tries of PINs.

use crate::domain::account::Split;
use crate::domain::card::{CardId, CardPin};
use crate::domain::money::Currency;

use super::apply::Fit;
use super::entry::EntryId;
use super::exchange::by_currency;
use super::ledger::{LedgerAccount, Posting, Postings, credit_purses};
use super::state::State;

impl State {
    /// Keeps the entry's own account of its fee.
    pub(super) fn note_fee(&mut self, id: EntryId, postings: &[Posting]) -> Fit {
        let entry = self
            .entries
            .get_mut(id)
            .ok_or("a fee of an unknown entry")?;
        let mut fee = entry.fee().cloned().unwrap_or_default();
        for posting in postings {
            let LedgerAccount::Purse(_, purse) = posting.account else {
                continue;
            };
            if posting.minor <= 0 {
                fee.add(purse, posting.minor.checked_neg().ok_or("a fee overflows")?);
            } else {
                fee.take_exactly(&Split::whole(purse, posting.minor))?;
            }
        }
        entry.set_fee(fee);
        Ok(())
    }

    pub(super) fn change_pin(&mut self, card: CardId, change: impl FnOnce(&mut CardPin)) -> Fit {
        let position = usize::try_from(card.0)
            .ok()
            .and_then(|it| it.checked_sub(1));
        let card = position.and_then(|position| self.cards.get_mut(position));
        change(&mut card.ok_or("the PIN of an unknown card")?.pin);
        Ok(())
    }

    /// A hold that nobody captured gives back its fee.
    pub(super) fn give_back_fee(&mut self, id: EntryId) -> Fit {
        for (currency, postings) in self.fee_of_release(id) {
            self.post(currency, &postings)?;
            self.note_fee(id, &postings)?;
        }
        Ok(())
    }

    /// The double entries by which an entry's fee goes back if it is released now, one for each
    /// currency. No record carries them: whoever adds up postings asks here before applying one
    /// that releases.
    pub fn fee_of_release(&self, id: EntryId) -> Vec<(Currency, Postings)> {
        let entry = self.entries.get(id).filter(|entry| entry.posted.is_empty());
        let fee = entry.and_then(|entry| Some((entry.account, entry.fee()?)));
        let Some((account, fee)) = fee else {
            return Vec::new();
        };
        let Some(record) = self.account(account) else {
            return Vec::new();
        };
        let from = LedgerAccount::Fees(record.account.programme);
        by_currency(&record.account.purses, fee)
            .into_iter()
            .map(|(currency, part)| (currency, credit_purses(account, &part, from)))
            .collect()
    }
}
