//! Fees that go with a transaction, as postings of their own (rules A27, A31, C4).
//!
//! A fee is posted when the transaction is approved, and given back with a full reversal or when
//! its hold is released: nothing happened then.

use crate::domain::account::Split;
use crate::domain::facts::Purpose;

use super::case::Case;
use super::entry::{Entry, EntryId};
use super::event::Effect;
use super::ledger::{LedgerAccount, credit_purses, debit_purses};

/// What approving this would cost the cardholder, minor units of the cardholder's amount.
pub(super) fn of(case: &Case<'_>) -> i64 {
    let Some(rule) = &case.programme.cash else {
        return 0;
    };
    let (Purpose::CashWithdrawal, Some(channel)) = (case.facts.purpose, case.channel()) else {
        return 0;
    };
    if case.facts.is_incremental() {
        return 0;
    }
    let currency = case.amount.currency;
    let usage = case.state.usage(case.record, channel, currency, case.date);
    if usage.month_count < rule.free_per_month {
        0
    } else {
        rule.fee(currency)
    }
}

/// The posting of a fee taken from these purses; none when nothing was taken.
pub(super) fn posted(case: &Case<'_>, split: &Split) -> Option<Effect> {
    let account = case.account();
    let to = LedgerAccount::Fees(account.programme);
    (!split.is_empty()).then(|| Effect::FeePosted {
        entry: EntryId(case.sequence),
        currency: case.amount.currency,
        postings: debit_purses(account.id, split, to),
    })
}

/// The way back of an entry's fee; none when it has none.
pub(super) fn given_back(case: &Case<'_>, entry: &Entry) -> Option<Effect> {
    let account = case.account();
    let from = LedgerAccount::Fees(account.programme);
    entry.fee.as_deref().map(|split| Effect::FeePosted {
        entry: entry.id,
        currency: entry.currency,
        postings: credit_purses(account.id, split, from),
    })
}
