//! Limits of single cards in the oracle's books: slow, from the deals of the card alone.

use cardswitch::domain::card::CardStatus;
use cardswitch::domain::card_limit::{CardLimit, CardWindow};
use cardswitch::domain::decision::Reason;
use cardswitch::domain::facts::{Facts, Presence, Purpose};
use cardswitch::domain::money::Currency;
use cardswitch::domain::programme::Channel;
use cardswitch::engine::command::Body;
use cardswitch::engine::operation::Order;

use crate::model::{Table, card_id};
use crate::model_books::{Deal, Oracle, gives_back, is_load};
use crate::model_operators::Came;

impl Oracle {
    /// Limits of its own that a card has; none, unless an operator gave it some.
    pub(crate) fn own_limits(&self, card: usize) -> &[CardLimit] {
        let rows = self.desk.limits.iter().rev();
        let mut of_card = rows.filter(|row| row.0 == card);
        of_card.next().map_or(&[], |row| &row.1)
    }

    fn limit_card(&mut self, card: usize, limits: &[CardLimit]) -> Came {
        let purses = &self.holders[self.cards[card].holder].purses;
        let has_purse = |limit: &CardLimit| purses.iter().any(|purse| purse.0 == limit.currency);
        let is_senseless =
            |limit: &CardLimit| limit.amount_max.is_none() && limit.count_max.is_none();
        let is_fit = limits.iter().all(has_purse) && !limits.iter().any(is_senseless);
        if self.cards[card].status == CardStatus::Closed || !is_fit {
            return Came::Refused;
        }
        if self.own_limits(card) == limits {
            return Came::Before;
        }
        self.desk.limits.push((card, limits.to_vec()));
        Came::Done
    }

    /// What a card's own limits refuse: of several the first in the order of precedence.
    pub(crate) fn limited_by_card(&self, card: usize, facts: &Facts) -> Option<Reason> {
        let (mut amount, mut count, mut once) = (false, false, false);
        for limit in self.own_limits(card) {
            let is_within = counts(limit.channel, facts.purpose, facts.presence);
            if limit.currency != self.hand.amount.currency || !is_within {
                continue;
            }
            let minor = self.hand.amount.minor;
            let most = limit.amount_max.unwrap_or(i64::MAX);
            if limit.window == CardWindow::Transaction {
                once |= minor > most;
                continue;
            }
            let presence = |deal: &Deal| match deal.online {
                true => Presence::Absent,
                false => Presence::Present,
            };
            let mine = self.deals.iter().filter(|deal| {
                deal.card == card
                    && deal.currency == limit.currency
                    && deal.date == self.today()
                    && !gives_back(deal.purpose)
                    && counts(limit.channel, deal.purpose, presence(deal))
            });
            let (used, times) = mine.fold((0, 0), |(used, times), deal| {
                (used + deal.counted, times + u32::from(deal.counts_as_one))
            });
            amount |= minor > most - used;
            count |= limit.count_max.is_some_and(|most| times >= most);
        }
        [
            (once, Reason::TransactionLimit),
            (amount, Reason::PeriodAmountLimit),
            (count, Reason::PeriodCountLimit),
        ]
        .into_iter()
        .find_map(|(is_above, reason)| is_above.then_some(reason))
    }
}

fn counts(channel: Channel, purpose: Purpose, presence: Presence) -> bool {
    let is_load = is_load(purpose);
    let is_cash = purpose == Purpose::CashWithdrawal;
    match channel {
        Channel::Purchase => !is_load && !is_cash,
        Channel::ECommerce => !is_load && !is_cash && presence == Presence::Absent,
        Channel::CashWithdrawal => is_cash,
        _ => is_load,
    }
}

impl Table<'_> {
    /// An operator limits a card, or sets it free.
    pub(crate) fn limit_card(&mut self) -> (Body, Came) {
        let card = self.any_card();
        let limits = match self.dice.below(10) {
            0..5 => vec![],
            _ => {
                let channels = [
                    Channel::Purchase,
                    Channel::Purchase,
                    Channel::ECommerce,
                    Channel::CashWithdrawal,
                    Channel::Load,
                ];
                let windows = [CardWindow::Day, CardWindow::Transaction];
                let (channel, window) = (self.dice.pick(&channels), self.dice.pick(&windows));
                let is_daily = window == CardWindow::Day;
                let foreign = Currency::from_alpha("USD").unwrap();
                vec![CardLimit {
                    channel,
                    window,
                    currency: match self.dice.chance(85) {
                        true => Currency::JPY,
                        false => foreign,
                    },
                    amount_max: match self.dice.below(4) {
                        0 => None,
                        1 => Some(0),
                        _ => Some(i64::try_from(1_000 + self.dice.below(60_000)).unwrap()),
                    },
                    count_max: match self.dice.chance(50) && is_daily {
                        true => Some(u32::try_from(self.dice.below(3)).unwrap()),
                        false => None,
                    },
                }]
            }
        };
        let expected = self.oracle.limit_card(card, &limits);
        let order = Order::LimitCard(card_id(card), limits);
        (Body::Operate(Box::new(order)), expected)
    }
}
