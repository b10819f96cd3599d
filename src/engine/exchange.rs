//! Amounts in currencies that no purse has: what they become, and what holding, posting and giving
//! back does to each purse (rules A31, A35, C2).

use crate::domain::account::{Account, PurseIndex, Split};
use crate::domain::exchange::{Billed, Exchange, Leg, Legs};
use crate::domain::facts::{Facts, MessageKind};
use crate::domain::money::{Amount, Currency};
use crate::domain::programme::Programme;
use crate::domain::rate::{Rate, share};
use crate::domain::time::UnixMs;

use super::case::{Case, Intent};
use super::entry::{Entry, EntryId};
use super::event::{Decided, Effect, Effects, Exchanged};
use super::ledger::{LedgerAccount, Posting, Postings};
use super::state::State;

/// That the amount of a message was converted, by the programme's rate or by the network.
#[derive(Clone, Copy, Debug)]
pub struct Converted {
    /// The rate, where somebody said it.
    pub rate: Option<Rate>,
}

/// The amount that concerns the cardholder, and whether it was converted for that.
///
/// A currency with a purse stays as it is; else what the network billed, else the programme's rate.
pub(super) fn amount_of(
    (state, programme): (&State, &Programme),
    facts: &Facts,
    intent: Intent,
    refund_of: Option<&Entry>,
    at: UnixMs,
) -> (Amount, Option<Converted>) {
    let plain = (facts.cardholder_amount(), None);
    let Some(rule) = &programme.exchange else {
        return plain;
    };
    let asked = facts.amount;
    if asked.minor <= 0 || !matches!(intent, Intent::Spend | Intent::Refund) {
        return plain;
    }
    if programme.purse_of(asked.currency).is_some() {
        return (asked, None);
    }
    if let Some(amount) = refunded_part(state, programme, asked, refund_of) {
        return amount;
    }
    if let Some(billing) = facts.billing
        && programme.purse_of(billing.currency).is_some()
    {
        let stated = facts.rare.as_ref().and_then(|rare| rare.billing_rate);
        let rate = stated.and_then(|rate| Rate::from_wire(u64::from(rate)));
        return (billing, Some(Converted { rate }));
    }
    let rates = state.rates();
    let converted = rates
        .find(asked.currency, rule.billing, rule.billing, at)
        .and_then(|rate| {
            let minor = rate.convert(asked, rule.billing)?;
            let amount = Amount::new(minor, rule.billing);
            Some((amount, Some(Converted { rate: Some(rate) })))
        });
    converted.unwrap_or(plain)
}

/// What a refund in the currency of its purchase gives back of what was paid for it then.
fn refunded_part(
    state: &State,
    programme: &Programme,
    asked: Amount,
    refund_of: Option<&Entry>,
) -> Option<(Amount, Option<Converted>)> {
    let purchase = refund_of.filter(|_| programme.refund.purse.is_none())?;
    let exchange = state.exchange(purchase.id)?;
    let fits = exchange.asked.currency == asked.currency && asked.minor <= exchange.posted_minor;
    let paid = purchase.posted.total();
    let part = share(paid, asked.minor, exchange.posted_minor);
    let amount = Amount::new(part, purchase.currency);
    let rate = exchange.posted_rate;
    (fits && part > 0).then_some((amount, Some(Converted { rate })))
}

/// What is held for a part of an amount.
pub(super) fn held(case: &Case<'_>, entry: EntryId, legs: Legs) -> Effect {
    Effect::ExchangeHeld(Box::new(changed(case, entry, legs)))
}

/// What purses give for a purchase, or get for a refund.
pub(super) fn posted(case: &Case<'_>, entry: EntryId, legs: Legs, credits: bool) -> Effect {
    let movements = movements(case, case.amount.currency, &legs, credits);
    Effect::ExchangePosted(Box::new(Exchanged {
        credits,
        movements,
        ..changed(case, entry, legs)
    }))
}

fn changed(case: &Case<'_>, entry: EntryId, legs: Legs) -> Exchanged {
    Exchanged {
        entry,
        asked: Amount::new(case.asked_minor, case.facts.amount.currency),
        rate: case.converted.and_then(|converted| converted.rate),
        legs,
        credits: false,
        movements: Vec::new(),
    }
}

/// Lets go of a part of what an entry holds: of plain purses, and of legs with what they cost.
pub(super) fn lowered(case: &Case<'_>, entry: &Entry, worth: Split, asked: Option<i64>) -> Effects {
    let exchange = case.state.exchange(entry.id);
    let (plain, legs) = parted(exchange.map(|exchange| &exchange.held), &worth);
    let mut effects = Effects::new();
    if !plain.is_empty() {
        effects.push(Effect::HoldLowered {
            entry: entry.id,
            split: plain,
        });
    }
    if let (Some(exchange), false) = (exchange, legs.is_empty()) {
        let part = share(exchange.held_minor, worth.total(), entry.held.total());
        let minor = asked.unwrap_or(part).min(exchange.held_minor);
        effects.push(Effect::ExchangeLowered(Box::new(Exchanged {
            entry: entry.id,
            asked: Amount::new(minor, exchange.asked.currency),
            rate: exchange.held_rate,
            legs,
            credits: false,
            movements: Vec::new(),
        })));
    }
    effects
}

