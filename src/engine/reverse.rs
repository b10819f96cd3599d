//! 0400 and 0420: undo, in full or in part, before or after capture, or before the original came
//! (lifecycle D.2 and D.3). A reversal is always acknowledged.

use std::borrow::Cow;

use crate::domain::card::CardStatus;
use crate::domain::decision::Reason;
use crate::domain::facts::{MessageKind, Purpose, Trace, TraceKey};
use crate::domain::programme::Channel;
use crate::domain::rare_facts::{AdviceReason, LoadChannel};

use super::booking::exception;
use super::case::{Case, Refusal};
use super::entry::{Entry, EntryState};
use super::event::{Effect, Effects, ExceptionKind};
use super::exchange;
use super::fee;
use super::ledger::{LedgerAccount, credit_purses, debit_purses};
use super::matching::{Found, Ladder, find};
use super::state::{MatchKey, StoredAnswer};
use super::verdict::Verdict;

/// Undoes what the reversal names.
pub(super) fn undo(case: &Case<'_>) -> Verdict {
    if let Some(verdict) = undo_answered(case) {
        return verdict;
    }
    match find(case.state, case.card.id, case.facts, Ladder::Strong, |_| {
        true
    }) {
        Found::One(entry, rung) => {
            let evidence = format!("reverses record {} by {}", entry.id.0, rung.name());
            undo_entry(case, entry, evidence)
        }
        Found::Several => {
            let raised = exception(ExceptionKind::AmbiguousMatch, None, case.amount.minor);
            Verdict::accepted(Effects::from_iter([raised]))
                .seeing("more than one entry could be meant".to_owned())
        }
        Found::Nothing => unmatched(case),
    }
}

/// A reversal of a message that we answered but that opened no entry. A completion moved the entry
/// of its authorization. A decline booked nothing, and no weaker evidence may then find an entry:
/// the reversal of a declined attempt would undo the retry that was approved.
fn undo_answered(case: &Case<'_>) -> Option<Verdict> {
    let original = case.facts.original?;
    let key = MatchKey::Trace(case.card.id, original);
    if case.state.entries_by(key).next().is_some() {
        return None;
    }
    let answer = answer_of_original(case, original)?;
    if !answer.reason.is_approved() {
        let verdict = Verdict::accepted(Effects::new());
        return Some(verdict.seeing("its original booked nothing".to_owned()));
    }
    let entry = case.state.entry(answer.entry?)?;
    let evidence = format!(
        "reverses record {} by the answer to its original",
        entry.id.0
    );
    Some(undo_entry(case, entry, evidence))
}

/// Nothing stands to be undone: either the original was declined, or it has not come yet.
fn unmatched(case: &Case<'_>) -> Verdict {
    let original = original_trace(case);
    if answer_of_original(case, original).is_some() {
        return Verdict::accepted(Effects::new()).seeing("its original booked nothing".to_owned());
    }
    let asked = case.facts.amount.minor;
    let (tombstone, kind, seen) = match case.facts.replacement_minor.unwrap_or(0) {
        remaining if remaining > asked => (
            None,
            ExceptionKind::ReplacementAboveOriginal,
            "no original, and more would remain than was asked",
        ),
        // Nothing of it is undone.
        remaining if remaining == asked && asked > 0 => {
            (None, ExceptionKind::UnmatchedReversal, "no original")
        }
        remaining if remaining > 0 => (
            Some(Effect::PartTombstoneSet {
                trace: original,
                remaining,
            }),
            ExceptionKind::UnmatchedReversal,
            "no original; only the rest of it will be posted when it comes",
        ),
        _ => (
            Some(Effect::TombstoneSet { trace: original }),
            ExceptionKind::UnmatchedReversal,
            "no original; it will be declined when it comes",
        ),
    };
    let tombstone = tombstone.filter(|_| !planted!(UnknownReversalLeavesNoTombstone));
    let mut effects: Effects = tombstone.into_iter().collect();
    effects.push(exception(kind, None, case.amount.minor));
    Verdict::accepted(effects).seeing(seen.to_owned())
}

