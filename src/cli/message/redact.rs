//! A message that may be shown around: same elements, same lengths, nothing of a card in it.

use bytes::{Bytes, BytesMut};

use crate::iso8583::{ElementSpec, EncodeError, Mask, Message, MessageSpec, MessageWriter};

/// Digits of a card number that stay at its start and end.
const KEPT_FIRST: usize = 6;
const KEPT_LAST: usize = 4;

/// The message with zeros in the middle of card numbers and in place of all that is withheld.
pub(super) fn redact(spec: &MessageSpec, message: &Message) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::with_capacity(message.bytes().len());
    let mut writer = MessageWriter::begin(spec, message.mti(), &mut out);
    for number in message.elements() {
        let Some(element) = spec.element(number) else {
            continue;
        };
        if element.mask() == Mask::Shown {
            writer.copy(message, number)?;
        } else if let Some(text) = message.text(number) {
            writer.text(number, &blank(element, &text))?;
        } else {
            let size = message.binary(number).unwrap_or_default().len();
            writer.binary(number, &vec![0; size])?;
        }
    }
    writer.finish()?;
    Ok(out.freeze())
}

/// As many characters that say nothing, of the content class of the element.
fn blank(element: &ElementSpec, text: &str) -> String {
    let (filler, first) = match element.class().name() {
        "a" | "as" => ('X', None),
        "x+n" => ('0', Some('C')),
        _ => ('0', None),
    };
    let count = text.chars().count();
    let is_kept = |place: usize| {
        element.mask() == Mask::Pan
            && count > KEPT_FIRST + KEPT_LAST
            && (place < KEPT_FIRST || place >= count - KEPT_LAST)
    };
    text.chars()
        .enumerate()
        .map(|(place, character)| match first {
            Some(first) if place == 0 => first,
            _ if is_kept(place) => character,
            _ => filler,
        })
        .collect()
}
