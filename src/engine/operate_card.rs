//! Decides about cards and PINs for their holders: enrolment and change of the PIN (rules A7, C1).

use crate::domain::card::{Card, CardId, CardStatus, PinReference};
use crate::domain::conditions::PinVerdict;
use crate::domain::programme::{Activation, Programme};
use crate::domain::rulebook::Rulebook;

use super::command::{Answer, Outcome};
use super::event::Event;
use super::operate::{account_of, card_of};
use super::operation::{Done, Operation, OrderRefused};
use super::operation_card::{CardOperation, CardOrder};
use super::state::State;

/// A refusal, and what it changes all the same: a wrong PIN counts.
type Refused = (OrderRefused, Option<CardOperation>);

/// Decides an order about a card; it would make the record `sequence`.
pub(super) fn decide(
    rulebook: &Rulebook,
    state: &State,
    sequence: u64,
    order: &CardOrder,
) -> Outcome {
    let (answer, operation) = match operation(rulebook, state, order) {
        Ok(operation) => {
            let done = Done {
                sequence,
                before: false,
            };
            (Ok(done), Some(operation))
        }
        Err((refused, operation)) => (Err(refused), operation),
    };
    let operated = |it| Event::Operated(Box::new(Operation::Card(it)));
    Outcome {
        answer: Answer::Ordered(answer),
        event: operation.map(operated),
    }
}

fn operation(
    rulebook: &Rulebook,
    state: &State,
    order: &CardOrder,
) -> Result<CardOperation, Refused> {
    let id = match order {
        CardOrder::Enrol { card, .. }
        | CardOrder::SetPin(card, _)
        | CardOrder::ChangePin { card, .. } => *card,
    };
    let plain = |refused| (refused, None);
    let card = card_of(state, id).map_err(plain)?;
    if card.is_erased() {
        let what = format!("the data of card {} were erased", id.0);
        return Err(plain(OrderRefused::Conflict(what)));
    }
    let (_, programme) = account_of(rulebook, state, card.account).map_err(plain)?;
    match order {
        CardOrder::Enrol { last_four, pin, .. } => {
            may_be_enrolled(programme, card, last_four).map_err(plain)?;
            judge(programme, card, *pin)?;
            Ok(CardOperation::Enrolled(id))
        }
        CardOrder::SetPin(_, new) => {
            may_be_set(programme, card).map_err(plain)?;
            Ok(CardOperation::PinChanged(id, *new))
        }
        CardOrder::ChangePin { pin, new, .. } => change(programme, card, *pin, *new),
    }
}

fn may_be_enrolled(
    programme: &Programme,
    card: &Card,
    last_four: &str,
) -> Result<(), OrderRefused> {
    if programme.activation != Activation::Enrolment {
        let what = "the programme's cards are not enrolled by their holders (C1)".to_owned();
        return Err(OrderRefused::NotAllowed(what));
    }
    if card.status != CardStatus::NotActivated {
        let what = format!("card {} is {:?} already", card.id.0, card.status);
        return Err(OrderRefused::Conflict(what));
    }
    if !card.masked.to_string().ends_with(last_four) || last_four.len() != 4 {
        let what = "the card's last four digits are other ones (C1)".to_owned();
        return Err(OrderRefused::NotAllowed(what));
    }
    Ok(())
}

/// The issuer sets a PIN unless only its holder may: who has enrolled the card.
fn may_be_set(programme: &Programme, card: &Card) -> Result<(), OrderRefused> {
    let is_holders = programme.activation == Activation::Enrolment
        && card.status != CardStatus::NotActivated
        && card.pin.reference.is_some();
    if is_holders {
        let what = "the PIN of an enrolled card is changed with the current one (C1)".to_owned();
        return Err(OrderRefused::NotAllowed(what));
    }
    Ok(())
}

fn change(
    programme: &Programme,
    card: &Card,
    pin: PinVerdict,
    new: PinReference,
) -> Result<CardOperation, Refused> {
    if !matches!(card.status, CardStatus::Active | CardStatus::Frozen) {
        let what = format!("card {} is {:?}", card.id.0, card.status);
        return Err((OrderRefused::Conflict(what), None));
    }
    judge(programme, card, pin)?;
    Ok(CardOperation::PinChanged(card.id, new))
}

/// Whether the PIN that the holder gave is right; a wrong one counts, and the last one locks.
fn judge(programme: &Programme, card: &Card, pin: PinVerdict) -> Result<(), Refused> {
    let tries_max = programme.pin.tries_max;
    if card.pin.wrong_tries >= tries_max {
        let what = "the PIN is locked until the issuer unlocks it (A7)".to_owned();
        return Err((OrderRefused::Conflict(what), None));
    }
    match pin {
        PinVerdict::Correct => Ok(()),
        PinVerdict::Wrong => {
            let wrong_tries = card.pin.wrong_tries.saturating_add(1);
            let what = format!("the PIN is wrong: {wrong_tries} wrong tries of {tries_max} (A7)");
            let tried = CardOperation::PinTried {
                card: card.id,
                wrong_tries,
                is_locked: wrong_tries >= tries_max,
            };
            Err((OrderRefused::NotAllowed(what), Some(tried)))
        }
        PinVerdict::Malformed => {
            let what = "a PIN has exactly four digits (A6)".to_owned();
            Err((OrderRefused::NotAllowed(what), None))
        }
        PinVerdict::Absent
        | PinVerdict::Unverified
        | PinVerdict::CannotBeChecked
        | PinVerdict::Unavailable => {
            let what = "there is nothing to verify the PIN with".to_owned();
            Err((OrderRefused::Conflict(what), None))
        }
    }
}

/// A card that its holder or a till makes usable is not made so by an operator.
pub(super) fn may_change_status(
    rulebook: &Rulebook,
    state: &State,
    id: CardId,
    status: CardStatus,
) -> Result<(), OrderRefused> {
    let card = card_of(state, id)?;
    let (_, programme) = account_of(rulebook, state, card.account)?;
    let is_start = card.status == CardStatus::NotActivated
        && matches!(status, CardStatus::Active | CardStatus::Frozen);
    let what = match programme.activation {
        Activation::Enrolment if is_start => "its holder enrols the card first (C1)",
        Activation::ShopTill if is_start => "the till activates the card first (B4)",
        Activation::Operator | Activation::Enrolment | Activation::ShopTill => return Ok(()),
    };
    Err(OrderRefused::NotAllowed(what.to_owned()))
}
