//! Messages built once per kind; of each copy only the trace numbers, times, amount and card change.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::{Bytes, BytesMut};

use crate::iso8583::{self, EncodeError, Message, MessageSpec, MessageWriter, Mti};
use crate::transport::{FrameCodec, FrameError, Framing};

use super::cards::LoadCard;
use super::mix::Kind;
use crate::cli::acquirer::link::{REPLY_BYTES_MAX, header_of};

/// Why the messages of a load cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The spec does not take an element.
    #[error("build the load's messages: {0}")]
    Encode(#[from] EncodeError),
    /// The framing does not take the message.
    #[error("frame the load's messages: {0}")]
    Frame(#[from] FrameError),
    /// What was built does not read back.
    #[error("build the load's messages: element {0} is not where it was written")]
    Missing(u8),
}

/// What makes one message different from the next of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stamp {
    /// DE 11.
    pub(super) stan: u32,
    /// DE 37; the amount follows from it.
    pub(super) rrn: u64,
    /// DE 7 as a number, MMDDhhmmss; DE 12 and 13 follow from it.
    pub(super) transmission: u64,
    /// Index of the card.
    pub(super) card: usize,
}

/// Digits of a fixed size somewhere in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DigitField {
    offset: usize,
    size: usize,
    packed: bool,
}

impl DigitField {
    /// The digits of `element`, of which there are `digits`.
    pub(super) fn of(message: &Message, element: u8, digits: usize) -> Option<Self> {
        let raw = message.raw(element)?;
        let packed = raw.len() == digits.div_ceil(2) && raw.len() != digits;
        let is_sized = packed || raw.len() == digits;
        is_sized.then_some(Self {
            offset: offset_in(message.bytes(), raw)?,
            size: raw.len(),
            packed,
        })
    }

    /// The part of the field from digit `from` on, `digits` long; both even when packed.
    fn part(self, from: usize, digits: usize) -> Self {
        let unit = if self.packed { 2 } else { 1 };
        Self {
            offset: self.offset + from / unit,
            size: digits / unit,
            packed: self.packed,
        }
    }

    fn moved(self, by: usize) -> Self {
        Self {
            offset: self.offset + by,
            ..self
        }
    }

    /// Writes the last digits of `value`, as many as the field has.
    fn put(self, message: &mut [u8], mut value: u64) {
        let Some(field) = message.get_mut(self.offset..self.offset + self.size) else {
            return;
        };
        for byte in field.iter_mut().rev() {
            if self.packed {
                let pair = value % 100;
                value /= 100;
                *byte = (pair / 10 * 16 + pair % 10) as u8;
            } else {
                *byte = b'0' + (value % 10) as u8;
                value /= 10;
            }
        }
    }

    /// Reads the digits as a number.
    pub(super) fn read(self, message: &[u8]) -> Option<u64> {
        let field = message.get(self.offset..self.offset + self.size)?;
        let mut value = 0_u64;
        for &byte in field {
            let (base, digit) = if self.packed {
                let (high, low) = (byte >> 4, byte & 0x0F);
                if high > 9 || low > 9 {
                    return None;
                }
                (100, high * 10 + low)
            } else {
                (10, byte.checked_sub(b'0').filter(|digit| *digit <= 9)?)
            };
            value = value.checked_mul(base)?.checked_add(u64::from(digit))?;
        }
        Some(value)
    }
}

/// One kind of message for cards of one number length, framed, with the places that change.
#[derive(Debug, Clone)]
pub struct Template {
    frame: Bytes,
    body_start: usize,
    pan: (usize, usize),
    expiry: DigitField,
    amount: DigitField,
    transmission: DigitField,
    stan: DigitField,
    local_time: DigitField,
    local_date: DigitField,
    rrn: DigitField,
    terminal: (usize, usize),
    /// STAN and DE 7 of the original within DE 90.
    original: Option<(DigitField, DigitField)>,
    amount_base: u64,
}

