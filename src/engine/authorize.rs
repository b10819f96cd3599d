//! 0100 and 0200: judge by the rules; on approval open a hold or post. 0120: record what somebody
//! decided in our place.

use crate::domain::account::Split;
use crate::domain::decision::Reason;
use crate::domain::facts::{Certainty, Initiation, Purpose};
use crate::domain::money::Amount;
use crate::domain::pin_choice::NewPin;
use crate::domain::programme::{Channel, RefundAuthorization};
use crate::domain::rate::share;
use crate::domain::time::UnixMs;

use super::approval::approval_code;
use super::booking::{
    counted, entry_opened, exception, hold, load_split, posted_credit, posted_purchase,
    posted_refund, raised_hold,
};
use super::case::{Case, Intent, Refusal, posts_at_once};
use super::entry::{Entry, EntryState};
use super::event::{Effect, Effects, ExceptionKind};
use super::exchange;
use super::fee;
use super::funds::{self, Payment};
use super::ledger::LedgerAccount;
use super::matching::{Found, Ladder, find};
use super::rules;
use super::verdict::{ApprovedPart, Verdict};

/// Judges an authorization or financial request, which may be undone already.
pub(super) fn judge(case: &Case<'_>, is_undone: bool, verdict: &mut Verdict) {
    if is_undone {
        let evidence = "its reversal came first".to_owned();
        *verdict = Verdict::refused(Refusal::because(Reason::LateOriginal, evidence));
        return;
    }
    if let Some(refusal) = rules::first_refusal(case) {
        let part = approved_in_part(case, &refusal);
        *verdict = part.unwrap_or_else(|| Verdict::refused(refusal));
        return;
    }
    let booked = match case.intent {
        Intent::Verify | Intent::Enquire => Some(()),
        Intent::Spend => spend(case, &mut verdict.effects),
        Intent::Refund => refund(case).map(|refund| verdict.effects = refund),
        Intent::Load => load(case).map(|load| verdict.effects = load),
        Intent::ChangePin => new_pin(case).map(|new| verdict.effects.push(new)),
    };
    if booked.is_none() {
        // The rules have found a purse with enough in it, so this is a bug of ours: no answer that
        // moves money may come from it.
        *verdict = Verdict::refused(Refusal::plain(Reason::SystemFault));
        return;
    }
    verdict.reason = Reason::Approved;
    verdict.evidence = seen(case, &verdict.effects);
    verdict.approval = Some(approval_code(case.sequence));
    verdict.show_balances = case.intent == Intent::Enquire;
}

/// What a row in shadow would have refused, and how purses of other currencies paid.
fn seen(case: &Case<'_>, effects: &Effects) -> Option<String> {
    let shadow = rules::first_in_shadow(case).map(noted);
    let told = exchange::told(case, effects);
    match (shadow, told) {
        (Some(shadow), Some(told)) => Some(format!("{shadow}; {told}")),
        (shadow, told) => shadow.or(told),
    }
}

/// `shadow merchant-category: fuel (A19): mcc 5541`.
fn noted(shadow: Refusal) -> String {
    let evidence = shadow.evidence.unwrap_or_default();
    format!("shadow {}: {evidence}", shadow.reason)
}

/// Approves what is available, where terminal and programme agree to that and nothing but the
/// funds stands in the way (rule A14). Never for cash, recurring payments or deposits.
fn approved_in_part(case: &Case<'_>, refusal: &Refusal) -> Option<Verdict> {
    let facts = case.facts;
    let may_be_part = refusal.reason == Reason::InsufficientFunds
        && case.programme.partial_approval
        && facts.point.partial_approval
        && facts.purpose == Purpose::Purchase
        && facts.initiation == Initiation::Cardholder
        && facts.certainty == Certainty::Final
        && !facts.is_incremental()
        && says_one_amount(case)
        && facts
            .rare
            .as_ref()
            .is_none_or(|rare| rare.cash_minor.is_none());
    if !may_be_part {
        return None;
    }
    let part = affordable_part(case)?;
    let mut effects = Effects::new();
    spend(&part, &mut effects)?;
    let available = part.amount.minor;
    Some(Verdict {
        reason: Reason::PartiallyApproved,
        evidence: Some(format!("{available} of {} is available", case.amount.minor)),
        approval: Some(approval_code(case.sequence)),
        approved_part: Some(Box::new(ApprovedPart {
            minor: available,
            transaction: is_counted_as_asked(&part).then_some(part.asked_minor),
        })),
        show_balances: false,
        effects,
    })
}

