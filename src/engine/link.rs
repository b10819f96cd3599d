//! Naming a link: records name the link that asked by a small number, given once.

use super::command::{Answer, Outcome};
use super::event::Event;
use super::state::State;

/// Decides the number of a link; a link that has one keeps it.
pub(super) fn decide(state: &State, name: &str) -> Outcome {
    if let Some(number) = state.link_number(name) {
        return Outcome {
            answer: Answer::LinkNamed(Some(number)),
            event: None,
        };
    }
    let number = state.next_link_number();
    Outcome {
        answer: Answer::LinkNamed(number),
        event: number.map(|number| Event::LinkNamed(number, name.to_owned())),
    }
}
