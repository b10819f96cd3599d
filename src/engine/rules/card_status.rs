//! A5, B4, C1: a card that is closed, stolen, lost, not activated or frozen does not pay.
//!
//! A refund still reaches a card that may not pay, but not a closed one.

use crate::domain::card::CardStatus;
use crate::domain::decision::Reason;
use crate::engine::case::{Case, Intent, Refusal};

use super::Rule;

/// The rule.
pub const RULE: Rule = Rule {
    name: "card_status",
    reasons: &[
        Reason::AccountClosed,
        Reason::CardStolen,
        Reason::CardLost,
        Reason::CardNotActivated,
        Reason::CardFrozen,
    ],
    intents: &[
        Intent::Spend,
        Intent::Verify,
        Intent::Enquire,
        Intent::Refund,
        Intent::Load,
    ],
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let reason = match case.card.status {
        CardStatus::Active => return None,
        CardStatus::Closed => Reason::AccountClosed,
        CardStatus::Stolen => Reason::CardStolen,
        CardStatus::Lost => Reason::CardLost,
        CardStatus::NotActivated => Reason::CardNotActivated,
        CardStatus::Frozen => Reason::CardFrozen,
    };
    let refused = case.intent != Intent::Refund || reason == Reason::AccountClosed;
    refused.then(|| Refusal::plain(reason))
}
