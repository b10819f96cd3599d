//! 0220: something already happened. It is posted, never refused; what does not fit becomes an
//! exception for a person (rule A34, lifecycle D.2 and D.5).

use crate::domain::account::Split;
use crate::domain::facts::MessageKind;
use crate::domain::programme::Channel;

use super::booking::{exception, load_split, offset, posted_credit, posted_purchase, refund_split};
use super::case::{Case, Intent, Refusal};
use super::entry::{Entry, EntryId, EntryState};
use super::event::{Effect, Effects, ExceptionKind};
use super::funds;
use super::ledger::{LedgerAccount, credit_purses, debit_purses};
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
        Intent::Enquire => Verdict::accepted(Effects::new()).seeing("nothing to post".to_owned()),
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
        Intent::Load | Intent::Enquire => Found::Nothing,
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
    let from_hold = left.take_first(case.amount.minor);
    let beyond = case.amount.minor.saturating_sub(from_hold.total());
    let extra =
        funds::spend_regardless(case.programme, case.account(), case.amount.currency, beyond)
            .unwrap_or_default();

    let mut effects = Effects::new();
    if !from_hold.is_empty() {
        effects.push(Effect::HoldLowered {
            entry: entry.id,
            split: from_hold.clone(),
        });
    }
    if case.facts.is_last_part() && !left.is_empty() {
        effects.extend(let_go(entry, std::mem::take(&mut left)));
    }
    let mut paid = from_hold;
    for (purse, minor) in extra.0 {
        paid.add(purse, minor);
    }
    effects.push(posted(case, entry.id, &paid));
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

/// After the last part of a capture nothing is held any more; what was not needed does not count.
fn let_go(entry: &Entry, rest: Split) -> [Effect; 2] {
    let unneeded = rest.total().min(entry.counted);
    [
        Effect::HoldLowered {
            entry: entry.id,
            split: rest,
        },
        Effect::Counted {
            entry: entry.id,
            channel: entry.channel.unwrap_or(Channel::Purchase),
            currency: entry.currency,
            date: entry.date,
            minor: unneeded.saturating_neg(),
            count: 0,
        },
    ]
}

fn posted(case: &Case<'_>, entry: EntryId, split: &Split) -> Effect {
    let to = LedgerAccount::Settlement(case.account().programme);
    Effect::Posted {
        entry,
        currency: case.amount.currency,
        postings: debit_purses(case.account().id, split, to),
    }
}

/// Posts a capture that no entry is known for.
fn force(case: &Case<'_>, kind: ExceptionKind) -> Verdict {
    let (currency, minor) = (case.amount.currency, case.amount.minor);
    let split = funds::spend_regardless(case.programme, case.account(), currency, minor);
    let (mut effects, kind) = match split {
        Some(split) => (posted_purchase(case, &split), kind),
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
    let Some(split) = refund_split(case) else {
        return unpostable(case);
    };
    let from = LedgerAccount::Settlement(case.account().programme);
    forced_credit(case, &split, from, ExceptionKind::ForcedRefund)
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
    let purchase = entry.refund_of.and_then(|id| case.state.entry(id));
    let case = &Case {
        refund_of: purchase.or(case.refund_of),
        ..*case
    };
    let Some(split) = refund_split(case) else {
        return Effects::new();
    };
    let from = LedgerAccount::Settlement(case.account().programme);
    let mut effects = Effects::from_iter([
        Effect::Posted {
            entry: entry.id,
            currency: case.amount.currency,
            postings: credit_purses(case.account().id, &split, from),
        },
        Effect::EntryMoved {
            entry: entry.id,
            state: EntryState::Captured,
        },
    ]);
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
    forced_credit(case, &split, from, ExceptionKind::ForcedLoad)
}

/// Posts a credit; where the rules would have refused it, a person is told.
fn forced_credit(
    case: &Case<'_>,
    split: &Split,
    from: LedgerAccount,
    kind: ExceptionKind,
) -> Verdict {
    let mut effects = posted_credit(case, split, from);
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
