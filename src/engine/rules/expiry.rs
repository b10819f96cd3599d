//! A2: a card past its last month does not pay, nor one whose message states another month.
//!
//! A bearer number without expiry (B1) never expires. A refund still reaches an expired card.

use crate::domain::decision::Reason;
use crate::engine::case::{Case, Intent, Refusal};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "expiry",
    reasons: &[Reason::CardExpired],
    intents: Intents::of(&[
        Intent::Spend,
        Intent::Verify,
        Intent::Enquire,
        Intent::Load,
        Intent::ChangePin,
    ]),
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let expiry = case.card.expiry?;
    if expiry.is_over_on(case.date) {
        let evidence = format!("expired: valid through {:04} (YYMM)", expiry.yymm());
        return Some(Refusal::because(Reason::CardExpired, evidence));
    }
    let stated = case.facts.expiry?;
    (stated != expiry).then(|| {
        Refusal::because(
            Reason::CardExpired,
            "the message states another month".to_owned(),
        )
    })
}
