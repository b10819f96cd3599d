//! The obvious way to answer: what a message does to the books of `model_books.rs`.
//!
//! Written from the programme rules, not from the engine, of which it uses nothing.

use std::collections::BTreeSet;

use cardswitch::domain::card::CardStatus;
use cardswitch::domain::decision::{ApprovalCode, Reason};
use cardswitch::domain::facts::{Facts, IssuerRoute, MessageKind, Purpose, Trace};
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::CardToken;
use cardswitch::domain::rare_facts::{AdviceReason, LoadChannel};
use cardswitch::domain::time::{Calendar, UnixMs};

use crate::model_books::{
    Answered, Deal, Hand, Holder, Match, Met, Oracle, Part, Product, Stands, is_debit, life_days,
    paid_in, take_first, take_last, total,
};
use crate::model_desk::Desk;
use crate::model_purses::Paid;
use crate::model_rates::share;

/// What the oracle expects of a message.
pub(crate) struct Expectation {
    pub(crate) reason: Reason,
    pub(crate) again: bool,
    /// What was approved where that is less than was asked.
    pub(crate) part: Option<Part>,
    /// Balance and held of every purse where the answer shows them.
    pub(crate) shown: Option<Vec<(i64, i64)>>,
}

impl Oracle {
    /// With these accounts, to which cards are issued.
    pub(crate) fn new(holders: Vec<Holder>, refills: bool) -> Oracle {
        let nothing = Amount::new(0, Currency::JPY);
        Oracle {
            holders,
            cards: Vec::new(),
            refills,
            calendar: Calendar::in_zone("Asia/Tokyo").unwrap(),
            at: 0,
            deals: Vec::new(),
            answers: Vec::new(),
            reversed_before: Vec::new(),
            rates: Vec::new(),
            beside: Vec::new(),
            met: BTreeSet::new(),
            movements: Vec::new(),
            desk: Desk::default(),
            hand: Hand {
                amount: nothing,
                asked: nothing,
                converted: false,
            },
            touched: None,
            part: None,
        }
    }

    /// Balance and held of every purse of a holder.
    pub(crate) fn purses(&self, holder: usize) -> Vec<(i64, i64)> {
        let purses = self.holders[holder].purses.iter().enumerate();
        purses
            .map(|(purse, (_, balance))| (*balance, self.held(holder, purse)))
            .collect()
    }

    /// Answers a message; `approval` is the code it would get.
    pub(crate) fn answer(
        &mut self,
        at: UnixMs,
        facts: &Facts,
        approval: Option<ApprovalCode>,
    ) -> Expectation {
        self.at = at.0;
        let earlier = self
            .answers
            .iter()
            .find(|one| one.facts.key() == facts.key());
        if let Some(earlier) = earlier {
            let first = &earlier.facts;
            let is_same = first.card == facts.card
                && first.amount == facts.amount
                && first.purpose == facts.purpose;
            return Expectation {
                reason: if is_same {
                    earlier.reason
                } else {
                    Reason::DuplicateContent
                },
                again: is_same,
                part: earlier.part.filter(|_| is_same),
                shown: earlier.shown.clone().filter(|_| is_same),
            };
        }
        self.touched = None;
        self.part = None;
        let reason = self.reason(facts, approval);
        let enquiry = facts.purpose == Purpose::BalanceEnquiry;
        let asked = matches!(
            facts.kind,
            MessageKind::Authorization | MessageKind::Financial
        );
        let shown = (enquiry && asked && reason == Reason::Approved)
            .then(|| self.purses(self.cards[self.card_of(facts).unwrap()].holder));
        self.answers.push(Answered {
            at: self.at,
            facts: facts.clone(),
            card: self.card_of(facts),
            reason,
            shown: shown.clone(),
            deal: self.touched,
            part: self.part,
        });
        Expectation {
            reason,
            again: false,
            part: self.part,
            shown,
        }
    }

