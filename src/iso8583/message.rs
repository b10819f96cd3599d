//! A decoded message: the untouched frame, and where in it each element stands.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, Range};

use bytes::Bytes;
use smallvec::SmallVec;

use super::Mti;
use super::ber::Tlvs;
use super::bitmap::Bitmap;
use super::class::{PackedClass, TextClass};
use super::codepage::CodePage;
use super::element::Coding;
use super::encoding;
use super::take::Taken;

/// A message whose elements all keep their specification. It borrows nothing and copies nothing:
/// a clone shares the frame.
#[derive(Clone)]
pub struct Message {
    frame: Bytes,
    fingerprint: u64,
    mti: Mti,
    present: Bitmap,
    slots: Slots,
}

/// Where the elements stand, ascending. Thirty-two cover every message seen in practice, so that
/// only larger ones allocate.
pub(super) type Slots = SmallVec<[Slot; 32]>;

/// Where one element stands in the frame.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    wire_start: u16,
    wire_end: u16,
    value_start: u16,
    /// Characters, digits or bytes, as the coding counts them.
    length: u16,
    coding: Coding,
}

impl Slot {
    /// The frame is at most 65,535 bytes long, so its offsets fit.
    #[inline]
    pub(super) fn new(wire: Range<usize>, taken: &Taken<'_>, coding: Coding) -> Self {
        let offset = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX);
        Self {
            wire_start: offset(wire.start),
            wire_end: offset(wire.end),
            value_start: offset(wire.start.saturating_add(taken.lead)),
            length: taken.length,
            coding,
        }
    }
}

impl Message {
    pub(super) fn new(
        fingerprint: u64,
        frame: Bytes,
        mti: Mti,
        present: Bitmap,
        slots: Slots,
    ) -> Self {
        Self {
            frame,
            fingerprint,
            mti,
            present,
            slots,
        }
    }

    /// The message type.
    #[must_use]
    pub const fn mti(&self) -> Mti {
        self.mti
    }

    /// Whether the message carries the element.
    #[must_use]
    pub fn has(&self, element: u8) -> bool {
        self.present.has(element)
    }

    /// The numbers of the elements it carries, ascending.
    pub fn elements(&self) -> impl Iterator<Item = u8> + Clone + use<> {
        self.present.elements()
    }

