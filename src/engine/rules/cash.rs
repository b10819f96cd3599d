//! A12, A27: cash is for the holders that the programme names.

use crate::domain::decision::Reason;
use crate::domain::facts::Purpose;
use crate::engine::case::{Case, Intent, Refusal};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "cash",
    reasons: &[Reason::HolderNotVerified],
    intents: Intents::of(&[Intent::Spend]),
    check,
    shadow: None,
};

fn check(case: &Case<'_>) -> Option<Refusal> {
    if case.facts.purpose != Purpose::CashWithdrawal {
        return None;
    }
    let wanted = case.programme.cash.as_ref()?.kyc?;
    (wanted != case.account().kyc).then(|| Refusal::plain(Reason::HolderNotVerified))
}
