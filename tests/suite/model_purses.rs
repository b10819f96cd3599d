//! How the oracle pays: what each purse gives for an amount, and what a deal holds and has given.
//! Nothing of the engine's money is used.

use cardswitch::domain::facts::{Facts, Purpose};
use cardswitch::domain::money::{Amount, Currency};

use crate::model_books::{
    Deal, Hand, Met, Oracle, Parts, Product, add, is_debit, is_load, part_of, remove, take_last,
    total,
};
use crate::model_rates::share;

/// What one purse gives for a part of an amount.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Leg {
    pub(crate) purse: usize,
    pub(crate) worth: i64,
    pub(crate) net: i64,
    pub(crate) markup: i64,
}

/// What of a deal is paid in another currency, or marked up.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    /// What was first asked.
    pub(crate) asked: Amount,
    /// How much of it is held and posted.
    pub(crate) held_asked: i64,
    pub(crate) posted_asked: i64,
    pub(crate) held: Vec<Leg>,
    pub(crate) posted: Vec<Leg>,
}

/// How an amount is paid.
#[derive(Clone, Debug)]
pub(crate) enum Paid {
    Plain(Parts),
    Foreign(Vec<Leg>),
}

impl Leg {
    pub(crate) fn cost(&self) -> i64 {
        self.net + self.markup
    }

    /// What goes with the worth from one point of this leg to another.
    pub(crate) fn between(&self, from: i64, to: i64) -> Leg {
        let part = |whole| share(whole, to, self.worth) - share(whole, from, self.worth);
        Leg {
            purse: self.purse,
            worth: to - from,
            net: part(self.net),
            markup: part(self.markup),
        }
    }
}

pub(crate) fn put(legs: &mut Vec<Leg>, leg: Leg) {
    match legs.iter_mut().find(|known| known.purse == leg.purse) {
        Some(known) => {
            known.worth += leg.worth;
            known.net += leg.net;
            known.markup += leg.markup;
        }
        None => legs.push(leg),
    }
}

fn pull(legs: &mut Vec<Leg>, leg: Leg) {
    let known = legs.iter_mut().find(|known| known.purse == leg.purse);
    let known = known.unwrap();
    known.worth -= leg.worth;
    known.net -= leg.net;
    known.markup -= leg.markup;
    assert!(
        known.worth.min(known.net).min(known.markup) >= 0,
        "{legs:?}"
    );
    legs.retain(|leg| leg.worth > 0 || leg.cost() > 0);
}

pub(crate) fn worth_of(legs: &[Leg]) -> Parts {
    let mut parts = Parts::new();
    for leg in legs {
        add(&mut parts, leg.purse, leg.worth);
    }
    parts
}

/// A worth by purse: what is plain of it, and what goes with legs, which come first.
fn parted(legs: &[Leg], worth: &Parts) -> (Parts, Vec<Leg>) {
    let (mut plain, mut gone) = (Parts::new(), Vec::new());
    for (purse, minor) in worth {
        let leg = legs.iter().find(|leg| leg.purse == *purse);
        let part = leg.map_or(0, |leg| leg.worth.min(*minor));
        if let (Some(leg), 1..) = (leg, part) {
            gone.push(leg.between(0, part));
        }
        add(&mut plain, *purse, minor - part);
    }
    (plain, gone)
}

/// Mark-up in hundredths of a percent; `None` where nothing is exchanged.
pub(crate) fn markup_of(product: Product) -> Option<i64> {
    match product {
        Product::Prepaid => Some(400),
        Product::Travel => Some(300),
        Product::GiftCode => None,
    }
}

impl Oracle {
    pub(crate) fn exchanges(&self, holder: usize) -> bool {
        markup_of(self.holders[holder].product).is_some()
    }

    /// Purses that pay, first first: of prepaid the non-withdrawable one, which pays no cash.
    pub(crate) fn spend_order(&self, holder: usize, purpose: Purpose) -> Vec<usize> {
        let who = &self.holders[holder];
        match (who.product, purpose) {
            (Product::Prepaid, Purpose::CashWithdrawal) => vec![0],
            (Product::Prepaid, _) => vec![1, 0],
            _ => (0..who.purses.len()).collect(),
        }
    }

