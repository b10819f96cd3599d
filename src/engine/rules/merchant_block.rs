//! A18 to A25, B2, B3, C7: kinds of merchants and messages that the programme blocks, as data.
//!
//! When several blocks match, the reason that stands first in the order of precedence is the
//! answer. A merchant listed as allowed (A26b) passes blocks by category, not those by what the
//! message itself says.

use crate::domain::decision::Reason;
use crate::domain::facts::{FactName, Facts};
use crate::domain::programme::Block;
use crate::engine::case::{Case, Intent, Refusal};

use super::Rule;

/// The rule.
pub const RULE: Rule = Rule {
    name: "merchant_block",
    reasons: &[
        Reason::Recurring,
        Reason::Instalment,
        Reason::Deposit,
        Reason::InFlight,
        Reason::MerchantCategory,
        Reason::ChannelNotAllowed,
    ],
    intents: &[Intent::Spend, Intent::Verify],
    check,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let lists = &case.programme.merchants;
    let allowed = lists.allowed_acceptors.contains(&case.facts.acceptor)
        || lists.allowed_terminals.contains(&case.facts.terminal);
    let block = case
        .programme
        .blocks
        .iter()
        .filter(|block| !(allowed && block.is_by_category()))
        .filter(|block| block.matches(case.facts, case.programme.home))
        .min_by_key(|block| block.reason)?;
    Some(Refusal::because(block.reason, evidence(block, case.facts)))
}

/// `fuel (A19): mcc 5541`, `recurring (A18): DE60 positions 9-10 = 02`.
fn evidence(block: &Block, facts: &Facts) -> String {
    let mut seen = Vec::new();
    if let (false, Some(mcc)) = (block.mcc.is_empty(), facts.mcc) {
        seen.push(format!("mcc {mcc}"));
    }
    let stated = [
        (block.initiation.is_some(), FactName::Initiation),
        (block.certainty.is_some(), FactName::Certainty),
        (block.device.is_some(), FactName::Device),
        (block.presence.is_some(), FactName::Presence),
        (!block.purpose.is_empty(), FactName::Purpose),
    ];
    let sources = stated
        .iter()
        .filter(|row| row.0)
        .filter_map(|row| facts.evidence_of(row.1));
    seen.extend(sources.map(str::to_owned));
    format!("{} ({}): {}", block.id, block.rule, seen.join(", "))
}
