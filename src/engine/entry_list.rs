//! The entries of one account, and which of them a key may mean.
//!
//! Rows lie together and carry a short tag for each key of their entry, so that opening an entry
//! touches one place in memory. An account with many entries gets an index of its own.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use serde::{Serialize, Serializer};
use smallvec::SmallVec;

use super::entry::EntryId;
use super::tables::HashIndex;

/// Keys that an entry can have.
pub(super) const KEYS_MAX: usize = 4;

/// With more rows than this an index finds them; up to it, looking at every tag is as fast.
const SCANNED_ROWS_MAX: usize = 256;

/// One account's entries that are not forgotten, oldest first; most accounts have none or one.
#[derive(Default)]
pub struct EntryList {
    rows: SmallVec<[Row; 1]>,
    index: Option<Box<HashIndex>>,
}

/// An entry, and a tag for each of its keys; [`NO_KEY`] where it has none.
struct Row {
    id: EntryId,
    tags: [u16; KEYS_MAX],
}

const NO_KEY: u16 = 0;

impl EntryList {
    /// Every entry, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = EntryId> {
        self.rows.iter().map(|row| row.id)
    }

    /// Adds an entry; `hasher` is always the same one.
    pub(super) fn push<K: Hash>(
        &mut self,
        id: EntryId,
        keys: impl Iterator<Item = K>,
        hasher: &RandomState,
    ) {
        let mut tags = [NO_KEY; KEYS_MAX];
        for (place, key) in keys.enumerate() {
            assert!(
                place < KEYS_MAX,
                "an entry has more keys than a row has tags"
            );
            let tag = tag_of(&key, hasher);
            // A tag twice would make one entry look like two.
            if let (false, Some(free)) = (tags.contains(&tag), tags.get_mut(place)) {
                *free = tag;
            }
        }
        let row = Row { id, tags };
        match &mut self.index {
            Some(index) => row.insert_into(index),
            None if self.rows.len() < SCANNED_ROWS_MAX => {}
            None => {
                let mut index = HashIndex::default();
                self.rows.iter().for_each(|row| row.insert_into(&mut index));
                row.insert_into(&mut index);
                self.index = Some(Box::new(index));
            }
        }
        self.rows.push(row);
    }

    /// The entries that a key may mean, in no order: the caller compares.
    pub(super) fn candidates<'a, K: Hash>(
        &'a self,
        key: &K,
        hasher: &RandomState,
    ) -> impl Iterator<Item = EntryId> + use<'a, K> {
        let wanted = tag_of(key, hasher);
        let scanned = if self.index.is_none() {
            self.rows.as_slice()
        } else {
            &[]
        };
        let indexed = self.index.as_deref().into_iter();
        scanned
            .iter()
            .filter(move |row| row.tags.contains(&wanted))
            .map(|row| row.id)
            .chain(indexed.flat_map(move |index| index.candidates(&wanted).map(EntryId)))
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, id: EntryId) {
        let Ok(position) = self.rows.binary_search_by_key(&id, |row| row.id) else {
            return;
        };
        let row = self.rows.remove(position);
        if let Some(index) = &mut self.index {
            row.tags().for_each(|tag| index.remove(&tag, id.0));
        }
    }
}

impl Row {
    fn tags(&self) -> impl Iterator<Item = u16> {
        self.tags.into_iter().filter(|tag| *tag != NO_KEY)
    }

    fn insert_into(&self, index: &mut HashIndex) {
        self.tags().for_each(|tag| index.insert(&tag, self.id.0));
    }
}

fn tag_of(key: &impl Hash, hasher: &RandomState) -> u16 {
    let hash = hasher.hash_one(key);
    // A part of the hash, and never the tag of a key that is not there.
    u16::try_from(hash >> 48).unwrap_or(u16::MAX).max(1)
}

impl Serialize for EntryList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(list: &EntryList, key: u64, hasher: &RandomState) -> Vec<u64> {
        let mut ids: Vec<u64> = list.candidates(&key, hasher).map(|id| id.0).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn an_entry_is_found_by_each_of_its_keys_before_and_after_there_are_many() {
        let hasher = RandomState::default();
        let mut list = EntryList::default();
        let many = u64::try_from(SCANNED_ROWS_MAX).unwrap() + 50;
        for id in 1..=many {
            // Every tenth shares its second key.
            let keys = [id * 1_000, 7_000_000 + id % 10];
            list.push(EntryId(id), keys.into_iter(), &hasher);
            // Another key may have the same tag, so there may be more.
            assert!(found(&list, id * 1_000, &hasher).contains(&id));
            assert!(found(&list, 1_000, &hasher).contains(&1));
            let alike = found(&list, 7_000_000 + id % 10, &hasher);
            assert!(alike.len() < 50 && alike.contains(&id), "{alike:?}");
        }
        assert_eq!(list.iter().map(|id| id.0).max(), Some(many));
        for id in 1..=many {
            list.remove(EntryId(id));
            assert!(!found(&list, id * 1_000, &hasher).contains(&id));
        }
        assert_eq!(list.iter().count(), 0);
    }
}
