//! A message as text for people, always masked; only the command line may reveal, when told twice.

use std::fmt::Write as _;

use super::element::{ElementSpec, Mask};
use super::parts::{Part, hexadecimal};
use super::{Message, MessageSpec};

/// One line for the message type and one for each element and each of its parts, masked as the
/// specification says.
#[must_use]
pub fn describe(spec: &MessageSpec, message: &Message) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "MTI    {}", message.mti());
    for number in message.elements() {
        let Some(element) = spec.element(number) else {
            let _ = writeln!(text, "DE {number:<3} not in {}", spec.name());
            continue;
        };
        let parts = message.parts(spec, number);
        let hidden = (spec.rule(message.mti())).is_some_and(|rule| rule.masks(number));
        let length = message.length(number).unwrap_or(0);
        let value = match &parts {
            _ if hidden => withheld(length),
            Some(Ok(parts)) => count(parts),
            Some(Err(_)) if element.parts().is_some_and(super::Parts::hides) => {
                format!("{}, its parts cannot be read", withheld(length))
            }
            Some(Err(_)) | None => plain(element, message),
        };
        let (format, name) = (element.format(), element.name());
        let _ = writeln!(text, "DE {number:<3} {format:<9} {name:<38} {value}");
        if let (Some(Ok(parts)), false) = (&parts, hidden) {
            lines(&mut text, &number.to_string(), parts);
        }
    }
    text
}

/// A line for each part, and for the parts in it.
fn lines(text: &mut String, path: &str, parts: &[Part<'_>]) {
    for part in parts {
        // A tag without a row came with the message: it may hold any byte.
        let path = format!("{path}.{}", part.key().escape_default());
        let (format, name) = match part.spec() {
            Some(spec) => (spec.element().format(), spec.element().name()),
            None => ("", "unknown"),
        };
        let inner = part.parts();
        let hides = part.spec().and_then(|spec| spec.element().parts());
        let value = match (&inner, part.mask()) {
            (Some(Ok(inner)), _) => count(inner),
            (Some(Err(_)), _) if hides.is_some_and(super::Parts::hides) => {
                withheld(part.shown().chars().count())
            }
            (_, mask) => {
                let shown = part.shown();
                let quoted = match part.text() {
                    Some(_) => format!("\"{shown}\""),
                    None => shown.clone(),
                };
                match mask {
                    Mask::Shown => quoted,
                    Mask::Pan => truncated(&shown).unwrap_or_else(|| withheld(shown.len())),
                    Mask::Wipe => withheld(shown.chars().count()),
                }
            }
        };
        let _ = writeln!(text, "  {path:<10} {format:<9} {name:<34} {value}");
        if let Some(Ok(inner)) = &inner {
            lines(text, &path, inner);
        }
    }
}

fn count(parts: &[Part<'_>]) -> String {
    match parts.len() {
        1 => "1 part".to_owned(),
        count => format!("{count} parts"),
    }
}

fn plain(element: &ElementSpec, message: &Message) -> String {
    let number = element.number();
    let length = message.length(number).unwrap_or(0);
    match element.mask() {
        Mask::Shown => match message.text(number) {
            Some(text) => format!("\"{text}\""),
            None => hexadecimal(&message.binary(number).unwrap_or_default()),
        },
        Mask::Pan => {
            let text = message.text(number).unwrap_or_default();
            truncated(&text).unwrap_or_else(|| withheld(length))
        }
        Mask::Wipe => withheld(length),
    }
}

/// The first six and the last four characters, when at least three stay hidden between them.
fn truncated(text: &str) -> Option<String> {
    let hidden = text.len().checked_sub(KEPT_FIRST)?.checked_sub(KEPT_LAST)?;
    let first = text.get(..KEPT_FIRST)?;
    let last = text.get(text.len().saturating_sub(KEPT_LAST)..)?;
    (hidden >= HIDDEN_MIN).then(|| format!("\"{first}{}{last}\"", "*".repeat(hidden)))
}

fn withheld(length: usize) -> String {
    format!("withheld, length {length}")
}

const KEPT_FIRST: usize = 6;
const KEPT_LAST: usize = 4;
const HIDDEN_MIN: usize = 3;
