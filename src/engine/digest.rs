//! What proves a state: a digest over all of it, and the conservation of money.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::account::{AccountId, PurseIndex};
use crate::domain::money::Currency;

use super::entry::{Entry, EntryId};
use super::record_writer::RecordWriter;
use super::state::State;

/// Which form the digest has. Two programs of the same form have the same digest of the same
/// state; whatever changes what is hashed, or how, adds one.
pub const VERSION: u16 = 1;

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
    /// Accounts do not list the entries that there are.
    #[error("accounts list {listed} entries, there are {entries}")]
    Entries {
        /// How many all accounts list.
        listed: usize,
        /// How many there are.
        entries: usize,
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

    /// Entries are read in their order, in which they lie in memory, and sums are kept of all
    /// purses at once: read account by account, each entry would be waited for.
    fn check_holds(&self) -> Result<(), NotConserved> {
        let mut begins = Vec::with_capacity(self.accounts.len().saturating_add(1));
        let (mut purses, mut listed) = (0_usize, 0_usize);
        for record in &self.accounts {
            begins.push(purses);
            purses = purses.saturating_add(record.account.purses.len());
            listed = listed.saturating_add(record.entries.iter().count());
        }
        begins.push(purses);
        let entries = self.entries.len();
        if listed != entries {
            return Err(NotConserved::Entries { listed, entries });
        }
        let mut sums = vec![0_i64; purses];
        for entry in self.entries.iter() {
            let foreign = self.add_held(entry, sums_of(&mut sums, &begins, entry.account));
            foreign.map_or(Ok(()), Err)?;
        }
        for record in &self.accounts {
            let account = &record.account;
            let entries = sums_of(&mut sums, &begins, account.id).iter();
            let mut purses = account.purses.iter().zip(entries).zip(0_u8..);
            if let Some(((purse, sum), index)) =
                purses.find(|((purse, sum), _)| purse.held != **sum)
            {
                return Err(NotConserved::Held {
                    account: account.id.0,
                    purse: index,
                    held: purse.held,
                    entries: *sum,
                });
            }
        }
        Ok(())
    }

    /// Adds what an entry holds to the sums of its account's purses. What it holds of a purse that
    /// the account does not have is held of none, and returned.
    fn add_held(&self, entry: &Entry, sums: &mut [i64]) -> Option<NotConserved> {
        let mut foreign = None;
        let mut add = |purse: PurseIndex, minor: i64| match sums.get_mut(purse.position()) {
            Some(sum) => *sum = sum.saturating_add(minor),
            None => foreign = Some((purse.0, minor)),
        };
        entry.held.parts().for_each(|part| add(part.0, part.1));
        let exchange = self.exchanges.get(&entry.id);
        for leg in exchange.into_iter().flat_map(|exchange| &exchange.held) {
            add(leg.purse, leg.cost().saturating_sub(leg.worth));
        }
        foreign.map(|(purse, entries)| NotConserved::Held {
            account: entry.account.0,
            purse,
            held: 0,
            entries,
        })
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

/// The sums of an account's purses, of those of all; `begins` says where each account's begin.
fn sums_of<'s>(sums: &'s mut [i64], begins: &[usize], account: AccountId) -> &'s mut [i64] {
    let place = usize::try_from(account.0.saturating_sub(1)).ok();
    let range =
        place.and_then(|place| Some(*begins.get(place)?..*begins.get(place.saturating_add(1))?));
    range
        .and_then(|range| sums.get_mut(range))
        .unwrap_or_default()
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
