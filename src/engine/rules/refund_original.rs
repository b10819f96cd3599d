//! B5: where the programme wants it, a refund must find its purchase and stay within what it paid.

use crate::domain::decision::Reason;
use crate::engine::case::{Case, Intent, Refusal};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "refund_original",
    reasons: &[Reason::RefundWithoutOriginal],
    intents: Intents::of(&[Intent::Refund]),
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    if !case.programme.refund.needs_original {
        return None;
    }
    let Some(purchase) = case.refund_of else {
        let evidence = "no posted purchase found".to_owned();
        return Some(Refusal::because(Reason::RefundWithoutOriginal, evidence));
    };
    let left = purchase.posted.total().saturating_sub(purchase.refunded());
    let within = purchase.currency == case.amount.currency && case.amount.minor <= left;
    (!within).then(|| {
        let evidence = format!("{left} of the purchase are left to refund");
        Refusal::because(Reason::RefundWithoutOriginal, evidence)
    })
}