    /// What a message is about: a currency with a purse stays; what the network billed is taken;
    /// else the rate of the day.
    pub(crate) fn hand_of(&self, card: Option<usize>, facts: &Facts) -> Hand {
        let asked = facts.amount;
        let hand = |amount, converted| Hand {
            amount,
            asked,
            converted,
        };
        let plain = hand(facts.billing.unwrap_or(asked), false);
        let moves = !matches!(facts.purpose, Purpose::BalanceEnquiry | Purpose::PinChange)
            && !is_load(facts.purpose)
            && !facts.is_account_verification();
        let Some(card) = card.filter(|_| moves && asked.minor > 0) else {
            return plain;
        };
        let holder = self.cards[card].holder;
        if !self.exchanges(holder) {
            return plain;
        }
        if !self.order(holder, asked.currency).is_empty() {
            return hand(asked, false);
        }
        if let Some(part) = self.part_of_purchase(card, facts) {
            return hand(part, true);
        }
        match facts.billing {
            Some(billing) if !self.order(holder, billing.currency).is_empty() => {
                hand(billing, true)
            }
            _ => match self.rate(asked.currency, Currency::JPY) {
                Some(rate) => {
                    let minor = rate.convert(asked.minor, asked.currency, Currency::JPY);
                    hand(Amount::new(minor, Currency::JPY), true)
                }
                None => plain,
            },
        }
    }

    /// Travel: what a refund gives back of what was paid for its purchase in the same currency.
    fn part_of_purchase(&self, card: usize, facts: &Facts) -> Option<Amount> {
        let travels = self.holders[self.cards[card].holder].product == Product::Travel;
        if !travels || facts.purpose != Purpose::Refund {
            return None;
        }
        let purchase = &self.deals[self.refunded_purchase(card, facts)?];
        let foreign = purchase.foreign.as_ref()?;
        let fits = foreign.asked.currency == facts.amount.currency
            && facts.amount.minor <= foreign.posted_asked;
        let paid = total(&purchase.posted);
        let part = share(paid, facts.amount.minor, foreign.posted_asked);
        (fits && part > 0).then(|| Amount::new(part, purchase.currency))
    }

    /// How the message in hand is paid, and its fee; `None` where there is not enough.
    pub(crate) fn pay(&self, card: usize, facts: &Facts, fee: i64) -> Option<(Paid, Parts)> {
        let holder = self.cards[card].holder;
        let order = self.spend_order(holder, facts.purpose);
        let Hand {
            amount, converted, ..
        } = self.hand;
        if !converted {
            let mut parts = self.own(holder, &order, amount.minor + fee);
            if total(&parts) == amount.minor + fee {
                let fee = take_last(&mut parts, fee);
                return Some((Paid::Plain(parts), fee));
            }
        }
        if !self.exchanges(holder) {
            return None;
        }
        let mut wallet = self.wallet(holder);
        if wallet.take_in_order(&order, amount.minor) > 0 {
            return None;
        }
        let fee = wallet.fee(&order, fee)?;
        Some((wallet.paid(), fee))
    }

    /// From purses of the currency, none below zero; what they do not have is missing.
    fn own(&self, holder: usize, order: &[usize], minor: i64) -> Parts {
        let (mut parts, mut rest) = (Vec::new(), minor);
        for purse in order {
            if self.holders[holder].purses[*purse].0 == self.hand.amount.currency {
                let part = rest.min(self.available(holder, *purse)).max(0);
                add(&mut parts, *purse, part);
                rest -= part;
            }
        }
        parts
    }

