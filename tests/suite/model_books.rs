//! The oracle's books: plain lists, searched from end to end, every sum made anew; and the ladder
//! by which a message finds the deal it means.

use arrayvec::ArrayString;
use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::{CardStatus, ExpiryMonth};
use cardswitch::domain::decision::{ApprovalCode, Reason};
use cardswitch::domain::facts::{Facts, MessageKind, Presence, Purpose, Trace};
use cardswitch::domain::merchant::{AcceptorId, TerminalId};
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::CardToken;
use cardswitch::domain::rare_facts::LifecycleId;
use cardswitch::domain::time::{BusinessDate, Calendar, UnixMs};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    Prepaid,
    GiftCode,
    Travel,
}

/// A holder with one card.
pub(crate) struct Holder {
    pub(crate) product: Product,
    pub(crate) kyc: Kyc,
    pub(crate) token: CardToken,
    pub(crate) status: CardStatus,
    pub(crate) expiry: Option<ExpiryMonth>,
    /// Wrong PINs since the last right one.
    pub(crate) wrong_tries: u8,
    /// Currency and balance of each purse.
    pub(crate) purses: Vec<(Currency, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    Pending,
    Captured,
    Released,
    Reversed,
}

/// Amounts by purse, in the order taken.
pub(crate) type Parts = Vec<(usize, i64)>;

/// An authorization, purchase, refund or load.
pub(crate) struct Deal {
    pub(crate) holder: usize,
    pub(crate) opened_by: MessageKind,
    pub(crate) purpose: Purpose,
    pub(crate) currency: Currency,
    pub(crate) stands: Stands,
    pub(crate) authorized: i64,
    pub(crate) held: Parts,
    pub(crate) posted: Parts,
    pub(crate) refund_of: Option<usize>,
    /// What it counts in limits: amount, and whether as a transaction.
    pub(crate) counted: i64,
    /// Whether it is a purchase without the card.
    pub(crate) online: bool,
    pub(crate) counts_as_one: bool,
    pub(crate) date: BusinessDate,
    pub(crate) life_days: i64,
    pub(crate) opened_at: i64,
    pub(crate) rested_at: i64,
    pub(crate) forgotten: bool,
    pub(crate) trace: Trace,
    pub(crate) terminal: TerminalId,
    pub(crate) acceptor: AcceptorId,
    pub(crate) rrn: ArrayString<12>,
    pub(crate) approval: Option<ApprovalCode>,
    pub(crate) lifecycle: Option<LifecycleId>,
}

/// A message with the answer it got.
pub(crate) struct Answered {
    pub(crate) at: i64,
    pub(crate) facts: Facts,
    pub(crate) reason: Reason,
    pub(crate) shown: Option<Vec<(i64, i64)>>,
    pub(crate) deal: Option<usize>,
    /// What was approved where that is less than was asked.
    pub(crate) part: Option<i64>,
}

pub(crate) enum Match {
    One(usize),
    Several,
    Nothing,
}

pub(crate) struct Oracle {
    pub(crate) holders: Vec<Holder>,
    /// The other published behaviour of prepaid refunds: refill first, credit at authorization.
    pub(crate) refills: bool,
    pub(crate) calendar: Calendar,
    pub(crate) at: i64,
    pub(crate) deals: Vec<Deal>,
    pub(crate) answers: Vec<Answered>,
    /// Reversals that came first, and what shall remain of their originals.
    pub(crate) reversed_before: Vec<(i64, CardToken, Trace, i64)>,
    /// Of the message in hand: all that happened of it, where a part was reversed before it came.
    pub(crate) rest: Option<i64>,
    /// Of the message in hand: what was approved, where that is less than was asked.
    pub(crate) part: Option<i64>,
    /// The deal that the message in hand opened or moved.
    pub(crate) touched: Option<usize>,
}

impl Oracle {
    /// The cardholder's amount of a message, less what was reversed before it came.
    pub(crate) fn amount_of(&self, facts: &Facts) -> Amount {
        let whole = facts.cardholder_amount();
        Amount::new(self.rest.unwrap_or(whole.minor), whole.currency)
    }

    pub(crate) fn today(&self) -> BusinessDate {
        self.calendar.date_of(UnixMs(self.at))
    }

    pub(crate) fn holder_of(&self, facts: &Facts) -> Option<usize> {
        self.holders.iter().position(|who| who.token == facts.card)
    }

    pub(crate) fn held(&self, holder: usize, purse: usize) -> i64 {
        let deals = self.deals.iter().filter(|deal| deal.holder == holder);
        deals
            .flat_map(|deal| &deal.held)
            .filter(|part| part.0 == purse)
            .map(|part| part.1)
            .sum()
    }

