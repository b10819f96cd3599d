//! B4: a programme that is not reloadable refuses every load.

use crate::domain::decision::Reason;
use crate::engine::case::{Case, Intent, Refusal};

use super::Rule;

/// The rule.
pub const RULE: Rule = Rule {
    name: "load_offered",
    reasons: &[Reason::LoadNotAllowed],
    intents: &[Intent::Load],
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    case.programme
        .load
        .is_none()
        .then(|| Refusal::plain(Reason::LoadNotAllowed))
}
