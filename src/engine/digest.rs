//! What proves a state: a digest over all of it, and the conservation of money.

use std::collections::BTreeMap;
use std::hint::black_box;

use serde::Serialize;

use crate::domain::account::PurseIndex;
use crate::domain::money::Currency;

use super::entry::EntryId;
use super::record_writer::RecordWriter;
use super::state::{AccountRecord, State};

/// Which form the digest has. Two programs of the same form have the same digest of the same
/// state; whatever changes what is hashed, or how, adds one.
pub const VERSION: u16 = 1;

/// Accounts whose entries are looked at before the first of them is checked.
const LOOKED_AT: usize = 32;

/// Hash over everything in a state; equal states have equal digests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Money that is not where it should be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotConserved {
    /// The double entry does not sum to zero.
    #[error("{currency}: purses and ledger sum to {sum} minor units, expected 0")]
    Sum {
        /// In which currency.
        currency: Currency,
        /// What they sum to.
        sum: i128,
    },
    /// A purse holds something else than its open entries hold.
    #[error("account {account} purse {purse}: holds {held}, its open entries hold {entries}")]
    Held {
        /// Whose purse.
        account: u32,
        /// Which one.
        purse: u8,
        /// What the purse says, minor units.
        held: i64,
        /// What the entries say, minor units.
        entries: i64,
    },
}

impl State {
    /// The digest of this state. Cost grows with everything in it.
    pub fn digest(&self) -> Digest {
        let mut hash = Absorb::default();
        hash.value(&(self.sequence, self.at, &self.programmes, &self.links));
        self.accounts.iter().for_each(|record| hash.value(record));
        self.cards.iter().for_each(|card| hash.value(card));
        for id in self.entries_in_order() {
            hash.value(&self.entries.get(id));
        }
        hash.value(&self.expiries);
        hash.value(&self.resting);
        let booked = self.booked();
        let answers = self.answers.rows(booked);
        for (at, key, answer) in answers.chain(self.advice_answers.rows(booked)) {
            hash.value(&(at, key, &*answer));
            if let Some(billed) = answer.told.as_ref().and_then(|told| told.billed) {
                hash.value(&billed);
            }
        }
        for (at, key) in self.tombstones_by_age.iter() {
            hash.value(&(at, key, self.tombstones.get(key)));
        }
        hash.value(&(&self.negatives, &self.references_by_age));
        hash.value(&self.device_tokens.iter().collect::<Vec<_>>());
        hash.value(&self.ledger.totals().collect::<Vec<_>>());
        hash.value(&self.guesses);
        hash.value(&(&self.rates, &self.exchanges, &self.movements));
        hash.value(&self.transfers);
        hash.value(&(&self.holders, &self.programmes_in_force));
        hash.value(&self.activations);
        // Younger than the form: a state without any digests as before.
        if !self.chips.is_empty() {
            hash.value(&self.chips);
        }
        if !self.endings.is_empty() {
            hash.value(&self.endings);
        }
        if !self.card_limits.is_empty() {
            hash.value(&self.card_limits);
        }
        if !self.card_controls.is_empty() {
            hash.value(&self.card_controls);
        }
        hash.value(&(&self.exceptions, self.exceptions_total));
        hash.value(&(&self.clearing_closed, &self.link_books));
        hash.finish()
    }

    /// Checks that purses and ledger sum to zero and that purses hold what their entries hold.
    ///
    /// # Errors
    /// The first place at which money is not conserved.
    pub fn check_conservation(&self) -> Result<(), NotConserved> {
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        let mut add = |currency: Currency, minor: i64| {
            let sum = sums.entry(currency).or_default();
            *sum = sum.saturating_add(i128::from(minor));
        };
        for record in &self.accounts {
            record
                .account
                .purses
                .iter()
                .for_each(|purse| add(purse.currency, purse.balance));
        }
        self.ledger
            .totals()
            .for_each(|(_, currency, minor)| add(currency, minor));
        if let Some((currency, sum)) = sums.into_iter().find(|(_, sum)| *sum != 0) {
            return Err(NotConserved::Sum { currency, sum });
        }
        self.check_holds()
    }

