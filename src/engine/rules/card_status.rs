//! A5, B4, C1: a card that is closed, stolen, lost, not activated or frozen does not pay.
//!
//! A refund still reaches a card that may not pay, but not a closed one.

use crate::domain::card::CardStatus;
use crate::domain::decision::Reason;
use crate::domain::facts::Purpose;
use crate::engine::case::{Case, Intent, Refusal};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "card_status",
    reasons: &[
        Reason::InvalidCard,
        Reason::AccountClosed,
        Reason::CardStolen,
        Reason::CardLost,
        Reason::CardNotActivated,
        Reason::CardFrozen,
    ],
    intents: Intents::of(&[
        Intent::Spend,
        Intent::Verify,
        Intent::Enquire,
        Intent::Refund,
        Intent::Load,
        Intent::ChangePin,
    ]),
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let reason = match case.card.status {
        CardStatus::NotActivated if case.facts.purpose == Purpose::Activation => return None,
        CardStatus::Active => return dead_token(case),
        CardStatus::Closed => Reason::AccountClosed,
        CardStatus::Stolen => Reason::CardStolen,
        CardStatus::Lost => Reason::CardLost,
        CardStatus::NotActivated => Reason::CardNotActivated,
        CardStatus::Frozen => Reason::CardFrozen,
    };
    let refused = case.intent != Intent::Refund || reason == Reason::AccountClosed;
    refused.then(|| Refusal::plain(reason))
}

/// A device's number that died with its card does not come back with it: it is registered again.
fn dead_token(case: &Case<'_>) -> Option<Refusal> {
    let token = case.facts.card;
    if token == case.card.token || case.intent == Intent::Refund {
        return None;
    }
    let known = case.state.device_token(case.card.id, token);
    known.is_none_or(|known| !known.is_alive).then(|| {
        let evidence = "the device's number is not registered any more".to_owned();
        Refusal::because(Reason::InvalidCard, evidence)
    })
}