    fn reason(&mut self, facts: &Facts, approval: Option<ApprovalCode>) -> Reason {
        let is_reversal = facts.kind == MessageKind::Reversal;
        let unknown = match facts.route {
            IssuerRoute::Unknown => Some(Reason::UnknownIssuer),
            IssuerRoute::Malformed => Some(Reason::InvalidCard),
            IssuerRoute::Ours => None,
        };
        let card = match (unknown, self.card_of(facts)) {
            (None, Some(card)) => card,
            _ if is_reversal => return Reason::Approved,
            (reason, _) => return reason.unwrap_or(Reason::InvalidCard),
        };
        self.hand = self.hand_of(Some(card), facts);
        let came_late = self
            .reversed_before
            .iter()
            .find(|one| (one.1, one.2) == (self.cards[card].token, facts.trace))
            .map(|one| one.3);
        let is_advice = matches!(
            facts.kind,
            MessageKind::AuthorizationAdvice | MessageKind::FinancialAdvice
        );
        let mut is_undone = came_late.is_some();
        if let (true, Some(remaining @ 1..)) = (is_advice, came_late) {
            let Hand { amount, asked, .. } = &mut self.hand;
            amount.minor = share(amount.minor, remaining, asked.minor);
            asked.minor = asked.minor.min(remaining);
            is_undone = false;
        }
        match facts.kind {
            MessageKind::Reversal => return self.reverse(card, facts),
            MessageKind::AuthorizationAdvice if is_undone => {}
            MessageKind::FinancialAdvice if is_undone => {}
            MessageKind::AuthorizationAdvice => self.stand_in(card, facts),
            MessageKind::FinancialAdvice => self.post(card, facts),
            MessageKind::Authorization | MessageKind::Financial => {
                let reason = match is_undone {
                    true => Reason::LateOriginal,
                    false => self.asked(card, facts, approval),
                };
                self.count_try(card, facts.pin);
                return reason;
            }
        }
        Reason::Approved
    }

    fn asked(&mut self, card: usize, facts: &Facts, approval: Option<ApprovalCode>) -> Reason {
        let refused = self.refusal(card, facts);
        let is_own = refused.is_some() && refused == self.limited_by_card(card, facts);
        self.meet(Met::OwnLimit, is_own);
        let is_own = refused.is_some() && refused == self.controlled_by_card(card, facts);
        self.meet(Met::OwnControl, is_own);
        match refused {
            Some(Reason::InsufficientFunds) => match self.affordable(card, facts) {
                Some((hand, part)) => {
                    self.hand = hand;
                    self.part = Some(part);
                    self.meet(Met::PartOfForeign, hand.converted);
                    self.approve(card, facts, approval);
                    Reason::PartiallyApproved
                }
                None => Reason::InsufficientFunds,
            },
            Some(reason) => {
                let is_dead = reason == Reason::InvalidCard && self.is_from_dead_device(facts);
                self.meet(Met::DeadDevice, is_dead);
                reason
            }
            None => {
                self.approve(card, facts, approval);
                Reason::Approved
            }
        }
    }

