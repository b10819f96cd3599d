//! A message written anew from its values: equal bytes prove that reading lost nothing.

use bytes::BytesMut;

use super::parts::divisible;
use super::{EncodeError, Message, MessageSpec, MessageWriter};

/// Writes every element of the message from its value, not from its bytes, and an element that
/// the specification divides from its parts.
///
/// # Errors
///
/// When a value does not fit the specification, which a decoded message of it never does.
pub fn rebuild(spec: &MessageSpec, message: &Message) -> Result<BytesMut, EncodeError> {
    let mut out = BytesMut::with_capacity(message.bytes().len());
    let mut writer = MessageWriter::begin_like(spec, message, &mut out);
    for element in message.elements() {
        if let Some(value) = divided(spec, message, element) {
            writer.divided(element, &value)?;
        } else if let Some(text) = message.text(element) {
            writer.text(element, &text)?;
        } else if let Some(bytes) = message.binary(element) {
            writer.binary(element, &bytes)?;
        }
    }
    writer.finish()?;
    Ok(out)
}

/// The value of an element made of its parts, when they can be read.
fn divided(spec: &MessageSpec, message: &Message, element: u8) -> Option<Vec<u8>> {
    let parts = message.parts(spec, element)?.ok()?;
    let row = spec.element(element)?;
    let layout = row.parts()?;
    let raw = message.bytes().slice_ref(message.raw(element)?);
    if layout.are_less_than(&parts, &divisible(row.program.coding, &raw)?) {
        return None;
    }
    let items: Vec<_> = (parts.iter())
        .map(|part| (part.key().to_owned(), part.rewritten()))
        .collect();
    layout.write(&items).ok()
}
