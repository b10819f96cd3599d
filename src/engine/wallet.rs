//! Paying with purses of several currencies: what each gives, at which rate, with which mark-up
//! (rules A35, C2).
//!
//! Purses of the amount's own currency come first, then the others, both in the programme's order.
//! The mark-up is that of everything paid in one currency, so that two purses do not round twice.

use smallvec::SmallVec;

use crate::domain::account::{PurseIndex, Split};
use crate::domain::exchange::{Leg, Legs, add_leg};
use crate::domain::money::{Amount, Currency};
use crate::domain::rate::{Percent, Rate};

use super::case::Case;
use super::funds::Payment;

/// What the purses of an account can still give for the amount of a case.
pub(super) struct Wallet<'a> {
    case: &'a Case<'a>,
    left: SmallVec<[i64; 5]>,
    legs: Legs,
}

/// What one purse gives for an amount.
#[derive(Clone, Copy)]
struct Price {
    currency: Currency,
    rate: Option<Rate>,
    markup: Percent,
}

impl<'a> Wallet<'a> {
    /// The purses as they stand.
    pub(super) fn of(case: &'a Case<'a>) -> Wallet<'a> {
        Wallet::after(case, &[])
    }

    /// The purses as they stand when so much of what they hold is let go.
    pub(super) fn after(case: &'a Case<'a>, freed: &[(PurseIndex, i64)]) -> Wallet<'a> {
        let purses = &case.account().purses;
        let mut left: SmallVec<[i64; 5]> = purses.iter().map(|purse| purse.available()).collect();
        for (purse, minor) in freed {
            if let Some(left) = left.get_mut(purse.position()) {
                *left = left.saturating_add(*minor);
            }
        }
        // What one purse is short of, another of its currency cannot give.
        for (debtor, purse) in purses.iter().enumerate() {
            let mut debt = left.get(debtor).map_or(0, |it| it.saturating_neg());
            for (other, minor) in purses.iter().zip(&mut left) {
                if debt > 0 && other.currency == purse.currency && *minor > 0 {
                    let part = debt.min(*minor);
                    *minor = minor.saturating_sub(part);
                    debt = debt.saturating_sub(part);
                }
            }
        }
        Wallet {
            case,
            left,
            legs: Legs::new(),
        }
    }

    /// Takes an amount from purses in order, as far as they go; what is missing then.
    pub(super) fn take_in_order(&mut self, order: &[PurseIndex], wanted: i64) -> i64 {
        let mut missing = wanted;
        for is_own in [true, false] {
            for purse in order {
                if missing > 0 && self.is_own(*purse) == is_own {
                    missing = missing.saturating_sub(self.take(*purse, missing));
                }
            }
        }
        missing
    }

    /// Takes up to `most` of the amount from one purse, which stays at zero or above; how much.
    fn take(&mut self, purse: PurseIndex, most: i64) -> i64 {
        self.take_held(purse, most, 0)
    }

    /// As much from a purse that held `held` for it, its own minor units: those it gives in any
    /// case, below zero if need be.
    pub(super) fn take_held(&mut self, purse: PurseIndex, most: i64, held: i64) -> i64 {
        let Some(price) = self.price(purse) else {
            return 0;
        };
        let left = self.left.get(purse.position()).copied().unwrap_or(0);
        let left = left.max(held);
        let fits = |worth: i64| {
            let leg = self.leg(purse, price, worth);
            leg.is_some_and(|leg| leg.cost() <= left)
        };
        let worth = greatest(most, fits);
        self.put(purse, price, worth);
        worth
    }

    /// Takes a part of the amount from one purse, below zero if need be.
    pub(super) fn take_regardless(&mut self, purse: PurseIndex, worth: i64) {
        if let Some(price) = self.price(purse) {
            self.put(purse, price, worth);
        }
    }

    /// Takes a fee in the amount's currency from what is left, at the rate and without a mark-up;
    /// each part in the currency of its purse. `None` when there is not enough.
    pub(super) fn fee(&mut self, order: &[PurseIndex], fee: i64) -> Option<Split> {
        let (mut missing, mut parts) = (fee, Split::default());
        for is_own in [true, false] {
            for purse in order {
                if missing <= 0 || self.is_own(*purse) != is_own {
                    continue;
                }
                let Some(price) = self.price(*purse) else {
                    continue;
                };
                let left = self.left.get_mut(purse.position())?;
                let currency = self.case.amount.currency;
                let net = |worth| net_of(price, Amount::new(worth, currency));
                let worth = greatest(missing, |worth| {
                    net(worth).is_some_and(|net| net <= (*left).max(0))
                });
                let net = net(worth)?;
                *left = left.saturating_sub(net);
                parts.add(*purse, net);
                missing = missing.saturating_sub(worth);
            }
        }
        (missing <= 0).then_some(parts)
    }

    /// What was taken.
    pub(super) fn payment(self) -> Payment {
        let is_plain = self.case.converted.is_none();
        if !is_plain || self.legs.iter().any(|leg| leg.rate.is_some()) {
            return Payment::Exchanged(Box::new(self.legs));
        }
        let mut split = Split::default();
        for leg in &self.legs {
            split.add(leg.purse, leg.worth);
        }
        Payment::Plain(split)
    }

    fn is_own(&self, purse: PurseIndex) -> bool {
        let currency = self.case.programme.purse_currency(purse);
        currency == Some(self.case.amount.currency)
    }

    fn price(&self, purse: PurseIndex) -> Option<Price> {
        let case = self.case;
        let (own, currency) = (case.amount.currency, case.programme.purse_currency(purse)?);
        let rule = case.programme.exchange;
        if currency == own {
            let marked_up = rule.filter(|_| case.converted.is_some());
            return Some(Price {
                currency,
                rate: None,
                markup: marked_up.map_or(Percent::default(), |rule| rule.markup),
            });
        }
        let rule = rule?;
        let rate = case
            .state
            .rates()
            .find(own, currency, rule.billing, case.at)?;
        Some(Price {
            currency,
            rate: Some(rate),
            markup: rule.markup,
        })
    }

    /// What a purse would give for a part of the amount, after what was taken before it.
    fn leg(&self, purse: PurseIndex, price: Price, worth: i64) -> Option<Leg> {
        let same_currency = |leg: &&Leg| {
            let currency = self.case.programme.purse_currency(leg.purse);
            currency == Some(price.currency)
        };
        let before = self.legs.iter().filter(same_currency);
        let before = before.fold(0_i64, |sum, leg| sum.saturating_add(leg.worth));
        let own = self.case.amount.currency;
        let net = |worth| net_of(price, Amount::new(worth, own));
        let (net_before, net_after) = (net(before)?, net(before.checked_add(worth)?)?);
        let markup_before = price.markup.of(net_before);
        Some(Leg {
            purse,
            worth,
            net: net_after.checked_sub(net_before)?,
            markup: price.markup.of(net_after).checked_sub(markup_before)?,
            rate: price.rate,
        })
    }

    fn put(&mut self, purse: PurseIndex, price: Price, worth: i64) {
        if worth <= 0 {
            return;
        }
        let Some(leg) = self.leg(purse, price, worth) else {
            return;
        };
        if let Some(left) = self.left.get_mut(purse.position()) {
            *left = left.saturating_sub(leg.cost());
        }
        add_leg(&mut self.legs, leg);
    }
}

fn net_of(price: Price, amount: Amount) -> Option<i64> {
    match price.rate {
        None => Some(amount.minor),
        Some(rate) => rate.convert(amount, price.currency),
    }
}

/// The greatest number up to `most` that fits, where everything below one that fits also fits.
fn greatest(most: i64, fits: impl Fn(i64) -> bool) -> i64 {
    let (mut low, mut high) = (0_i64, most.max(0));
    if fits(high) {
        return high;
    }
    // `low` fits or is nothing, `high` does not fit.
    while let Some(middle) = low
        .checked_add(high)
        .and_then(|sum| sum.checked_div(2))
        .filter(|middle| *middle > low)
    {
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_that_fits_is_found() {
        for most in 0..40 {
            for limit in 0..40 {
                assert_eq!(greatest(most, |it| it <= limit), most.min(limit));
            }
        }
        assert_eq!(greatest(5, |_| false), 0);
    }
}