    pub(crate) fn available(&self, holder: usize, purse: usize) -> i64 {
        self.holders[holder].purses[purse].1 - self.held(holder, purse)
    }

    /// Purses that pay in a currency, first first: of prepaid the non-withdrawable one.
    pub(crate) fn order(&self, holder: usize, currency: Currency) -> Vec<usize> {
        let who = &self.holders[holder];
        let mut order: Vec<usize> = (0..who.purses.len())
            .filter(|purse| who.purses[*purse].0 == currency)
            .collect();
        if who.product == Product::Prepaid {
            order.reverse();
        }
        order
    }

    /// Loads of prepaid go to the withdrawable purse, refunds to the other.
    pub(crate) fn credit_purse(
        &self,
        holder: usize,
        purpose: Purpose,
        currency: Currency,
    ) -> usize {
        match self.holders[holder].product {
            Product::Prepaid => usize::from(purpose == Purpose::Refund),
            Product::GiftCode | Product::Travel => self.order(holder, currency)[0],
        }
    }

    /// How an amount is taken; what no purse has comes from the last one.
    pub(crate) fn take(&self, holder: usize, currency: Currency, minor: i64) -> Parts {
        let (mut parts, mut rest) = (Vec::new(), minor);
        let order = self.order(holder, currency);
        for purse in &order {
            let part = rest.min(self.available(holder, *purse)).max(0);
            add(&mut parts, *purse, part);
            rest -= part;
        }
        add(&mut parts, order[order.len() - 1], rest);
        parts
    }

    pub(crate) fn refund_parts(&self, id: usize, purchase: Option<usize>, minor: i64) -> Parts {
        let (holder, currency) = (self.deals[id].holder, self.deals[id].currency);
        let (mut parts, mut rest) = (Vec::new(), minor);
        if let (true, Product::Prepaid, Some(purchase)) =
            (self.refills, self.holders[holder].product, purchase)
        {
            let posted = &self.deals[purchase].posted;
            let paid: i64 = posted.iter().filter(|it| it.0 == 0).map(|it| it.1).sum();
            let first = (paid - self.refunded(purchase)).min(rest).max(0);
            add(&mut parts, 0, first);
            rest -= first;
        }
        let purse = self.credit_purse(holder, Purpose::Refund, currency);
        add(&mut parts, purse, rest);
        parts
    }

    /// What refunds have given back of a purchase.
    pub(crate) fn refunded(&self, purchase: usize) -> i64 {
        let refunds = self
            .deals
            .iter()
            .filter(|it| it.refund_of == Some(purchase));
        refunds.map(|refund| total(&refund.posted)).sum()
    }

    pub(crate) fn open(
        &mut self,
        holder: usize,
        facts: &Facts,
        approval: Option<ApprovalCode>,
    ) -> usize {
        let amount = self.amount_of(facts);
        let refund_of = match facts.purpose {
            Purpose::Refund => self.refunded_purchase(holder, facts),
            _ => None,
        };
        self.deals.push(Deal {
            holder,
            opened_by: facts.kind,
            purpose: facts.purpose,
            currency: amount.currency,
            stands: Stands::Pending,
            authorized: amount.minor,
            held: Vec::new(),
            posted: Vec::new(),
            refund_of,
            counted: 0,
            online: facts.presence == Presence::Absent,
            counts_as_one: false,
            date: self.today(),
            life_days: 0,
            opened_at: self.at,
            rested_at: 0,
            forgotten: false,
            trace: facts.trace,
            terminal: facts.terminal,
            acceptor: facts.acceptor,
            rrn: facts.rrn,
            approval,
            lifecycle: facts.lifecycle_id(),
        });
        self.touched = Some(self.deals.len() - 1);
        self.deals.len() - 1
    }

    pub(crate) fn count(&mut self, id: usize, minor: i64) {
        self.deals[id].counted = minor;
        self.deals[id].counts_as_one = true;
    }

    pub(crate) fn rest(&mut self, id: usize, stands: Stands) {
        self.deals[id].stands = stands;
        self.deals[id].rested_at = self.at;
    }

    pub(crate) fn debit(&mut self, id: usize, parts: &Parts) {
        for (purse, minor) in parts {
            self.holders[self.deals[id].holder].purses[*purse].1 -= minor;
            add(&mut self.deals[id].posted, *purse, *minor);
        }
    }

