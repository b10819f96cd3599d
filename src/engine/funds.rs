//! Which purse pays: splits over the purses of one account (rules A11, A13, A14, A27, A34).

use smallvec::SmallVec;

use crate::domain::account::{Account, Purse, PurseIndex, Split};
use crate::domain::exchange::Legs;
use crate::domain::money::Currency;

use super::case::Case;
use super::wallet::Wallet;

/// How an amount is taken from purses.
#[derive(Clone, Debug)]
pub(super) enum Payment {
    /// From purses of its own currency, as it stands.
    Plain(Split),
    /// Also from others, or with a mark-up.
    Exchanged(Box<Legs>),
}

/// How the amount of a case is paid, and its fee; `None` when the purses do not have enough.
pub(super) fn pay(case: &Case<'_>, fee: i64) -> Option<(Payment, Split)> {
    let (order, amount) = (case.spend_order(), case.amount);
    if case.converted.is_none() {
        let wanted = amount.minor.checked_add(fee)?;
        let split = spend(order, case.account(), amount.currency, wanted);
        if split.total() == wanted && fee == 0 {
            return Some((Payment::Plain(split), Split::default()));
        }
        if split.total() == wanted {
            let mut rest = split;
            let fee = rest.take_back(fee);
            return Some((Payment::Plain(rest), fee));
        }
    }
    exchange(case, fee)
}

/// As [`pay`], with purses of other currencies and mark-ups.
pub(super) fn exchange(case: &Case<'_>, fee: i64) -> Option<(Payment, Split)> {
    case.programme.exchange?;
    let mut wallet = Wallet::of(case);
    let order = case.spend_order();
    if wallet.take_in_order(order, case.amount.minor) > 0 {
        return None;
    }
    let fee = wallet.fee(order, fee)?;
    Some((wallet.payment(), fee))
}

/// As [`pay`], but what no purse has is taken from the last one of the amount's currency, below
/// zero if need be: a capture always posts (rule A34). `None` without a purse of the currency.
pub(super) fn pay_regardless(case: &Case<'_>, minor: i64) -> Option<Payment> {
    let (order, currency) = (&case.programme.spend_order, case.amount.currency);
    let (last, _) = purses(order, case.account(), currency).last()?;
    if case.converted.is_none() {
        let mut split = spend(order, case.account(), currency, minor);
        let missing = minor.saturating_sub(split.total());
        // Without a purse of another currency nothing can be exchanged.
        let is_only = |purse: &Purse| purse.currency == currency;
        let nothing_else = case.account().purses.iter().all(is_only);
        if missing == 0 || nothing_else || case.programme.exchange.is_none() {
            split.add(last, missing);
            return Some(Payment::Plain(split));
        }
    }
    let mut wallet = Wallet::of(case);
    let missing = wallet.take_in_order(order, minor);
    wallet.take_regardless(last, missing);
    Some(wallet.payment())
}

/// As [`pay_regardless`], but the purses of a hold that is let go pay first, each what it held
/// whatever else was taken from it meanwhile; `costs` says by purse what that is.
pub(super) fn pay_from_hold(
    case: &Case<'_>,
    held: &Split,
    costs: impl Iterator<Item = (PurseIndex, i64)>,
) -> Option<Payment> {
    let (order, currency) = (&case.programme.spend_order, case.amount.currency);
    let freed: SmallVec<[(PurseIndex, i64); 2]> = costs.collect();
    let mut wallet = Wallet::after(case, &freed);
    let mut missing = case.amount.minor;
    for ((purse, worth), (_, cost)) in held.parts().zip(&freed) {
        let taken = wallet.take_held(purse, missing.min(worth), *cost);
        missing = missing.saturating_sub(taken);
    }
    missing = wallet.take_in_order(order, missing);
    if missing > 0 {
        let (last, _) = purses(order, case.account(), currency).last()?;
        wallet.take_regardless(last, missing);
    }
    Some(wallet.payment())
}

/// What all purses together could pay of an amount, minor units of its currency; open holds are
/// not in it.
pub(super) fn available_worth(case: &Case<'_>) -> i64 {
    let order = case.spend_order();
    if case.programme.exchange.is_none() {
        return available(order, case.account(), case.amount.currency);
    }
    let mut wallet = Wallet::of(case);
    let missing = wallet.take_in_order(order, case.amount.minor);
    case.amount.minor.saturating_sub(missing)
}

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
        if wanted <= 0 {
            break;
        }
        let part = available.min(wanted).max(0);
        split.add(index, part);
        wanted = wanted.saturating_sub(part);
    }
    split
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
    let purses = account.purses.as_slice();
    order.iter().filter_map(move |index| {
        let purse = purses.get(index.position())?;
        (purse.currency == currency || planted!(TwoCurrenciesAdded))
            .then(|| (*index, purse.available()))
    })
}
