//! The oracle's books: plain lists, searched from end to end, every sum made anew; and the ladder
//! by which a message finds the deal it means.

use std::collections::{BTreeMap, BTreeSet};

use cardswitch::domain::account::Kyc;
use cardswitch::domain::card::{CardStatus, ExpiryMonth};
use cardswitch::domain::decision::{ApprovalCode, Reason};
use cardswitch::domain::facts::{Facts, MessageKind, Presence, Purpose, Trace};
use cardswitch::domain::merchant::{AcceptorId, TerminalId};
use cardswitch::domain::money::{Amount, Currency};
use cardswitch::domain::pan::CardToken;
use cardswitch::domain::rare_facts::{LifecycleId, LoadChannel};
use cardswitch::domain::short_text::ShortText;
use cardswitch::domain::time::{BusinessDate, Calendar, UnixMs};

use crate::model_desk::Desk;
use crate::model_operators::MovedBefore;
use crate::model_purses::{Foreign, Paid};
use crate::model_rates::StatedRate;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    Prepaid,
    GiftCode,
    Travel,
}

/// A holder with purses.
pub(crate) struct Holder {
    pub(crate) product: Product,
    pub(crate) kyc: Kyc,
    /// Currency and balance of each purse.
    pub(crate) purses: Vec<(Currency, i64)>,
}

/// A card of a holder; one issued in place of another stands behind it.
#[derive(Clone)]
pub(crate) struct HeldCard {
    pub(crate) holder: usize,
    pub(crate) token: CardToken,
    pub(crate) status: CardStatus,
    pub(crate) expiry: Option<ExpiryMonth>,
    /// Wrong PINs since the last right one.
    pub(crate) wrong_tries: u8,
    /// Whether there is a PIN, and whether it is the account's.
    pub(crate) pin: Option<bool>,
    /// Whether its number finds it no more.
    pub(crate) is_erased: bool,
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
    pub(crate) card: usize,
    pub(crate) holder: usize,
    pub(crate) opened_by: MessageKind,
    pub(crate) purpose: Purpose,
    pub(crate) currency: Currency,
    pub(crate) stands: Stands,
    pub(crate) authorized: i64,
    /// Worth by purse, in the deal's currency.
    pub(crate) held: Parts,
    pub(crate) posted: Parts,
    /// What of that is paid in another currency, or marked up.
    pub(crate) foreign: Option<Foreign>,
    /// What was taken as its fee, in the currency of each purse.
    pub(crate) fee: Parts,
    pub(crate) refund_of: Option<usize>,
    /// What it counts in limits: amount, and whether as a transaction.
    pub(crate) counted: i64,
    pub(crate) counts_as_one: bool,
    /// Whether it is a purchase without the card.
    pub(crate) online: bool,
    /// Whether its money made the card usable.
    pub(crate) activates: bool,
    /// Of a load that a rule let through: how it was paid in.
    pub(crate) paid_in: Option<LoadChannel>,
    pub(crate) date: BusinessDate,
    pub(crate) life_days: i64,
    pub(crate) opened_at: i64,
    pub(crate) rested_at: i64,
    pub(crate) forgotten: bool,
    pub(crate) trace: Trace,
    pub(crate) terminal: TerminalId,
    pub(crate) acceptor: AcceptorId,
    pub(crate) rrn: ShortText<12>,
    pub(crate) approval: Option<ApprovalCode>,
    pub(crate) lifecycle: Option<LifecycleId>,
}

/// A message with the answer it got.
pub(crate) struct Answered {
    pub(crate) at: i64,
    pub(crate) facts: Facts,
    /// Whose card it was about.
    pub(crate) card: Option<usize>,
    pub(crate) reason: Reason,
    pub(crate) shown: Option<Vec<(i64, i64)>>,
    pub(crate) deal: Option<usize>,
    /// What was approved where that is less than was asked.
    pub(crate) part: Option<Part>,
}

/// What the approval of a part comes to: of the transaction, and of what the network billed.
pub(crate) type Part = (i64, Option<i64>);

