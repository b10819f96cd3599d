//! Builds the messages of a conversation from elements, and repeats and reversals from what was
//! sent before.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::iso8583::{self, ElementSpec, EncodeError, Message, MessageSpec, MessageWriter, Mti};

use super::alias;
use super::scenario::{Mistakes, Scenario};
use super::step::Send;
use super::value::{Moment, Value};

/// Why a step's message cannot be built. Names elements and sizes, never content.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComposeError {
    #[error("{0} needs a value that an earlier step did not save")]
    NotSaved(String),
    #[error("{0}: expected pairs of hexadecimal digits")]
    NotHex(String),
    #[error("a chip needs a card number (DE 2)")]
    NoCard,
    #[error("the step it refers to sent nothing")]
    NothingSent,
    #[error("a step without a MAC key has no code to be wrong or to leave out")]
    NoMacKey,
    #[error("the spec has no element {0}")]
    NoElement(u8),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What a step sent, and what came back.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) request: Message,
    pub(super) reply: Option<Message>,
}

/// Elements of the original that a reversal carries, besides its own DE 7, 11 and 90.
const COPIED_TO_REVERSAL: [u8; 19] = [
    2, 3, 4, 6, 12, 13, 14, 18, 19, 22, 25, 32, 33, 37, 41, 42, 43, 49, 51,
];

/// The same in messages of 1993, where DE 24 and DE 56 are the reversal's own.
const COPIED_TO_REVERSAL_1993: [u8; 17] = [
    2, 3, 4, 6, 12, 14, 19, 22, 26, 32, 33, 37, 41, 42, 43, 49, 51,
];

/// The same in messages of 2003, where amounts have their currency with them.
const COPIED_TO_REVERSAL_2003: [u8; 16] =
    [2, 3, 4, 6, 12, 14, 19, 21, 22, 26, 32, 33, 37, 41, 42, 43];

/// Builds the message of a step; `sent` is what each earlier step exchanged.
pub(super) fn compose(
    spec: &MessageSpec,
    send: &Send,
    moment: &Moment<'_>,
    sent: &[Option<Sent>],
) -> Result<Bytes, ComposeError> {
    let original = |of: usize| sent.get(of).and_then(Option::as_ref);
    match send {
        Send::Message { mti, elements } => {
            let elements = expand(elements, moment)?;
            write(
                spec,
                *mti,
                elements.iter().map(|(de, text)| (*de, Piece::Text(text))),
            )
        }
        Send::Repeat { of } => {
            let original = &original(*of).ok_or(ComposeError::NothingSent)?.request;
            let pieces = original.elements().map(|de| (de, Piece::Copied(original)));
            write(spec, repeat_of(original.mti()), pieces)
        }
        Send::Reversal { of, mti, elements } => {
            let original = original(*of).ok_or(ComposeError::NothingSent)?;
            let mut texts = expand(&own_elements(elements), moment)?;
            let version = original.request.mti().version();
            let (element, data, copied) = match version {
                1 => (
                    56,
                    original_data_1993(&original.request),
                    &COPIED_TO_REVERSAL_1993[..],
                ),
                2 => (
                    56,
                    original_data_2003(&original.request),
                    &COPIED_TO_REVERSAL_2003[..],
                ),
                _ => (
                    90,
                    original_data(&original.request),
                    &COPIED_TO_REVERSAL[..],
                ),
            };
            texts.entry(element).or_insert(data);
            if element == 56 {
                texts.entry(24).or_insert_with(|| "400".to_owned());
            }
            let mut pieces = BTreeMap::new();
            for de in copied.iter().copied() {
                if original.request.has(de) {
                    pieces.insert(de, Piece::Copied(&original.request));
                }
            }
            if let Some(reply) = original.reply.as_ref().filter(|reply| reply.has(38)) {
                pieces.insert(38, Piece::Copied(reply));
            }
            pieces.extend(texts.iter().map(|(de, text)| (*de, Piece::Text(text))));
            write(spec, of_version(*mti, version), pieces.into_iter())
        }
    }
}

/// Builds every message with sample values and reports what the spec does not take.
pub(super) fn rehearse(spec: &MessageSpec, scenario: &Scenario, mistakes: &mut Mistakes) {
    let now = super::clock::utc();
    let saved = BTreeMap::new();
    let moment = Moment {
        stan: 1,
        rrn: 1,
        now: &now,
        saved: &saved,
    };
    for (index, step) in scenario.steps.iter().enumerate() {
        let (mti, elements) = match &step.send {
            Some(Send::Message { mti, elements }) => (*mti, elements.clone()),
            Some(Send::Reversal { mti, elements, .. }) => {
                let version = spec.version().unwrap_or_default();
                (of_version(*mti, version), own_elements(elements))
            }
            Some(Send::Repeat { .. }) | None => continue,
        };
        for (de, value) in &elements {
            // What depends on a reply is only known when the step runs.
            let Some(text) = value.expand(&moment) else {
                continue;
            };
            if let Err(error) = write(spec, mti, [(*de, Piece::Text(&text))].into_iter()) {
                let place = format!("step {} '{}'", index + 1, step.name);
                mistakes.add(&place, format!("{}: {error}", alias::element_name(*de)));
            }
        }
    }
}