fn original_trace(case: &Case<'_>) -> Trace {
    case.facts.original.unwrap_or(case.facts.trace)
}

/// A cardholder who calls off a load where that is not offered (rule A28). Asked, it is declined;
/// told as done, it is acknowledged and a person looks at it. What the network undoes by itself,
/// such as a deposit that failed, does not come here.
fn cancelled_load(case: &Case<'_>, entry: &Entry) -> Option<Verdict> {
    let reason = case.facts.rare.as_ref().and_then(|rare| rare.advice_reason);
    if entry.purpose != Purpose::Load || reason != Some(AdviceReason::Cancelled) {
        return None;
    }
    let channel = match entry.channel? {
        Channel::LoadAtm => LoadChannel::Atm,
        Channel::LoadBank => LoadChannel::Bank,
        Channel::LoadCreditCard => LoadChannel::CreditCard,
        Channel::LoadShopTill => LoadChannel::ShopTill,
        _ => return None,
    };
    let terms = case.programme.load.as_ref()?.terms(channel)?;
    if terms.cancellable {
        return None;
    }
    let evidence = "a load in this way cannot be called off by the cardholder".to_owned();
    // The thousands are the edition's: 0400, 1400, 2400.
    if matches!(case.facts.mti.checked_rem(1_000), Some(400 | 401)) {
        let refusal = Refusal::because(Reason::LoadNotAllowed, evidence);
        return Some(Verdict::refused(refusal));
    }
    let raised = exception(
        ExceptionKind::CancelledLoad,
        Some(entry.id),
        case.amount.minor,
    );
    Some(Verdict::accepted(Effects::from_iter([raised])).seeing(evidence))
}

fn undo_entry(case: &Case<'_>, entry: &Entry, evidence: String) -> Verdict {
    if let Some(verdict) = cancelled_load(case, entry) {
        return verdict;
    }
    let outstanding = entry.outstanding();
    if outstanding == 0 {
        return undo_without_money(case, entry, evidence);
    }
    let Some(wanted) = wanted_minor(case, entry) else {
        let kind = ExceptionKind::ReplacementAboveOriginal;
        let raised = exception(kind, Some(entry.id), case.amount.minor);
        return Verdict::accepted(Effects::from_iter([raised])).seeing(evidence);
    };
    let undone = wanted.min(outstanding);
    let mut effects = release_and_return(case, entry, undone);
    effects.extend(given_back(entry, undone, undone == outstanding));
    if undone == outstanding {
        effects.extend(fee::given_back(case, entry));
    }
    if undone == outstanding {
        effects.push(Effect::EntryMoved {
            entry: entry.id,
            state: EntryState::Reversed,
        });
        effects.extend(deactivated(case, entry));
    } else if entry.held.total() <= undone && entry.state == EntryState::Pending {
        effects.push(Effect::EntryMoved {
            entry: entry.id,
            state: EntryState::Captured,
        });
    }
    if wanted > outstanding {
        let beyond = wanted.saturating_sub(outstanding);
        effects.push(exception(
            ExceptionKind::OverReversal,
            Some(entry.id),
            beyond,
        ));
    }
    Verdict::accepted(effects).seeing(evidence)
}

/// A card whose first money is taken back can be sold again (rule B4); one that was usable before
/// that money stays so.
fn deactivated(case: &Case<'_>, entry: &Entry) -> Option<Effect> {
    let is_first = case.state.activated_by(entry.card) == Some(entry.id)
        && case.card.status == CardStatus::Active;
    is_first.then_some(Effect::CardActivation { is_active: false })
}

/// A reversal of something that neither holds nor has posted: an authorized refund is called off,
/// anything else has nothing left to undo.
fn undo_without_money(case: &Case<'_>, entry: &Entry, evidence: String) -> Verdict {
    if entry.state != EntryState::Pending {
        return Verdict::accepted(Effects::new())
            .seeing(format!("{evidence}; nothing is left to undo"));
    }
    let original = case.facts.amount.minor;
    let effect = match case.facts.replacement_minor.unwrap_or(0) {
        0 => Effect::EntryMoved {
            entry: entry.id,
            state: EntryState::Reversed,
        },
        remaining if remaining > original => {
            let kind = ExceptionKind::ReplacementAboveOriginal;
            exception(kind, Some(entry.id), original)
        }
        // Its posting says how much comes back.
        _ => return Verdict::accepted(Effects::new()).seeing(evidence),
    };
    Verdict::accepted(Effects::from_iter([effect])).seeing(evidence)
}

