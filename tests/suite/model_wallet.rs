//! Purses that pay one after the other, each at its price: the oracle's way to several currencies.

use cardswitch::domain::money::Currency;

use crate::model_books::{Oracle, Parts, add};
use crate::model_purses::{Leg, Paid, markup_of, put, worth_of};
use crate::model_rates::percent;

impl Oracle {
    pub(crate) fn wallet(&self, holder: usize) -> Wallet<'_> {
        let purses = &self.holders[holder].purses;
        let mut left: Vec<i64> = (0..purses.len())
            .map(|purse| self.available(holder, purse))
            .collect();
        // What one purse is short of, another of its currency cannot give.
        for debtor in 0..purses.len() {
            let mut debt = -left[debtor];
            for other in 0..purses.len() {
                if debt > 0 && left[other] > 0 && purses[other].0 == purses[debtor].0 {
                    let part = debt.min(left[other]);
                    left[other] -= part;
                    debt -= part;
                }
            }
        }
        Wallet {
            oracle: self,
            holder,
            left,
            legs: Vec::new(),
        }
    }
}

/// Purses that pay an amount one after the other.
pub(crate) struct Wallet<'a> {
    oracle: &'a Oracle,
    holder: usize,
    pub(crate) left: Vec<i64>,
    legs: Vec<Leg>,
}

impl Wallet<'_> {
    fn currency(&self, purse: usize) -> Currency {
        self.oracle.holders[self.holder].purses[purse].0
    }

    fn own(&self) -> Currency {
        self.oracle.hand.amount.currency
    }

    /// What a worth is in the currency of a purse; `None` without a rate.
    fn net(&self, purse: usize, worth: i64) -> Option<i64> {
        let (own, currency) = (self.own(), self.currency(purse));
        if own == currency {
            return Some(worth);
        }
        Some(
            self.oracle
                .rate(own, currency)?
                .convert(worth, own, currency),
        )
    }

    fn markup(&self, purse: usize, net: i64) -> i64 {
        if self.own() == self.currency(purse) && !self.oracle.hand.converted {
            return 0;
        }
        let product = self.oracle.holders[self.holder].product;
        percent(markup_of(product).unwrap_or(0), net)
    }

    /// What a purse would give, rounded with all that was paid in its currency before.
    fn leg(&self, purse: usize, worth: i64) -> Option<Leg> {
        let currency = self.currency(purse);
        let same = self
            .legs
            .iter()
            .filter(|leg| self.currency(leg.purse) == currency);
        let before: i64 = same.map(|leg| leg.worth).sum();
        let first = self.net(purse, before)?;
        let both = self.net(purse, before + worth)?;
        Some(Leg {
            purse,
            worth,
            net: both - first,
            markup: self.markup(purse, both) - self.markup(purse, first),
        })
    }

    /// The most of an amount that a purse can pay; how much that is.
    pub(crate) fn take(&mut self, purse: usize, most: i64) -> i64 {
        let left = self.left[purse];
        let worth = greatest(most, |worth| {
            self.leg(purse, worth).is_some_and(|leg| leg.cost() <= left)
        });
        self.give(purse, worth);
        worth
    }

    pub(crate) fn give(&mut self, purse: usize, worth: i64) {
        if worth > 0
            && let Some(leg) = self.leg(purse, worth)
        {
            self.left[purse] -= leg.cost();
            put(&mut self.legs, leg);
        }
    }

    /// Purses of the amount's currency first; what is missing then.
    pub(crate) fn take_in_order(&mut self, order: &[usize], wanted: i64) -> i64 {
        let own = self.own();
        let (first, then): (Vec<usize>, Vec<usize>) = order
            .iter()
            .partition(|purse| self.currency(**purse) == own);
        let mut missing = wanted;
        for purse in first.into_iter().chain(then) {
            missing -= self.take(purse, missing);
        }
        missing
    }

    /// A fee out of what is left, without a mark-up.
    pub(crate) fn fee(&mut self, order: &[usize], fee: i64) -> Option<Parts> {
        let own = self.own();
        let (first, then): (Vec<usize>, Vec<usize>) = order
            .iter()
            .partition(|purse| self.currency(**purse) == own);
        let (mut missing, mut parts) = (fee, Parts::new());
        for purse in first.into_iter().chain(then) {
            let left = self.left[purse].max(0);
            let worth = greatest(missing, |worth| {
                self.net(purse, worth).is_some_and(|net| net <= left)
            });
            let net = self.net(purse, worth).unwrap_or(0);
            self.left[purse] -= net;
            add(&mut parts, purse, net);
            missing -= worth;
        }
        (missing == 0).then_some(parts)
    }

    pub(crate) fn paid(self) -> Paid {
        let own = self.own();
        let mut legs = self.legs.iter();
        let plain = !self.oracle.hand.converted && legs.all(|leg| self.currency(leg.purse) == own);
        if plain {
            Paid::Plain(worth_of(&self.legs))
        } else {
            Paid::Foreign(self.legs)
        }
    }
}

/// The greatest number up to a limit that fits, where with one all below it fit.
fn greatest(most: i64, fits: impl Fn(i64) -> bool) -> i64 {
    let (mut found, mut step) = (0, 1_i64 << 40);
    while step > 0 {
        if found + step <= most && fits(found + step) {
            found += step;
        }
        step /= 2;
    }
    found
}