/// What random commands must come upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Met {
    Cash,
    CashFee,
    FeeGivenBack,
    FeeAbroad,
    LoadByMachine,
    LoadByBank,
    LoadByCard,
    CancelledLoad,
    Sold,
    SoldAgain,
    Converted,
    BilledByNetwork,
    SeveralCurrencies,
    BelowZeroAbroad,
    CapturedAtAnotherRate,
    RefundToPayers,
    PartOfForeign,
    Transfer,
    TransferLimit,
    Charge,
    ClosedWithFee,
    ClosedForfeited,
    Replaced,
    PinChange,
    PaidByDevice,
    DeadDevice,
    DeviceAgain,
    CardWentOn,
    CardLapsed,
    LapsedAgainDue,
    SecondAccount,
    LineAgain,
    LineOfClosed,
    OwnLimit,
    OwnControl,
}

impl Met {
    pub(crate) const ALL: [Met; 35] = [
        Met::Cash,
        Met::CashFee,
        Met::FeeGivenBack,
        Met::FeeAbroad,
        Met::LoadByMachine,
        Met::LoadByBank,
        Met::LoadByCard,
        Met::CancelledLoad,
        Met::Sold,
        Met::SoldAgain,
        Met::Converted,
        Met::BilledByNetwork,
        Met::SeveralCurrencies,
        Met::BelowZeroAbroad,
        Met::CapturedAtAnotherRate,
        Met::RefundToPayers,
        Met::PartOfForeign,
        Met::Transfer,
        Met::TransferLimit,
        Met::Charge,
        Met::ClosedWithFee,
        Met::ClosedForfeited,
        Met::Replaced,
        Met::PinChange,
        Met::PaidByDevice,
        Met::DeadDevice,
        Met::DeviceAgain,
        Met::CardWentOn,
        Met::CardLapsed,
        Met::LapsedAgainDue,
        Met::SecondAccount,
        Met::LineAgain,
        Met::LineOfClosed,
        Met::OwnLimit,
        Met::OwnControl,
    ];
}

/// Where money stands that no purse has, as far as the oracle counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Fees,
    ExchangeFees,
    Payouts,
    Forfeited,
}

/// The amount of the message in hand.
#[derive(Clone, Copy)]
pub(crate) struct Hand {
    /// What it is for the cardholder.
    pub(crate) amount: Amount,
    /// What was asked, in the currency of the transaction.
    pub(crate) asked: Amount,
    /// Whether the first is not the second as it stands.
    pub(crate) converted: bool,
}

pub(crate) enum Match {
    One(usize),
    Several,
    Nothing,
}

pub(crate) struct Oracle {
    pub(crate) holders: Vec<Holder>,
    pub(crate) cards: Vec<HeldCard>,
    /// The other published behaviour of prepaid refunds: refill first, credit at authorization.
    pub(crate) refills: bool,
    pub(crate) calendar: Calendar,
    pub(crate) at: i64,
    pub(crate) deals: Vec<Deal>,
    pub(crate) answers: Vec<Answered>,
    /// Reversals that came first, and what shall remain of their originals.
    pub(crate) reversed_before: Vec<(i64, CardToken, Trace, i64)>,
    /// Every rate that ever came in, oldest first.
    pub(crate) rates: Vec<StatedRate>,
    /// What has happened at all, so that the dice do not leave anything out unnoticed.
    pub(crate) met: BTreeSet<Met>,
    /// What closing and charges brought in or paid out.
    pub(crate) beside: Vec<(Place, Currency, i64)>,
    /// Transfers and charges by the reference that each was given.
    pub(crate) movements: Vec<(String, MovedBefore)>,
    /// Devices, people, links, clearing batches.
    pub(crate) desk: Desk,
    /// Amount of the message in hand.
    pub(crate) hand: Hand,
    /// Of the message in hand: what was approved, where that is less than was asked.
    pub(crate) part: Option<Part>,
    /// The deal that the message in hand opened or moved.
    pub(crate) touched: Option<usize>,
}

impl Oracle {
    pub(crate) fn today(&self) -> BusinessDate {
        self.calendar.date_of(UnixMs(self.at))
    }

    /// What stands in every place and currency, where that is anything.
    pub(crate) fn places(&self) -> BTreeMap<(Place, Currency), i64> {
        let mut places = BTreeMap::new();
        let mut stand =
            |place, currency, minor| *places.entry((place, currency)).or_insert(0) += minor;
        for deal in &self.deals {
            let purses = &self.holders[deal.holder].purses;
            for (purse, minor) in &deal.fee {
                stand(Place::Fees, purses[*purse].0, *minor);
            }
            let sign = if is_debit(deal.purpose) { 1 } else { -1 };
            for leg in deal.foreign.iter().flat_map(|foreign| &foreign.posted) {
                stand(Place::ExchangeFees, purses[leg.purse].0, sign * leg.markup);
            }
        }
        for (place, currency, minor) in &self.beside {
            stand(*place, *currency, *minor);
        }
        places.retain(|_, minor| *minor != 0);
        places
    }

