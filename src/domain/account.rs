//! Accounts and purses: where the money of a holder stands.

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::money::Currency;

/// Name of the programme an account belongs to, such as `prepaid-jp`.
pub type ProgrammeName = ArrayString<24>;

/// Number of an account, dense from 1 in order of opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountId(pub u32);

/// How well the holder is known; limits depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kyc {
    /// Identity verified.
    Verified,
    /// Not verified.
    Unverified,
    /// Nobody is known: a bearer card.
    Bearer,
}

/// Place of a purse in its programme's list, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PurseIndex(pub u8);

impl PurseIndex {
    /// For use as a position in a list.
    pub fn position(self) -> usize {
        usize::from(self.0)
    }
}

/// One purse of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purse {
    /// What its minor units are of.
    pub currency: Currency,
    /// Ledger balance, minor units; may be below zero after a capture (rule A34).
    pub balance: i64,
    /// Part of it that open holds keep, minor units; never below zero.
    pub held: i64,
}

impl Purse {
    /// An empty purse.
    pub const fn empty(currency: Currency) -> Purse {
        Purse {
            currency,
            balance: 0,
            held: 0,
        }
    }

    /// What may still be spent, minor units: balance less held.
    pub fn available(&self) -> i64 {
        self.balance.saturating_sub(self.held)
    }
}

/// How an amount was taken from (or given to) purses, in the order in which it was taken.
///
/// Minor units per purse; every part is above zero.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split(pub SmallVec<[(PurseIndex, i64); 1]>);

impl Clone for Split {
    fn clone(&self) -> Split {
        Split(SmallVec::from_slice(&self.0))
    }
}

impl Split {
    /// The whole amount from one purse.
    pub fn whole(purse: PurseIndex, minor: i64) -> Split {
        let mut split = Split::default();
        split.add(purse, minor);
        split
    }

    /// Sum of the parts, minor units.
    pub fn total(&self) -> i64 {
        self.0
            .iter()
            .fold(0_i64, |sum, part| sum.saturating_add(part.1))
    }

    /// The part of one purse, minor units.
    pub fn part(&self, purse: PurseIndex) -> i64 {
        self.0
            .iter()
            .find(|part| part.0 == purse)
            .map_or(0, |part| part.1)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds to the part of a purse, at the end when it has none; nothing is added for 0 or less.
    pub fn add(&mut self, purse: PurseIndex, minor: i64) {
        if minor <= 0 {
            return;
        }
        match self.0.iter_mut().find(|part| part.0 == purse) {
            Some(part) => part.1 = part.1.saturating_add(minor),
            None => self.0.push((purse, minor)),
        }
    }

    /// Takes up to `minor` off the end, the purse that was taken last first, and returns it.
    ///
    /// What stays is the split that the remaining amount alone would have had.
    pub fn take_back(&mut self, minor: i64) -> Split {
        let mut wanted = minor.max(0);
        let mut taken = Split::default();
        while wanted > 0 {
            let Some(last) = self.0.last_mut() else { break };
            let part = last.1.min(wanted);
            taken.add(last.0, part);
            wanted = wanted.saturating_sub(part);
            last.1 = last.1.saturating_sub(part);
            if last.1 == 0 {
                self.0.pop();
            }
        }
        taken
    }

    /// Takes up to `minor` off the front, the purse that was taken first first, and returns it.
    pub fn take_first(&mut self, minor: i64) -> Split {
        let mut wanted = minor.max(0);
        let mut taken = Split::default();
        for part in &mut self.0 {
            let share = part.1.min(wanted);
            taken.add(part.0, share);
            part.1 = part.1.saturating_sub(share);
            wanted = wanted.saturating_sub(share);
        }
        self.0.retain(|part| part.1 > 0);
        taken
    }
}

/// One account: its programme and its purses in the programme's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Index of its programme in the state's list of programme names.
    pub programme: u8,
    /// How well the holder is known.
    pub kyc: Kyc,
    /// Purses in the order of the programme.
    pub purses: SmallVec<[Purse; 2]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: PurseIndex = PurseIndex(1);
    const SECOND: PurseIndex = PurseIndex(0);

    fn split(parts: &[(PurseIndex, i64)]) -> Split {
        Split(parts.iter().copied().collect())
    }

    #[test]
    fn giving_back_a_part_leaves_what_the_rest_alone_would_have_taken() {
        let mut held = split(&[(FIRST, 700), (SECOND, 300)]);
        assert_eq!(held.take_back(400), split(&[(SECOND, 300), (FIRST, 100)]));
        assert_eq!(held, split(&[(FIRST, 600)]));
    }

    #[test]
    fn capturing_a_part_takes_the_purse_that_was_taken_first() {
        let mut held = split(&[(FIRST, 700), (SECOND, 300)]);
        assert_eq!(held.take_first(800), split(&[(FIRST, 700), (SECOND, 100)]));
        assert_eq!(held, split(&[(SECOND, 200)]));
    }

    #[test]
    fn nothing_more_than_there_is_comes_out() {
        let mut held = split(&[(FIRST, 5)]);
        assert_eq!(held.take_back(9).total(), 5);
        assert!(held.is_empty());
        assert_eq!(held.take_first(9).total(), 0);
    }
}
