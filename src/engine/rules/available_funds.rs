//! A11, A14, A27: nothing is approved beyond what the purses have available, its fee included.

use crate::domain::decision::Reason;
use crate::engine::case::{Case, Intent, Refusal};
use crate::engine::{fee, funds};

use super::Rule;

/// The rule.
pub const RULE: Rule = Rule {
    name: "available_funds",
    reasons: &[Reason::InsufficientFunds],
    intents: &[Intent::Spend],
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let available = funds::available(case.spend_order(), case.account(), case.amount.currency);
    let fee = fee::of(case);
    (case.amount.minor.saturating_add(fee) > available).then(|| {
        let asked = case.amount.minor;
        let evidence = match fee {
            0 => format!("available {available}, asked {asked}"),
            _ => format!("available {available}, asked {asked} and a fee of {fee}"),
        };
        Refusal::because(Reason::InsufficientFunds, evidence)
    })
}
