//! A6, C1: a new PIN must be one that may be chosen.
//!
//! It was looked at where it was in the clear; here is only what came of that.

use crate::domain::decision::Reason;
use crate::domain::pin_choice::NewPin;
use crate::engine::case::{Case, Intent, Refusal};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "new_pin",
    reasons: &[Reason::PinNotAcceptable],
    intents: Intents::of(&[Intent::ChangePin]),
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let new = case.facts.rare.as_ref().and_then(|rare| rare.new_pin);
    let evidence = match new {
        Some(NewPin::Chosen(_)) => return None,
        Some(NewPin::Refused(rule)) => rule.to_string(),
        Some(NewPin::Malformed) => "what is in the new PIN's block is no PIN".to_owned(),
        Some(NewPin::CannotBeMade) => "nothing to make a verification value with".to_owned(),
        None => "no new PIN came".to_owned(),
    };
    Some(Refusal::because(Reason::PinNotAcceptable, evidence))
}
