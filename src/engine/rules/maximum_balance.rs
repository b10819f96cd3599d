//! A17: a load must not lift the balance above the maximum of the holder's tier.
//!
//! Refunds are never refused for it.

use crate::domain::decision::Reason;
use crate::engine::case::{Case, Intent, Refusal};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "maximum_balance",
    reasons: &[Reason::MaximumBalance],
    intents: Intents::of(&[Intent::Load]),
    check: |case| refusal(case, false),
    shadow: Some(|case| refusal(case, true)),
};

fn refusal(case: &Case<'_>, shadow: bool) -> Option<Refusal> {
    let currency = case.amount.currency;
    let balance = case
        .account()
        .purses
        .iter()
        .filter(|purse| purse.currency == currency)
        .fold(0_i64, |sum, purse| sum.saturating_add(purse.balance));
    let after = balance.saturating_add(case.amount.minor);
    case.programme
        .maximum_balances
        .iter()
        .filter(|row| row.shadow == shadow)
        .filter(|row| row.currency == currency)
        .filter(|row| row.kyc.is_none_or(|kyc| kyc == case.account().kyc))
        .find(|row| after > row.amount_max)
        .map(|row| {
            let evidence = format!("maximum balance {}, would be {after}", row.amount_max);
            Refusal::because(Reason::MaximumBalance, evidence)
        })
}
