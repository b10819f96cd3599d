//! 0220: something already happened. It is posted, never refused; what does not fit becomes an
//! exception for a person (rule A34, lifecycle D.2 and D.5).

use crate::domain::account::Split;
use crate::domain::facts::MessageKind;
use crate::domain::programme::Channel;

use super::booking::{
    debited, exception, load_split, offset, posted_credit, posted_purchase, posted_refund, refunded,
};
use super::case::{Case, Intent, Refusal};
use super::entry::{Entry, EntryId, EntryState};
use super::event::{Effect, Effects, ExceptionKind};
use super::exchange;
use super::funds::{self, Payment};
use super::ledger::LedgerAccount;
use super::matching::{Found, Ladder, find};
use super::rules;
use super::verdict::Verdict;

/// Posts an advice.
pub(super) fn post(case: &Case<'_>) -> Verdict {
    if case.amount.minor <= 0 {
        return Verdict::accepted(Effects::new()).seeing("nothing to post".to_owned());
    }
    match case.intent {
        Intent::Spend | Intent::Verify => capture(case),
        Intent::Refund => post_refund(case),
        Intent::Load => post_load(case),
        Intent::Enquire | Intent::ChangePin => {
            Verdict::accepted(Effects::new()).seeing("nothing to post".to_owned())
        }
    }
}

/// The entry that an advice completes: the hold of a debit, the authorization of a credit.
pub(super) fn target<'a>(case: &Case<'a>) -> Found<'a> {
    let currency = case.amount.currency;
    let look = |ladder, wanted: &dyn Fn(&Entry) -> bool| {
        find(case.state, case.card.id, case.facts, ladder, wanted)
    };
    match case.intent {
        Intent::Spend | Intent::Verify => look(Ladder::WithWeakRung, &|entry| {
            entry.is_debit() && entry.currency == currency
        }),
        // A refund that was itself a posting has nothing to complete.
        Intent::Refund => look(Ladder::Strong, &|entry| {
            entry.opened_by == MessageKind::Authorization
                && entry.purpose == case.facts.purpose
                && entry.currency == currency
        }),
        Intent::Load | Intent::Enquire | Intent::ChangePin => Found::Nothing,
    }
}

fn capture(case: &Case<'_>) -> Verdict {
    match target(case) {
        Found::One(entry, rung) => {
            let evidence = format!("captures record {} by {}", entry.id.0, rung.name());
            Verdict::accepted(capture_entry(case, entry)).seeing(evidence)
        }
        Found::Several => force(case, ExceptionKind::AmbiguousMatch),
        Found::Nothing => force(case, ExceptionKind::UnmatchedCapture),
    }
}

/// Takes the amount from the hold first; what the hold does not have comes from the purses as they
/// stand, below zero if need be.
fn capture_entry(case: &Case<'_>, entry: &Entry) -> Effects {
    let mut left = entry.held.clone();
    let mut from_hold = left.take_first(exchange::held_share(case, entry));
    if planted!(CaptureIgnoresHold) {
        from_hold = Split::default();
    }
    let is_last = case.facts.is_last_part();
    let (lowered, asked) = if is_last {
        (entry.held.clone(), None)
    } else {
        (from_hold.clone(), Some(case.asked_minor))
    };
    let mut effects = exchange::lowered(case, entry, lowered, asked);
    if is_last && !left.is_empty() {
        effects.push(uncounted(entry, &std::mem::take(&mut left)));
    }
    let payment = payment(case, entry, from_hold).unwrap_or(Payment::Plain(Split::default()));
    effects.push(debited(case, entry.id, payment));
    if left.is_empty() {
        effects.push(Effect::EntryMoved {
            entry: entry.id,
            state: EntryState::Captured,
        });
    }
    let late = match entry.state {
        EntryState::Pending => None,
        EntryState::Captured => Some(ExceptionKind::ExtraCapture),
        EntryState::Released | EntryState::Reversed => Some(ExceptionKind::LateCapture),
    };
    effects.extend(late.map(|kind| exception(kind, Some(entry.id), case.amount.minor)));
    effects
}

