//! Applying the opening of an entry.

use super::apply::Fit;
use super::entry::{Entry, EntryId, Opening};
use super::event::{Decided, Effect};
use super::state::{State, entry_keys};

impl State {
    /// Opens the entry that an effect describes, of the card and message of its decision.
    pub(super) fn apply_entry_opened(&mut self, decided: &Decided, effect: &Effect) -> Fit {
        let Effect::EntryOpened {
            currency,
            authorized,
            held,
            expires_at,
            date,
            refund_of,
        } = effect
        else {
            return Err("another effect opens no entry".to_owned());
        };
        let card = decided.card.ok_or("an entry without a card")?;
        let facts = &decided.facts;
        let account = self
            .card(card)
            .ok_or("an entry of an unknown card")?
            .account;
        let entry = Entry::open(Opening {
            id: EntryId(self.sequence),
            account,
            card,
            at: self.at,
            facts,
            currency: *currency,
            authorized: *authorized,
            held: held.clone(),
            expires_at: *expires_at,
            date: *date,
            refund_of: *refund_of,
            approval: decided.approval.or(facts.quoted_approval),
        });
        self.open_entry(entry)?;
        self.hold_in_purses(account, *currency, held)
    }

    fn open_entry(&mut self, entry: Entry) -> Fit {
        let id = entry.id;
        if let Some(expires_at) = entry.expires_at() {
            let life_ms = expires_at.0.saturating_sub(entry.opened_at.0);
            self.expiries
                .entry(life_ms)
                .or_default()
                .push_back((expires_at, id));
        }
        let position = usize::try_from(entry.account.0.saturating_sub(1)).ok();
        let record = position
            .and_then(|position| self.accounts.get_mut(position))
            .ok_or("an entry of an unknown account")?;
        let keys = entry_keys(&entry);
        record.entries.push(id, keys, &self.match_hasher);
        self.entries
            .push(entry)
            .ok_or_else(|| "an entry is opened twice".to_owned())
    }
}
