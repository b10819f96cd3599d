//! A11, A14: nothing is approved beyond what the purses have available.

use crate::domain::decision::Reason;
use crate::engine::case::{Case, Intent, Refusal};
use crate::engine::funds;

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
    let available = funds::available(case.programme, case.account(), case.amount.currency);
    (case.amount.minor > available).then(|| {
        let evidence = format!("available {available}, asked {}", case.amount.minor);
        Refusal::because(Reason::InsufficientFunds, evidence)
    })
}
