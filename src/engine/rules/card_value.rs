//! A track must be the card's and agree with the message, and so must the value that is printed on
//! the card, where they come.
//!
//! The engine sees verdicts, never a track or a value. Cards whose values nobody checks state
//! nothing here and pass. A device that did not answer is the matter of `chip.rs`.

use crate::domain::card_value::CardValueVerdict;
use crate::domain::decision::Reason;
use crate::engine::case::{Case, Intent, Refusal};

use super::{Intents, Rule};

/// The rule.
pub const RULE: Rule = Rule {
    name: "card_value",
    reasons: &[
        Reason::TrackMissing,
        Reason::TrackContradicts,
        Reason::CardValueNotVerifiable,
        Reason::TrackValueWrong,
        Reason::PrintedValueWrong,
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
    let of_track = rare
        .track
        .and_then(|verdict| refused(verdict, Reason::TrackValueWrong));
    let printed = || refused(rare.printed?, Reason::PrintedValueWrong);
    // Of both the one that stands first in the order of precedence.
    let reason = match (of_track, printed()) {
        (Some(track), Some(printed)) => track.min(printed),
        (track, printed) => track.or(printed)?,
    };
    Some(Refusal::plain(reason))
}

fn refused(verdict: CardValueVerdict, wrong: Reason) -> Option<Reason> {
    match verdict {
        // Whoever did not answer was told of before.
        CardValueVerdict::Right | CardValueVerdict::Unavailable => None,
        CardValueVerdict::Wrong | CardValueVerdict::Malformed => Some(wrong),
        CardValueVerdict::Contradicts => Some(Reason::TrackContradicts),
        CardValueVerdict::Missing => Some(Reason::TrackMissing),
        CardValueVerdict::CannotBeChecked => Some(Reason::CardValueNotVerifiable),
    }
}
