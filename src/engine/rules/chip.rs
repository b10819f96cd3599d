//! A cryptogram that came must be the card's, over these data, and made for this message alone.
//!
//! The engine sees a verdict and the counter, never a cryptogram. Cards whose chips nobody checks
//! state nothing here and pass. That a device did not answer, about whatever proof of the card, is
//! told here.

use crate::domain::card_value::CardValueVerdict;
use crate::domain::chip::ChipVerdict;
use crate::domain::decision::Reason;
use crate::engine::case::{Case, Intent, Refusal};
use crate::engine::chip::is_replayed;

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "chip",
    reasons: &[
        Reason::CardCheckUnavailable,
        Reason::ChipDataMissing,
        Reason::ChipDataMalformed,
        Reason::ChipNotVerifiable,
        Reason::CryptogramWrong,
        Reason::ChipCounterReplayed,
    ],
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
    let rare = case.facts.rare.as_deref()?;
    let unjudged = Some(CardValueVerdict::Unavailable);
    if rare.track == unjudged || rare.printed == unjudged {
        return Some(Refusal::plain(Reason::CardCheckUnavailable));
    }
    let chip = rare.chip?;
    match chip.verdict {
        ChipVerdict::Right if is_replayed(case) => {
            let evidence = format!("counter {} was used before", chip.counter);
            Some(Refusal::because(Reason::ChipCounterReplayed, evidence))
        }
        ChipVerdict::Right => None,
        ChipVerdict::Wrong => Some(Refusal::plain(Reason::CryptogramWrong)),
        ChipVerdict::Malformed => Some(Refusal::plain(Reason::ChipDataMalformed)),
        ChipVerdict::Missing => Some(Refusal::plain(Reason::ChipDataMissing)),
        ChipVerdict::CannotBeChecked => Some(Refusal::plain(Reason::ChipNotVerifiable)),
        ChipVerdict::Unavailable => Some(Refusal::plain(Reason::CardCheckUnavailable)),
    }
}
