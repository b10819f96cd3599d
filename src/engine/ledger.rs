//! Double entry: every movement of money is a list of postings that sums to zero (rule D3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::domain::account::{AccountId, PurseIndex, Split};
use crate::domain::money::Currency;

/// Where money can stand. Programmes are numbered in the order in which the state met them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LedgerAccount {
    /// A purse of a cardholder; above zero: we owe it to the holder.
    Purse(AccountId, PurseIndex),
    /// What a programme owes to the network for posted purchases, less refunds.
    Settlement(u8),
    /// What came in through loads.
    LoadFunds(u8),
    /// What opening balances were issued against.
    Issuance(u8),
    /// What a programme took in fees.
    Fees(u8),
    /// What was paid out to holders who closed their account.
    Payouts(u8),
    /// What stayed behind in closed accounts.
    Forfeited(u8),
    /// What a programme has changed from one currency to another: the two sides of each exchange
    /// stand here in their own currencies.
    Exchange(u8),
    /// What a programme took in mark-ups and fees of exchanges.
    ExchangeFees(u8),
}

/// One side of a movement: minor units, above zero in, below zero out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Where.
    pub account: LedgerAccount,
    /// Minor units.
    pub minor: i64,
}

/// Postings of one movement.
pub type Postings = SmallVec<[Posting; 3]>;

/// Postings that take a split from the purses of an account and give it to one other place.
pub fn debit_purses(account: AccountId, split: &Split, to: LedgerAccount) -> Postings {
    let mut postings: Postings = split
        .parts()
        .map(|(purse, minor)| Posting {
            account: LedgerAccount::Purse(account, purse),
            minor: minor.saturating_neg(),
        })
        .collect();
    postings.push(Posting {
        account: to,
        minor: split.total(),
    });
    postings
}

/// Postings that give a split to the purses of an account and take it from one other place.
pub fn credit_purses(account: AccountId, split: &Split, from: LedgerAccount) -> Postings {
    let mut postings = debit_purses(account, split, from);
    for posting in &mut postings {
        posting.minor = posting.minor.saturating_neg();
    }
    postings
}

/// Sum of postings; zero when they balance. Wide, so that it cannot overflow.
pub fn sum(postings: &[Posting]) -> i128 {
    postings.iter().fold(0, |sum: i128, posting| {
        sum.saturating_add(i128::from(posting.minor))
    })
}

/// Totals of the accounts that are not purses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    totals: BTreeMap<(LedgerAccount, Currency), i64>,
}

impl Ledger {
    /// Adds to a total; `None` when it would leave the range of a 64-bit number.
    pub fn add(&mut self, account: LedgerAccount, currency: Currency, minor: i64) -> Option<()> {
        let total = self.totals.entry((account, currency)).or_default();
        *total = total.checked_add(minor)?;
        Some(())
    }

    /// All totals in order.
    pub fn totals(&self) -> impl Iterator<Item = (LedgerAccount, Currency, i64)> + '_ {
        self.totals
            .iter()
            .map(|((account, currency), minor)| (*account, *currency, *minor))
    }
}
