//! Accounts and purses: where the money of a holder stands.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use super::money::Currency;
use super::short_text::ShortText;

/// Name of the programme an account belongs to, such as `prepaid-jp`.
pub type ProgrammeName = ShortText<24>;

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
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Split(Parts);

/// Nearly always one purse pays, or none holds anything any more.
#[derive(Clone, Default, PartialEq, Eq)]
enum Parts {
    #[default]
    None,
    One(PackedPart),
    /// Two at least, or one that no word takes.
    Several(Box<SmallVec<[Part; 4]>>),
}

/// The part of one purse, minor units.
type Part = (PurseIndex, i64);

/// A part in one word: minor units, and the purse in the lowest byte. With it a split is handed on
/// in two registers; of three fields it would be written to memory each time, and read back before
/// they have arrived there.
#[derive(Clone, Copy, PartialEq, Eq)]
struct PackedPart(u64);

impl PackedPart {
    /// `None` for what is below zero or needs more than 56 bits.
    fn new((purse, minor): Part) -> Option<PackedPart> {
        let minor = u64::try_from(minor).ok()?;
        let purse = u64::from(purse.0);
        (minor < 1 << 56).then_some(PackedPart(minor << 8 | purse))
    }

    fn part(self) -> Part {
        let [purse, ..] = self.0.to_le_bytes();
        (PurseIndex(purse), (self.0 >> 8).cast_signed())
    }
}

impl FromIterator<Part> for Split {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Split {
        let mut parts = parts.into_iter();
        match (parts.next(), parts.next()) {
            (None, _) => Split::default(),
            (Some(only), None) => Split::one(only),
            (Some(first), Some(second)) => {
                let several = [first, second].into_iter().chain(parts);
                Split(Parts::Several(Box::new(several.collect())))
            }
        }
    }
}

impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts()).finish()
    }
}

impl Serialize for Split {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.parts())
    }
}

impl<'de> Deserialize<'de> for Split {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Split, D::Error> {
        let parts = SmallVec::<[Part; 4]>::deserialize(deserializer)?;
        Ok(parts.into_iter().collect())
    }
}

impl Split {
    /// The whole amount from one purse.
    pub fn whole(purse: PurseIndex, minor: i64) -> Split {
        let mut split = Split::default();
        split.add(purse, minor);
        split
    }

    fn one(part: Part) -> Split {
        Split(match PackedPart::new(part) {
            Some(packed) => Parts::One(packed),
            None => Parts::Several(Box::new(SmallVec::from_iter([part]))),
        })
    }

    /// The parts in the order taken.
    pub fn parts(&self) -> impl Iterator<Item = (PurseIndex, i64)> {
        let (one, several) = match &self.0 {
            Parts::None => (None, &[][..]),
            Parts::One(packed) => (Some(packed.part()), &[][..]),
            Parts::Several(parts) => (None, parts.as_slice()),
        };
        one.into_iter().chain(several.iter().copied())
    }

    /// Sum of the parts, minor units.
    pub fn total(&self) -> i64 {
        match &self.0 {
            Parts::None => 0,
            Parts::One(packed) => packed.part().1,
            Parts::Several(parts) => {
                let minors = parts.iter().map(|part| part.1);
                minors.fold(0, i64::saturating_add)
            }
        }
    }