/// All templates of a load, and the cards in wire form.
#[derive(Debug, Clone)]
pub(super) struct Templates {
    by_kind: BTreeMap<(Kind, usize), Template>,
    /// Wire digits of the number, expiry, and how many digits the number has.
    cards: Vec<(Bytes, u64, usize)>,
}

impl Templates {
    /// Builds the messages of every kind for these cards.
    ///
    /// # Errors
    /// The spec or the framing does not take them.
    pub(super) fn build(
        spec: &MessageSpec,
        framing: &Framing,
        cards: &[LoadCard],
        amount_base: u64,
    ) -> Result<Self, TemplateError> {
        let mut by_kind = BTreeMap::new();
        let mut wire_cards = Vec::with_capacity(cards.len());
        for card in cards {
            let digits = card.pan.len();
            for kind in Kind::ALL {
                if let Entry::Vacant(entry) = by_kind.entry((kind, digits)) {
                    entry.insert(Template::build(spec, framing, kind, card, amount_base)?);
                }
            }
            wire_cards.push((
                wire_pan(spec, &card.pan)?,
                card.expiry.parse().unwrap_or_default(),
                digits,
            ));
        }
        Ok(Self {
            by_kind,
            cards: wire_cards,
        })
    }

    /// How many cards there are.
    pub(super) fn cards(&self) -> usize {
        self.cards.len()
    }

    /// Appends a framed message of this kind; nothing when there is no such card.
    pub(super) fn append(
        &self,
        out: &mut Vec<u8>,
        kind: Kind,
        stamp: &Stamp,
        original: &Stamp,
        terminal: &[u8],
    ) {
        let Some((pan, expiry, digits)) = self.cards.get(stamp.card) else {
            return;
        };
        let Some(template) = self.by_kind.get(&(kind, *digits)) else {
            return;
        };
        let start = out.len();
        out.extend_from_slice(&template.frame);
        let Some(frame) = out.get_mut(start..) else {
            return;
        };
        copy_into(frame, template.pan, pan);
        copy_into(frame, template.terminal, terminal);
        template.expiry.put(frame, *expiry);
        let amount = match kind {
            Kind::Balance => 0,
            Kind::Purchase | Kind::Repeat => template.amount_base + stamp.rrn % 100,
            Kind::Reversal => template.amount_base + original.rrn % 100,
        };
        template.amount.put(frame, amount);
        template.transmission.put(frame, stamp.transmission);
        template.stan.put(frame, u64::from(stamp.stan));
        template
            .local_time
            .put(frame, stamp.transmission % 1_000_000);
        template
            .local_date
            .put(frame, stamp.transmission / 1_000_000);
        // A reversal keeps the retrieval reference of what it reverses.
        let rrn = if template.original.is_some() {
            original.rrn
        } else {
            stamp.rrn
        };
        template.rrn.put(frame, rrn);
        if let Some((stan, transmission)) = template.original {
            stan.put(frame, u64::from(original.stan));
            transmission.put(frame, original.transmission);
        }
    }
}

impl Template {
    /// Builds the message of a kind once, and finds what changes in it.
    ///
    /// # Errors
    /// The spec or the framing does not take it.
    pub fn build(
        spec: &MessageSpec,
        framing: &Framing,
        kind: Kind,
        card: &LoadCard,
        amount_base: u64,
    ) -> Result<Self, TemplateError> {
        let body = write_message(spec, kind, card)?;
        let message = iso8583::decode(spec, body).map_err(|_| TemplateError::Missing(2))?;
        let codec = FrameCodec::new(framing, REPLY_BYTES_MAX);
        let mut frame = BytesMut::new();
        let mark = codec.begin(&mut frame, header_of(framing));
        let body_start = frame.len();
        frame.extend_from_slice(message.bytes());
        codec.finish(&mut frame, mark)?;

        let digits = |element, count| {
            DigitField::of(&message, element, count)
                .map(|field| field.moved(body_start))
                .ok_or(TemplateError::Missing(element))
        };
        let bytes = |element: u8| {
            let raw = message
                .raw(element)
                .ok_or(TemplateError::Missing(element))?;
            let offset = offset_in(message.bytes(), raw).ok_or(TemplateError::Missing(element))?;
            Ok::<_, TemplateError>((offset + body_start, raw.len()))
        };
        let original = match kind {
            Kind::Reversal => {
                let field = digits(90, ORIGINAL_DIGITS)?;
                Some((field.part(4, 6), field.part(10, 10)))
            }
            Kind::Purchase | Kind::Repeat | Kind::Balance => None,
        };
        Ok(Self {
            body_start,
            pan: bytes(2)?,
            expiry: digits(14, 4)?,
            amount: digits(4, 12)?,
            transmission: digits(7, 10)?,
            stan: digits(11, 6)?,
            local_time: digits(12, 6)?,
            local_date: digits(13, 4)?,
            rrn: digits(37, 12)?,
            terminal: bytes(41)?,
            original,
            amount_base,
            frame: frame.freeze(),
        })
    }

