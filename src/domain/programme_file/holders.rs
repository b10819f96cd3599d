//! Proves what a programme says about holders and the end of their cards.

use crate::domain::holder::{HolderRule, RenewalRule};

use super::reader::Reader;
use super::rows::{HolderRow, RenewalRow};

/// Oldest age that a file may ask for, years.
const AGE_MAX: u8 = 99;
/// Longest renewal: a card states its expiry with two digits of the year.
const RENEWAL_MONTHS_MAX: u16 = 240;

impl Reader {
    pub(super) fn holder(&mut self, row: &HolderRow) -> HolderRule {
        for (key, age) in [
            ("minimum_age", row.minimum_age),
            ("consent_below", row.consent_below),
        ] {
            if age > AGE_MAX {
                self.mistake(format!("holder.{key}: expected 0 to {AGE_MAX}, got {age}"));
            }
        }
        HolderRule {
            minimum_age: row.minimum_age,
            consent_below: row.consent_below,
        }
    }

    pub(super) fn renewal(&mut self, row: &RenewalRow) -> RenewalRule {
        if !(1..=RENEWAL_MONTHS_MAX).contains(&row.months) {
            let got = row.months;
            self.mistake(format!(
                "renewal.months: expected 1 to {RENEWAL_MONTHS_MAX}, got {got}"
            ));
        }
        RenewalRule {
            months: row.months,
            kyc: row.kyc,
        }
    }
}
