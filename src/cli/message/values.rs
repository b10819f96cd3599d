//! A message as JSON and back: `{"mti":"0100","fields":{"2":"...","55":{"9F26":"..."}}}`, bytes in
//! hexadecimal, what the specification masks masked unless it is to be revealed.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::iso8583::{
    ElementSpec, Mask, Message, MessageSpec, MessageWriter, Mti, Part, PartValue, Parts,
};
use crate::transport::Frame;
use crate::transport::Framing;

use super::input::{hex, to_hex};
use super::part_text::{PartTexts, Value};

/// Digits of a card number that stay readable at its start and end.
const KEPT_FIRST: usize = 6;
const KEPT_LAST: usize = 4;
/// Between them at least so many must be hidden.
const HIDDEN_MIN: usize = 3;
/// How a withheld value begins; no message is built from one.
const WITHHELD: &str = "(withheld, length ";

/// Whether what the specification masks is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// As the specification says.
    Masked,
    /// Everything.
    Revealed,
}

/// One message as JSON has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageText {
    /// Header of its frame, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    mti: String,
    fields: BTreeMap<u8, Value>,
}

impl MessageText {
    /// The text of a message.
    pub(super) fn of(spec: &MessageSpec, frame: &Frame, message: &Message, sight: Sight) -> Self {
        let field = |number| {
            let element = spec.element(number)?;
            let masked = (spec.rule(message.mti())).is_some_and(|rule| rule.masks(number));
            let value = match message.parts(spec, number) {
                _ if masked && sight == Sight::Masked => {
                    Value::Text(withheld(&value(element, message, Sight::Revealed)))
                }
                Some(Ok(parts)) => Value::Parts(texts(&parts, sight)),
                Some(Err(_)) | None => Value::Text(value(element, message, sight)),
            };
            Some((number, value))
        };
        Self {
            header: (!frame.header.is_empty()).then(|| to_hex(&frame.header)),
            mti: message.mti().to_string(),
            fields: message.elements().filter_map(field).collect(),
        }
    }

    /// The message of a text; a framing whose header the text does not give gets that of a request.
    pub(super) fn build(
        &self,
        spec: &MessageSpec,
        framing: Option<&Framing>,
    ) -> Result<Frame, String> {
        let mti: Mti = self
            .mti
            .parse()
            .map_err(|error| format!("message type: {error}"))?;
        let header = match (&self.header, framing) {
            (Some(digits), _) => {
                hex(digits.as_bytes()).ok_or("header: expected pairs of hexadecimal digits")?
            }
            (None, Some(framing)) => framing.header().of_request(),
            (None, None) => Vec::new(),
        };
        let mut body = BytesMut::new();
        let mut writer = MessageWriter::begin(spec, mti, &mut body);
        for (number, value) in &self.fields {
            let element = spec
                .element(*number)
                .ok_or_else(|| format!("DE {number}: expected an element of {}", spec.name()))?;
            write(&mut writer, element, value).map_err(|why| format!("DE {number}: {why}"))?;
        }
        writer.finish().map_err(|error| error.to_string())?;
        Ok(Frame {
            header: Bytes::from(header),
            body: body.freeze(),
        })
    }
}

fn write(
    writer: &mut MessageWriter<'_, '_>,
    element: &ElementSpec,
    value: &Value,
) -> Result<(), String> {
    let number = element.number();
    let text = match value {
        Value::Text(text) => text.clone(),
        Value::Number(digits) => digits.to_string(),
        Value::Parts(items) => {
            let parts = element.parts();
            let parts = parts.ok_or("expected a text, the specification has no parts of it")?;
            let items = part_values(items)?;
            let inner = parts.write(&items).map_err(|error| error.to_string())?;
            let written = writer.divided(number, &inner).map(drop);
            return written.map_err(|error| error.refusal.to_string());
        }
    };
    if is_masked(&text) || (element.mask() == Mask::Pan && text.contains('*')) {
        return Err(MASKED.to_owned());
    }
    let written = if element.class().name() == "b" {
        let bytes = hex(text.as_bytes()).ok_or("expected pairs of hexadecimal digits")?;
        writer.binary(number, &bytes).map(drop)
    } else {
        writer.text(number, &text).map(drop)
    };
    written.map_err(|error| error.refusal.to_string())
}

