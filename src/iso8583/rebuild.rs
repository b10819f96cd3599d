//! A message written anew from its values: equal bytes prove that reading lost nothing.

use bytes::BytesMut;

use super::{EncodeError, Message, MessageSpec, MessageWriter};

/// Writes every element of the message from its value, not from its bytes.
///
/// # Errors
///
/// When a value does not fit the specification, which a decoded message of it never does.
pub fn rebuild(spec: &MessageSpec, message: &Message) -> Result<BytesMut, EncodeError> {
    let mut out = BytesMut::with_capacity(message.bytes().len());
    let mut writer = MessageWriter::begin(spec, message.mti(), &mut out);
    for element in message.elements() {
        if let Some(text) = message.text(element) {
            writer.text(element, &text)?;
        } else if let Some(bytes) = message.binary(element) {
            writer.binary(element, &bytes)?;
        }
    }
    writer.finish()?;
    Ok(out)
}
