//! A card: which account it opens, until when, and whether it may.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::account::AccountId;
use super::pan::{CardToken, MaskedPan};
use super::time::BusinessDate;

/// Number of a card inside the switch, dense from 1 in order of issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CardId(pub u32);

/// Whether a card may be used (rule A5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardStatus {
    /// May be used.
    Active,
    /// Shipped, not yet enrolled or activated.
    NotActivated,
    /// Stopped for a while by its holder.
    Frozen,
    /// Reported lost; for ever.
    Lost,
    /// Reported stolen; for ever.
    Stolen,
    /// Closed with its account.
    Closed,
}

/// The last month in which a card is valid (rule A2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExpiryMonth {
    /// Years and months since year 0: `year * 12 + month - 1`, comparable with
    /// [`BusinessDate::month_index`].
    month_index: i32,
}

impl ExpiryMonth {
    /// The month `YYMM` of DE 14, in the years 2000 to 2099; nothing unless MM is 01 to 12.
    pub fn from_yymm(yymm: u64) -> Option<ExpiryMonth> {
        let year = i32::try_from(yymm.checked_div(100)?).ok()?;
        let month = i32::try_from(yymm.checked_rem(100)?).ok()?;
        if !(1..=12).contains(&month) || year > 99 {
            return None;
        }
        let month_index = year
            .checked_add(2000)?
            .checked_mul(12)?
            .checked_add(month)?
            .checked_sub(1)?;
        Some(ExpiryMonth { month_index })
    }

    /// The month that many months later.
    pub fn plus_months(self, months: u16) -> ExpiryMonth {
        ExpiryMonth {
            month_index: self.month_index.saturating_add(i32::from(months)),
        }
    }

    /// Whether a day falls after the last instant of this month.
    pub fn is_over_on(self, date: BusinessDate) -> bool {
        // A year has 365 days at least, so nearly always the year alone tells.
        let latest_year = date.0.div_euclid(365).saturating_add(1970);
        let latest_month = latest_year.saturating_mul(12).saturating_add(11);
        if date.0 >= 0 && latest_month <= self.month_index {
            return false;
        }
        date.month_index() > self.month_index
    }

    /// `YYMM`, as in DE 14.
    pub fn yymm(self) -> u16 {
        let year = self.month_index.div_euclid(12).rem_euclid(100);
        let month = self.month_index.rem_euclid(12).saturating_add(1);
        u16::try_from(year.saturating_mul(100).saturating_add(month)).unwrap_or_default()
    }
}

/// What tells a right PIN from a wrong one: a verification value and the key it was made under.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinReference {
    /// Which key, 0 to 9; a hundred more where the value is one of the account, not of the card.
    pub key_index: u8,
    /// The value's four digits as numbers.
    pub value: [u8; 4],
}

/// What tells references of accounts from those of cards: the journal keeps both in one form.
const OF_ACCOUNT: u8 = 100;

impl PinReference {
    /// A value over the number of the account: it is right for every card of the account.
    pub fn of_account(key: u8, value: [u8; 4]) -> PinReference {
        PinReference {
            key_index: key.saturating_add(OF_ACCOUNT),
            value,
        }
    }

    /// Whether the value is one of the account, not of the card.
    pub fn is_of_account(self) -> bool {
        self.key_index >= OF_ACCOUNT
    }

    /// Index of the key, 0 to 9.
    pub fn key(self) -> u8 {
        self.key_index.checked_rem(OF_ACCOUNT).unwrap_or_default()
    }
}

impl fmt::Debug for PinReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinReference(..)")
    }
}

/// What the engine knows about a card's PIN (rule A7); never the PIN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardPin {
    /// What tells it from a wrong one; `None` before one was set.
    pub reference: Option<PinReference>,
    /// Wrong tries since the last right one.
    pub wrong_tries: u8,
}

/// One card as the engine knows it: never its number, only its token and masked form.
///
/// Every message looks at one of millions, far from all others: it fills one line of the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(align(64))]
pub struct Card {
    /// Its number inside the switch.
    pub id: CardId,
    /// The account whose purses it spends.
    pub account: AccountId,
    /// Keyed hash of the card number.
    pub token: CardToken,
    /// What may be shown of the card number.
    pub masked: MaskedPan,
    /// Last valid month; `None` for a bearer number without expiry (rule B1).
    pub expiry: Option<ExpiryMonth>,
    /// Whether it may be used.
    pub status: CardStatus,
    /// Its PIN, as far as the engine knows.
    pub pin: CardPin,
}

impl Card {
    /// Lets go of all that the card was known by; what is left is a number for old postings.
    pub fn erase(&mut self) {
        self.token = CardToken([0; 16]);
        self.masked = MaskedPan::erased();
        self.expiry = None;
        self.pin = CardPin::default();
    }

    /// Whether nothing of the card is known any more.
    pub fn is_erased(&self) -> bool {
        self.masked.is_erased()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{Calendar, UnixMs};

    #[test]
    fn a_card_is_valid_through_the_last_instant_of_its_month_in_tokyo() {
        let tokyo = Calendar::in_zone("Asia/Tokyo").unwrap();
        let expiry = ExpiryMonth::from_yymm(2802).unwrap();
        let at = |text: &str| UnixMs(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        assert!(!expiry.is_over_on(tokyo.date_of(at("2028-02-29T14:59:59.999Z"))));
        assert!(expiry.is_over_on(tokyo.date_of(at("2028-02-29T15:00:00Z"))));
    }

    #[test]
    fn a_card_is_over_from_the_first_day_after_its_month_in_every_year() {
        for day in -800..47_000 {
            let date = BusinessDate(day);
            for months in [-13, -12, -1, 0, 1, 11, 12, 13] {
                let month_index = date.month_index() + months;
                let expiry = ExpiryMonth { month_index };
                assert_eq!(expiry.is_over_on(date), months < 0, "{date} {months}");
            }
        }
    }

    #[test]
    fn a_card_lies_in_one_line_of_the_cache() {
        assert_eq!((size_of::<Card>(), align_of::<Card>()), (64, 64));
    }

    #[test]
    fn only_real_months_parse_and_print_back() {
        assert_eq!(ExpiryMonth::from_yymm(3112).unwrap().yymm(), 3112);
        for wrong in [0, 3100, 3113, 10_001] {
            assert!(ExpiryMonth::from_yymm(wrong).is_none(), "{wrong}");
        }
    }
}
