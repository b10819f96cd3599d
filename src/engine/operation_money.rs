//! What operators do about rates and with money of several currencies, and what the journal keeps.

use serde::{Deserialize, Serialize};

use crate::domain::account::{AccountId, PurseIndex};
use crate::domain::money::Currency;
use crate::domain::rate::Rate;
use crate::domain::rate_file::RateRow;

use super::ledger::Postings;
use super::operation::Reference;

/// What an operator asks for.
#[derive(Clone, Debug)]
pub enum MoneyOrder {
    /// Take exchange rates in.
    SetRates(Vec<RateRow>),
    /// Change money of one purse into another currency (rule C3).
    Charge {
        /// The caller's name for it.
        reference: Reference,
        /// Whose purses.
        account: AccountId,
        /// The currency that is given.
        source: Currency,
        /// The currency that is charged.
        charge: Currency,
        /// What is given, minor units of the source.
        minor: i64,
    },
}

/// What an operator did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoneyOperation {
    /// Exchange rates came in.
    RatesSet(Vec<RateRow>),
    /// Money of one purse was changed into another currency.
    Charged {
        /// The caller's name for it.
        reference: Reference,
        /// What was done.
        charge: Charge,
        /// The double entries, one for each currency.
        movements: Vec<(Currency, Postings)>,
    },
}

/// Money of one purse changed into another currency (rule C3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Whose purses.
    pub account: AccountId,
    /// The purse that gave.
    pub source: PurseIndex,
    /// The purse that got.
    pub target: PurseIndex,
    /// What was given, minor units of the source, fee included.
    pub minor: i64,
    /// Of it the fee.
    pub fee: i64,
    /// What was credited, minor units of the target.
    pub credited: i64,
    /// From the source's currency to the target's.
    pub rate: Rate,
}
