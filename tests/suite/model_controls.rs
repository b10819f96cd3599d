//! Controls of single cards in the oracle's books: what each of a few refuses, written out.

use cardswitch::domain::block::{Condition, MccRange};
use cardswitch::domain::card::CardStatus;
use cardswitch::domain::card_control::CardControl;
use cardswitch::domain::decision::Reason;
use cardswitch::domain::facts::{Facts, Presence, Purpose};
use cardswitch::engine::command::Body;
use cardswitch::engine::operation::Order;

use crate::model::{Table, card_id};
use crate::model_books::Oracle;
use crate::model_operators::Came;

impl Oracle {
    /// Controls of its own that a card has; none, unless an operator gave it some.
    pub(crate) fn own_controls(&self, card: usize) -> &[CardControl] {
        let rows = self.desk.controls.iter().rev();
        let mut of_card = rows.filter(|row| row.0 == card);
        of_card.next().map_or(&[], |row| &row.1)
    }

    fn control_card(&mut self, card: usize, controls: &[CardControl]) -> Came {
        let is_empty = |control: &CardControl| control.conditions.is_empty();
        if self.cards[card].status == CardStatus::Closed || controls.iter().any(is_empty) {
            return Came::Refused;
        }
        if self.own_controls(card) == controls {
            return Came::Before;
        }
        self.desk.controls.push((card, controls.to_vec()));
        Came::Done
    }

    /// What a card's own controls refuse: of several the first in the order of precedence.
    pub(crate) fn controlled_by_card(&self, card: usize, facts: &Facts) -> Option<Reason> {
        let online = facts.presence == Presence::Absent;
        let mcc = facts.mcc.map_or(0, |mcc| mcc.0);
        let refused = self.own_controls(card).iter().filter_map(|control| {
            // Each is one of those that the dice make.
            let (is_meant, reason) = match control.conditions.as_slice() {
                [Condition::Presence(_), Condition::Mcc(_)] => {
                    (online && mcc == 5411, Reason::MerchantCategory)
                }
                [Condition::Presence(_)] => (online, Reason::ChannelNotAllowed),
                [Condition::Mcc(_)] => (mcc == 5411, Reason::MerchantCategory),
                _ => (
                    facts.purpose == Purpose::CashWithdrawal,
                    Reason::CashNotAllowed,
                ),
            };
            is_meant.then_some(reason)
        });
        refused.min()
    }
}

impl Table<'_> {
    /// An operator gives a card controls, or sets it free.
    pub(crate) fn control_card(&mut self) -> (Body, Came) {
        let card = self.any_card();
        let online = Condition::Presence(Presence::Absent);
        let groceries = Condition::Mcc(vec![MccRange::of("5411").unwrap()]);
        let cash = Condition::Purpose(vec![Purpose::CashWithdrawal]);
        let control = |conditions: &[Condition]| CardControl {
            conditions: conditions.to_vec(),
        };
        let controls = match self.dice.below(10) {
            0..4 => vec![],
            4 => vec![control(&[])],
            5 => vec![control(&[online, groceries])],
            6 => vec![control(&[online])],
            7 => vec![control(&[groceries]), control(&[cash])],
            8 => vec![control(&[online]), control(&[groceries])],
            _ => vec![control(&[cash])],
        };
        let expected = self.oracle.control_card(card, &controls);
        let order = Order::ControlCard(card_id(card), controls);
        (Body::Operate(Box::new(order)), expected)
    }
}
