//! The answer to a question that is turned away: not decided, not recorded, not kept for repeats.

use crate::domain::account::ProgrammeName;
use crate::domain::decision::{Balances, Decision, Reason};
use crate::domain::facts::Facts;
use crate::domain::rulebook::Rulebook;

use super::decide::code_of;

/// Declines a request without deciding it; its repeat is decided once that can be done.
pub fn turned_away(
    rulebook: &Rulebook,
    facts: &Facts,
    (reason, evidence): (Reason, String),
) -> Decision {
    Decision {
        reason,
        code: code_of(rulebook, facts, reason),
        approval: None,
        approved: None,
        billed: None,
        evidence: Some(evidence),
        repeated: false,
        show_balances: false,
        balances: Balances::default(),
        account: None,
        programme: ProgrammeName::EMPTY,
        card: None,
        sequence: 0,
        transaction: None,
        slow_ms: 0,
        alarm: false,
    }
}
