//! What is not offered here is refused as not supported, not as a matter of funds.
//!
//! Account funding and quasi-cash are left to the programme's blocks where it names them (A23),
//! cash to `merchant_block`.

use crate::domain::decision::Reason;
use crate::domain::facts::{MessageKind, Purpose};
use crate::engine::case::{Case, Intent, Refusal};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "purpose",
    reasons: &[Reason::NotSupported],
    intents: Intents::of(&[Intent::Spend, Intent::Load]),
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    let evidence = match case.facts.purpose {
        Purpose::Unnamed => "the processing code is not one of the dialect's",
        Purpose::AccountFunding | Purpose::QuasiCash if !is_left_to_blocks(case) => {
            "funding and quasi-cash are not offered"
        }
        Purpose::Load | Purpose::Activation if case.facts.kind == MessageKind::Authorization => {
            "a load must be a financial message (0200 or 0220)"
        }
        Purpose::Purchase
        | Purpose::CashWithdrawal
        | Purpose::BalanceEnquiry
        | Purpose::PinChange
        | Purpose::Refund
        | Purpose::OriginalCredit
        | Purpose::Load
        | Purpose::Activation
        | Purpose::AccountFunding
        | Purpose::QuasiCash => return None,
    };
    Some(Refusal::because(Reason::NotSupported, evidence.to_owned()))
}

fn is_left_to_blocks(case: &Case<'_>) -> bool {
    case.programme
        .blocks
        .iter()
        .any(|block| block.names_purpose(case.facts.purpose))
}
