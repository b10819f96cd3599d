//! Which purse pays: splits over the purses of one account (rules A11, A13, A14, A27, A34).

use crate::domain::account::{Account, PurseIndex, Split};
use crate::domain::money::Currency;
use crate::domain::programme::Programme;

/// What a purchase in this currency could spend, minor units; open holds are not in it.
pub(super) fn available(order: &[PurseIndex], account: &Account, currency: Currency) -> i64 {
    purses(order, account, currency)
        .fold(0_i64, |sum, (_, available)| sum.saturating_add(available))
}

/// How a purchase takes an amount: purses in the programme's order, none below zero.
///
/// The part that no purse has is missing from the split.
pub(super) fn spend(
    order: &[PurseIndex],
    account: &Account,
    currency: Currency,
    minor: i64,
) -> Split {
    let mut wanted = minor;
    let mut split = Split::default();
    for (index, available) in purses(order, account, currency) {
        let part = available.min(wanted).max(0);
        split.add(index, part);
        wanted = wanted.saturating_sub(part);
    }
    split
}

/// As [`spend`], but what no purse has is taken from the last one, below zero if need be: a capture
/// always posts (rule A34). `None` when the account has no purse of the currency.
pub(super) fn spend_regardless(
    programme: &Programme,
    account: &Account,
    currency: Currency,
    minor: i64,
) -> Option<Split> {
    let order = &programme.spend_order;
    let (last, _) = purses(order, account, currency).last()?;
    let mut split = spend(order, account, currency, minor);
    split.add(last, minor.saturating_sub(split.total()));
    Some(split)
}

/// How a refund goes back (rule A13): first to `refill.0` up to `refill.1`, the rest to `purse`.
pub(super) fn give_back(purse: PurseIndex, refill: Option<(PurseIndex, i64)>, minor: i64) -> Split {
    let mut split = Split::default();
    let mut rest = minor;
    if let Some((first, paid)) = refill {
        let part = paid.min(rest).max(0);
        split.add(first, part);
        rest = rest.saturating_sub(part);
    }
    split.add(purse, rest);
    split
}

/// Purses of a currency in the order of spending, with what each has available.
fn purses<'a>(
    order: &'a [PurseIndex],
    account: &'a Account,
    currency: Currency,
) -> impl Iterator<Item = (PurseIndex, i64)> + 'a {
    order.iter().filter_map(move |index| {
        let purse = account.purses.get(index.position())?;
        (purse.currency == currency).then(|| (*index, purse.available()))
    })
}
