//! Messages built once per kind; of a copy only trace numbers, times, amount and card change.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::iso8583::{self, CodePlace, EncodeError, MessageSpec, MessageWriter, Mti};
use crate::transport::{FrameCodec, FrameError, Framing};

use super::cards::LoadCard;
use super::digits::{DigitField, offset_in};
use super::mix::Kind;
use super::plan::LoadPlan;
use crate::cli::acquirer::link::REPLY_BYTES_MAX;
use crate::cli::acquirer::seal::MacKey;

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

/// One kind of message for cards of one number length, framed, with the places that change.
pub struct Template {
    frame: Vec<u8>,
    body: Range<usize>,
    pan: (usize, usize),
    expiry: DigitField,
    amount: DigitField,
    stan: DigitField,
    time: TimeFields,
    rrn: DigitField,
    terminal: (usize, usize),
    /// STAN and DE 7 of the original within DE 90.
    original: Option<(DigitField, DigitField)>,
    amount_base: u64,
    /// DE 52.
    pin: Option<(usize, usize)>,
    /// Where in the message the authentication code goes.
    code: Option<CodePlace>,
}

/// What messages prove.
#[derive(Debug, Clone, Copy, Default)]
struct Proofs {
    pin: bool,
    code: bool,
}

/// A card as messages carry it.
struct WireCard {
    pan: [u8; PAN_BYTES_MAX],
    pan_size: usize,
    expiry: u64,
    /// Index of the first of the templates for its number length, one per kind.
    templates: usize,
    /// DE 52.
    block: Option<[u8; 8]>,
}

/// Bytes of the longest number on any wire: 19 digits as text.
const PAN_BYTES_MAX: usize = 19;

/// All templates of a load, and the cards in wire form.
pub(super) struct Templates {
    /// `Kind::ALL` for each number length in turn.
    templates: Vec<Template>,
    cards: Vec<WireCard>,
    /// DE 7 that the templates hold at the moment.
    transmission: u64,
    mac: Option<MacKey>,
}

impl Templates {
    /// Builds the messages of every kind for these cards.
    ///
    /// # Errors
    /// The spec or the framing does not take them.
    pub(super) fn build(plan: &LoadPlan) -> Result<Self, TemplateError> {
        let (spec, cards) = (plan.spec, &plan.cards);
        let has = Proofs {
            pin: plan.pins.is_some(),
            code: plan.mac.is_some(),
        };
        let mut templates = Vec::new();
        let mut by_digits = BTreeMap::new();
        let mut wire_cards = Vec::with_capacity(cards.len());
        for card in cards.iter() {
            let first = match by_digits.entry(card.pan.len()) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    let first = templates.len();
                    for kind in Kind::ALL {
                        let laid = (spec, &plan.framing, has);
                        let template = Template::laid(laid, kind, card, plan.amount_minor)?;
                        templates.push(template);
                    }
                    *entry.insert(first)
                }
            };
            let pan = wire_pan(spec, &card.pan)?;
            let mut bytes = [0; PAN_BYTES_MAX];
            let room = bytes.get_mut(..pan.len());
            room.ok_or(TemplateError::Missing(2))?.copy_from_slice(&pan);
            wire_cards.push(WireCard {
                pan: bytes,
                pan_size: pan.len(),
                expiry: card.expiry.parse().unwrap_or_default(),
                templates: first,
                block: match &plan.pins {
                    None => None,
                    Some(pins) => Some(pins.block(&card.pan).ok_or(TemplateError::Missing(52))?),
                },
            });
        }
        Ok(Self {
            templates,
            cards: wire_cards,
            transmission: 0,
            mac: plan.mac.clone(),
        })
    }

    /// How many cards there are.
    pub(super) fn cards(&self) -> usize {
        self.cards.len()
    }

    /// Sets the time (DE 7, 12, 13) of the messages to come; most messages need no more.
    pub(super) fn set_time(&mut self, transmission: u64) {
        if self.transmission != transmission {
            self.transmission = transmission;
            for template in &mut self.templates {
                template.time.put(&mut template.frame, transmission);
            }
        }
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
        let Some(card) = self.cards.get(stamp.card) else {
            return;
        };
        let Some(template) = self.templates.get(card.templates + kind.index()) else {
            return;
        };
        let start = out.len();
        out.extend_from_slice(&template.frame);
        let Some(frame) = out.get_mut(start..) else {
            return;
        };
        copy_into(frame, template.pan, card.pan.get(..card.pan_size));
        copy_into(frame, template.terminal, Some(terminal));
        template.expiry.put(frame, card.expiry);
        let amount = match kind {
            Kind::Balance => 0,
            Kind::Purchase | Kind::Repeat => template.amount_base + stamp.rrn % 100,
            Kind::Reversal => template.amount_base + original.rrn % 100,
        };
        template.amount.put(frame, amount);
        template.stan.put(frame, u64::from(stamp.stan));
        if stamp.transmission != self.transmission {
            template.time.put(frame, stamp.transmission);
        }
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
        if let (Some((offset, size)), Some(block)) = (template.pin, card.block) {
            let digits = base16ct::upper::encode_string(&block);
            let is_raw = size == block.len();
            let wire = if is_raw {
                &block[..]
            } else {
                digits.as_bytes()
            };
            copy_into(frame, (offset, size), Some(wire));
        }
        if let (Some(mac), Some(place)) = (&self.mac, &template.code)
            && let Some(body) = frame.get_mut(template.body.clone())
        {
            mac.fill(place, body);
        }
    }
}

