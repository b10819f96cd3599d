//! The state's large tables: rows lie in order of arrival, and an index of 16 bytes a key finds
//! them, so that a growing table moves little memory and a new row costs one write at its end.
//!
//! No table is ever iterated in hash order.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::domain::account::AccountId;
use crate::domain::card::CardId;
use crate::domain::pan::CardToken;

use super::entry::{Entry, EntryId};
use super::queue::Queue;

/// Finds numbers by the hash of a key. Two keys may share a hash, so what is found is a candidate
/// that the caller compares.
#[derive(Default)]
pub(super) struct HashIndex {
    rows: HashTable<(u64, u64)>,
    hasher: RandomState,
}

impl HashIndex {
    /// Adds a number under a key; `None` when one of the candidates there is taken for it already.
    pub(super) fn insert_unless(
        &mut self,
        key: &impl Hash,
        number: u64,
        is_taken: impl Fn(u64) -> bool,
    ) -> Option<()> {
        let hash = self.hasher.hash_one(key);
        let same = self.rows.iter_hash(hash).filter(|row| row.0 == hash);
        if same.map(|row| row.1).any(is_taken) {
            return None;
        }
        self.rows.insert_unique(hash, (hash, number), |row| row.0);
        Some(())
    }

    /// The numbers that may stand under a key.
    pub(super) fn candidates<'a, K: Hash>(
        &'a self,
        key: &K,
    ) -> impl Iterator<Item = u64> + use<'a, K> {
        let hash = (!self.rows.is_empty()).then(|| self.hasher.hash_one(key));
        hash.into_iter()
            .flat_map(|hash| self.rows.iter_hash(hash).filter(move |row| row.0 == hash))
            .map(|row| row.1)
    }

    /// Takes a number out from under a key.
    pub(super) fn remove(&mut self, key: &impl Hash, number: u64) {
        let hash = self.hasher.hash_one(key);
        if let Ok(row) = self.rows.find_entry(hash, |row| *row == (hash, number)) {
            row.remove();
        }
    }
}

/// Finds cards by their tokens. Small, so that what is looked for in the whole of it lies near; it
/// names the account too, so that nobody waits for the card to find that.
#[derive(Default)]
pub(super) struct CardIndex {
    rows: HashTable<CardPlace>,
    hasher: RandomState,
}

/// Where a card is, with a part of the hash of its token.
#[derive(Clone, Copy)]
struct CardPlace {
    tag: u32,
    card: CardId,
    account: AccountId,
}

impl CardPlace {
    /// Spread over a whole word: a table looks at the first bits and the last.
    fn hash(tag: u32) -> u64 {
        u64::from(tag) << 32 | u64::from(tag)
    }
}

impl CardIndex {
    /// The card that has this token, and its account; a token may stand for one card only.
    pub(super) fn get(
        &self,
        token: &CardToken,
        is_it: impl Fn(CardId) -> bool,
    ) -> Option<(CardId, AccountId)> {
        let tag = self.tag(token);
        let place = self.rows.find(CardPlace::hash(tag), |place| {
            place.tag == tag && is_it(place.card)
        })?;
        Some((place.card, place.account))
    }

    /// Where the card most probably is whose token has this tag: one token in four
    /// thousand millions has the tag of another.
    pub(super) fn place(&self, tag: u32) -> Option<(CardId, AccountId)> {
        let place = self.rows.find(CardPlace::hash(tag), |it| it.tag == tag)?;
        Some((place.card, place.account))
    }

    /// Lets a token stand for a card of an account, and for no other any more.
    pub(super) fn insert(
        &mut self,
        token: &CardToken,
        (card, account): (CardId, AccountId),
        is_it: impl Fn(CardId) -> bool,
    ) {
        let tag = self.tag(token);
        let (hash, place) = (CardPlace::hash(tag), CardPlace { tag, card, account });
        let known = |place: &CardPlace| place.tag == tag && is_it(place.card);
        match self.rows.find_mut(hash, known) {
            Some(known) => *known = place,
            None => {
                let rows = &mut self.rows;
                rows.insert_unique(hash, place, |it| CardPlace::hash(it.tag));
            }
        }
    }

    /// Lets a token stand for this card no longer.
    pub(super) fn remove(&mut self, token: &CardToken, card: CardId) {
        let tag = self.tag(token);
        let is_it = |place: &CardPlace| place.tag == tag && place.card == card;
        if let Ok(place) = self.rows.find_entry(CardPlace::hash(tag), is_it) {
            place.remove();
        }
    }

    /// The part of a token's hash by which it is looked for.
    pub(super) fn tag(&self, token: &CardToken) -> u32 {
        let hash = self.hasher.hash_one(token);
        u32::try_from(hash >> 32).unwrap_or_default()
    }
}

/// Entries by number. Numbers only grow, so an entry is found by its distance from the first.
#[derive(Default)]
pub(super) struct EntryTable {
    first: u64,
    slots: Queue<Option<Box<Entry>>>,
    count: usize,
}

impl EntryTable {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// All entries, by ascending number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().filter_map(Option::as_deref)
    }

    /// The entry with this number.
    pub(super) fn get(&self, id: EntryId) -> Option<&Entry> {
        self.slots.get(self.position(id)?)?.as_deref()
    }

    /// The entry with this number, to be changed.
    pub(super) fn get_mut(&mut self, id: EntryId) -> Option<&mut Entry> {
        let position = self.position(id)?;
        self.slots.get_mut(position)?.as_deref_mut()
    }

    /// Adds an entry, whose number must be above every earlier one; `None` when it is not.
    pub(super) fn push(&mut self, entry: Entry) -> Option<()> {
        if self.slots.is_empty() {
            self.first = entry.id.0;
        }
        let position = self.position(entry.id)?;
        if position < self.slots.len() {
            return None;
        }
        // Records between that opened no entry.
        while self.slots.len() < position {
            self.slots.push_back(None);
        }
        self.slots.push_back(Some(Box::new(entry)));
        self.count = self.count.saturating_add(1);
        Some(())
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, id: EntryId) -> Option<Box<Entry>> {
        let position = self.position(id)?;
        let entry = self.slots.get_mut(position)?.take()?;
        self.count = self.count.saturating_sub(1);
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first = self.first.saturating_add(1);
        }
        Some(entry)
    }

    fn position(&self, id: EntryId) -> Option<usize> {
        usize::try_from(id.0.checked_sub(self.first)?).ok()
    }
}
