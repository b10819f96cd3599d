//! Applies what holders and tills did about cards.

use crate::domain::card::{CardId, CardStatus};

use super::apply::Fit;
use super::entry::EntryId;
use super::event::Decided;
use super::operation_card::CardOperation;
use super::state::State;

impl State {
    pub(super) fn apply_card_operation(&mut self, operation: &CardOperation) -> Fit {
        match operation {
            CardOperation::Enrolled(card) => {
                self.set_status(*card, CardStatus::Active)?;
                self.change_pin(*card, |pin| pin.wrong_tries = 0)
            }
            CardOperation::PinChanged(card, reference) => self.change_pin(*card, |pin| {
                pin.reference = Some(*reference);
                pin.wrong_tries = 0;
            }),
            CardOperation::PinTried {
                card, wrong_tries, ..
            } => self.change_pin(*card, |pin| pin.wrong_tries = *wrong_tries),
            CardOperation::LimitsSet(card, limits) => {
                let kept = self.keep_card_limits(*card, limits);
                kept.ok_or("limits of an unknown card".to_owned())
            }
            CardOperation::ControlsSet(card, controls) => {
                let kept = self.keep_card_controls(*card, controls);
                kept.ok_or("controls of an unknown card".to_owned())
            }
        }
    }

    /// A till made the card of a decision usable, or took that back.
    pub(super) fn apply_activation(&mut self, decided: &Decided, is_active: bool) -> Fit {
        let card = decided.card.ok_or("an activation without a card")?;
        let status = if is_active {
            // The record of the money opens its entry too.
            self.activations.insert(card, EntryId(self.sequence));
            CardStatus::Active
        } else {
            self.activations.remove(&card);
            CardStatus::NotActivated
        };
        self.set_status(card, status)
    }

    /// A PIN that was set for the account goes on with the card that replaces another.
    pub(super) fn pass_on_pin(&mut self, from: CardId, to: CardId) -> Fit {
        let pin = self.card(from).ok_or("an unknown card is replaced")?.pin;
        let goes_on = pin
            .reference
            .is_some_and(|reference| reference.is_of_account());
        if goes_on {
            self.change_pin(to, |new| *new = pin)?;
        }
        Ok(())
    }
}
