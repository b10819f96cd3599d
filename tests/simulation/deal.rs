//! What the oracle's books are made of.

use crate::ask::{Money, Name, What};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    Pending,
    Captured,
    Released,
    Reversed,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Channel {
    Purchase(Money),
    Load(Money),
}

/// A purchase, refund or load.
#[derive(Clone, Debug)]
pub(crate) struct Deal {
    pub(crate) card: usize,
    pub(crate) what: What,
    pub(crate) currency: Money,
    pub(crate) stands: Stands,
    pub(crate) authorized: i64,
    pub(crate) held: Parts,
    pub(crate) posted: Parts,
    pub(crate) refund_of: Option<usize>,
    pub(crate) refunded: i64,
    pub(crate) counted: i64,
    pub(crate) counted_as: i32,
    pub(crate) channel: Option<Channel>,
    pub(crate) day: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) rested_at: i64,
    pub(crate) name: Name,
}

/// Amounts by purse in the order taken; a purse stands there once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    rows: [(usize, i64); 3],
    count: usize,
}

impl Parts {
    pub(crate) fn each(&self) -> impl DoubleEndedIterator<Item = (usize, i64)> {
        self.rows[..self.count].iter().copied()
    }

    pub(crate) fn total(&self) -> i64 {
        self.each().map(|part| part.1).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn add(&mut self, purse: usize, minor: i64) {
        if minor <= 0 {
            return;
        }
        let mut rows = self.rows[..self.count].iter_mut();
        match rows.find(|part| part.0 == purse) {
            Some(part) => part.1 += minor,
            None => {
                self.rows[self.count] = (purse, minor);
                self.count += 1;
            }
        }
    }

    pub(crate) fn remove(&mut self, gone: &Parts) {
        for (purse, minor) in gone.each() {
            let mut rows = self.rows[..self.count].iter_mut();
            rows.find(|part| part.0 == purse).unwrap().1 -= minor;
        }
        let left = self.clone();
        *self = Parts::default();
        left.each().for_each(|(purse, minor)| {
            assert!(minor >= 0, "the oracle took what was not there");
            self.add(purse, minor);
        });
    }

    /// So much from the front.
    pub(crate) fn first(&self, minor: i64) -> Parts {
        taken(self.each(), minor)
    }

    /// So much from the end.
    pub(crate) fn last(&self, minor: i64) -> Parts {
        taken(self.each().rev(), minor)
    }
}

fn taken(parts: impl Iterator<Item = (usize, i64)>, minor: i64) -> Parts {
    let (mut taken, mut wanted) = (Parts::default(), minor);
    for (purse, whole) in parts {
        let part = whole.min(wanted).max(0);
        taken.add(purse, part);
        wanted -= part;
    }
    taken
}