    fn approve(&mut self, card: usize, facts: &Facts, approval: Option<ApprovalCode>) {
        let holder = self.cards[card].holder;
        let amount = self.hand.amount;
        let at_once = facts.kind == MessageKind::Financial;
        self.meet(Met::PaidByDevice, self.is_from_device(facts));
        let moves_nothing = matches!(facts.purpose, Purpose::BalanceEnquiry | Purpose::PinChange);
        if moves_nothing || facts.is_account_verification() {
            if facts.purpose == Purpose::PinChange {
                self.meet(Met::PinChange, true);
                self.cards[card].pin = Some(false);
            }
            return;
        }
        let code = approval.or(facts.quoted_approval);
        let spends = is_debit(facts.purpose);
        if facts.is_incremental() && !at_once && spends {
            let found = self.find(card, facts, false, |deal| {
                deal.stands == Stands::Pending
                    && deal.purpose == facts.purpose
                    && deal.currency == amount.currency
            });
            if let Match::One(id) = found {
                self.touched = Some(id);
                let (paid, _) = self.pay(card, facts, 0).unwrap();
                self.hold(id, &paid, self.hand.asked.minor);
                self.deals[id].counted += amount.minor;
                return;
            }
        }
        let fee = self.fee(card, facts);
        let paid = spends.then(|| self.pay(card, facts, fee).unwrap());
        let id = self.open(card, facts, code);
        match facts.purpose {
            Purpose::Refund | Purpose::OriginalCredit => {
                let credits = self.refills && self.holders[holder].product == Product::Prepaid;
                if at_once || credits {
                    self.give_back(id, self.deals[id].refund_of);
                } else {
                    self.deals[id].life_days = life_days(facts);
                }
            }
            Purpose::Load | Purpose::Activation => {
                self.load(id, facts);
                self.deals[id].paid_in = paid_in(facts);
                let way = self.deals[id].paid_in;
                self.meet(Met::LoadByMachine, way == Some(LoadChannel::Atm));
                self.meet(Met::LoadByBank, way == Some(LoadChannel::Bank));
                self.meet(Met::LoadByCard, way == Some(LoadChannel::CreditCard));
                self.count(id, amount.minor);
            }
            _ => {
                let (paid, fee) = paid.unwrap();
                if at_once {
                    self.book(id, &paid);
                    self.rest(id, Stands::Captured);
                } else {
                    self.hold(id, &paid, self.hand.asked.minor);
                    self.deals[id].life_days = life_days(facts);
                }
                self.count(id, amount.minor);
                self.meet(Met::Cash, facts.purpose == Purpose::CashWithdrawal);
                self.meet(Met::CashFee, !fee.is_empty());
                let own =
                    |part: &(usize, i64)| self.holders[holder].purses[part.0].0 == amount.currency;
                self.meet(Met::FeeAbroad, !fee.iter().all(own));
                self.meet(Met::Converted, self.hand.converted);
                let billed = self.hand.converted && facts.billing == Some(amount);
                self.meet(Met::BilledByNetwork, billed);
                for (purse, minor) in &fee {
                    self.holders[holder].purses[*purse].1 -= minor;
                }
                self.deals[id].fee = fee;
            }
        }
    }

    /// Money comes onto a card; the first on a card from a shop makes it usable.
    fn load(&mut self, id: usize, facts: &Facts) {
        let Deal { card, holder, .. } = self.deals[id];
        let amount = self.hand.amount;
        let purse = self.load_purse(holder, facts, amount.currency);
        self.credit(id, vec![(purse, amount.minor)]);
        let sold = self.holders[holder].product == Product::GiftCode
            && facts.purpose == Purpose::Activation
            && self.cards[card].status == CardStatus::NotActivated;
        self.meet(Met::Sold, sold);
        self.deals[id].activates = sold;
        if sold {
            self.cards[card].status = CardStatus::Active;
        }
    }

    /// The posting of a refund, to the purses of its purchase where those gave other currencies.
    fn give_back(&mut self, id: usize, purchase: Option<usize>) {
        match purchase.and_then(|purchase| self.back_to_payers(id, purchase)) {
            Some((plain, legs)) => {
                self.meet(Met::RefundToPayers, !legs.is_empty());
                // The one says how it offsets, before the other comes.
                self.credit(id, plain);
                if !legs.is_empty() {
                    self.book(id, &Paid::Foreign(legs));
                }
            }
            None => {
                let parts = self.refund_parts(id, purchase, self.hand.amount.minor);
                self.credit(id, parts);
            }
        }
    }

    fn stand_in(&mut self, card: usize, facts: &Facts) {
        let holder = self.cards[card].holder;
        let Hand { amount, asked, .. } = self.hand;
        let moves_nothing = matches!(facts.purpose, Purpose::BalanceEnquiry | Purpose::PinChange);
        let spends = is_debit(facts.purpose) && !moves_nothing;
        if !facts.stand_in_approved || !spends || amount.minor <= 0 {
            return;
        }
        let found = self.find(card, facts, false, |deal| {
            deal.stands == Stands::Pending
                && deal.purpose == Purpose::Purchase
                && deal.currency == amount.currency
        });
        match found {
            Match::Several => {}
            Match::One(id) => {
                self.touched = Some(id);
                let change = amount.minor - total(&self.deals[id].held);
                if change > 0 {
                    let foreign = self.deals[id].foreign.as_ref();
                    let open = foreign.map_or(0, |foreign| foreign.held_asked);
                    let paid = self.pay_regardless(holder, change);
                    self.hold(id, &paid, (asked.minor - open).max(0));
                } else {
                    let less = take_last(&mut self.deals[id].held.clone(), -change);
                    self.lower(id, &less, None);
                }
                self.deals[id].counted = (self.deals[id].counted + change).max(0);
            }
            Match::Nothing if self.order(holder, amount.currency).is_empty() => {}
            Match::Nothing => {
                let paid = self.pay_regardless(holder, amount.minor);
                let id = self.open(card, facts, facts.quoted_approval);
                self.hold(id, &paid, asked.minor);
                self.deals[id].life_days = life_days(facts);
                self.count(id, amount.minor);
            }
        }
    }