    /// The framed message before any change, for a peer that answers without reading.
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// The message within the frame.
    pub fn body(&self) -> Bytes {
        self.frame.slice(self.body_start..)
    }
}

/// Digits of DE 90.
const ORIGINAL_DIGITS: usize = 42;

/// The shop of every message of a load: a supermarket, in yen, card read from its stripe.
fn write_message(spec: &MessageSpec, kind: Kind, card: &LoadCard) -> Result<Bytes, TemplateError> {
    let (mti, processing_code) = match kind {
        Kind::Purchase => (const { Mti::new(100) }, "000000"),
        Kind::Repeat => (const { Mti::new(101) }, "000000"),
        Kind::Balance => (const { Mti::new(100) }, "310000"),
        Kind::Reversal => (const { Mti::new(420) }, "000000"),
    };
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, mti, &mut out);
    let elements: [(u8, &str); 17] = [
        (2, &card.pan),
        (3, processing_code),
        (4, "0"),
        (7, "0101000000"),
        (11, "0"),
        (12, "0"),
        (13, "0101"),
        (14, &card.expiry),
        (18, "5411"),
        (22, "022"),
        (25, "00"),
        (32, ACQUIRER),
        (37, "000000000000"),
        (41, "LOAD0000"),
        (42, "LOADMERCHANT001"),
        (43, "LOAD CLIENT SUPERMARKET  TOKYO        JP"),
        (49, "392"),
    ];
    for (element, text) in elements {
        writer.text(element, text)?;
    }
    if kind == Kind::Reversal {
        let original = format!("0100{:06}{:010}{ACQUIRER:0>11}{:011}", 0, 0, 0);
        writer.text(90, &original)?;
    }
    writer.finish()?;
    Ok(out.freeze())
}

/// DE 32 of every message of a load.
const ACQUIRER: &str = "400001";

/// The number of a card as it stands in DE 2, without the length before it.
fn wire_pan(spec: &MessageSpec, pan: &str) -> Result<Bytes, TemplateError> {
    let mut out = BytesMut::new();
    let mut writer = MessageWriter::begin(spec, const { Mti::new(100) }, &mut out);
    writer.text(2, pan)?;
    writer.finish()?;
    let message = iso8583::decode(spec, out.freeze()).map_err(|_| TemplateError::Missing(2))?;
    message
        .raw(2)
        .map(Bytes::copy_from_slice)
        .ok_or(TemplateError::Missing(2))
}

/// Where a slice of a message begins in it.
pub(super) fn offset_in(message: &[u8], part: &[u8]) -> Option<usize> {
    let offset = part.as_ptr().addr().checked_sub(message.as_ptr().addr())?;
    (offset + part.len() <= message.len()).then_some(offset)
}

fn copy_into(frame: &mut [u8], (offset, size): (usize, usize), bytes: &[u8]) {
    if let Some(field) = frame.get_mut(offset..offset + size)
        && bytes.len() == size
    {
        field.copy_from_slice(bytes);
    }
}
