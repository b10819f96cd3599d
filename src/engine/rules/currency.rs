//! Money moves only in a currency for which the account has a purse.

use crate::domain::decision::Reason;
use crate::engine::case::{Case, Intent, Refusal};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "currency",
    reasons: &[Reason::CurrencyNotAllowed],
    intents: Intents::of(&[Intent::Spend, Intent::Refund, Intent::Load]),
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let currency = case.amount.currency;
    let purse = match case.intent {
        Intent::Refund => case
            .programme
            .credit_purse(case.programme.refund.purse, currency),
        Intent::Load => case.programme.credit_purse(case.load_purse(), currency),
        Intent::Spend | Intent::Verify | Intent::Enquire | Intent::ChangePin => {
            case.programme.purse_of(currency)
        }
    };
    purse.is_none().then(|| {
        let rule = case
            .programme
            .exchange
            .filter(|_| case.intent != Intent::Load);
        let evidence = match rule {
            Some(rule) => {
                format!("no purse for {currency}, and no rate to {}", rule.billing)
            }
            None => format!("no purse for {currency}"),
        };
        Refusal::because(Reason::CurrencyNotAllowed, evidence)
    })
}