/// Where a message holds its time.
#[derive(Debug, Clone, Copy)]
struct TimeFields {
    transmission: DigitField,
    local_time: DigitField,
    local_date: DigitField,
}

impl TimeFields {
    fn put(self, frame: &mut [u8], transmission: u64) {
        for (field, value) in [
            (self.transmission, transmission),
            (self.local_time, transmission % 1_000_000),
            (self.local_date, transmission / 1_000_000),
        ] {
            field.clear(frame);
            field.put(frame, value);
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
        Self::laid((spec, framing, Proofs::default()), kind, card, amount_base)
    }

    fn laid(
        (spec, framing, has): (&MessageSpec, &Framing, Proofs),
        kind: Kind,
        card: &LoadCard,
        amount_base: u64,
    ) -> Result<Self, TemplateError> {
        let (body, code) = write_message(spec, kind, card, has)?;
        let message = iso8583::decode(spec, body).map_err(|_| TemplateError::Missing(2))?;
        let codec = FrameCodec::new(framing, REPLY_BYTES_MAX);
        let mut frame = BytesMut::new();
        let mark = codec.begin(&mut frame, &framing.header().of_request());
        let body_start = frame.len();
        frame.extend_from_slice(message.bytes());
        let body_end = frame.len();
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
        let mut frame = frame.to_vec();
        let expiry = digits(14, 4)?;
        expiry.clear(&mut frame);
        Ok(Self {
            body: body_start..body_end,
            pan: bytes(2)?,
            expiry,
            amount: digits(4, 12)?,
            stan: digits(11, 6)?,
            time: TimeFields {
                transmission: digits(7, 10)?,
                local_time: digits(12, 6)?,
                local_date: digits(13, 4)?,
            },
            rrn: digits(37, 12)?,
            terminal: bytes(41)?,
            pin: has.pin.then(|| bytes(52)).transpose()?,
            code,
            original,
            amount_base,
            frame,
        })
    }

    /// The framed message before any change, for a peer that answers without reading.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// The message within the frame.
    pub fn body(&self) -> Bytes {
        let body = self.frame.get(self.body.clone());
        Bytes::copy_from_slice(body.unwrap_or_default())
    }
}

/// Digits of DE 90.
const ORIGINAL_DIGITS: usize = 42;

/// The shop of every message of a load: a supermarket, in yen, card read from its stripe.
fn write_message(
    spec: &MessageSpec,
    kind: Kind,
    card: &LoadCard,
    has: Proofs,
) -> Result<(Bytes, Option<CodePlace>), TemplateError> {
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
    if has.pin {
        writer.binary(52, &[0; 8])?;
    }
    if kind == Kind::Reversal {
        let original = format!("0100{:06}{:010}{ACQUIRER:0>11}{:011}", 0, 0, 0);
        writer.text(90, &original)?;
    }
    let code = match has.code {
        true => Some(writer.finish_with_code()?),
        false => writer.finish().map(|()| None)?,
    };
    Ok((out.freeze(), code))
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

fn copy_into(frame: &mut [u8], (offset, size): (usize, usize), bytes: Option<&[u8]>) {
    if let Some(field) = frame.get_mut(offset..offset + size)
        && let Some(bytes) = bytes.filter(|bytes| bytes.len() == size)
    {
        field.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::mix::Mix;
    use super::super::pins::PinBlocks;
    use super::super::plan::Pace;
    use super::*;
    use crate::cli::acquirer::seal::MacAlgorithm;
    use crate::iso8583::Message;

    const CARDS: [(&str, &str); 2] = [("4761739001010119", "2912"), ("4761739001013", "0101")];

    const KEY: &str = "0123456789ABCDEFFEDCBA9876543210";

    fn mac() -> MacKey {
        MacKey::new(MacAlgorithm::Retail, KEY).unwrap()
    }

    fn append(spec: &'static MessageSpec, kind: Kind, stamp: &Stamp, original: &Stamp) -> Message {
        let cards = CARDS.map(|(pan, expiry)| LoadCard {
            pan: pan.to_owned(),
            expiry: expiry.to_owned(),
        });
        let plan = LoadPlan {
            address: String::new(),
            framing: Framing::preset("be2+tpdu").unwrap(),
            spec,
            connections: 1,
            pace: Pace::Window(1),
            warmup: Duration::ZERO,
            duration: Duration::ZERO,
            reply_timeout: Duration::ZERO,
            mix: Mix::purchases(),
            cards: cards.into(),
            amount_minor: 1_000,
            sign_on: false,
            tls: None,
            mac: Some(mac()),
            pins: Some(Arc::new(PinBlocks::new(KEY, "2580").unwrap())),
        };
        let mut templates = Templates::build(&plan).unwrap();
        templates.set_time(309_010_203);
        templates.set_time(1_231_235_959);
        let mut out = b"before".to_vec();
        templates.append(&mut out, kind, stamp, original, b"L0000042");
        let body = Bytes::copy_from_slice(&out[6 + 2 + 5..]);
        iso8583::decode(spec, body).unwrap()
    }

    #[test]
    fn a_patched_template_is_the_message_that_was_asked_for() {
        let original = Stamp {
            stan: 7,
            rrn: 100_000_000_005,
            transmission: 309_010_203,
            card: 1,
        };
        for name in ["iso87-ascii", "iso87-binary"] {
            let spec = MessageSpec::builtin(name).unwrap();
            for (kind, mti, amount) in [
                (Kind::Purchase, "0100", 1_012),
                (Kind::Repeat, "0101", 1_012),
                (Kind::Balance, "0100", 0),
                (Kind::Reversal, "0420", 1_005),
            ] {
                let stamp = Stamp {
                    stan: 123_456,
                    rrn: 12,
                    transmission: 1_231_235_958,
                    card: 1,
                };
                let message = append(spec, kind, &stamp, &original);
                let text = |element| message.text(element).unwrap_or_default().into_owned();
                let (rrn, origin) = match kind {
                    Kind::Reversal => {
                        ("100000000005", "010000000703090102030000040000100000000000")
                    }
                    Kind::Purchase | Kind::Repeat | Kind::Balance => ("000000000012", ""),
                };
                assert_eq!(message.mti().to_string(), mti);
                let expected = [
                    (2, "4761739001013"),
                    (7, "1231235958"),
                    (11, "123456"),
                    (12, "235958"),
                    (13, "1231"),
                    (14, "0101"),
                    (37, rrn),
                    (41, "L0000042"),
                    (90, origin),
                ];
                for (element, expected) in expected {
                    assert_eq!(text(element), expected, "{name} {kind:?} DE {element}");
                }
                assert_eq!(message.number(4), Some(amount), "{name} {kind:?}");
                assert!(mac().is_right(&message), "{name} {kind:?}");
                let block = PinBlocks::new(KEY, "2580").unwrap().block(CARDS[1].0);
                assert_eq!(message.binary(52).unwrap()[..], block.unwrap());
            }
            let stamp = Stamp {
                transmission: 1_231_235_959,
                ..Stamp::default()
            };
            let message = append(spec, Kind::Purchase, &stamp, &original);
            assert_eq!(message.text(2).as_deref(), Some(CARDS[0].0), "{name}");
            assert_eq!(message.text(14).as_deref(), Some(CARDS[0].1), "{name}");
            assert_eq!(message.number(7), Some(1_231_235_959), "{name}");
        }
    }
}
