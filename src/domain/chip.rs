//! What is known about a card's chip: the verdict on its cryptogram, and which of its transaction
//! counters have been used.

use serde::{Deserialize, Serialize};

/// What came of a chip's request cryptogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChipVerdict {
    /// The card made it.
    Right,
    /// Somebody else made it, or over other data.
    Wrong,
    /// The chip's data cannot be read, or there is no request cryptogram in them.
    Malformed,
    /// The card was read by its chip and no cryptogram came.
    Missing,
    /// There is no key for it, or nobody knows how such a one is made.
    CannotBeChecked,
    /// The device that would judge it did not answer, or refused to.
    Unavailable,
}

/// A chip in one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChipUse {
    /// What came of its cryptogram.
    pub verdict: ChipVerdict,
    /// Which card of that number it is (PSN).
    pub sequence_number: u8,
    /// Its transaction counter (ATC); 0 where none could be read.
    pub counter: u16,
}

impl ChipUse {
    /// One of which nothing could be read.
    pub fn unread(verdict: ChipVerdict) -> ChipUse {
        ChipUse {
            verdict,
            sequence_number: 0,
            counter: 0,
        }
    }
}

/// Counters below the highest one that are told apart.
const WINDOW: u32 = u64::BITS;

/// Which transaction counters of a chip were used: the highest, and those shortly before it.
///
/// A terminal may bring a counter late, so one below the highest is not used yet because of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedCounters {
    /// The highest.
    highest: u16,
    /// Bit `n`: the counter `n` below the highest was used.
    used: u64,
}

impl UsedCounters {
    /// After the first counter that was seen.
    pub fn first(counter: u16) -> UsedCounters {
        UsedCounters {
            highest: counter,
            used: 1,
        }
    }

    /// The highest.
    pub fn highest(self) -> u16 {
        self.highest
    }

    /// Whether a counter was used, or is so far below the highest that nobody can tell.
    pub fn has(self, counter: u16) -> bool {
        match self.highest.checked_sub(counter) {
            None => false,
            Some(below) if u32::from(below) < WINDOW => self.used >> below & 1 == 1,
            Some(_) => true,
        }
    }

    /// The same after one more.
    pub fn and(self, counter: u16) -> UsedCounters {
        match counter.checked_sub(self.highest) {
            Some(above) => UsedCounters {
                highest: counter,
                used: self.used.checked_shl(u32::from(above)).unwrap_or(0) | 1,
            },
            None => {
                let below = self.highest.saturating_sub(counter);
                let bit = 1_u64.checked_shl(u32::from(below)).unwrap_or(0);
                UsedCounters {
                    highest: self.highest,
                    used: self.used | bit,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_counter_is_new_once_and_never_again_whatever_the_order() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let (mut counters, mut used) = (UsedCounters::first(500), BTreeSet::from([500_u16]));
        for _ in 0..20_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let near = u16::try_from(seed % 90).unwrap();
            let counter = (counters.highest() - 80).saturating_add(near);
            let highest = *used.last().unwrap();
            let expected = used.contains(&counter) || highest.saturating_sub(counter) >= 64;
            assert_eq!(counters.has(counter), expected, "{counter} of {highest}");
            if !expected {
                counters = counters.and(counter);
                used.insert(counter);
            }
            assert!(counters.has(counter));
        }
        assert!(used.len() > 5_000, "{}", used.len());
    }

    #[test]
    fn the_ends_of_the_range_are_counters_like_others() {
        let last = UsedCounters::first(0).and(u16::MAX);
        assert!(last.has(u16::MAX) && last.has(0) && !last.has(u16::MAX - 63));
        assert!(last.has(u16::MAX - 64), "too far below to tell");
        assert_eq!(last.highest(), u16::MAX);
    }
}
