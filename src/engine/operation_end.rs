//! The end of an account: closed, and after its time the data of its cards erased.

use serde::{Deserialize, Serialize};

use crate::domain::account::{AccountId, PurseIndex};
use crate::domain::time::UnixMs;

use super::ledger::Postings;

/// What was done about the end of an account. Variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndOperation {
    /// An account was closed and its cards with it.
    AccountClosed {
        /// Which one.
        account: AccountId,
        /// Where its money went: one double entry for each purse.
        movements: Vec<(PurseIndex, Postings)>,
    },
    /// Of an account that was closed before closings had a date: its days count from here on.
    ClosingDated(AccountId),
    /// The data of a closed account's cards were erased. The account is named and nothing of what
    /// went, which would else stand here.
    CardDataErased(AccountId),
}

/// When an account came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// When it was closed, or when its days began to count.
    pub closed_at: UnixMs,
    /// When the data of its cards were erased.
    pub erased_at: Option<UnixMs>,
}
