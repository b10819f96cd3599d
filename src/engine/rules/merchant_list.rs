//! A26b, C7: merchants and terminals that the programme names as refused.

use crate::domain::decision::Reason;
use crate::engine::case::{Case, Intent, Refusal};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "merchant_list",
    reasons: &[Reason::MerchantDenied],
    intents: Intents::of(&[Intent::Spend, Intent::Verify]),
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let lists = &case.programme.merchants;
    let evidence = if lists.denied_acceptors.contains(&case.facts.acceptor) {
        format!("acceptor {} is listed", case.facts.acceptor)
    } else if lists.denied_terminals.contains(&case.facts.terminal) {
        format!("terminal {} is listed", case.facts.terminal)
    } else {
        return None;
    };
    Some(Refusal::because(Reason::MerchantDenied, evidence))
}