/// What undoing a part of what was posted gives back exactly; what is left over is plain.
pub(super) fn returned(case: &Case<'_>, entry: &Entry, worth: &Split) -> (Split, Option<Effect>) {
    let exchange = case.state.exchange(entry.id);
    let (plain, legs) = parted(exchange.map(|exchange| &exchange.posted), worth);
    let Some(exchange) = exchange.filter(|_| !legs.is_empty()) else {
        return (plain, None);
    };
    let minor = share(exchange.posted_minor, worth.total(), entry.posted.total());
    let credits = entry.is_debit();
    let effect = Effect::ExchangePosted(Box::new(Exchanged {
        entry: entry.id,
        asked: Amount::new(minor, exchange.asked.currency),
        rate: exchange.posted_rate,
        movements: movements(case, entry.currency, &legs, credits),
        legs,
        credits,
    }));
    (plain, Some(effect))
}

/// What a refund gives back to the purses that paid, where its purchase was paid by exchange.
pub(super) fn refund_legs(case: &Case<'_>) -> Option<(Split, Legs)> {
    let purchase = case.refund_of?;
    let exchange = case.state.exchange(purchase.id)?;
    let fits = case.programme.refund.purse.is_none()
        && purchase.currency == case.amount.currency
        && exchange.asked.currency == case.facts.amount.currency;
    if !fits {
        return None;
    }
    let mut left = purchase.posted.clone();
    left.take_back(purchase.refunded());
    let before = left.clone();
    let given = left.take_back(case.amount.minor);
    let (mut plain, mut legs) = (Split::default(), Legs::new());
    for (purse, worth) in given.parts() {
        let leg = exchange.posted.iter().find(|leg| leg.purse == purse);
        let mut rest = worth;
        if let Some(leg) = leg {
            let gone = purchase.posted.part(purse);
            let gone = gone.saturating_sub(before.part(purse)).min(leg.worth);
            let part = rest.min(leg.worth.saturating_sub(gone));
            if part > 0 {
                legs.push(leg.between(gone, gone.saturating_add(part)));
            }
            rest = rest.saturating_sub(part);
        }
        plain.add(purse, rest);
    }
    let beyond = case.amount.minor.saturating_sub(given.total());
    plain.add(case.programme.purse_of(case.amount.currency)?, beyond);
    Some((plain, legs))
}

/// A worth by purse as what plain purses and what legs have of it; legs first.
fn parted(legs: Option<&Legs>, worth: &Split) -> (Split, Legs) {
    let (mut plain, mut taken) = (Split::default(), Legs::new());
    for (purse, minor) in worth.parts() {
        let leg = legs.and_then(|legs| legs.iter().find(|leg| leg.purse == purse));
        let part = leg.map_or(0, |leg| leg.worth.min(minor));
        taken.extend(leg.filter(|_| part > 0).map(|leg| leg.between(0, part)));
        plain.add(purse, minor.saturating_sub(part));
    }
    (plain, taken)
}

/// The double entries of legs, one for each currency.
fn movements(
    case: &Case<'_>,
    own: Currency,
    legs: &Legs,
    credits: bool,
) -> Vec<(Currency, Postings)> {
    let (id, programme) = (case.account().id, case.account().programme);
    let mut movements: Vec<(Currency, Postings)> = Vec::new();
    let mut post = |currency: Currency, account: LedgerAccount, minor: i64| {
        let minor = if credits {
            minor.saturating_neg()
        } else {
            minor
        };
        let position = movements.iter().position(|row| row.0 == currency);
        let row = match position.and_then(|position| movements.get_mut(position)) {
            Some(row) => row,
            None => {
                movements.push((currency, Postings::new()));
                let Some(row) = movements.last_mut() else {
                    return;
                };
                row
            }
        };
        match row.1.iter_mut().find(|posting| posting.account == account) {
            Some(posting) => posting.minor = posting.minor.saturating_add(minor),
            None if minor != 0 => row.1.push(Posting { account, minor }),
            None => {}
        }
    };
    for leg in legs {
        let currency = purse_currency(case, leg).unwrap_or(own);
        let purse = LedgerAccount::Purse(id, leg.purse);
        post(currency, purse, leg.cost().saturating_neg());
        post(currency, LedgerAccount::ExchangeFees(programme), leg.markup);
        if currency == own {
            post(own, LedgerAccount::Settlement(programme), leg.net);
        } else {
            post(currency, LedgerAccount::Exchange(programme), leg.net);
            let given = leg.worth.saturating_neg();
            post(own, LedgerAccount::Exchange(programme), given);
            post(own, LedgerAccount::Settlement(programme), leg.worth);
        }
    }
    movements
}

