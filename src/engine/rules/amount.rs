//! A27, A28: an amount that is zero where money should move, or below the minimum of a load or of
//! cash, or not its multiple.

use crate::domain::decision::Reason;
use crate::domain::facts::Purpose;
use crate::engine::case::{Case, Intent, Refusal};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "amount",
    reasons: &[Reason::InvalidAmount],
    intents: Intents::of(&[Intent::Spend, Intent::Refund, Intent::Load]),
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let minor = case.amount.minor;
    if minor <= 0 {
        let evidence = format!("expected more than 0, got {minor}");
        return Some(Refusal::because(Reason::InvalidAmount, evidence));
    }
    let (least, multiple_of) = terms(case)?;
    if minor < least {
        let evidence = format!("expected at least {least}, got {minor}");
        return Some(Refusal::because(Reason::InvalidAmount, evidence));
    }
    let odd = minor.checked_rem(multiple_of) != Some(0);
    odd.then(|| {
        let evidence = format!("expected a multiple of {multiple_of}, got {minor}");
        Refusal::because(Reason::InvalidAmount, evidence)
    })
}

/// Least amount and what it must be a multiple of, where the programme says so.
fn terms(case: &Case<'_>) -> Option<(i64, i64)> {
    if case.intent == Intent::Load {
        if let Some(terms) = case.load_terms() {
            return Some((terms.minimum, terms.multiple_of));
        }
        let load = case.programme.load.as_ref()?;
        return Some((load.minimum, load.multiple_of));
    }
    let cash = case.programme.cash.as_ref()?;
    let is_cash = case.facts.purpose == Purpose::CashWithdrawal;
    is_cash.then_some((cash.minimum, cash.multiple_of))
}
