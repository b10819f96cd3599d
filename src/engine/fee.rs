//! Fees that go with a transaction, as postings of their own (rules A27, A31, C4).
//!
//! A fee is posted when the transaction is approved, and given back with a full reversal or when
//! its hold is released: nothing happened then.

use crate::domain::account::Split;
use crate::domain::facts::Purpose;

use super::case::Case;
use super::entry::{Entry, EntryId};
use super::event::Effect;
use super::exchange::by_currency;
use super::ledger::{LedgerAccount, credit_purses, debit_purses};

/// What approving this would cost the cardholder, minor units of the cardholder's amount.
pub(super) fn of(case: &Case<'_>) -> i64 {
    if case.facts.purpose != Purpose::CashWithdrawal {
        return 0;
    }
    let (Some(rule), Some(channel)) = (&case.programme.cash, case.channel()) else {
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

/// The postings of a fee taken from these purses, one for each currency.
pub(super) fn posted(case: &Case<'_>, split: &Split) -> impl Iterator<Item = Effect> + use<> {
    let account = case.account();
    let (id, to) = (account.id, LedgerAccount::Fees(account.programme));
    let entry = EntryId(case.sequence);
    let parts = by_currency(&account.purses, split).into_iter();
    parts.map(move |(currency, part)| Effect::FeePosted {
        entry,
        currency,
        postings: debit_purses(id, &part, to),
    })
}

/// The way back of an entry's fee; nothing when it has none.
pub(super) fn given_back(case: &Case<'_>, entry: &Entry) -> impl Iterator<Item = Effect> + use<> {
    let account = case.account();
    let (id, from) = (account.id, LedgerAccount::Fees(account.programme));
    let entry_id = entry.id;
    let fee = entry.fee();
    let parts = fee.map(|split| by_currency(&account.purses, split));
    let parts = parts.unwrap_or_default().into_iter();
    parts.map(move |(currency, part)| Effect::FeePosted {
        entry: entry_id,
        currency,
        postings: credit_purses(id, &part, from),
    })
}
