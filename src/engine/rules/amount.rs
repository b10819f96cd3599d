//! A28: an amount that is zero where money should move, or below a load's minimum, or not its
//! multiple.

use crate::domain::decision::Reason;
use crate::engine::case::{Case, Intent, Refusal};

use super::Rule;

/// The rule.
pub const RULE: Rule = Rule {
    name: "amount",
    reasons: &[Reason::InvalidAmount],
    intents: &[Intent::Spend, Intent::Refund, Intent::Load],
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let minor = case.amount.minor;
    if minor <= 0 {
        let evidence = format!("expected more than 0, got {minor}");
        return Some(Refusal::because(Reason::InvalidAmount, evidence));
    }
    if case.intent != Intent::Load {
        return None;
    }
    let load = case.programme.load.as_ref()?;
    if minor < load.minimum {
        let evidence = format!("expected at least {}, got {minor}", load.minimum);
        return Some(Refusal::because(Reason::InvalidAmount, evidence));
    }
    let odd = minor.checked_rem(load.multiple_of) != Some(0);
    odd.then(|| {
        let evidence = format!("expected a multiple of {}, got {minor}", load.multiple_of);
        Refusal::because(Reason::InvalidAmount, evidence)
    })
}
