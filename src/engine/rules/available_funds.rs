//! A11, A14, A27, C2: nothing is approved beyond what the purses have available, its fee and the
//! mark-up of what others than its own currency's pay included.

use crate::domain::decision::Reason;
use crate::engine::case::{Case, Intent, Refusal};
use crate::engine::{fee, funds};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "available_funds",
    reasons: &[Reason::InsufficientFunds],
    intents: Intents::of(&[Intent::Spend]),
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let fee = fee::of(case);
    let asked = case.amount.minor;
    let mut available = funds::available(case.spend_order(), case.account(), case.amount.currency);
    if case.converted.is_none() && asked.saturating_add(fee) <= available {
        return None;
    }
    if funds::exchange(case, fee).is_some() {
        return None;
    }
    if case.programme.exchange.is_some() {
        let worth = funds::available_worth(case);
        available = match case.converted {
            Some(_) => worth,
            None => available.max(worth),
        };
    }
    let evidence = match fee {
        0 => format!("available {available}, asked {asked}"),
        _ => format!("available {available}, asked {asked} and a fee of {fee}"),
    };
    Some(Refusal::because(Reason::InsufficientFunds, evidence))
}
