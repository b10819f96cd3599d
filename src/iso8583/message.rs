//! A decoded message: the untouched frame, and where in it each element stands.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use smallvec::SmallVec;

use super::Mti;
use super::bitmap::Bitmap;
use super::class::{PackedClass, TextClass};
use super::element::{Coding, ElementProgram};
use super::encoding;

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

/// Where one value stands in the frame.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    value_start: u16,
    /// Characters, digits or bytes, as the coding counts them.
    length: u16,
    prefix_size: u8,
    coding: Coding,
}

impl Slot {
    /// The frame is at most 65,535 bytes long, so its offsets fit.
    #[inline]
    pub(super) fn new(value_start: usize, length: u16, program: &ElementProgram) -> Self {
        Self {
            value_start: u16::try_from(value_start).unwrap_or(u16::MAX),
            length,
            prefix_size: program.length.prefix_size(),
            coding: program.coding,
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

    /// The element as it stands on the wire, length prefix included.
    #[must_use]
    pub fn wire(&self, element: u8) -> Option<&[u8]> {
        let slot = self.slot(element)?;
        let start = usize::from(slot.value_start);
        let end = start.saturating_add(slot.coding.wire_size(usize::from(slot.length)));
        self.frame
            .get(start.saturating_sub(usize::from(slot.prefix_size))..end)
    }

    /// The value as it stands on the wire, without the length prefix.
    #[must_use]
    pub fn raw(&self, element: u8) -> Option<&[u8]> {
        self.slot(element).and_then(|slot| self.value(slot))
    }

    /// The value of an `n` element of at most eighteen digits.
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
            _ => None,
        }
    }

    /// The digits of an `n` or `z` element of at most forty-eight characters, the field separator
    /// of a track as `=`.
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
            Coding::Packed(_, fill) => {
                let nibbles = encoding::nibbles(value, usize::from(slot.length), fill);
                Digits::new(nibbles.map(encoding::nibble_character))
            }
            _ => None,
        }
    }

    /// The value as text, `None` for a binary element. Packed digits become owned text, the field
    /// separator of a track as `=`.
    #[must_use]
    pub fn text(&self, element: u8) -> Option<Cow<'_, str>> {
        let slot = self.slot(element)?;
        let value = self.value(slot)?;
        let length = usize::from(slot.length);
        match slot.coding {
            // Every class is a part of ASCII, so that this never fails.
            Coding::Text(_) | Coding::SignedText => {
                std::str::from_utf8(value).ok().map(Cow::Borrowed)
            }
            Coding::Packed(_, fill) => {
                let nibbles = encoding::nibbles(value, length, fill);
                let characters =
                    nibbles.map(|nibble| char::from(encoding::nibble_character(nibble)));
                Some(Cow::Owned(characters.collect()))
            }
            Coding::SignedPacked(fill) => {
                let (sign, digits) = value.split_first()?;
                let nibbles = encoding::nibbles(digits, length.saturating_sub(1), fill);
                let characters =
                    nibbles.map(|nibble| char::from(encoding::nibble_character(nibble)));
                Some(Cow::Owned(
                    std::iter::once(char::from(*sign))
                        .chain(characters)
                        .collect(),
                ))
            }
            Coding::Raw | Coding::Hex => None,
        }
    }

    /// The bytes of a binary element, `None` for any other; hexadecimal text becomes owned bytes.
    #[must_use]
    pub fn binary(&self, element: u8) -> Option<Cow<'_, [u8]>> {
        let slot = self.slot(element)?;
        let value = self.value(slot)?;
        match slot.coding {
            Coding::Raw => Some(Cow::Borrowed(value)),
            Coding::Hex => encoding::hex_bytes(value).map(Cow::Owned),
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

const _: () = assert!(
    std::mem::size_of::<Slot>() <= 8,
    "the slot table is copied with a message"
);