    /// As `pay`, for what happened already: what is missing comes from the last purse of the
    /// currency, below zero.
    pub(crate) fn pay_regardless(&self, holder: usize, minor: i64) -> Paid {
        let order = self.spend_order(holder, Purpose::Purchase);
        let Hand {
            amount, converted, ..
        } = self.hand;
        let last = *self.order(holder, amount.currency).last().unwrap();
        if !converted {
            let mut parts = self.own(holder, &order, minor);
            let missing = minor - total(&parts);
            let mut purses = self.holders[holder].purses.iter();
            let one_currency = purses.all(|purse| purse.0 == amount.currency);
            if missing == 0 || one_currency || !self.exchanges(holder) {
                add(&mut parts, last, missing);
                return Paid::Plain(parts);
            }
        }
        let mut wallet = self.wallet(holder);
        let missing = wallet.take_in_order(&order, minor);
        wallet.give(last, missing);
        wallet.paid()
    }

    /// How a capture is paid: by the purses of its part of the hold, then by all as they stand.
    pub(crate) fn pay_capture(&self, id: usize, from_hold: &Parts) -> Paid {
        let deal = &self.deals[id];
        let (holder, wanted) = (deal.holder, self.hand.amount.minor);
        let held = deal
            .foreign
            .as_ref()
            .map_or(&[][..], |foreign| &foreign.held);
        if held.is_empty() && !self.hand.converted {
            let beyond = self.pay_regardless(holder, wanted - total(from_hold));
            if let Paid::Plain(parts) = beyond {
                let mut paid = from_hold.clone();
                for (purse, minor) in parts {
                    add(&mut paid, purse, minor);
                }
                return Paid::Plain(paid);
            }
        }
        let mut wallet = self.wallet(holder);
        let (plain, legs) = parted(held, from_hold);
        for (purse, minor) in plain {
            wallet.left[purse] += minor;
        }
        for leg in legs {
            wallet.left[leg.purse] += leg.cost();
        }
        let mut missing = wanted;
        for (purse, worth) in from_hold {
            missing -= wallet.take(*purse, missing.min(*worth));
        }
        missing = wallet.take_in_order(&self.spend_order(holder, Purpose::Purchase), missing);
        let last = *self
            .order(holder, self.hand.amount.currency)
            .last()
            .unwrap();
        wallet.give(last, missing);
        wallet.paid()
    }

    /// What purses could pay of the amount in hand.
    pub(crate) fn payable(&self, holder: usize) -> i64 {
        let Hand { amount, .. } = self.hand;
        if !self.exchanges(holder) {
            let purses = self.order(holder, amount.currency);
            return purses.iter().map(|it| self.available(holder, *it)).sum();
        }
        let order = self.spend_order(holder, Purpose::Purchase);
        amount.minor - self.wallet(holder).take_in_order(&order, amount.minor)
    }

    /// A deal holds more.
    pub(crate) fn hold(&mut self, id: usize, paid: &Paid, asked: i64) {
        match paid {
            Paid::Plain(parts) => {
                for (purse, minor) in parts {
                    add(&mut self.deals[id].held, *purse, *minor);
                }
            }
            Paid::Foreign(legs) => {
                let (foreign, held, _) = self.foreign_of(id);
                foreign.held_asked += asked;
                for leg in legs {
                    put(&mut foreign.held, *leg);
                    add(held, leg.purse, leg.worth);
                }
            }
        }
    }

    /// A deal holds less: so much worth by purse, and of what was asked a share unless it is said.
    pub(crate) fn lower(&mut self, id: usize, worth: &Parts, asked: Option<i64>) {
        let deal = &mut self.deals[id];
        let whole = total(&deal.held);
        if let Some(foreign) = &mut deal.foreign {
            let (_, legs) = parted(&foreign.held, worth);
            if !legs.is_empty() {
                let part = share(foreign.held_asked, total(worth), whole);
                foreign.held_asked -= asked.unwrap_or(part).min(foreign.held_asked);
            }
            legs.into_iter()
                .for_each(|leg| pull(&mut foreign.held, leg));
        }
        remove(&mut deal.held, worth);
    }