    fn post(&mut self, card: usize, facts: &Facts) {
        let amount = self.hand.amount;
        if amount.minor <= 0 {
            return;
        }
        let holder = self.cards[card].holder;
        let has_purse = !self.order(holder, amount.currency).is_empty();
        match facts.purpose {
            Purpose::BalanceEnquiry | Purpose::PinChange => {}
            Purpose::Refund | Purpose::OriginalCredit => {
                self.post_refund(card, facts, has_purse);
            }
            Purpose::Load | Purpose::Activation if has_purse => {
                let id = self.open(card, facts, facts.quoted_approval);
                self.load(id, facts);
            }
            Purpose::Load | Purpose::Activation => {}
            _ => self.capture(card, facts, has_purse),
        }
    }

    fn capture(&mut self, card: usize, facts: &Facts, has_purse: bool) {
        let Hand { amount, asked, .. } = self.hand;
        let found = self.find(card, facts, true, |deal| {
            is_debit(deal.purpose) && deal.currency == amount.currency
        });
        let id = match found {
            Match::One(id) => id,
            _ if has_purse => {
                let paid = self.pay_regardless(self.cards[card].holder, amount.minor);
                let id = self.open(card, facts, facts.quoted_approval);
                self.book(id, &paid);
                return self.rest(id, Stands::Captured);
            }
            _ => return,
        };
        self.touched = Some(id);
        let deal = &self.deals[id];
        let of_hold = match &deal.foreign {
            Some(foreign)
                if foreign.asked.currency == facts.amount.currency
                    && foreign.asked.currency != deal.currency =>
            {
                share(total(&deal.held), asked.minor, foreign.held_asked)
            }
            _ => amount.minor.min(total(&deal.held)),
        };
        let held_rate = deal
            .foreign
            .as_ref()
            .map(|foreign| (foreign.held_asked, of_hold));
        let at_another = held_rate.is_some_and(|(held, of_hold)| {
            held == asked.minor && of_hold != amount.minor && self.hand.converted
        });
        let mut left = deal.held.clone();
        let from_hold = take_first(&mut left, of_hold);
        let paid = self.pay_capture(id, &from_hold);
        self.meet(Met::CapturedAtAnotherRate, at_another);
        if facts.is_last_part() {
            let deal = &mut self.deals[id];
            deal.counted -= total(&left).min(deal.counted);
            let whole = deal.held.clone();
            self.lower(id, &whole, None);
        } else {
            self.lower(id, &from_hold, Some(asked.minor));
        }
        self.book(id, &paid);
        if self.deals[id].held.is_empty() {
            self.rest(id, Stands::Captured);
        }
    }

    fn post_refund(&mut self, card: usize, facts: &Facts, has_purse: bool) {
        let amount = self.hand.amount;
        let found = self.find(card, facts, false, |deal| {
            deal.purpose == facts.purpose
                && deal.opened_by == MessageKind::Authorization
                && deal.currency == amount.currency
        });
        let id = match found {
            Match::One(id) => {
                self.touched = Some(id);
                if self.deals[id].stands == Stands::Captured {
                    return self.rest(id, Stands::Captured);
                }
                id
            }
            _ if has_purse => self.open(card, facts, facts.quoted_approval),
            _ => return,
        };
        if facts.purpose == Purpose::OriginalCredit {
            return self.give_back(id, None);
        }
        let known = self.deals[id]
            .refund_of
            .filter(|it| !self.deals[*it].forgotten);
        let purchase = known.or_else(|| self.refunded_purchase(card, facts));
        self.give_back(id, purchase);
    }

