//! Applies what operators did about rates and with money of several currencies.

use super::apply::Fit;
use super::operation::Reference;
use super::operation_money::{Charge, MoneyOperation};
use super::state::State;

impl State {
    pub(super) fn apply_money(&mut self, operation: &MoneyOperation) -> Fit {
        match operation {
            MoneyOperation::RatesSet(rows) => {
                self.rates.set(rows, self.at);
                Ok(())
            }
            MoneyOperation::Charged {
                reference,
                charge,
                movements,
            } => {
                self.note_reference(*reference)?;
                for (currency, postings) in movements {
                    self.post(*currency, postings)?;
                }
                self.charges.insert(*reference, *charge);
                Ok(())
            }
        }
    }

    /// Remembers the caller's name for the movement of this record.
    pub(super) fn note_reference(&mut self, reference: Reference) -> Fit {
        if self.references.insert(reference, self.sequence).is_some() {
            return Err("a reference is used twice".to_owned());
        }
        self.references_by_age.push_back((self.at, reference));
        Ok(())
    }

    /// A charge under the caller's name for it, with its record, unless forgotten.
    pub fn charge(&self, reference: &Reference) -> Option<(u64, &Charge)> {
        let charge = self.charges.get(reference)?;
        Some((self.referred(reference)?, charge))
    }
}
