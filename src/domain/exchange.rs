//! Paying in another currency than the purse has: what each purse gives for it (rules A35, C2).

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::account::PurseIndex;
use super::money::{Amount, Currency};
use super::rate::{Percent, Rate, share};

/// How a programme pays in currencies that a purse does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeRule {
    /// What an amount becomes whose currency has no purse.
    pub billing: Currency,
    /// What is added for every conversion (rule A31).
    pub markup: Percent,
    /// What a charge from one purse to another costs (rule C3); `None`: not offered.
    pub charge_fee: Option<Percent>,
}

/// What one purse gives for a part of an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Which purse.
    pub purse: PurseIndex,
    /// How much of the amount this pays, minor units of the entry's currency.
    pub worth: i64,
    /// What it costs before the mark-up, minor units of the purse's currency.
    pub net: i64,
    /// The mark-up, minor units of the purse's currency.
    pub markup: i64,
    /// From the entry's currency to the purse's; `None` where they are the same.
    pub rate: Option<Rate>,
}

impl Leg {
    /// What the purse gives in all, minor units of its currency.
    pub fn cost(&self) -> i64 {
        self.net.saturating_add(self.markup)
    }

    /// What belongs to the worth from `from` up to `to` of this leg. Parts that follow each other
    /// add up to the whole, whatever was rounded in between.
    pub fn between(&self, from: i64, to: i64) -> Leg {
        let part = |whole: i64| {
            let before = share(whole, from, self.worth);
            share(whole, to, self.worth).saturating_sub(before)
        };
        Leg {
            worth: part(self.worth),
            net: part(self.net),
            markup: part(self.markup),
            ..*self
        }
    }
}

/// What several purses give for one amount, in the order in which they were asked.
pub type Legs = SmallVec<[Leg; 2]>;

/// Adds a leg to those of the same purse.
pub fn add_leg(legs: &mut Legs, leg: Leg) {
    match legs.iter_mut().find(|known| known.purse == leg.purse) {
        Some(known) => {
            known.worth = known.worth.saturating_add(leg.worth);
            known.net = known.net.saturating_add(leg.net);
            known.markup = known.markup.saturating_add(leg.markup);
            known.rate = leg.rate;
        }
        None => legs.push(leg),
    }
}

/// Takes a leg out of those of the same purse; `None` when they do not have so much.
pub fn take_leg(legs: &mut Legs, leg: Leg) -> Option<()> {
    let known = legs.iter_mut().find(|known| known.purse == leg.purse)?;
    let less = |from: i64, what: i64| from.checked_sub(what).filter(|left| *left >= 0);
    known.worth = less(known.worth, leg.worth)?;
    known.net = less(known.net, leg.net)?;
    known.markup = less(known.markup, leg.markup)?;
    legs.retain(|leg| leg.worth > 0 || leg.cost() > 0);
    Some(())
}

/// What a message comes to in the currency that the cardholder is billed in, where the programme
/// converted it; a mark-up is a line of its own and not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Billed {
    /// The amount.
    pub amount: Amount,
    /// From the currency of the transaction to that of the amount.
    pub rate: Rate,
}

/// What is known of an entry that was paid in another currency, or marked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// What the message first asked for.
    pub asked: Amount,
    /// How much of it is held, minor units of that currency.
    pub held_minor: i64,
    /// How much of it is posted, minor units of that currency.
    pub posted_minor: i64,
    /// From the currency asked to the entry's, as held; `None` where they are the same.
    pub held_rate: Option<Rate>,
    /// The same as posted.
    pub posted_rate: Option<Rate>,
    /// What purses hold for it.
    pub held: Legs,
    /// What purses gave for it.
    pub posted: Legs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_leg_add_up_to_the_whole() {
        let whole = Leg {
            purse: PurseIndex(0),
            worth: 1_000,
            net: 1_503,
            markup: 61,
            rate: None,
        };
        let parts = [(0, 333), (333, 777), (777, 1_000)];
        let sum = |of: fn(&Leg) -> i64| -> i64 {
            let parts = parts.iter().map(|(from, to)| whole.between(*from, *to));
            parts.map(|leg| of(&leg)).sum()
        };
        assert_eq!(sum(|leg| leg.worth), 1_000);
        assert_eq!(sum(|leg| leg.net), 1_503);
        assert_eq!(sum(|leg| leg.markup), 61);
    }

    #[test]
    fn no_more_comes_out_of_a_leg_than_is_in_it() {
        let leg = |worth| Leg {
            purse: PurseIndex(1),
            worth,
            net: worth,
            markup: 0,
            rate: None,
        };
        let mut legs = Legs::new();
        add_leg(&mut legs, leg(5));
        add_leg(&mut legs, leg(6));
        assert_eq!(take_leg(&mut legs, leg(12)), None);
        assert_eq!(take_leg(&mut legs, leg(11)), Some(()));
        assert!(legs.is_empty());
    }
}