    fn reverse(&mut self, card: usize, facts: &Facts) -> Reason {
        let of_trace = |deal: &Deal, trace| deal.card == card && deal.trace == trace;
        if let Some(original) = facts.original
            && !self.live().any(|(_, deal)| of_trace(deal, original))
            && let Some(answered) = self.answered(facts, original)
        {
            if !answered.reason.is_approved() {
                return Reason::Approved;
            }
            if let Some(id) = answered.deal.filter(|id| !self.deals[*id].forgotten) {
                return self.undo(id, facts);
            }
        }
        match self.find(card, facts, false, |_| true) {
            Match::One(id) => return self.undo(id, facts),
            Match::Several => {}
            Match::Nothing => {
                let original = facts.original.unwrap_or(facts.trace);
                let remaining = facts.replacement_minor.unwrap_or(0);
                let asked = facts.amount.minor;
                let undoes = remaining == 0 || remaining < asked;
                if self.answered(facts, original).is_some() || !undoes {
                    return Reason::Approved;
                }
                // A device and its card are one.
                let token = self.cards[card].token;
                let set =
                    |one: &&mut (i64, CardToken, Trace, i64)| (one.1, one.2) == (token, original);
                match self.reversed_before.iter_mut().find(set) {
                    Some(one) => one.3 = one.3.min(remaining),
                    None => {
                        let row = (self.at, token, original, remaining);
                        self.reversed_before.push(row);
                    }
                }
            }
        }
        Reason::Approved
    }

    fn undo(&mut self, id: usize, facts: &Facts) -> Reason {
        let reason = facts.rare.as_ref().and_then(|rare| rare.advice_reason);
        let product = self.holders[self.deals[id].holder].product;
        let by_machine = product == Product::Prepaid
            && self.deals[id].purpose == Purpose::Load
            && self.deals[id].paid_in == Some(LoadChannel::Atm);
        if by_machine && reason == Some(AdviceReason::Cancelled) {
            // A28: asked, it is refused; told, a person looks at it.
            self.meet(Met::CancelledLoad, true);
            return match facts.mti {
                400 | 401 => Reason::LoadNotAllowed,
                _ => Reason::Approved,
            };
        }
        self.undo_money(id, facts);
        Reason::Approved
    }

    fn undo_money(&mut self, id: usize, facts: &Facts) {
        let paid = (total(&self.deals[id].posted) - self.refunded(id)).max(0);
        let outstanding = total(&self.deals[id].held) + paid;
        let (original, remaining) = (facts.amount.minor, facts.replacement_minor.unwrap_or(0));
        if outstanding == 0 {
            if self.deals[id].stands == Stands::Pending && remaining == 0 {
                self.rest(id, Stands::Reversed);
            }
            return;
        }
        if remaining > original {
            return;
        }
        let asked = original - remaining;
        let wanted = if original == 0 {
            outstanding
        } else if asked == 0 || facts.amount.currency == self.deals[id].currency {
            asked
        } else if remaining == 0 {
            outstanding
        } else {
            self.deals[id].authorized.max(outstanding) * asked / original
        };
        let undone = wanted.min(outstanding);
        let released = take_last(&mut self.deals[id].held.clone(), undone);
        self.lower(id, &released, None);
        let rest = undone - total(&released);
        let returned = take_last(&mut self.deals[id].posted.clone(), rest);
        self.unbook(id, &returned);
        let deal = &mut self.deals[id];
        deal.counted -= undone.min(deal.counted);
        if undone == outstanding {
            deal.counts_as_one = false;
            self.give_back_fee(id);
            self.rest(id, Stands::Reversed);
            let card = &mut self.cards[self.deals[id].card];
            if self.deals[id].activates && card.status == CardStatus::Active {
                card.status = CardStatus::NotActivated;
                self.meet(Met::SoldAgain, true);
            }
        } else if deal.held.is_empty() && deal.stands == Stands::Pending {
            self.rest(id, Stands::Captured);
        }
    }
}
