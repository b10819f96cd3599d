//! A7, A8, C1: a PIN that is needed must be there and right; too many wrong ones lock it.
//!
//! The engine sees a verdict, never a PIN. What is no PIN at all (a damaged block, a wrong key) is
//! refused and counts as no try. A block that nothing can verify must not look verified: the
//! programme says whether such a message is refused or decided without it, unless a PIN is needed.
//! It is refused with a reason of its own where a device should have answered and did not.

use crate::domain::conditions::{EntryMode, PinVerdict};
use crate::domain::decision::Reason;
use crate::domain::facts::Purpose;
use crate::domain::programme::{PinUse, Unverified};
use crate::engine::case::{Case, Intent, Refusal};
use crate::engine::pin::is_locked;

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "pin",
    reasons: &[
        Reason::PinLocked,
        Reason::HsmUnavailable,
        Reason::PinNotVerifiable,
        Reason::PinMalformed,
        Reason::PinRequired,
        Reason::PinWrong,
    ],
    intents: Intents::of(&[
        Intent::Spend,
        Intent::Verify,
        Intent::Enquire,
        Intent::ChangePin,
    ]),
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let verdict = case.facts.pin;
    let needed = || {
        // Who has the current one may choose another (rule C1).
        let required = &case.programme.pin.required;
        case.intent == Intent::ChangePin || required.iter().any(|it| applies(case, *it))
    };
    if verdict == PinVerdict::Absent {
        return needed().then(|| missing(case));
    }
    if is_locked(case) {
        return Some(Refusal::because(Reason::PinLocked, tries(case, 0)));
    }
    match verdict {
        PinVerdict::Absent | PinVerdict::Correct => None,
        PinVerdict::Malformed => Some(Refusal::plain(Reason::PinMalformed)),
        PinVerdict::Wrong => Some(wrong(case)),
        PinVerdict::Unverified | PinVerdict::CannotBeChecked | PinVerdict::Unavailable => {
            let refused = case.programme.pin_block == Unverified::Refuse || needed();
            refused.then(|| unverified(verdict))
        }
    }
}

fn applies(case: &Case<'_>, needed: PinUse) -> bool {
    match needed {
        PinUse::CashWithdrawal => case.facts.purpose == Purpose::CashWithdrawal,
        PinUse::PhysicalPurchase => {
            let entry = case.facts.point.entry;
            let physical = matches!(
                entry,
                EntryMode::Chip | EntryMode::Stripe | EntryMode::Fallback
            );
            // Zero only asks whether the card is good.
            let buys = case.facts.purpose == Purpose::Purchase && case.intent == Intent::Spend;
            buys && physical && case.facts.point.pin_pad
        }
    }
}

fn unverified(verdict: PinVerdict) -> Refusal {
    if verdict == PinVerdict::Unavailable {
        return Refusal::plain(Reason::HsmUnavailable);
    }
    let evidence = "nothing to verify the PIN block with".to_owned();
    Refusal::because(Reason::PinNotVerifiable, evidence)
}

fn missing(case: &Case<'_>) -> Refusal {
    if is_locked(case) {
        return Refusal::because(Reason::PinLocked, tries(case, 0));
    }
    Refusal::plain(Reason::PinRequired)
}

fn wrong(case: &Case<'_>) -> Refusal {
    let last = case.card.pin.wrong_tries.saturating_add(1) >= case.programme.pin.tries_max;
    let reason = if last {
        Reason::PinLocked
    } else {
        Reason::PinWrong
    };
    Refusal::because(reason, tries(case, 1))
}

fn tries(case: &Case<'_>, more: u8) -> String {
    let wrong = case.card.pin.wrong_tries.saturating_add(more);
    format!("{wrong} wrong tries of {}", case.programme.pin.tries_max)
}