    pub(crate) fn meet(&mut self, what: Met, happened: bool) {
        if happened {
            self.met.insert(what);
        }
    }

    /// Of worth that legs stand for, their cost; of the rest, itself.
    pub(crate) fn held(&self, holder: usize, purse: usize) -> i64 {
        let mut sum = 0;
        for deal in self.deals.iter().filter(|deal| deal.holder == holder) {
            sum += part_of(&deal.held, purse);
            let legs = deal.foreign.iter().flat_map(|foreign| &foreign.held);
            for leg in legs.filter(|leg| leg.purse == purse) {
                sum += leg.cost() - leg.worth;
            }
        }
        sum
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

    /// Credit cards load the purse that is not withdrawable, all others the other one.
    pub(crate) fn load_purse(&self, holder: usize, facts: &Facts, currency: Currency) -> usize {
        match (self.holders[holder].product, paid_in(facts)) {
            (Product::Prepaid, Some(LoadChannel::CreditCard)) => 1,
            _ => self.credit_purse(holder, Purpose::Load, currency),
        }
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
        card: usize,
        facts: &Facts,
        approval: Option<ApprovalCode>,
    ) -> usize {
        let amount = self.hand.amount;
        let refund_of = match facts.purpose {
            Purpose::Refund => self.refunded_purchase(card, facts),
            _ => None,
        };
        self.deals.push(Deal {
            card,
            holder: self.cards[card].holder,
            opened_by: facts.kind,
            purpose: facts.purpose,
            currency: amount.currency,
            stands: Stands::Pending,
            authorized: amount.minor,
            held: Vec::new(),
            posted: Vec::new(),
            foreign: None,
            fee: Vec::new(),
            refund_of,
            counted: 0,
            counts_as_one: false,
            online: facts.presence == Presence::Absent,
            activates: false,
            paid_in: None,
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

    /// Credits and then fills purses of the same currency that are still below zero.
    pub(crate) fn credit(&mut self, id: usize, parts: Parts) {
        let (holder, currency) = (self.deals[id].holder, self.deals[id].currency);
        self.book(id, &Paid::Plain(parts.clone()));
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
                let key = (of.kind, of.trace, of.terminal);
                key == (kind, trace, facts.terminal) && one.card == self.card_of(facts)
            })
        })
    }

    pub(crate) fn refunded_purchase(&self, card: usize, facts: &Facts) -> Option<usize> {
        let found = self.find(card, facts, false, |deal| {
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
        card: usize,
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
                    let same_amount = match &deal.foreign {
                        Some(foreign) => foreign.asked == facts.amount,
                        None => {
                            let amount = facts.billing.unwrap_or(facts.amount);
                            Amount::new(deal.authorized, deal.currency) == amount
                        }
                    };
                    weak && deal.stands == Stands::Pending
                        && deal.acceptor == facts.acceptor
                        && same_amount
                }
            };
            let hits: Vec<usize> = self
                .live()
                .filter(|(_, deal)| deal.card == card && on_rung(deal) && fits(deal))
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
    !gives_back(purpose) && !is_load(purpose)
}

pub(crate) fn is_load(purpose: Purpose) -> bool {
    purpose == Purpose::Load || purpose == Purpose::Activation
}

pub(crate) fn paid_in(facts: &Facts) -> Option<LoadChannel> {
    facts.rare.as_ref().and_then(|rare| rare.load_channel)
}

pub(crate) fn gives_back(purpose: Purpose) -> bool {
    purpose == Purpose::Refund || purpose == Purpose::OriginalCredit
}

pub(crate) fn total(parts: &Parts) -> i64 {
    parts.iter().map(|part| part.1).sum()
}

pub(crate) fn part_of(parts: &Parts, purse: usize) -> i64 {
    let mine = parts.iter().filter(|part| part.0 == purse);
    mine.map(|part| part.1).sum()
}

/// Takes parts out of others that have them.
pub(crate) fn remove(parts: &mut Parts, gone: &Parts) {
    for (purse, minor) in gone {
        let part = parts.iter_mut().find(|part| part.0 == *purse);
        part.unwrap().1 -= minor;
    }
    assert!(parts.iter().all(|part| part.1 >= 0), "{parts:?}");
    parts.retain(|part| part.1 > 0);
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