    /// Credits and then fills purses of the same currency that are still below zero.
    pub(crate) fn credit(&mut self, id: usize, parts: Parts) {
        let (holder, currency) = (self.deals[id].holder, self.deals[id].currency);
        for (purse, minor) in &parts {
            self.holders[holder].purses[*purse].1 += minor;
            add(&mut self.deals[id].posted, *purse, *minor);
        }
        for (from, minor) in parts {
            let mut free = self.available(holder, from).clamp(0, minor);
            for purse in 0..self.holders[holder].purses.len() {
                let (of, balance) = self.holders[holder].purses[purse];
                let part = free.min(-balance);
                if purse != from && of == currency && part > 0 {
                    free -= part;
                    self.holders[holder].purses[from].1 -= part;
                    self.holders[holder].purses[purse].1 += part;
                }
            }
        }
        self.rest(id, Stands::Captured);
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = (usize, &Deal)> {
        self.deals.iter().enumerate().filter(|one| !one.1.forgotten)
    }

    pub(crate) fn answered(&self, facts: &Facts, trace: Trace) -> Option<&Answered> {
        let kinds = [
            MessageKind::Authorization,
            MessageKind::Financial,
            MessageKind::AuthorizationAdvice,
            MessageKind::FinancialAdvice,
        ];
        kinds.into_iter().find_map(|kind| {
            self.answers.iter().find(|one| {
                let of = &one.facts;
                (of.kind, of.trace, of.terminal, of.card)
                    == (kind, trace, facts.terminal, facts.card)
            })
        })
    }

    pub(crate) fn refunded_purchase(&self, holder: usize, facts: &Facts) -> Option<usize> {
        let found = self.find(holder, facts, false, |deal| {
            is_debit(deal.purpose) && !deal.posted.is_empty()
        });
        match found {
            Match::One(id) => Some(id),
            Match::Several | Match::Nothing => None,
        }
    }

    /// The ladder: the first rung on which exactly one fits decides; weak only for captures, and
    /// never to tell apart what a stronger rung could not.
    pub(crate) fn find(
        &self,
        holder: usize,
        facts: &Facts,
        weak: bool,
        fits: impl Fn(&Deal) -> bool,
    ) -> Match {
        let mut several = false;
        for rung in 0..=5 {
            let on_rung = |deal: &Deal| match rung {
                0 => facts.lifecycle_id().is_some() && facts.lifecycle_id() == deal.lifecycle,
                1 => facts.original == Some(deal.trace),
                2 => facts.trace == deal.trace,
                3 => {
                    let same = (deal.rrn, deal.terminal) == (facts.rrn, facts.terminal);
                    same && !facts.rrn.is_empty()
                }
                4 => {
                    let quoted = facts.quoted_approval;
                    quoted.is_some() && quoted == deal.approval && deal.acceptor == facts.acceptor
                }
                _ => {
                    let amount = facts.cardholder_amount();
                    weak && deal.stands == Stands::Pending
                        && deal.acceptor == facts.acceptor
                        && (deal.currency, deal.authorized) == (amount.currency, amount.minor)
                }
            };
            let hits: Vec<usize> = self
                .live()
                .filter(|(_, deal)| deal.holder == holder && on_rung(deal) && fits(deal))
                .map(|(id, _)| id)
                .collect();
            match (hits.len(), rung) {
                (1, 5) if several => return Match::Several,
                (1, _) => return Match::One(hits[0]),
                (0, _) | (_, 5) => {}
                _ => several = true,
            }
        }
        if several {
            Match::Several
        } else {
            Match::Nothing
        }
    }
}

pub(crate) fn life_days(facts: &Facts) -> i64 {
    match facts.origin.acquirer_country {
        None | Some(392) => 45,
        Some(_) => 10,
    }
}

pub(crate) fn is_debit(purpose: Purpose) -> bool {
    !gives_back(purpose) && purpose != Purpose::Load
}

pub(crate) fn gives_back(purpose: Purpose) -> bool {
    purpose == Purpose::Refund || purpose == Purpose::OriginalCredit
}

pub(crate) fn total(parts: &Parts) -> i64 {
    parts.iter().map(|part| part.1).sum()
}

pub(crate) fn add(parts: &mut Parts, purse: usize, minor: i64) {
    match parts.iter_mut().find(|part| part.0 == purse) {
        Some(part) => part.1 += minor,
        None if minor > 0 => parts.push((purse, minor)),
        None => {}
    }
}

pub(crate) fn take_first(parts: &mut Parts, minor: i64) -> Parts {
    parts.reverse();
    let taken = take_last(parts, minor);
    parts.reverse();
    taken
}

pub(crate) fn take_last(parts: &mut Parts, minor: i64) -> Parts {
    let mut taken = Vec::new();
    let mut rest = minor;
    while rest > 0
        && let Some(last) = parts.last_mut()
    {
        let part = last.1.min(rest);
        add(&mut taken, last.0, part);
        rest -= part;
        last.1 -= part;
        if last.1 == 0 {
            parts.pop();
        }
    }
    taken
}