/// The parts of a text, none of which may be masked.
fn part_values(items: &PartTexts) -> Result<Vec<(String, PartValue)>, String> {
    let value = |(key, value): &(String, Value)| {
        let value = match value {
            Value::Text(text) if is_masked(text) || is_truncated(text) => {
                return Err(format!("part {key}: {MASKED}"));
            }
            Value::Text(text) => PartValue::Text(text.clone()),
            Value::Number(digits) => PartValue::Text(digits.to_string()),
            Value::Parts(items) => {
                let inner = part_values(items).map_err(|why| format!("{key}: {why}"))?;
                PartValue::Parts(inner)
            }
        };
        Ok((key.clone(), value))
    };
    items.0.iter().map(value).collect()
}

fn is_masked(text: &str) -> bool {
    text.starts_with(WITHHELD)
}

/// Whether the middle of a text is stars, as [`truncated`] leaves it.
fn is_truncated(text: &str) -> bool {
    let kept = KEPT_FIRST + KEPT_LAST;
    let middle = text.get(KEPT_FIRST..text.len().saturating_sub(KEPT_LAST));
    text.len() >= kept + HIDDEN_MIN && middle.is_some_and(|stars| stars.bytes().all(|c| c == b'*'))
}

/// The value of an element as text, hidden as the specification says.
pub(super) fn value(element: &ElementSpec, message: &Message, sight: Sight) -> String {
    let number = element.number();
    let plain = match message.text(number) {
        Some(text) => text.into_owned(),
        None => to_hex(&message.binary(number).unwrap_or_default()),
    };
    let mask = match element.parts() {
        Some(parts) if parts.hides() => Mask::Wipe,
        _ => element.mask(),
    };
    hidden(plain, mask, sight)
}

/// The parts of an element as text.
fn texts(parts: &[Part<'_>], sight: Sight) -> PartTexts {
    let value = |part: &Part<'_>| match part.parts() {
        Some(Ok(inner)) => Value::Parts(texts(&inner, sight)),
        Some(Err(_)) => {
            let inside = part.spec().and_then(|spec| spec.element().parts());
            let mask = match inside.is_some_and(Parts::hides) {
                true => Mask::Wipe,
                false => part.mask(),
            };
            Value::Text(hidden(part.shown(), mask, sight))
        }
        None => Value::Text(hidden(part.shown(), part.mask(), sight)),
    };
    let items = parts
        .iter()
        .map(|part| (part.key().to_owned(), value(part)));
    PartTexts(items.collect())
}

fn hidden(plain: String, mask: Mask, sight: Sight) -> String {
    match (sight, mask) {
        (Sight::Revealed, _) | (_, Mask::Shown) => plain,
        (Sight::Masked, Mask::Pan) => truncated(&plain).unwrap_or_else(|| withheld(&plain)),
        (Sight::Masked, Mask::Wipe) => withheld(&plain),
    }
}

fn withheld(plain: &str) -> String {
    format!("{WITHHELD}{})", plain.len())
}

/// The first six and the last four digits.
fn truncated(plain: &str) -> Option<String> {
    let hidden = plain.len().checked_sub(KEPT_FIRST + KEPT_LAST)?;
    let first = plain.get(..KEPT_FIRST)?;
    let last = plain.get(KEPT_FIRST + hidden..)?;
    (hidden >= HIDDEN_MIN).then(|| format!("{first}{}{last}", "*".repeat(hidden)))
}

const MASKED: &str = "the value is masked; write the whole value";
