//! A message as text for people, always masked; only the command line may reveal, when told twice.

use std::fmt::Write as _;

use super::element::{ElementSpec, Mask};
use super::{Message, MessageSpec, encoding};

/// One line for the message type and one for each element, masked as the specification says.
#[must_use]
pub fn describe(spec: &MessageSpec, message: &Message) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "MTI    {}", message.mti());
    for number in message.elements() {
        let shown = match spec.element(number) {
            Some(element) => line(element, message),
            None => format!("DE {number:<3} not in {}", spec.name()),
        };
        let _ = writeln!(text, "{shown}");
    }
    text
}

fn line(element: &ElementSpec, message: &Message) -> String {
    let number = element.number();
    let value = match element.mask() {
        Mask::Shown => shown(message, number),
        Mask::Pan => truncated(message, number),
        Mask::Wipe => withheld(message, number),
    };
    format!(
        "DE {number:<3} {:<9} {:<38} {value}",
        element.format(),
        element.name()
    )
}

fn shown(message: &Message, number: u8) -> String {
    if let Some(text) = message.text(number) {
        return format!("\"{text}\"");
    }
    let bytes = message.binary(number).unwrap_or_default();
    let pairs = bytes
        .iter()
        .flat_map(|byte| encoding::hex_pair(*byte))
        .map(char::from);
    pairs.collect()
}

/// The first six and the last four characters, when at least three stay hidden between them.
fn truncated(message: &Message, number: u8) -> String {
    let text = message.text(number).unwrap_or_default();
    let hidden = text
        .len()
        .saturating_sub(KEPT_FIRST)
        .saturating_sub(KEPT_LAST);
    let first = text.get(..KEPT_FIRST);
    let last = text.get(text.len().saturating_sub(KEPT_LAST)..);
    match (first, last) {
        (Some(first), Some(last)) if hidden >= HIDDEN_MIN => {
            format!("\"{first}{}{last}\"", "*".repeat(hidden))
        }
        _ => withheld(message, number),
    }
}

fn withheld(message: &Message, number: u8) -> String {
    format!("withheld, length {}", message.length(number).unwrap_or(0))
}

const KEPT_FIRST: usize = 6;
const KEPT_LAST: usize = 4;
const HIDDEN_MIN: usize = 3;