fn purse_currency(case: &Case<'_>, leg: &Leg) -> Option<Currency> {
    let purses = &case.account().purses;
    purses.get(leg.purse.position()).map(|purse| purse.currency)
}

/// How much of a hold belongs to a capture: by what the message asked for, since rates move.
pub(super) fn held_share(case: &Case<'_>, entry: &Entry) -> i64 {
    let exchange = case.state.exchange(entry.id);
    let same_currency = |exchange: &&Exchange| {
        let asked = exchange.asked.currency;
        asked == case.facts.amount.currency && asked != entry.currency
    };
    match exchange.filter(same_currency) {
        Some(exchange) => share(entry.held.total(), case.asked_minor, exchange.held_minor),
        None => case.amount.minor.min(entry.held.total()),
    }
}

/// A split of an account by the currencies of its purses.
pub(super) fn by_currency(
    purses: &[crate::domain::account::Purse],
    split: &Split,
) -> Vec<(Currency, Split)> {
    let mut parts: Vec<(Currency, Split)> = Vec::new();
    for (index, minor) in split.parts() {
        let Some(purse) = purses.get(PurseIndex::position(index)) else {
            continue;
        };
        match parts.iter_mut().find(|part| part.0 == purse.currency) {
            Some(part) => part.1.add(index, minor),
            None => parts.push((purse.currency, Split::whole(index, minor))),
        }
    }
    parts
}

/// What a request that was approved comes to in another currency: that of the entry where the
/// programme converted, else that of the purses where all that pay have the same. Nothing where the
/// network said it, for then it stands in the message.
pub(super) fn billed<'a>(
    facts: &Facts,
    effects: &Effects,
    account: impl FnOnce() -> Option<&'a Account>,
) -> Option<Billed> {
    let is_request = matches!(
        facts.kind,
        MessageKind::Authorization | MessageKind::Financial
    );
    if facts.billing.is_some() || !is_request {
        return None;
    }
    let change = effects.iter().find_map(|effect| match effect {
        Effect::ExchangeHeld(change) | Effect::ExchangePosted(change) => Some(change),
        _ => None,
    })?;
    let purses = &account()?.purses;
    let sum = |of: fn(&Leg) -> i64| change.legs.iter().map(of).try_fold(0_i64, i64::checked_add);
    let first = change.legs.first()?;
    let currency_of = |leg: &Leg| purses.get(leg.purse.position()).map(|it| it.currency);
    if let Some(rate) = change.rate {
        let own = change.legs.iter().find(|leg| leg.rate.is_none());
        let opened = effects.iter().find_map(|effect| match effect {
            Effect::EntryOpened { currency, .. } => Some(*currency),
            _ => None,
        });
        let currency = opened.or_else(|| currency_of(own?))?;
        let amount = Amount::new(sum(|leg| leg.worth)?, currency);
        return Some(Billed { amount, rate });
    }
    let (currency, rate) = (currency_of(first)?, first.rate?);
    let is_alike = |leg: &Leg| currency_of(leg) == Some(currency) && leg.rate == first.rate;
    change.legs.iter().all(is_alike).then_some(Billed {
        amount: Amount::new(sum(|leg| leg.net)?, currency),
        rate,
    })
}

/// The same of a decision that is being applied.
pub(super) fn billed_by(state: &State, decided: &Decided) -> Option<Billed> {
    billed(&decided.facts, &decided.effects, || {
        let card = state.card(decided.card?)?;
        state.account(card.account).map(|record| &record.account)
    })
}

/// How a decision was paid, in words for its evidence.
pub(super) fn told(case: &Case<'_>, effects: &Effects) -> Option<String> {
    let change = effects.iter().find_map(|effect| match effect {
        Effect::ExchangeHeld(change) | Effect::ExchangePosted(change) => Some(change),
        _ => None,
    })?;
    let mut told = match (case.converted, change.rate) {
        (None, _) => String::new(),
        (Some(_), None) => format!("{} billed as {}; ", change.asked, case.amount),
        (Some(_), Some(rate)) => format!("{} at {rate} is {}; ", change.asked, case.amount),
    };
    for leg in &change.legs {
        let currency = purse_currency(case, leg)?;
        let net = Amount::new(leg.net, currency);
        let name = &case.programme.purses.get(leg.purse.position())?.id;
        told.push_str(&format!("{name} {net}"));
        if let Some(rate) = leg.rate {
            told.push_str(&format!(" at {rate}"));
        }
        if leg.markup > 0 {
            let markup = Amount::new(leg.markup, currency);
            told.push_str(&format!(" and mark-up {markup}"));
        }
        told.push_str(", ");
    }
    told.truncate(told.trim_end_matches([',', ' ', ';']).len());
    Some(told)
}