    /// The whole frame as it came.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.frame
    }

    /// The element as it stands on the wire, with its length, tag and fill.
    #[must_use]
    pub fn wire(&self, element: u8) -> Option<&[u8]> {
        let slot = self.slot(element)?;
        let wire = usize::from(slot.wire_start)..usize::from(slot.wire_end);
        self.frame.get(wire)
    }

    /// The value as it stands on the wire, without its length, tag and fill.
    #[must_use]
    pub fn raw(&self, element: u8) -> Option<&[u8]> {
        self.slot(element).and_then(|slot| self.value(slot))
    }

    /// The value of an element of at most eighteen characters when they are digits and its class
    /// is `n`, `h`, `any` or `ascii`.
    #[must_use]
    pub fn number(&self, element: u8) -> Option<u64> {
        let slot = self.slot(element)?;
        if slot.length > NUMBER_DIGITS_MAX {
            return None;
        }
        let value = self.value(slot)?;
        let step = |number: u64, digit: u8| {
            number
                .wrapping_mul(10)
                .wrapping_add(u64::from(digit & 0x0f))
        };
        match slot.coding {
            Coding::Text(TextClass::N) => Some(value.iter().copied().fold(0, step)),
            // The fill nibble on the left is zero; the one on the right is not a digit.
            Coding::Packed(PackedClass::N, fill) => {
                Some(encoding::nibbles(value, usize::from(slot.length), fill).fold(0, step))
            }
            coding => {
                let characters = digit_characters(coding, value, usize::from(slot.length))?;
                let digits = characters.iter().all(u8::is_ascii_digit);
                digits.then(|| characters.iter().copied().fold(0, step))
            }
        }
    }

    /// The digits of an element of at most forty-eight characters when they are digits and field
    /// separators of a track (shown as `=`) and its class is `n`, `z`, `h`, `any` or `ascii`.
    #[must_use]
    pub fn digits(&self, element: u8) -> Option<Digits> {
        let slot = self.slot(element)?;
        let value = self.value(slot)?;
        match slot.coding {
            Coding::Text(TextClass::N) => Digits::new(value.iter().copied()),
            Coding::Text(TextClass::Z) => Digits::new(value.iter().map(|byte| match byte {
                b'D' => b'=',
                other => *other,
            })),
            Coding::Ebcdic(page, TextClass::Z) => {
                Digits::new(value.iter().map(|byte| match page.latin_of(*byte) {
                    b'D' => b'=',
                    other => other,
                }))
            }
            Coding::Packed(PackedClass::N | PackedClass::Z, fill) => {
                let nibbles = encoding::nibbles(value, usize::from(slot.length), fill);
                Digits::new(nibbles.map(encoding::nibble_character))
            }
            coding => {
                let characters = digit_characters(coding, value, usize::from(slot.length))?;
                let shown = characters.iter().map(|character| match character {
                    b'D' => b'=',
                    other => *other,
                });
                let good = shown.clone().all(|c| c.is_ascii_digit() || c == b'=');
                good.then(|| Digits::new(shown))?
            }
        }
    }

    /// The value as text, `None` for a binary element. Packed digits become owned text, the field
    /// separator of a track as `=`.
    #[must_use]
    pub fn text(&self, element: u8) -> Option<Cow<'_, str>> {
        let slot = self.slot(element)?;
        text_of(slot.coding, self.value(slot)?, usize::from(slot.length))
    }

    /// The bytes of a binary element, `None` for any other; hexadecimal text becomes owned bytes.
    #[must_use]
    pub fn binary(&self, element: u8) -> Option<Cow<'_, [u8]>> {
        let slot = self.slot(element)?;
        let value = self.value(slot)?;
        binary_of(slot.coding, value)
    }

    /// The items of an element in BER-TLV, such as DE 55, read one by one when they are asked for;
    /// `None` when the element does not hold bytes as they are.
    #[must_use]
    pub fn tlvs(&self, element: u8) -> Option<Tlvs<'_>> {
        let slot = self.slot(element)?;
        match slot.coding {
            Coding::Raw => self.value(slot).map(Tlvs::new),
            _ => None,
        }
    }

    /// Length of the value in characters, digits or bytes.
    pub(super) fn length(&self, element: u8) -> Option<usize> {
        self.slot(element).map(|slot| usize::from(slot.length))
    }

    pub(super) const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn slot(&self, element: u8) -> Option<&Slot> {
        if !self.present.has(element) {
            return None;
        }
        self.slots.get(self.present.rank(element))
    }

    fn value(&self, slot: &Slot) -> Option<&[u8]> {
        let start = usize::from(slot.value_start);
        let size = slot.coding.wire_size(usize::from(slot.length));
        self.frame.get(start..start.saturating_add(size))
    }
}

/// The value of an element as text, `None` when it is bytes.
pub(super) fn text_of(coding: Coding, value: &[u8], length: usize) -> Option<Cow<'_, str>> {
    match coding {
        Coding::Text(_) | Coding::SignedText if value.is_ascii() => {
            std::str::from_utf8(value).ok().map(Cow::Borrowed)
        }
        Coding::Ebcdic(page, _) => {
            let characters = value
                .iter()
                .map(|byte| page.character(page.latin_of(*byte)));
            Some(Cow::Owned(characters.collect()))
        }
        Coding::Raw | Coding::Hex | Coding::HexEbcdic | Coding::Converted(_) => None,
        _ => {
            let characters = characters(coding, value, length);
            Some(Cow::Owned(
                characters.iter().map(|byte| char::from(*byte)).collect(),
            ))
        }
    }
}

