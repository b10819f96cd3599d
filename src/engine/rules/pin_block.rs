//! A PIN block that nothing here can verify must not look verified.
//!
//! The programme says whether such a message is refused or decided without it.

use crate::domain::conditions::PinVerdict;
use crate::domain::decision::Reason;
use crate::domain::programme::Unverified;
use crate::engine::case::{Case, Intent, Refusal};

use super::Rule;

/// The rule.
pub const RULE: Rule = Rule {
    name: "pin_block",
    reasons: &[Reason::PinNotVerifiable],
    intents: &[Intent::Spend, Intent::Verify, Intent::Enquire],
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let refused =
        case.facts.pin == PinVerdict::Unverified && case.programme.pin_block == Unverified::Refuse;
    refused.then(|| {
        Refusal::because(
            Reason::PinNotVerifiable,
            "no key to verify a PIN block with".to_owned(),
        )
    })
}
