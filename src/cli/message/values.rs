//! A message as JSON and back: `{"mti":"0100","fields":{"2":"..."}}`, binary elements in
//! hexadecimal, what the specification masks masked unless it is to be revealed.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::iso8583::{ElementSpec, Mask, Message, MessageSpec, MessageWriter, Mti};
use crate::transport::Frame;
use crate::transport::Framing;

use super::input::{hex, to_hex};

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

/// A value; numbers are taken where people write them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Number(u64),
}

impl MessageText {
    /// The text of a message.
    pub(super) fn of(spec: &MessageSpec, frame: &Frame, message: &Message, sight: Sight) -> Self {
        let field = |number| {
            let element = spec.element(number)?;
            Some((number, Value::Text(value(element, message, sight))))
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
            write(&mut writer, element, value)?;
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
    };
    if text.starts_with(WITHHELD) || (element.mask() == Mask::Pan && text.contains('*')) {
        return Err(format!(
            "DE {number}: the value is masked; write the whole value"
        ));
    }
    let written = if element.class().name() == "b" {
        let bytes = hex(text.as_bytes())
            .ok_or_else(|| format!("DE {number}: expected pairs of hexadecimal digits"))?;
        writer.binary(number, &bytes).map(drop)
    } else {
        writer.text(number, &text).map(drop)
    };
    written.map_err(|error| error.to_string())
}

/// The value of an element as text, hidden as the specification says.
pub(super) fn value(element: &ElementSpec, message: &Message, sight: Sight) -> String {
    let number = element.number();
    let plain = match message.text(number) {
        Some(text) => text.into_owned(),
        None => to_hex(&message.binary(number).unwrap_or_default()),
    };
    if sight == Sight::Revealed {
        return plain;
    }
    match element.mask() {
        Mask::Shown => plain,
        Mask::Pan => truncated(&plain).unwrap_or_else(|| withheld(&plain)),
        Mask::Wipe => withheld(&plain),
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