    /// The part of one purse, minor units.
    pub fn part(&self, purse: PurseIndex) -> i64 {
        let mut parts = self.parts();
        parts.find(|part| part.0 == purse).map_or(0, |part| part.1)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Parts::None)
    }

    /// Adds to the part of a purse, at the end when it has none; nothing is added for 0 or less.
    pub fn add(&mut self, purse: PurseIndex, minor: i64) {
        if minor <= 0 {
            return;
        }
        match &mut self.0 {
            Parts::None => *self = Split::one((purse, minor)),
            Parts::One(packed) => {
                let (own, part) = packed.part();
                *self = match own == purse {
                    true => Split::one((own, part.saturating_add(minor))),
                    false => [(own, part), (purse, minor)].into_iter().collect(),
                };
            }
            Parts::Several(parts) => match parts.iter_mut().find(|part| part.0 == purse) {
                Some(part) => part.1 = part.1.saturating_add(minor),
                None => parts.push((purse, minor)),
            },
        }
    }

    /// Takes up to `minor` off the end, the purse that was taken last first, and returns it.
    ///
    /// What stays is the split that the remaining amount alone would have had.
    pub fn take_back(&mut self, minor: i64) -> Split {
        if minor <= 0 {
            return Split::default();
        }
        let mut wanted = minor;
        let mut taken = Split::default();
        let mut parts: SmallVec<[Part; 4]> = self.parts().collect();
        while wanted > 0 {
            let Some(last) = parts.last_mut() else { break };
            let part = last.1.min(wanted);
            taken.add(last.0, part);
            wanted = wanted.saturating_sub(part);
            last.1 = last.1.saturating_sub(part);
            if last.1 == 0 {
                parts.pop();
            }
        }
        *self = parts.into_iter().collect();
        taken
    }

    /// Takes up to `minor` off the front, the purse that was taken first first, and returns it.
    pub fn take_first(&mut self, minor: i64) -> Split {
        let mut wanted = minor.max(0);
        let mut taken = Split::default();
        let left = self.parts().map(|(purse, whole)| {
            let share = whole.min(wanted);
            taken.add(purse, share);
            wanted = wanted.saturating_sub(share);
            (purse, whole.saturating_sub(share))
        });
        *self = left.filter(|part| part.1 > 0).collect();
        taken
    }

    /// Takes every part of another split out of this one.
    ///
    /// # Errors
    /// What is missing, in words; this split is then as it was.
    pub fn take_exactly(&mut self, split: &Split) -> Result<(), &'static str> {
        let mut parts: SmallVec<[Part; 4]> = self.parts().collect();
        for (purse, minor) in split.parts() {
            let mut own = parts.iter_mut();
            let own = own.find(|part| part.0 == purse);
            let part = own.ok_or("a part that is not there")?;
            let left = part.1.checked_sub(minor).filter(|left| *left >= 0);
            part.1 = left.ok_or("a part too small")?;
        }
        parts.retain(|part| part.1 > 0);
        *self = parts.into_iter().collect();
        Ok(())
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
    /// Whether one of its cards has limits or controls of its own; the state keeps them beside
    /// the cards.
    #[serde(skip)]
    pub has_limited_card: bool,
    /// Purses in the order of the programme.
    pub purses: SmallVec<[Purse; 2]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: PurseIndex = PurseIndex(1);
    const SECOND: PurseIndex = PurseIndex(0);

    fn split(parts: &[(PurseIndex, i64)]) -> Split {
        parts.iter().copied().collect()
    }

    #[test]
    fn one_purse_takes_two_words_and_any_number_the_same_bytes() {
        assert_eq!(size_of::<Split>(), 16);
        for count in 0_u8..7 {
            let parts: Vec<(PurseIndex, i64)> = (0..count)
                .map(|purse| (PurseIndex(purse), 100 + i64::from(purse)))
                .collect();
            let bytes = postcard::to_stdvec(&split(&parts)).unwrap();
            assert_eq!(bytes, postcard::to_stdvec(&parts).unwrap());
            let read: Split = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(read.parts().collect::<Vec<_>>(), parts);
            let sum: i64 = parts.iter().map(|part| part.1).sum();
            assert_eq!(read.total(), sum);
        }
    }

    #[test]
    fn a_part_too_large_for_a_word_is_a_part_like_others() {
        const MOST_IN_A_WORD: i64 = (1 << 56) - 1;
        for minor in [-5, 0, MOST_IN_A_WORD, MOST_IN_A_WORD + 1, i64::MAX] {
            let mut large = split(&[(SECOND, minor)]);
            assert_eq!(large.parts().collect::<Vec<_>>(), [(SECOND, minor)]);
            assert_eq!((large.total(), large.part(SECOND)), (minor, minor));
            large.add(SECOND, 1);
            assert_eq!(large, split(&[(SECOND, minor.saturating_add(1))]));
            large.add(FIRST, 7);
            assert_eq!(large.part(FIRST), 7);
        }
        let mut grown = Split::whole(FIRST, MOST_IN_A_WORD);
        grown.add(FIRST, 1);
        assert_eq!(grown, Split::whole(FIRST, MOST_IN_A_WORD + 1));
        assert_eq!(grown.take_back(1), Split::whole(FIRST, 1));
        assert_eq!(grown, Split::whole(FIRST, MOST_IN_A_WORD));
        assert_eq!(format!("{grown:?}"), "[(PurseIndex(1), 72057594037927935)]");
    }

    #[test]
    fn what_is_not_there_is_not_taken_out() {
        let mut held = split(&[(FIRST, 700), (SECOND, 300)]);
        let before = held.clone();
        assert!(held.take_exactly(&Split::whole(FIRST, 701)).is_err());
        assert!(held.take_exactly(&Split::whole(PurseIndex(9), 1)).is_err());
        assert_eq!(held, before);
        assert_eq!(
            held.take_exactly(&split(&[(FIRST, 700), (SECOND, 1)])),
            Ok(())
        );
        assert_eq!(held, split(&[(SECOND, 299)]));
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
