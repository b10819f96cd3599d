//! Wrong PINs are counted, right ones forgive them, the issuer unlocks (rule A7).

use crate::domain::card::{CardId, PinReference};
use crate::domain::conditions::PinVerdict;

use super::case::Case;
use super::command::{Answer, Outcome};
use super::event::{Effect, Event};
use super::state::State;
use super::verdict::Verdict;

/// Whether no PIN of the card is looked at any more.
pub(super) fn is_locked(case: &Case<'_>) -> bool {
    case.card.pin.wrong_tries >= case.programme.pin.tries_max
}

/// Adds to a verdict what the PIN that came along changes, however the message was answered.
pub(super) fn count(case: &Case<'_>, verdict: &mut Verdict) {
    let before = case.card.pin.wrong_tries;
    let wrong_tries = match case.facts.pin {
        PinVerdict::Wrong => before.saturating_add(1),
        PinVerdict::Correct if planted!(RightPinForgivesNothing) => before,
        PinVerdict::Correct => 0,
        PinVerdict::Absent
        | PinVerdict::Unverified
        | PinVerdict::Malformed
        | PinVerdict::CannotBeChecked
        | PinVerdict::Unavailable => before,
    };
    if wrong_tries != before && !is_locked(case) {
        verdict.effects.push(Effect::PinTried { wrong_tries });
    }
}

/// Decides the setting of a card's PIN; no try is left over from the one before.
pub(super) fn set(state: &State, card: CardId, reference: PinReference) -> Outcome {
    let known = state.card(card).is_some_and(|card| !card.is_erased());
    Outcome {
        answer: Answer::PinChanged(known),
        event: known.then_some(Event::PinSet(card, reference)),
    }
}

/// Decides the unlocking of a card's PIN; one that is not locked stays as it is.
pub(super) fn unlock(state: &State, card: CardId) -> Outcome {
    let tries = state.card(card).map(|card| card.pin.wrong_tries);
    Outcome {
        answer: Answer::PinChanged(tries.is_some()),
        event: tries
            .filter(|tries| *tries > 0)
            .map(|_| Event::PinUnlocked(card)),
    }
}