/// Who pays a capture: the purses of its share of the hold first, then all as they stand.
fn payment(case: &Case<'_>, entry: &Entry, from_hold: Split) -> Option<Payment> {
    let held = case.state.exchange(entry.id).map(|it| &it.held);
    if let (None, None) = (held.filter(|legs| !legs.is_empty()), case.converted) {
        let beyond = case.amount.minor.saturating_sub(from_hold.total());
        let extra = funds::pay_regardless(case, beyond)?;
        if let Payment::Plain(extra) = extra {
            let mut paid = from_hold;
            extra.parts().for_each(|part| paid.add(part.0, part.1));
            return Some(Payment::Plain(paid));
        }
    }
    let costs = from_hold.parts().map(|(purse, worth)| {
        let leg = held.and_then(|legs| legs.iter().find(|leg| leg.purse == purse));
        let part = leg.map_or(0, |leg| leg.worth.min(worth));
        let cost = leg.map_or(0, |leg| leg.between(0, part).cost());
        (purse, cost.saturating_add(worth.saturating_sub(part)))
    });
    funds::pay_from_hold(case, &from_hold, costs)
}

/// After the last part of a capture nothing is held any more; what was not needed does not count.
fn uncounted(entry: &Entry, rest: &Split) -> Effect {
    let unneeded = rest.total().min(entry.counted);
    Effect::Counted {
        entry: entry.id,
        channel: entry.channel.unwrap_or(Channel::Purchase),
        currency: entry.currency,
        date: entry.date,
        minor: unneeded.saturating_neg(),
        count: 0,
    }
}

/// Posts a capture that no entry is known for.
fn force(case: &Case<'_>, kind: ExceptionKind) -> Verdict {
    let minor = case.amount.minor;
    let (mut effects, kind) = match funds::pay_regardless(case, minor) {
        Some(payment) => (posted_purchase(case, payment), kind),
        None => (Effects::new(), ExceptionKind::CurrencyWithoutPurse),
    };
    let entry = (!effects.is_empty()).then_some(EntryId(case.sequence));
    effects.push(exception(kind, entry, minor));
    Verdict::accepted(effects).seeing("no authorization found".to_owned())
}

fn post_refund(case: &Case<'_>) -> Verdict {
    if let Found::One(entry, rung) = target(case) {
        let evidence = format!("completes refund {} by {}", entry.id.0, rung.name());
        return Verdict::accepted(complete_refund(case, entry)).seeing(evidence);
    }
    match posted_refund(case) {
        Some(effects) => forced_credit(case, effects, ExceptionKind::ForcedRefund),
        None => unpostable(case),
    }
}

/// The posting of an authorized refund. One that was credited already has no second effect; one
/// that was released or called off posts all the same, and a person is told.
fn complete_refund(case: &Case<'_>, entry: &Entry) -> Effects {
    let late = match entry.state {
        // Noted all the same, so that a reversal of the completion finds the refund.
        EntryState::Captured => {
            return Effects::from_iter([Effect::EntryMoved {
                entry: entry.id,
                state: EntryState::Captured,
            }]);
        }
        EntryState::Pending => None,
        EntryState::Released | EntryState::Reversed => Some(ExceptionKind::LateCapture),
    };
    // The authorization knew its purchase; its completion need not name that again.
    let purchase = entry.refund_of().and_then(|id| case.state.entry(id));
    let case = &Case {
        refund_of: purchase.or(case.refund_of),
        ..*case
    };
    let Some((split, posted)) = refunded(case, entry.id) else {
        return Effects::new();
    };
    let mut effects: Effects = posted.into_iter().flatten().collect();
    effects.push(Effect::EntryMoved {
        entry: entry.id,
        state: EntryState::Captured,
    });
    effects.extend(offset(case, &split));
    let forced = rules::first_refusal(case).map(|_| ExceptionKind::ForcedRefund);
    let raised = late.or(forced);
    effects.extend(raised.map(|kind| exception(kind, Some(entry.id), case.amount.minor)));
    effects
}

fn post_load(case: &Case<'_>) -> Verdict {
    let Some(split) = load_split(case) else {
        return unpostable(case);
    };
    let from = LedgerAccount::LoadFunds(case.account().programme);
    let effects = posted_credit(case, &split, from);
    forced_credit(case, effects, ExceptionKind::ForcedLoad)
}

/// Posts a credit; where the rules would have refused it, a person is told.
fn forced_credit(case: &Case<'_>, mut effects: Effects, kind: ExceptionKind) -> Verdict {
    match rules::first_refusal(case) {
        None => Verdict::accepted(effects),
        Some(Refusal { reason, .. }) => {
            effects.push(exception(
                kind,
                Some(EntryId(case.sequence)),
                case.amount.minor,
            ));
            Verdict::accepted(effects).seeing(format!("posted although {reason}"))
        }
    }
}

fn unpostable(case: &Case<'_>) -> Verdict {
    let exception = exception(ExceptionKind::CurrencyWithoutPurse, None, case.amount.minor);
    Verdict::accepted(Effects::from_iter([exception]))
}
