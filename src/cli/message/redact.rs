//! A message that may be shown around: same elements, same lengths, nothing of a card in it.

use bytes::{Bytes, BytesMut};

use crate::iso8583::{
    ElementSpec, EncodeError, Mask, Message, MessageSpec, MessageWriter, Part, PartValue, Parts,
};

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
        let hides = element.parts().is_some_and(Parts::hides);
        let masked = (spec.rule(message.mti())).is_some_and(|rule| rule.masks(number));
        if element.mask() == Mask::Shown && !hides && !masked {
            writer.copy(message, number)?;
        } else if !masked && let Some(value) = redacted_parts(spec, message, element) {
            writer.divided(number, &value)?;
        } else if let Some(text) = message.text(number) {
            writer.text(number, &blank(element, &text))?;
        } else {
            let size = message.binary(number).unwrap_or_default().len();
            // Parts that could not be read stay so: zeros would be filler between items.
            let filler = if hides { 0xff } else { 0 };
            writer.binary(number, &vec![filler; size])?;
        }
    }
    writer.finish()?;
    Ok(out.freeze())
}

/// The value of an element whose parts can be read, what is masked of them blanked out.
fn redacted_parts(spec: &MessageSpec, message: &Message, element: &ElementSpec) -> Option<Vec<u8>> {
    let parts = message.parts(spec, element.number())?.ok()?;
    element.parts()?.write(&blanked(&parts)).ok()
}

fn blanked(parts: &[Part<'_>]) -> Vec<(String, PartValue)> {
    let item = |part: &Part<'_>| {
        let value = match (part.parts(), part.mask(), part.spec()) {
            (Some(Ok(inner)), ..) => PartValue::Parts(blanked(&inner)),
            (None, Mask::Shown, _) => PartValue::Wire(part.wire().clone()),
            (_, _, Some(spec)) if part.text().is_some() => {
                PartValue::Text(blank(spec.element(), &part.shown()))
            }
            _ if part.text().is_some() => PartValue::Text("0".repeat(part.shown().len())),
            _ => PartValue::Bytes(vec![0; part.binary().unwrap_or_default().len()].into()),
        };
        (part.key().to_owned(), value)
    };
    parts.iter().map(item).collect()
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