/// How much the reversal asks for in the entry's currency; `None` when more would remain than was.
fn wanted_minor(case: &Case<'_>, entry: &Entry) -> Option<i64> {
    let facts = case.facts;
    let original = facts.amount.minor;
    let mut remaining = facts.replacement_minor.unwrap_or(0);
    if planted!(PartialReversalUndoesAll) {
        remaining = 0;
    }
    if remaining > original {
        return None;
    }
    let asked = original.saturating_sub(remaining);
    if asked == 0 {
        // No amount at all: the whole. (A replacement equal to the original undoes nothing.)
        return Some(if original == 0 {
            entry.outstanding()
        } else {
            0
        });
    }
    if facts.amount.currency == entry.currency {
        return Some(asked);
    }
    if remaining == 0 {
        return Some(entry.outstanding());
    }
    // Another currency than the purse: the same share of what was authorized, rounded down.
    let share = i128::from(entry.authorized.max(entry.outstanding()))
        .checked_mul(i128::from(asked))?
        .checked_div(i128::from(original))?;
    i64::try_from(share).ok()
}

/// Holds first, then what was posted; the purse taken last is given back first.
fn release_and_return(case: &Case<'_>, entry: &Entry, undone: i64) -> Effects {
    let mut effects = Effects::new();
    let released = entry.held.clone().take_back(undone);
    let rest = undone.saturating_sub(released.total());
    effects.extend(exchange::lowered(case, entry, released, None));
    let returned = entry.posted.clone().take_back(rest);
    let (returned, exchanged) = exchange::returned(case, entry, &returned);
    effects.extend(exchanged);
    if !returned.is_empty() {
        let programme = case.account().programme;
        let account = case.account().id;
        let postings = match entry.purpose {
            Purpose::Load | Purpose::Activation => {
                debit_purses(account, &returned, LedgerAccount::LoadFunds(programme))
            }
            Purpose::Refund | Purpose::OriginalCredit => {
                debit_purses(account, &returned, LedgerAccount::Settlement(programme))
            }
            Purpose::Purchase
            | Purpose::BalanceEnquiry
            | Purpose::PinChange
            | Purpose::CashWithdrawal
            | Purpose::AccountFunding
            | Purpose::QuasiCash
            | Purpose::Unnamed => {
                credit_purses(account, &returned, LedgerAccount::Settlement(programme))
            }
        };
        effects.push(Effect::Posted {
            entry: entry.id,
            currency: entry.currency,
            postings,
        });
    }
    effects
}

/// Usage goes back to the window it was counted in (rule A16).
fn given_back(entry: &Entry, undone: i64, in_full: bool) -> Option<Effect> {
    let channel = entry.channel?;
    let mut minor = undone.min(entry.counted);
    if planted!(LimitGivenBackTwice) {
        minor = minor.saturating_mul(2);
    }
    if minor == 0 && !in_full {
        return None;
    }
    Some(Effect::Counted {
        entry: entry.id,
        channel,
        currency: entry.currency,
        date: entry.date,
        minor: minor.saturating_neg(),
        count: if in_full && entry.counted_as > 0 {
            -1
        } else {
            0
        },
    })
}

/// The answer to the original of a trace, whatever its kind, to a message about the same card.
fn answer_of_original<'a>(case: &Case<'a>, trace: Trace) -> Option<Cow<'a, StoredAnswer>> {
    [
        MessageKind::Authorization,
        MessageKind::Financial,
        MessageKind::AuthorizationAdvice,
        MessageKind::FinancialAdvice,
    ]
    .into_iter()
    .find_map(|kind| {
        let key = TraceKey {
            kind,
            trace,
            terminal: case.facts.terminal,
        };
        case.state
            .answer(&key)
            .filter(|answer| answer.card_id == Some(case.card.id))
    })
}