/// Whether the message does not contradict itself: two amounts in one currency would leave open
/// of which of them a part is approved.
fn says_one_amount(case: &Case<'_>) -> bool {
    let asked = case.facts.amount;
    let billing = case.facts.billing;
    billing.is_none_or(|billing| billing.currency != asked.currency || billing == asked)
}

/// Whether the part of the transaction amount is known by itself, rather than by what was billed.
fn is_counted_as_asked(case: &Case<'_>) -> bool {
    let billed = case.facts.billing.map(|billing| billing.currency);
    let own = case.amount.currency;
    case.converted.is_some() || (own == case.facts.amount.currency && billed != Some(own))
}

/// The case for as much as the purses have; `None` where that is nothing.
fn affordable_part<'a>(case: &Case<'a>) -> Option<Case<'a>> {
    let whole = case.amount.minor;
    let worth = funds::available_worth(case);
    let (minor, asked_minor) = if case.converted.is_some() {
        let asked = share(case.asked_minor, worth, whole);
        (share(whole, asked, case.asked_minor), asked)
    } else if is_counted_as_asked(case) {
        (worth, worth)
    } else {
        (worth, case.facts.approved_part(worth).amount.minor)
    };
    let amount = Amount::new(minor, case.amount.currency);
    (minor > 0 && asked_minor > 0).then_some(Case {
        amount,
        asked_minor,
        ..*case
    })
}

/// An authorization that adds to an earlier one: its hold grows. Where no earlier one is found it
/// is a hold of its own.
fn raised(case: &Case<'_>, payment: &Payment) -> Option<Effects> {
    if !case.facts.is_incremental() || posts_at_once(case.facts.kind) {
        return None;
    }
    let open = |entry: &Entry| {
        entry.state == EntryState::Pending
            && entry.purpose == case.facts.purpose
            && entry.currency == case.amount.currency
    };
    let found = find(case.state, case.card.id, case.facts, Ladder::Strong, open);
    let Found::One(entry, _) = found else {
        return None;
    };
    Some(Effects::from_iter([
        raised_hold(case, entry.id, payment.clone()),
        Effect::Counted {
            entry: entry.id,
            channel: entry.channel.unwrap_or(Channel::Purchase),
            currency: entry.currency,
            date: entry.date,
            minor: case.amount.minor,
            count: 0,
        },
    ]))
}

/// Sets what spending does; `None` when the purses do not have enough.
fn spend(case: &Case<'_>, effects: &mut Effects) -> Option<()> {
    let fee = fee::of(case);
    let (payment, fee) = funds::pay(case, fee)?;
    if let Some(raised) = raised(case, &payment) {
        *effects = raised;
        return Some(());
    }
    if posts_at_once(case.facts.kind) {
        *effects = posted_purchase(case, payment);
        effects.push(counted(case));
    } else {
        hold(case, payment, hold_expiry(case), effects);
    }
    if !fee.is_empty() {
        effects.extend(fee::posted(case, &fee));
    }
    Some(())
}

fn refund(case: &Case<'_>) -> Option<Effects> {
    let pending = !posts_at_once(case.facts.kind)
        && case.programme.refund.authorization == RefundAuthorization::Pending;
    if pending {
        let expiry = hold_expiry(case);
        let opened = entry_opened(case, Split::default(), Some(expiry));
        return Some(Effects::from_iter([opened]));
    }
    posted_refund(case)
}

