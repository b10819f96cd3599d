//! The entries of one account, and which of them a key may mean.
//!
//! Rows lie together and carry a short tag for each key of their entry, so that opening an entry
//! touches one place in memory. An account with many entries gets an index of its own.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use serde::{Serialize, Serializer};
use smallvec::SmallVec;

use super::entry::EntryId;

/// Keys that an entry can have.
pub(super) const KEYS_MAX: usize = 4;

/// With more rows than this an index finds them; up to it, looking at every tag is as fast.
const SCANNED_ROWS_MAX: usize = 256;
/// With fewer the index goes again.
const INDEXED_ROWS_MIN: usize = SCANNED_ROWS_MAX / 2;

/// One account's entries that are not forgotten, oldest first; most accounts have none or one.
#[derive(Default)]
pub struct EntryList {
    rows: SmallVec<[Row; 1]>,
    index: Option<Box<TagIndex>>,
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

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The entry that was added last.
    pub(super) fn last(&self) -> Option<EntryId> {
        self.rows.last().map(|row| row.id)
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
                let mut index = TagIndex::default();
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
            .filter(move |row| row.has(wanted))
            .map(|row| row.id)
            .chain(indexed.flat_map(move |index| index.candidates(wanted)))
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, id: EntryId) {
        let Ok(position) = self.rows.binary_search_by_key(&id, |row| row.id) else {
            return;
        };
        let row = self.rows.remove(position);
        if self.rows.len() < INDEXED_ROWS_MIN {
            self.index = None;
        }
        if let Some(index) = &mut self.index {
            row.tags().for_each(|tag| index.remove(tag, id));
        }
        // What one busy day took is not kept for ever.
        let room = self.rows.capacity();
        if room > INDEXED_ROWS_MIN && self.rows.len() < room / 4 {
            self.rows.shrink_to_fit();
        }
    }
}

impl Row {
    /// Whether one of the tags is this one: all are compared at once, as the lanes of a word of
    /// which one becomes zero.
    fn has(&self, wanted: u16) -> bool {
        const ONES: u64 = 0x0001_0001_0001_0001;
        let [a, b, c, d] = self.tags.map(u64::from);
        let differences = (a | b << 16 | c << 32 | d << 48) ^ ONES.wrapping_mul(wanted.into());
        // A borrow goes into a lane's first bit only where the lane, or one before it, was zero.
        differences.wrapping_sub(ONES) & !differences & ONES << 15 != 0
    }

    fn tags(&self) -> impl Iterator<Item = u16> {
        self.tags.into_iter().filter(|tag| *tag != NO_KEY)
    }

    fn insert_into(&self, index: &mut TagIndex) {
        self.tags().for_each(|tag| index.insert(tag, self.id));
    }
}

/// Finds entries by a tag: eight bytes a row, the tag above the entry's number.
#[derive(Default)]
struct TagIndex {
    rows: HashTable<u64>,
    /// How many rows it had room for when it was last made larger.
    room: usize,
}

/// Bits of a row that are the entry's number: so many records no journal has.
const NUMBER_BITS: u32 = 48;

impl TagIndex {
    fn insert(&mut self, tag: u16, id: EntryId) {
        // Twice as much room as rows. A fuller table doubles too, once enough has come and gone,
        // but some day: by this its size follows from what is in it.
        if self.rows.len() >= self.room / 2 {
            let more = self.rows.len().saturating_add(1);
            self.rows.reserve(more, |row| TagIndex::hash(*row));
            self.room = self.rows.capacity();
        }
        let row = TagIndex::row(tag, id);
        let hash = TagIndex::hash(row);
        self.rows
            .insert_unique(hash, row, |row| TagIndex::hash(*row));
    }

    fn candidates(&self, tag: u16) -> impl Iterator<Item = EntryId> {
        let first = TagIndex::row(tag, EntryId(0));
        let rows = self.rows.iter_hash(TagIndex::hash(first));
        let same = rows.filter(move |row| **row >> NUMBER_BITS == u64::from(tag));
        same.map(move |row| EntryId(row ^ first))
    }

    fn remove(&mut self, tag: u16, id: EntryId) {
        let row = TagIndex::row(tag, id);
        if let Ok(found) = self.rows.find_entry(TagIndex::hash(row), |it| *it == row) {
            found.remove();
        }
    }

    fn row(tag: u16, id: EntryId) -> u64 {
        assert!(id.0 >> NUMBER_BITS == 0, "an entry has a number beyond all");
        u64::from(tag) << NUMBER_BITS | id.0
    }

    /// Of the tag alone, spread over the whole word: a table looks at the first bits and the last.
    fn hash(row: u64) -> u64 {
        (row >> NUMBER_BITS).wrapping_mul(0x9e37_79b9_7f4a_7c15)
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
        assert!(list.index.is_none() && list.rows.capacity() <= INDEXED_ROWS_MIN);
    }

    /// Entries come and go for long; how much room they take follows from how many there are.
    #[test]
    fn the_index_is_as_large_after_a_year_as_after_a_day() {
        let hasher = RandomState::default();
        let mut list = EntryList::default();
        let mut rooms = Vec::new();
        for id in 1..=200_000_u64 {
            let keys = [id, id + 1_000_000, id + 2_000_000, id + 3_000_000];
            list.push(EntryId(id), keys.into_iter(), &hasher);
            if let Some(oldest) = id.checked_sub(440) {
                list.remove(EntryId(oldest));
            }
            if id % 1_000 == 0 {
                let index = list.index.as_ref().unwrap();
                rooms.push((index.rows.num_buckets(), list.rows.capacity()));
            }
        }
        rooms.dedup();
        assert_eq!(rooms.len(), 1, "{rooms:?}");
    }
}
