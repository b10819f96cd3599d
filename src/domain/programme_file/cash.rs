//! Proves what a programme says about cash and PINs.

use crate::domain::account::PurseIndex;
use crate::domain::programme::{CashRule, PinRule, PurseSpec};

use super::reader::Reader;
use super::rows::{CashRow, PinRow};

/// Most wrong tries a programme may allow: a PIN has ten thousand values.
const TRIES_MAX: u8 = 10;

impl Reader {
    pub(super) fn pin(&mut self, row: PinRow) -> PinRule {
        if !(1..=TRIES_MAX).contains(&row.tries_max) {
            let got = row.tries_max;
            self.mistake(format!(
                "pin.tries_max: expected 1 to {TRIES_MAX}, got {got}"
            ));
        }
        PinRule {
            owner: row.owner,
            tries_max: row.tries_max,
            required: row.required,
        }
    }

    pub(super) fn cash(
        &mut self,
        row: &CashRow,
        purses: &[PurseSpec],
        spend_order: &[PurseIndex],
    ) -> CashRule {
        self.amount("cash.multiple_of", row.multiple_of);
        self.amount("cash.minimum", row.minimum);
        let named: Vec<PurseIndex> = row
            .purses
            .iter()
            .filter_map(|id| self.purse("cash.purses", id, purses))
            .collect();
        let mut fees = Vec::new();
        for (n, fee) in row.fee.iter().enumerate() {
            let key = format!("cash.fee[{n}]");
            self.amount(&format!("{key}.amount"), fee.amount);
            if let Some(currency) = self.currency(&key, &fee.currency) {
                if fees.iter().any(|known: &(_, i64)| known.0 == currency) {
                    self.mistake(format!("{key}.currency: {currency} has a fee already"));
                }
                fees.push((currency, fee.amount));
            }
        }
        CashRule {
            purses: if named.is_empty() {
                spend_order.to_vec()
            } else {
                named
            },
            multiple_of: row.multiple_of.max(1),
            minimum: row.minimum,
            kyc: row.kyc,
            fees,
            free_per_month: row.free_per_month,
        }
    }
}