/// The bytes of a binary element, `None` for any other.
pub(super) fn binary_of(coding: Coding, value: &[u8]) -> Option<Cow<'_, [u8]>> {
    match coding {
        Coding::Raw => Some(Cow::Borrowed(value)),
        Coding::Hex => encoding::hex_bytes(value).map(Cow::Owned),
        Coding::HexEbcdic => {
            let text = value.iter().map(|byte| CodePage::Ibm1047.latin_of(*byte));
            encoding::hex_bytes(&text.collect::<Vec<u8>>()).map(Cow::Owned)
        }
        Coding::Converted(page) => Some(Cow::Owned(
            value.iter().map(|byte| page.latin_of(*byte)).collect(),
        )),
        _ => None,
    }
}

type Characters = SmallVec<[u8; 48]>;

/// The characters of a value in ISO 8859-1; none of a binary one.
fn characters(coding: Coding, value: &[u8], length: usize) -> Characters {
    match coding {
        Coding::Text(_) | Coding::SignedText => SmallVec::from_slice(value),
        Coding::Ebcdic(page, _) => value.iter().map(|byte| page.latin_of(*byte)).collect(),
        Coding::SignedEbcdic => {
            let page = CodePage::Ibm1047;
            value.iter().map(|byte| page.latin_of(*byte)).collect()
        }
        Coding::Packed(_, fill) => encoding::nibbles(value, length, fill)
            .map(encoding::nibble_character)
            .collect(),
        Coding::SignedPacked(_, fill) => {
            let (sign, digits) = value.split_first().unwrap_or((&b'C', &[]));
            let nibbles = encoding::nibbles(digits, length.saturating_sub(1), fill);
            std::iter::once(*sign)
                .chain(nibbles.map(encoding::nibble_character))
                .collect()
        }
        Coding::Zoned => {
            let negative = value
                .last()
                .is_some_and(|last| last & 0xf0 == ZONE_NEGATIVE);
            let digits = value.iter().map(|byte| b'0' | byte & 0x0f);
            negative.then_some(b'-').into_iter().chain(digits).collect()
        }
        Coding::Raw | Coding::Hex | Coding::HexEbcdic | Coding::Converted(_) => SmallVec::new(),
    }
}

/// The characters of a class that may be all digits.
fn digit_characters(coding: Coding, value: &[u8], length: usize) -> Option<Characters> {
    let may = match coding {
        Coding::Text(class) | Coding::Ebcdic(_, class) => {
            matches!(class, TextClass::N | TextClass::Any | TextClass::Ascii)
        }
        Coding::Packed(class, _) => class == PackedClass::H,
        Coding::Zoned => true,
        _ => false,
    };
    may.then(|| characters(coding, value, length))
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The content stays out: a message in a log line must not show a card.
        let elements: Vec<u8> = self.elements().collect();
        formatter
            .debug_struct("Message")
            .field("mti", &self.mti)
            .field("elements", &elements)
            .field("size", &self.frame.len())
            .finish()
    }
}

/// The digits of an element, held inline.
#[derive(Clone, Copy)]
pub struct Digits {
    characters: [u8; DIGITS_MAX],
    count: u8,
}

impl Digits {
    fn new(characters: impl Iterator<Item = u8>) -> Option<Self> {
        let mut digits = Self {
            characters: [b'0'; DIGITS_MAX],
            count: 0,
        };
        for character in characters {
            *digits.characters.get_mut(usize::from(digits.count))? = character;
            digits.count = digits.count.saturating_add(1);
        }
        Some(digits)
    }

    /// The digits as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII characters are ever stored, so that neither step fails.
        let stored = self
            .characters
            .get(..usize::from(self.count))
            .unwrap_or_default();
        std::str::from_utf8(stored).unwrap_or_default()
    }
}

impl Deref for Digits {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Digits {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Digits {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Digits {}

impl fmt::Debug for Digits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digits({} withheld)", self.count)
    }
}

const NUMBER_DIGITS_MAX: u16 = 18;
const DIGITS_MAX: usize = 48;
/// The zone of the last digit of a negative zoned number.
pub(super) const ZONE_NEGATIVE: u8 = 0xd0;

const _: () = assert!(
    std::mem::size_of::<Slot>() <= 12,
    "the slot table is copied with a message"
);