fn load(case: &Case<'_>) -> Option<Effects> {
    let split = load_split(case)?;
    let from = LedgerAccount::LoadFunds(case.account().programme);
    let mut effects = posted_credit(case, &split, from);
    effects.push(counted(case));
    Some(effects)
}

/// The PIN that the holder chose, who gave the current one with the message (rule C1).
fn new_pin(case: &Case<'_>) -> Option<Effect> {
    let new = case.facts.rare.as_ref().and_then(|rare| rare.new_pin);
    match new? {
        NewPin::Chosen(reference) => Some(Effect::PinChanged { reference }),
        NewPin::Refused(_) | NewPin::Malformed | NewPin::CannotBeMade => None,
    }
}

fn hold_expiry(case: &Case<'_>) -> UnixMs {
    let domestic = case.facts.origin.is_domestic(case.programme.home);
    let rule = case.programme.hold;
    case.at.plus_days(if domestic {
        rule.domestic_days
    } else {
        rule.foreign_days
    })
}

/// 0120: somebody stood in for us. An approval is held without a veto; a decline books nothing.
pub(super) fn record_advice(case: &Case<'_>) -> Verdict {
    if !case.facts.stand_in_approved {
        return Verdict::accepted(Effects::new()).seeing("advice of a decline".to_owned());
    }
    if case.intent != Intent::Spend || case.amount.minor <= 0 {
        return Verdict::accepted(Effects::new()).seeing("nothing to hold".to_owned());
    }
    let found = find(
        case.state,
        case.card.id,
        case.facts,
        Ladder::Strong,
        |entry| {
            entry.state == EntryState::Pending
                && entry.purpose == Purpose::Purchase
                && entry.currency == case.amount.currency
        },
    );
    match found {
        Found::One(entry, rung) => {
            let evidence = format!(
                "replaces the hold of record {} by {}",
                entry.id.0,
                rung.name()
            );
            Verdict::accepted(replace_hold(case, entry)).seeing(evidence)
        }
        Found::Several => {
            let exception = exception(ExceptionKind::AmbiguousMatch, None, case.amount.minor);
            Verdict::accepted(Effects::from_iter([exception]))
        }
        Found::Nothing => Verdict::accepted(forced_hold(case)),
    }
}

fn forced_hold(case: &Case<'_>) -> Effects {
    let minor = case.amount.minor;
    match funds::pay_regardless(case, minor) {
        Some(payment) => {
            let mut effects = Effects::new();
            hold(case, payment, hold_expiry(case), &mut effects);
            effects
        }
        None => Effects::from_iter([exception(ExceptionKind::CurrencyWithoutPurse, None, minor)]),
    }
}

fn replace_hold(case: &Case<'_>, entry: &super::entry::Entry) -> Effects {
    let held = entry.held.total();
    let change = case.amount.minor.saturating_sub(held);
    let mut effects = Effects::new();
    if change == 0 {
        // Noted all the same, so that a reversal of the advice finds the hold.
        effects.push(Effect::EntryMoved {
            entry: entry.id,
            state: EntryState::Pending,
        });
    }
    if change > 0 {
        let open = case.state.exchange(entry.id).map_or(0, |it| it.held_minor);
        let asked_minor = case.asked_minor.saturating_sub(open).max(0);
        if let Some(payment) = funds::pay_regardless(case, change) {
            let case = &Case {
                asked_minor,
                ..*case
            };
            effects.push(raised_hold(case, entry.id, payment));
        }
    } else if change < 0 {
        let split = entry.held.clone().take_back(change.saturating_neg());
        effects.extend(exchange::lowered(case, entry, split, None));
    }
    if change != 0 {
        effects.push(Effect::Counted {
            entry: entry.id,
            channel: entry.channel.unwrap_or(Channel::Purchase),
            currency: entry.currency,
            date: entry.date,
            minor: change,
            count: 0,
        });
    }
    effects
}