    /// A purchase takes its money, or a refund or load brings it.
    pub(crate) fn book(&mut self, id: usize, paid: &Paid) {
        let holder = self.deals[id].holder;
        let sign = if is_debit(self.deals[id].purpose) {
            -1
        } else {
            1
        };
        match paid {
            Paid::Plain(parts) => {
                for (purse, minor) in parts {
                    self.holders[holder].purses[*purse].1 += sign * minor;
                    add(&mut self.deals[id].posted, *purse, *minor);
                }
            }
            Paid::Foreign(legs) => {
                for leg in legs {
                    self.holders[holder].purses[leg.purse].1 += sign * leg.cost();
                    let purse = self.holders[holder].purses[leg.purse];
                    let abroad = purse.0 != self.deals[id].currency;
                    self.meet(Met::SeveralCurrencies, abroad);
                    self.meet(Met::BelowZeroAbroad, purse.1 < 0);
                }
                let asked = self.hand.asked.minor;
                let (foreign, _, posted) = self.foreign_of(id);
                foreign.posted_asked += asked;
                for leg in legs {
                    put(&mut foreign.posted, *leg);
                }
                for (purse, worth) in worth_of(legs) {
                    add(posted, purse, worth);
                }
            }
        }
    }

    /// The way back of so much worth by purse of what was booked.
    pub(crate) fn unbook(&mut self, id: usize, worth: &Parts) {
        let holder = self.deals[id].holder;
        let sign = if is_debit(self.deals[id].purpose) {
            1
        } else {
            -1
        };
        let deal = &mut self.deals[id];
        let whole = total(&deal.posted);
        let (mut plain, mut legs) = (worth.clone(), Vec::new());
        if let Some(foreign) = &mut deal.foreign {
            (plain, legs) = parted(&foreign.posted, worth);
            if !legs.is_empty() {
                foreign.posted_asked -= share(foreign.posted_asked, total(worth), whole);
            }
            legs.iter().for_each(|leg| pull(&mut foreign.posted, *leg));
        }
        remove(&mut deal.posted, worth);
        for leg in legs {
            self.holders[holder].purses[leg.purse].1 += sign * leg.cost();
        }
        for (purse, minor) in plain {
            self.holders[holder].purses[purse].1 += sign * minor;
        }
    }

    fn foreign_of(&mut self, id: usize) -> (&mut Foreign, &mut Parts, &mut Parts) {
        let asked = self.hand.asked;
        let Deal {
            foreign,
            held,
            posted,
            ..
        } = &mut self.deals[id];
        let foreign = foreign.get_or_insert_with(|| Foreign {
            asked,
            held_asked: 0,
            posted_asked: 0,
            held: Vec::new(),
            posted: Vec::new(),
        });
        (foreign, held, posted)
    }

    /// Travel gives a refund back to the purses that paid, the last one first: plain, and as legs.
    pub(crate) fn back_to_payers(&self, id: usize, purchase: usize) -> Option<(Parts, Vec<Leg>)> {
        let purchase_refunded = self.refunded(purchase);
        let holder = self.deals[id].holder;
        let purchase = &self.deals[purchase];
        let foreign = purchase.foreign.as_ref()?;
        let Hand { amount, .. } = self.hand;
        let fits = self.holders[holder].product == Product::Travel
            && purchase.currency == amount.currency
            && foreign.asked.currency == self.hand.asked.currency;
        if !fits {
            return None;
        }
        let mut left = purchase.posted.clone();
        take_last(&mut left, purchase_refunded);
        let before = left.clone();
        let given = take_last(&mut left, amount.minor);
        let (mut plain, mut legs) = (Parts::new(), Vec::new());
        for (purse, worth) in &given {
            let mut rest = *worth;
            if let Some(leg) = foreign.posted.iter().find(|leg| leg.purse == *purse) {
                let gone = part_of(&purchase.posted, *purse) - part_of(&before, *purse);
                let gone = gone.min(leg.worth);
                let part = rest.min(leg.worth - gone);
                if part > 0 {
                    legs.push(leg.between(gone, gone + part));
                }
                rest -= part;
            }
            add(&mut plain, *purse, rest);
        }
        let own = self.order(holder, amount.currency)[0];
        add(&mut plain, own, amount.minor - total(&given));
        Some((plain, legs))
    }
}
