//! L0: bytes to message and back, from spec files.
//!
//! A [`MessageSpec`] is read from one TOML file and compiled to a flat table; [`decode`] walks a
//! frame once along that table and yields a [`Message`] that borrows from the frame;
//! [`MessageWriter`] streams a message into a buffer; [`describe`] prints a message, masked.
//!
//! Owns: wire forms, lengths, content classes. Does not own: what an element means to a card.
//! Invariants: no input panics; an error never holds content; an untouched message keeps its bytes.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::float_arithmetic,
        clippy::indexing_slicing
    )
)]

mod mti;

mod bitmap;

mod class;

mod codepage;

mod encoding;

mod length;

mod element;

mod format;

mod take;

mod step;

mod plan;

mod parts;

mod parts_read;

mod ber;

mod compose;

mod spec;

mod spec_file;

mod spec_parts;

mod spec_base;

mod rules;

mod spec_rules;

mod message;

mod decode;

mod encode;

mod authentication;

mod describe;

mod page;

mod rebuild;

mod error;

mod wire_words;

mod difference;

pub mod import;

pub mod export;

pub use authentication::{AuthenticationCode, CodePlace, is_place_of_code};
pub use ber::{Tlv, TlvError, Tlvs};
pub use compose::{PartRefusal, PartValue};
pub use decode::decode;
pub use describe::describe;
pub use difference::differences;
pub use element::{ElementSpec, Mask};
pub use encode::MessageWriter;
pub use error::{
    ByteKind, ContentClass, DecodeError, DecodeFailure, EncodeError, EncodeRefusal, Place, Refusal,
};
pub use message::{Digits, Message};
pub use mti::{InvalidMti, Mti};
pub use page::page;
pub use parts::{Part, PartError, PartSpec, Parts};
pub use rebuild::rebuild;
pub use rules::{MessageRule, RuleBreach};
pub use spec::{MessageSpec, SpecError, SpecErrors};

/// Bytes in the largest frame that is decoded or written: what a two-byte length header can say.
pub const FRAME_BYTES_MAX: usize = 65_535;

/// The highest data element number of a message with three bitmaps.
pub const ELEMENT_MAX: u8 = 192;
