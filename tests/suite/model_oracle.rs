//! The obvious way to answer: what a message does to the books of `model_books.rs`.
//!
//! Written from the programme rules, not from the engine, of which it uses nothing.

use cardswitch::domain::card::CardStatus;
use cardswitch::domain::decision::{ApprovalCode, Reason};
use cardswitch::domain::facts::{
    Certainty, Facts, Initiation, IssuerRoute, MessageKind, Purpose, Trace,
};
use cardswitch::domain::pan::CardToken;
use cardswitch::domain::time::{Calendar, UnixMs};

use crate::model_books::{
    Answered, Deal, Holder, Match, Oracle, Product, Stands, add, is_debit, life_days, take_first,
    take_last, total,
};

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// What the oracle expects of a message.
pub(crate) struct Expectation {
    pub(crate) reason: Reason,
    pub(crate) again: bool,
    /// What was approved, in the cardholder's currency, where that is less than was asked.
    pub(crate) part: Option<i64>,
    /// Balance and held of every purse where the answer shows them.
    pub(crate) shown: Option<Vec<(i64, i64)>>,
}

impl Oracle {
    pub(crate) fn new(holders: Vec<Holder>, refills: bool) -> Oracle {
        Oracle {
            holders,
            refills,
            calendar: Calendar::in_zone("Asia/Tokyo").unwrap(),
            at: 0,
            deals: Vec::new(),
            answers: Vec::new(),
            reversed_before: Vec::new(),
            touched: None,
            rest: None,
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
        self.rest = None;
        self.part = None;
        let reason = self.reason(facts, approval);
        let enquiry = facts.purpose == Purpose::BalanceEnquiry;
        let asked = matches!(
            facts.kind,
            MessageKind::Authorization | MessageKind::Financial
        );
        let shown = (enquiry && asked && reason == Reason::Approved)
            .then(|| self.purses(self.holder_of(facts).unwrap()));
        self.answers.push(Answered {
            at: self.at,
            facts: facts.clone(),
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

    /// Lets time pass; how many holds ended, and whether more should have.
    pub(crate) fn housekeep(
        &mut self,
        at: UnixMs,
        releases_max: usize,
        answers_hours: i64,
        entries_hours: i64,
    ) -> (usize, bool) {
        self.at = at.0;
        let mut due: Vec<usize> = (0..self.deals.len())
            .filter(|id| {
                let deal = &self.deals[*id];
                let ends_at = deal.opened_at + deal.life_days * DAY_MS;
                deal.stands == Stands::Pending && deal.life_days > 0 && ends_at <= self.at
            })
            .collect();
        due.sort_by_key(|id| (self.deals[*id].life_days, *id));
        let more = due.len() > releases_max;
        due.truncate(releases_max);
        for id in &due {
            self.let_go(*id);
        }
        let now = self.at;
        let is_young = |since: i64, hours: i64| since >= now - hours * HOUR_MS;
        for deal in &mut self.deals {
            let rests = deal.stands != Stands::Pending;
            deal.forgotten |= rests && !is_young(deal.rested_at, entries_hours);
        }
        // A repeat of an advice or reversal must find its answer as long as what it moved.
        self.answers.retain(|one| {
            let asked = matches!(
                one.facts.kind,
                MessageKind::Authorization | MessageKind::Financial
            );
            is_young(one.at, if asked { answers_hours } else { entries_hours })
        });
        self.reversed_before
            .retain(|one| is_young(one.0, answers_hours));
        (due.len(), more)
    }

    /// Ends a hold; what was not needed does not count.
    fn let_go(&mut self, id: usize) {
        let deal = &mut self.deals[id];
        if is_debit(deal.purpose) {
            deal.counted -= total(&deal.held).min(deal.counted);
            deal.counts_as_one &= !deal.posted.is_empty();
        }
        deal.held.clear();
        deal.stands = if deal.posted.is_empty() {
            Stands::Released
        } else {
            Stands::Captured
        };
        deal.rested_at = self.at;
    }

    /// An operator ends a hold before its time; whether there was one.
    pub(crate) fn release(&mut self, at: UnixMs, id: usize) -> bool {
        self.at = at.0;
        let is_open = self.deals[id].stands == Stands::Pending && !self.deals[id].forgotten;
        if is_open {
            self.let_go(id);
        }
        is_open
    }

    /// An operator gives a card another status; whether that is possible.
    pub(crate) fn change_status(&mut self, holder: usize, status: CardStatus) -> bool {
        let now = &mut self.holders[holder].status;
        let fits = *now != status && *now != CardStatus::Closed;
        if fits {
            *now = status;
        }
        fits
    }

    fn reason(&mut self, facts: &Facts, approval: Option<ApprovalCode>) -> Reason {
        let is_reversal = facts.kind == MessageKind::Reversal;
        let unknown = match facts.route {
            IssuerRoute::Unknown => Some(Reason::UnknownIssuer),
            IssuerRoute::Malformed => Some(Reason::InvalidCard),
            IssuerRoute::Ours => None,
        };
        let holder = match (unknown, self.holder_of(facts)) {
            (None, Some(holder)) => holder,
            _ if is_reversal => return Reason::Approved,
            (reason, _) => return reason.unwrap_or(Reason::InvalidCard),
        };
        let came_late = self
            .reversed_before
            .iter()
            .find(|one| (one.1, one.2) == (facts.card, facts.trace))
            .map(|one| one.3);
        let is_advice = matches!(
            facts.kind,
            MessageKind::AuthorizationAdvice | MessageKind::FinancialAdvice
        );
        if let (true, Some(remaining @ 1..)) = (is_advice, came_late) {
            let whole = facts.cardholder_amount().minor;
            self.rest = Some(match facts.billing {
                Some(_) if remaining < facts.amount.minor => whole * remaining / facts.amount.minor,
                Some(_) => whole,
                None => whole.min(remaining),
            });
        }
        let came_late = came_late.is_some() && self.rest.is_none();
        match facts.kind {
            MessageKind::Reversal => self.reverse(holder, facts),
            MessageKind::AuthorizationAdvice if came_late => {}
            MessageKind::FinancialAdvice if came_late => {}
            MessageKind::AuthorizationAdvice => self.stand_in(holder, facts),
            MessageKind::FinancialAdvice => self.post(holder, facts),
            MessageKind::Authorization | MessageKind::Financial => {
                let reason = match came_late {
                    true => Reason::LateOriginal,
                    false => self.asked(holder, facts, approval),
                };
                self.count_try(holder, facts.pin);
                return reason;
            }
        }
        Reason::Approved
    }

    fn asked(&mut self, holder: usize, facts: &Facts, approval: Option<ApprovalCode>) -> Reason {
        match self.refusal(holder, facts) {
            Some(Reason::InsufficientFunds) if self.takes_part(holder, facts) => {
                let purses = self.order(holder, facts.cardholder_amount().currency);
                let free = purses.iter().map(|it| self.available(holder, *it)).sum();
                self.rest = Some(free);
                self.part = Some(free);
                self.approve(holder, facts, approval);
                Reason::PartiallyApproved
            }
            Some(reason) => reason,
            None => {
                self.approve(holder, facts, approval);
                Reason::Approved
            }
        }
    }

    /// Whether both sides take a part of a purchase, and there is one.
    fn takes_part(&self, holder: usize, facts: &Facts) -> bool {
        let amount = facts.cardholder_amount();
        let purses = self.order(holder, amount.currency);
        let free: i64 = purses.iter().map(|it| self.available(holder, *it)).sum();
        let transaction = match facts.billing {
            Some(billing) => facts.amount.minor * free / billing.minor,
            None => free,
        };
        // The odd rounds are those of the changed programme.
        let agreed = match self.holders[holder].product {
            Product::Prepaid => self.refills,
            Product::GiftCode => true,
            Product::Travel => false,
        };
        agreed
            && facts.point.partial_approval
            && facts.purpose == Purpose::Purchase
            && facts.initiation == Initiation::Cardholder
            && facts.certainty == Certainty::Final
            && !facts.is_incremental()
            && free > 0
            && transaction > 0
    }

    fn approve(&mut self, holder: usize, facts: &Facts, approval: Option<ApprovalCode>) {
        let amount = self.amount_of(facts);
        let at_once = facts.kind == MessageKind::Financial;
        if facts.purpose == Purpose::BalanceEnquiry || facts.is_account_verification() {
            return;
        }
        let code = approval.or(facts.quoted_approval);
        let spends = is_debit(facts.purpose);
        if facts.is_incremental() && !at_once && spends {
            let found = self.find(holder, facts, false, |deal| {
                deal.stands == Stands::Pending
                    && deal.purpose == facts.purpose
                    && deal.currency == amount.currency
            });
            if let Match::One(id) = found {
                self.touched = Some(id);
                for (purse, minor) in self.take(holder, amount.currency, amount.minor) {
                    add(&mut self.deals[id].held, purse, minor);
                }
                self.deals[id].counted += amount.minor;
                return;
            }
        }
        let id = self.open(holder, facts, code);
        match facts.purpose {
            Purpose::Refund | Purpose::OriginalCredit => {
                let credits = self.refills && self.holders[holder].product == Product::Prepaid;
                if at_once || credits {
                    let parts = self.refund_parts(id, self.deals[id].refund_of, amount.minor);
                    self.credit(id, parts);
                } else {
                    self.deals[id].life_days = life_days(facts);
                }
            }
            Purpose::Load => {
                let purse = self.credit_purse(holder, Purpose::Load, amount.currency);
                self.credit(id, vec![(purse, amount.minor)]);
                self.count(id, amount.minor);
            }
            _ => {
                let parts = self.take(holder, amount.currency, amount.minor);
                if at_once {
                    self.debit(id, &parts);
                    self.rest(id, Stands::Captured);
                } else {
                    self.deals[id].held = parts;
                    self.deals[id].life_days = life_days(facts);
                }
                self.count(id, amount.minor);
            }
        }
    }

    fn stand_in(&mut self, holder: usize, facts: &Facts) {
        let amount = self.amount_of(facts);
        let spends = !matches!(
            facts.purpose,
            Purpose::Refund | Purpose::OriginalCredit | Purpose::Load | Purpose::BalanceEnquiry
        );
        if !facts.stand_in_approved || !spends || amount.minor <= 0 {
            return;
        }
        let found = self.find(holder, facts, false, |deal| {
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
                    for (purse, minor) in self.take(holder, amount.currency, change) {
                        add(&mut self.deals[id].held, purse, minor);
                    }
                } else {
                    take_last(&mut self.deals[id].held, -change);
                }
                self.deals[id].counted = (self.deals[id].counted + change).max(0);
            }
            Match::Nothing if self.order(holder, amount.currency).is_empty() => {}
            Match::Nothing => {
                let parts = self.take(holder, amount.currency, amount.minor);
                let id = self.open(holder, facts, facts.quoted_approval);
                self.deals[id].held = parts;
                self.deals[id].life_days = life_days(facts);
                self.count(id, amount.minor);
            }
        }
    }

    fn post(&mut self, holder: usize, facts: &Facts) {
        let amount = self.amount_of(facts);
        if amount.minor <= 0 {
            return;
        }
        let has_purse = !self.order(holder, amount.currency).is_empty();
        match facts.purpose {
            Purpose::BalanceEnquiry => {}
            Purpose::Refund | Purpose::OriginalCredit => {
                self.post_refund(holder, facts, has_purse);
            }
            Purpose::Load if has_purse => {
                let purse = self.credit_purse(holder, Purpose::Load, amount.currency);
                let id = self.open(holder, facts, facts.quoted_approval);
                self.credit(id, vec![(purse, amount.minor)]);
            }
            Purpose::Load => {}
            _ => self.capture(holder, facts, has_purse),
        }
    }

    fn capture(&mut self, holder: usize, facts: &Facts, has_purse: bool) {
        let amount = self.amount_of(facts);
        let found = self.find(holder, facts, true, |deal| {
            is_debit(deal.purpose) && deal.currency == amount.currency
        });
        let id = match found {
            Match::One(id) => id,
            _ if has_purse => self.open(holder, facts, facts.quoted_approval),
            _ => return,
        };
        self.touched = Some(id);
        let mut paid = take_first(&mut self.deals[id].held, amount.minor);
        let beyond = amount.minor - total(&paid);
        // What the hold gave up is not available: it is about to be paid.
        let mut parts = Vec::new();
        let mut rest = beyond;
        let order = self.order(holder, amount.currency);
        for purse in &order {
            let leaving: i64 = paid.iter().filter(|it| it.0 == *purse).map(|it| it.1).sum();
            let part = rest.min(self.available(holder, *purse) - leaving).max(0);
            add(&mut parts, *purse, part);
            rest -= part;
        }
        add(&mut parts, order[order.len() - 1], rest);
        for (purse, minor) in parts {
            add(&mut paid, purse, minor);
        }
        self.debit(id, &paid);
        if facts.is_last_part() {
            let deal = &mut self.deals[id];
            deal.counted -= total(&deal.held).min(deal.counted);
            deal.held.clear();
        }
        if self.deals[id].held.is_empty() {
            self.rest(id, Stands::Captured);
        }
    }

    fn post_refund(&mut self, holder: usize, facts: &Facts, has_purse: bool) {
        let amount = self.amount_of(facts);
        let found = self.find(holder, facts, false, |deal| {
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
            _ if has_purse => self.open(holder, facts, facts.quoted_approval),
            _ => return,
        };
        if facts.purpose == Purpose::OriginalCredit {
            let parts = self.refund_parts(id, None, amount.minor);
            return self.credit(id, parts);
        }
        let known = self.deals[id]
            .refund_of
            .filter(|it| !self.deals[*it].forgotten);
        let purchase = known.or_else(|| self.refunded_purchase(holder, facts));
        let parts = self.refund_parts(id, purchase, amount.minor);
        self.credit(id, parts);
    }

    fn reverse(&mut self, holder: usize, facts: &Facts) {
        let of_trace = |deal: &Deal, trace| deal.holder == holder && deal.trace == trace;
        if let Some(original) = facts.original
            && !self.live().any(|(_, deal)| of_trace(deal, original))
            && let Some(answered) = self.answered(facts, original)
        {
            if !answered.reason.is_approved() {
                return;
            }
            if let Some(id) = answered.deal.filter(|id| !self.deals[*id].forgotten) {
                return self.undo(id, facts);
            }
        }
        match self.find(holder, facts, false, |_| true) {
            Match::One(id) => self.undo(id, facts),
            Match::Several => {}
            Match::Nothing => {
                let original = facts.original.unwrap_or(facts.trace);
                let remaining = facts.replacement_minor.unwrap_or(0);
                let asked = facts.amount.minor;
                let undoes = remaining == 0 || remaining < asked;
                if self.answered(facts, original).is_some() || !undoes {
                    return;
                }
                let set = |one: &&mut (i64, CardToken, Trace, i64)| {
                    (one.1, one.2) == (facts.card, original)
                };
                match self.reversed_before.iter_mut().find(set) {
                    Some(one) => one.3 = one.3.min(remaining),
                    None => {
                        let row = (self.at, facts.card, original, remaining);
                        self.reversed_before.push(row);
                    }
                }
            }
        }
    }

    fn undo(&mut self, id: usize, facts: &Facts) {
        let holder = self.deals[id].holder;
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
        let released = take_last(&mut self.deals[id].held, undone);
        let returned = take_last(&mut self.deals[id].posted, undone - total(&released));
        let sign = if is_debit(self.deals[id].purpose) {
            1
        } else {
            -1
        };
        for (purse, minor) in returned {
            self.holders[holder].purses[purse].1 += sign * minor;
        }
        let deal = &mut self.deals[id];
        deal.counted -= undone.min(deal.counted);
        if undone == outstanding {
            deal.counts_as_one = false;
            self.rest(id, Stands::Reversed);
        } else if deal.held.is_empty() && deal.stands == Stands::Pending {
            self.rest(id, Stands::Captured);
        }
    }
}
