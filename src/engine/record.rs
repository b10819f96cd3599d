//! Byte form of a journal record: version, time, event.
//!
//! `version u8` (2) · postcard of `(at: i64 zigzag varint, Event)`. What somebody ordered through
//! the operators' API is of version 3, which has the [`Actor`] between time and event. A reader
//! refuses versions it does not know. Old bytes are kept in `fixtures/journal/` and must decode for
//! ever; version 1 is read by `record_v1.rs`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::actor::Actor;
use crate::domain::time::UnixMs;

use super::event::Event;
use super::record_v1::EventV1;
use super::record_writer::RecordWriter;

/// The newest version; written when somebody ordered it.
pub const VERSION: u8 = 3;
/// The version of what nobody ordered: messages, time.
const PLAIN: u8 = 2;

/// Record bytes that are not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Nothing there.
    #[error("empty record, expected at least a version byte")]
    Empty,
    /// Written by a program that knows more.
    #[error("record version {got}, expected {VERSION} at most: written by a newer program")]
    Version {
        /// The version byte.
        got: u8,
    },
    /// The bytes do not decode.
    #[error("record of {length} bytes does not decode: {cause}")]
    Malformed {
        /// Length of the record.
        length: usize,
        /// What the decoder says.
        cause: postcard::Error,
    },
    /// Bytes are left over.
    #[error("record has {left} bytes after its event")]
    Trailing {
        /// How many.
        left: usize,
    },
}

/// Appends the byte form of an event to a buffer.
///
/// # Errors
/// Only when the event cannot be expressed, which no event can.
pub fn encode(at: UnixMs, event: &Event, out: &mut Vec<u8>) -> Result<(), postcard::Error> {
    out.push(PLAIN);
    #[cfg(feature = "planted-bugs")]
    if planted!(PinCounterNotJournalled) {
        return (at, without_pin_tries(event)).serialize(&mut RecordWriter::behind(out));
    }
    (at, event).serialize(&mut RecordWriter::behind(out))
}

/// The same with whoever ordered it.
///
/// # Errors
/// As [`encode`].
pub fn encode_by(
    actor: Option<&Actor>,
    at: UnixMs,
    event: &Event,
    out: &mut Vec<u8>,
) -> Result<(), postcard::Error> {
    let Some(actor) = actor else {
        return encode(at, event, out);
    };
    out.push(VERSION);
    (at, actor, event).serialize(&mut RecordWriter::behind(out))
}

/// An event as the planted bug journals it.
#[cfg(feature = "planted-bugs")]
fn without_pin_tries(event: &Event) -> Event {
    let mut event = event.clone();
    if let Event::Decided(decided) = &mut event {
        let is_try =
            |effect: &super::event::Effect| matches!(effect, super::event::Effect::PinTried { .. });
        decided.effects.retain(|effect| !is_try(effect));
    }
    event
}

/// Reads the byte form of an event.
///
/// # Errors
/// [`RecordError`] names what is wrong, never content.
pub fn decode(bytes: &[u8]) -> Result<(UnixMs, Event), RecordError> {
    decode_by(bytes).map(|(_, at, event)| (at, event))
}

/// Reads the byte form of an event, with whoever ordered it.
///
/// # Errors
/// As [`decode`].
pub fn decode_by(bytes: &[u8]) -> Result<(Option<Actor>, UnixMs, Event), RecordError> {
    let (version, body) = bytes.split_first().ok_or(RecordError::Empty)?;
    match *version {
        1 => whole::<EventV1>(body, bytes.len()).map(|(at, event)| (None, at, event.into())),
        PLAIN => whole(body, bytes.len()).map(|(at, event)| (None, at, event)),
        VERSION => whole(body, bytes.len()).map(|(at, (actor, event))| (Some(actor), at, event)),
        got => Err(RecordError::Version { got }),
    }
}

/// Reads a value that takes up the whole body of a record.
fn whole<T: DeserializeOwned>(body: &[u8], length: usize) -> Result<(UnixMs, T), RecordError> {
    let (value, rest) = postcard::take_from_bytes(body)
        .map_err(|cause| RecordError::Malformed { length, cause })?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(RecordError::Trailing { left: rest.len() })
    }
}
