//! What operators do about rates and with money of several currencies, and what the journal keeps.

use serde::{Deserialize, Serialize};

use crate::domain::account::{AccountId, PurseIndex};
use crate::domain::money::Currency;
use crate::domain::rate::Rate;
use crate::domain::rate_file::RateRow;
use crate::domain::time::{BusinessDate, UnixMs};

use super::ledger::Postings;
use super::operation::Reference;

/// What an operator asks for.
#[derive(Clone, Debug)]
pub enum MoneyOrder {
    /// Take exchange rates in.
    SetRates(Vec<RateRow>),
    /// Move money to another holder of the programme (rule A30).
    Transfer {
        /// The caller's name for it.
        reference: Reference,
        /// What is to be moved.
        transfer: Transfer,
    },
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
    /// Order something on paper for a holder, who pays its fee (rule A31).
    Paper {
        /// The caller's name for it.
        reference: Reference,
        /// What is ordered.
        order: PaperOrder,
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
    /// Money moved between two accounts, and counted in the limits of who gave it.
    Transferred {
        /// The caller's name for it.
        reference: Reference,
        /// What was moved.
        transfer: Transfer,
        /// The day it counts on.
        date: BusinessDate,
        /// Currency of the postings.
        currency: Currency,
        /// The double entry.
        postings: Postings,
    },
    /// Something on paper was ordered and its fee taken.
    PaperOrdered {
        /// The caller's name for it.
        reference: Reference,
        /// What was ordered.
        order: PaperOrder,
        /// Currency of the postings.
        currency: Currency,
        /// The double entry of the fee.
        postings: Postings,
    },
}

/// Something on paper for a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaperOrder {
    /// Whose.
    pub account: AccountId,
    /// What.
    pub paper: Paper,
}

/// What is sent on paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paper {
    /// A statement.
    Statement,
    /// A notice of the PIN.
    PinNotice,
}

/// Money that one holder sends to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Who gives.
    pub from: AccountId,
    /// Who gets.
    pub to: AccountId,
    /// Minor units.
    pub minor: i64,
}

/// What a reference stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Movement {
    /// A transfer.
    Transfer(Transfer),
    /// A charge.
    Charge(Charge),
    /// The fee of something on paper.
    Paper(PaperOrder),
}

/// A transfer as it counts in the limits of who gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedTransfer {
    /// When.
    pub at: UnixMs,
    /// On which day.
    pub date: BusinessDate,
    /// In which currency.
    pub currency: Currency,
    /// Minor units.
    pub minor: i64,
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