    fn check_holds(&self) -> Result<(), NotConserved> {
        let mut held: Vec<i64> = Vec::new();
        for records in self.accounts.chunks(LOOKED_AT) {
            black_box(self.glance_held(records));
            self.check_holds_of(records, &mut held)?;
        }
        Ok(())
    }

    /// Looks at what the entries of some accounts hold: they lie far apart in memory, and waiting
    /// for many of them at once takes little longer than waiting for one.
    fn glance_held(&self, records: &[AccountRecord]) -> bool {
        let entries = records.iter().flat_map(|record| record.entries.iter());
        let found = entries.filter_map(|id| self.entries.get(id));
        found.fold(false, |held, entry| held | !entry.held.is_empty())
    }

    fn check_holds_of(
        &self,
        records: &[AccountRecord],
        held: &mut Vec<i64>,
    ) -> Result<(), NotConserved> {
        for record in records {
            let account = &record.account;
            held.clear();
            held.resize(account.purses.len(), 0);
            // What an entry holds of a purse that the account does not have is held of none.
            let mut foreign = None;
            let mut add = |purse: PurseIndex, minor: i64| match held.get_mut(purse.position()) {
                Some(sum) => *sum = sum.saturating_add(minor),
                None => foreign = Some((purse.0, minor)),
            };
            for id in record.entries.iter() {
                let Some(entry) = self.entries.get(id) else {
                    continue;
                };
                entry.held.parts().for_each(|part| add(part.0, part.1));
                let exchange = self.exchanges.get(&id);
                for leg in exchange.into_iter().flat_map(|exchange| &exchange.held) {
                    add(leg.purse, leg.cost().saturating_sub(leg.worth));
                }
            }
            let purses = account.purses.iter().map(|purse| purse.held);
            let differing = purses
                .zip(held.iter())
                .zip(0_u8..)
                .find(|((purse, sum), _)| purse != *sum)
                .map(|((purse, sum), index)| (index, purse, *sum));
            let foreign = foreign.map(|(index, minor)| (index, 0, minor));
            if let Some((purse, held, entries)) = differing.or(foreign) {
                return Err(NotConserved::Held {
                    account: account.id.0,
                    purse,
                    held,
                    entries,
                });
            }
        }
        Ok(())
    }

    /// Numbers of all entries, ascending.
    fn entries_in_order(&self) -> Vec<EntryId> {
        let mut ids: Vec<EntryId> = self
            .accounts
            .iter()
            .flat_map(|record| record.entries.iter())
            .collect();
        ids.sort_unstable();
        ids
    }
}

/// Feeds values into a hash by their journal byte form, each ended by its length.
#[derive(Default)]
struct Absorb {
    hasher: blake3::Hasher,
    /// What the hash has not taken yet.
    buffer: Vec<u8>,
}

/// The hash takes so much at once: of many pieces side by side it makes several in one go.
const ABSORBED_BYTES: usize = 64 << 10;

impl Absorb {
    fn value(&mut self, value: &impl Serialize) {
        let begin = self.buffer.len();
        if let Err(error) = value.serialize(&mut RecordWriter::behind(&mut self.buffer)) {
            // No value of the state is beyond the form; were one, digests would differ loudly.
            self.buffer.extend(error.to_string().bytes());
        }
        debug_assert_eq!(
            self.buffer.get(begin..),
            postcard::to_allocvec(value).ok().as_deref(),
            "the digest is one over what postcard writes"
        );
        let length = self.buffer.len().saturating_sub(begin);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.buffer.extend_from_slice(&length.to_le_bytes());
        if self.buffer.len() >= ABSORBED_BYTES {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
    }

    fn finish(mut self) -> Digest {
        self.hasher.update(&self.buffer);
        Digest(*self.hasher.finalize().as_bytes())
    }
}
