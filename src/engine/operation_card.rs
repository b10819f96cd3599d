//! What holders do about their own cards, asked and judged, and what the journal keeps of it.

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

use crate::domain::card::{CardId, PinReference};
use crate::domain::card_control::CardControl;
use crate::domain::card_limit::CardLimit;
use crate::domain::conditions::PinVerdict;

/// What is asked for about a card.
#[derive(Clone, Debug)]
pub enum CardOrder {
    /// Make a shipped card usable (rule C1).
    Enrol {
        /// Which card.
        card: CardId,
        /// The last four digits of its number, as the holder read them.
        last_four: ArrayString<4>,
        /// What is known about the initial PIN that the holder gave.
        pin: PinVerdict,
    },
    /// Set a PIN for the issuer; where cards are enrolled, only before that (rule C1).
    SetPin(CardId, PinReference),
    /// Change the PIN for the holder, who gave the current one (rule C1).
    ChangePin {
        /// Which card.
        card: CardId,
        /// What is known about the current PIN that the holder gave.
        pin: PinVerdict,
        /// What tells the new PIN from a wrong one.
        new: PinReference,
    },
}

/// What was done about a card. Variants are only ever added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CardOperation {
    /// It may be used from here on; wrong tries are forgotten.
    Enrolled(CardId),
    /// It has another PIN; wrong tries are forgotten.
    PinChanged(CardId, PinReference),
    /// A wrong PIN was given.
    PinTried {
        /// Which card.
        card: CardId,
        /// Wrong tries since the last right one.
        wrong_tries: u8,
        /// Whether this one locked it (rule A7).
        is_locked: bool,
    },
    /// It has these limits of its own, and no others.
    LimitsSet(CardId, Vec<CardLimit>),
    /// It has these controls of its own, and no others.
    ControlsSet(CardId, Vec<CardControl>),
}
