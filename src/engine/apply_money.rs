//! Applies what operators did about rates and with money beside the wire.

use crate::domain::account::AccountId;
use crate::domain::time::UnixMs;

use super::apply::Fit;
use super::operation::Reference;
use super::operation_money::{CountedTransfer, MoneyOperation, Movement};
use super::state::State;

/// Days that a transfer may count in a limit: the longest rolling window, and one.
const COUNTED_DAYS: u32 = 46;
/// Transfers of one account kept; a limit counts a thousand at most.
const COUNTED_MAX: usize = 1_024;

impl State {
    pub(super) fn apply_money(&mut self, operation: &MoneyOperation) -> Fit {
        match operation {
            MoneyOperation::RatesSet(rows) => {
                self.rates.set(rows, self.at);
                Ok(())
            }
            MoneyOperation::Transferred {
                reference,
                transfer,
                date,
                currency,
                postings,
            } => {
                self.note_reference(*reference, Movement::Transfer(*transfer))?;
                self.post(*currency, postings)?;
                let counted = CountedTransfer {
                    at: self.at,
                    date: *date,
                    currency: *currency,
                    minor: transfer.minor,
                };
                self.count_transfer(transfer.from, counted);
                Ok(())
            }
            MoneyOperation::Charged {
                reference,
                charge,
                movements,
            } => {
                self.note_reference(*reference, Movement::Charge(*charge))?;
                for (currency, postings) in movements {
                    self.post(*currency, postings)?;
                }
                Ok(())
            }
            MoneyOperation::PaperOrdered {
                reference,
                order,
                currency,
                postings,
            } => {
                self.note_reference(*reference, Movement::Paper(*order))?;
                self.post(*currency, postings)
            }
        }
    }

    fn count_transfer(&mut self, account: AccountId, counted: CountedTransfer) {
        let start: UnixMs = counted.at.minus_hours(COUNTED_DAYS.saturating_mul(24));
        let rows = self.transfers.entry(account).or_default();
        rows.push_back(counted);
        while rows.len() > COUNTED_MAX || rows.front().is_some_and(|row| row.at < start) {
            rows.pop_front();
        }
    }

    /// Remembers the caller's name for the movement of this record.
    pub(super) fn note_reference(&mut self, reference: Reference, movement: Movement) -> Fit {
        if self.references.insert(reference, self.sequence).is_some() {
            return Err("a reference is used twice".to_owned());
        }
        self.references_by_age.push_back((self.at, reference));
        self.movements.insert(reference, movement);
        Ok(())
    }

    /// What a reference stands for, with its record, unless forgotten.
    pub fn movement(&self, reference: &Reference) -> Option<(u64, Movement)> {
        let movement = self.movements.get(reference)?;
        Some((self.referred(reference)?, *movement))
    }
}
