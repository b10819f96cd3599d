//! Controls of single cards: kept and decided upon. What they refuse is looked at by the rule
//! `merchant_block`, beside the blocks of the programme.

use crate::domain::card::{CardId, CardStatus};
use crate::domain::card_control::CardControl;

use super::apply::Fit;
use super::command::{Answer, Outcome};
use super::event::Event;
use super::operate::card_of;
use super::operation::{Done, Operation, OrderRefused};
use super::operation_card::CardOperation;
use super::state::State;

impl State {
    /// The controls that a card has of its own.
    pub fn card_controls(&self, card: CardId) -> &[CardControl] {
        self.card_controls.get(&card).map_or(&[], Vec::as_slice)
    }

    /// Keeps controls of a card in place of those that it had; `None`: there is no such card.
    pub(super) fn keep_card_controls(
        &mut self,
        id: CardId,
        controls: &[CardControl],
    ) -> Option<()> {
        let account = self.card(id)?.account;
        if controls.is_empty() {
            self.card_controls.remove(&id);
        } else {
            self.card_controls.insert(id, controls.to_vec());
        }
        self.note_limited_card(account, id)
    }

    /// Controls of a card go on with the one that replaces it.
    pub(super) fn pass_on_controls(&mut self, from: CardId, to: CardId) -> Fit {
        let controls = self.card_controls(from).to_vec();
        let kept = self.keep_card_controls(to, &controls);
        kept.ok_or("an unknown card replaces another".to_owned())
    }
}

/// Decides which controls a card has of its own; it would make the record `sequence`.
pub(super) fn set_controls(
    state: &State,
    (sequence, id): (u64, CardId),
    controls: &[CardControl],
) -> Outcome {
    let is_known = state.card_controls(id) == controls;
    let answer = may_have(state, id, controls).map(|()| Done {
        sequence: if is_known { state.sequence() } else { sequence },
        before: is_known,
    });
    let operation = || Operation::Card(CardOperation::ControlsSet(id, controls.to_vec()));
    let is_new = answer.is_ok() && !is_known;
    Outcome {
        answer: Answer::Ordered(answer),
        event: is_new.then(|| Event::Operated(Box::new(operation()))),
    }
}

fn may_have(state: &State, id: CardId, controls: &[CardControl]) -> Result<(), OrderRefused> {
    if card_of(state, id)?.status == CardStatus::Closed {
        let what = format!("card {} is closed", id.0);
        return Err(OrderRefused::Conflict(what));
    }
    let checked = CardControl::check(controls);
    checked.map_err(|mistakes| OrderRefused::NotAllowed(mistakes.join("; ")))
}