/// What an element is filled with.
enum Piece<'a> {
    Text(&'a str),
    Copied(&'a Message),
}

fn write<'a>(
    spec: &MessageSpec,
    mti: Mti,
    pieces: impl Iterator<Item = (u8, Piece<'a>)>,
) -> Result<Bytes, ComposeError> {
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, mti, &mut out);
    for (de, piece) in pieces {
        match piece {
            Piece::Copied(message) => {
                writer.copy(message, de)?;
            }
            Piece::Text(text) => {
                let element = spec.element(de).ok_or(ComposeError::NoElement(de))?;
                if class_of(element) == "b" {
                    let bytes = from_hex(text)
                        .ok_or_else(|| ComposeError::NotHex(alias::element_name(de)))?;
                    writer.binary(de, &bytes)?;
                } else {
                    writer.text(de, text)?;
                }
            }
        }
    }
    writer.finish()?;
    Ok(out.freeze())
}

/// The same message with these elements on top.
pub(super) fn with_elements(
    spec: &MessageSpec,
    message: &Message,
    texts: &BTreeMap<u8, String>,
) -> Result<Bytes, ComposeError> {
    let copied = message.elements().map(|de| (de, Piece::Copied(message)));
    let mut pieces: BTreeMap<u8, Piece<'_>> = copied.collect();
    pieces.extend(texts.iter().map(|(de, text)| (*de, Piece::Text(text))));
    write(spec, message.mti(), pieces.into_iter())
}

fn expand(
    elements: &BTreeMap<u8, Value>,
    moment: &Moment<'_>,
) -> Result<BTreeMap<u8, String>, ComposeError> {
    elements
        .iter()
        .map(|(de, value)| match value.expand(moment) {
            Some(text) => Ok((*de, text)),
            None => Err(ComposeError::NotSaved(alias::element_name(*de))),
        })
        .collect()
}

fn own_elements(elements: &BTreeMap<u8, Value>) -> BTreeMap<u8, Value> {
    let mut own = BTreeMap::from([(7, Value::transmission()), (11, Value::stan())]);
    own.extend(elements.iter().map(|(de, value)| (*de, value.clone())));
    own
}

fn repeat_of(mti: Mti) -> Mti {
    let [version, class, function, origin] = mti.digits();
    // The odd origin after each even one is its repeat, so a request digit stays in range.
    Mti::from_digits([version, class, function, origin | 1]).unwrap_or(mti)
}

/// DE 90: original MTI 4, STAN 6, DE 7 10, acquirer 11, forwarder 11.
fn original_data(original: &Message) -> String {
    let number = |de: u8| original.number(de).unwrap_or_default();
    format!(
        "{}{:06}{:010}{:011}{:011}",
        original.mti(),
        number(11),
        number(7),
        number(32),
        number(33)
    )
}

/// DE 56 of 1993: original MTI 4, STAN 6, local date and time 12, length and digits of DE 32.
fn original_data_1993(original: &Message) -> String {
    let number = |de: u8| original.number(de).unwrap_or_default();
    let acquirer = number(32).to_string();
    format!(
        "{}{:06}{:012}{:02}{acquirer}",
        original.mti(),
        number(11),
        number(12),
        acquirer.len()
    )
}

/// DE 56 of 2003: original MTI 4, STAN 12, local date and time 14, digits of DE 32.
fn original_data_2003(original: &Message) -> String {
    let number = |de: u8| original.number(de).unwrap_or_default();
    format!(
        "{}{:012}{:014}{}",
        original.mti(),
        number(11),
        number(12),
        number(32)
    )
}

/// The same message type in another edition.
fn of_version(mti: Mti, version: u8) -> Mti {
    let [_, class, function, origin] = mti.digits();
    Mti::from_digits([version, class, function, origin]).unwrap_or(mti)
}

/// The content class of an element, the letters before the length in its format: `n` of `n..19`.
pub(super) fn class_of(element: &ElementSpec) -> &str {
    element
        .format()
        .trim_end_matches(|c: char| c == '.' || c.is_ascii_digit())
}

/// The bytes that pairs of hexadecimal digits stand for.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    digits?
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        })
        .collect()
}

/// An element as expectations and saved values see it: text, or hexadecimal digits of bytes.
pub(super) fn element_text(message: &Message, de: u8) -> Option<String> {
    if let Some(text) = message.text(de) {
        return Some(text.into_owned());
    }
    let bytes = message.binary(de)?;
    Some(bytes.iter().map(|byte| format!("{byte:02X}")).collect())
}

/// Reads what was built, so that a later repeat or reversal can copy from it.
pub(super) fn read_back(spec: &MessageSpec, bytes: &Bytes) -> Option<Message> {
    iso8583::decode(spec, bytes.clone()).ok()
}
