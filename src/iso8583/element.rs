//! One data element of a specification: what it is called, how it stands on the wire, how it is
//! masked.

use super::class::{PackedClass, TextClass, kind_of};
use super::encoding::{self, Side};
use super::error::{ByteKind, ContentClass, Refusal};
use super::length::LengthForm;

/// A data element of a specification.
#[derive(Debug, Clone)]
pub struct ElementSpec {
    pub(super) number: u8,
    pub(super) name: String,
    pub(super) format: String,
    pub(super) mask: Mask,
    pub(super) program: ElementProgram,
}

/// How an element is shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// As it is.
    Shown,
    /// The first six and the last four characters.
    Pan,
    /// Only how long it is.
    Wipe,
}

impl ElementSpec {
    /// The number of the element, 2 to 128.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// The name of the element.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The format as the standard writes it, such as `n..19`.
    #[must_use]
    pub fn format(&self) -> &str {
        &self.format
    }

    /// How the element is shown to people.
    #[must_use]
    pub const fn mask(&self) -> Mask {
        self.mask
    }

    /// Greatest length: characters of text, digits of a number, bytes of a binary element.
    #[must_use]
    pub const fn length_max(&self) -> u16 {
        self.program.length_max
    }

    /// Whether the length varies, up to [`ElementSpec::length_max`].
    #[must_use]
    pub const fn is_variable(&self) -> bool {
        !matches!(self.program.length, LengthForm::Fixed)
    }

    /// The content class, such as `ans`.
    #[must_use]
    pub const fn class(&self) -> ContentClass {
        self.program.coding.class()
    }
}

/// An element as the decoder runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ElementProgram {
    pub(super) length: LengthForm,
    /// Characters, digits or bytes of value: exactly so many when fixed.
    pub(super) length_max: u16,
    pub(super) coding: Coding,
}

/// How a value stands on the wire. What a length counts is said with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Coding {
    /// One byte for each character.
    Text(TextClass),
    /// Two digits to a byte; counts digits.
    Packed(PackedClass, Side),
    /// A sign, C or D, and digits as text; counts the sign too.
    SignedText,
    /// A sign as one character and packed digits; counts the sign too.
    SignedPacked(Side),
    /// Bytes as they are.
    Raw,
    /// Two hexadecimal characters for each byte; counts bytes.
    Hex,
}

impl Coding {
    /// Bytes on the wire of a value of this length.
    #[inline]
    pub(super) const fn wire_size(self, length: usize) -> usize {
        match self {
            Coding::Text(_) | Coding::SignedText | Coding::Raw => length,
            Coding::Packed(..) => encoding::packed_size(length),
            Coding::SignedPacked(_) => {
                encoding::packed_size(length.saturating_sub(1)).saturating_add(1)
            }
            Coding::Hex => length.saturating_mul(2),
        }
    }

    /// Whether the value keeps its content class.
    #[inline]
    pub(super) fn holds(self, value: &[u8], length: usize) -> bool {
        match self {
            Coding::Text(class) => class.holds(value),
            Coding::Packed(class, fill) => {
                class.holds(value) && encoding::fill_is_zero(value, length, fill)
            }
            Coding::SignedText | Coding::SignedPacked(_) => self.signed_holds(value, length),
            Coding::Raw => true,
            Coding::Hex => encoding::is_hex(value),
        }
    }

    fn signed_holds(self, value: &[u8], length: usize) -> bool {
        let Some((b'C' | b'D', digits)) = value.split_first() else {
            return false;
        };
        match self {
            Coding::SignedPacked(fill) => {
                PackedClass::N.holds(digits)
                    && encoding::fill_is_zero(digits, length.saturating_sub(1), fill)
            }
            _ => TextClass::N.holds(digits),
        }
    }

    /// Says what is wrong with a value that [`Coding::holds`] refused, and at which of its bytes.
    #[cold]
    pub(super) fn explain(self, value: &[u8], length: usize) -> (usize, Refusal) {
        match self {
            Coding::Text(class) => self.explain_text(value, |byte| class.holds(&[byte])),
            Coding::Hex => self.explain_text(value, |byte| encoding::is_hex(&[byte])),
            Coding::Packed(class, fill) => self.explain_packed(value, length, class, fill),
            Coding::SignedText | Coding::SignedPacked(_) => self.explain_signed(value, length),
            Coding::Raw => (0, Refusal::Fill),
        }
    }

    fn explain_text(self, value: &[u8], good: impl Fn(u8) -> bool) -> (usize, Refusal) {
        let bad = value.iter().enumerate().find(|(_, byte)| !good(**byte));
        let (index, got) = bad.map_or((0, ByteKind::Control), |(index, byte)| {
            (index, kind_of(*byte))
        });
        (index, self.content(got, index.saturating_add(1)))
    }

    fn explain_packed(
        self,
        value: &[u8],
        length: usize,
        class: PackedClass,
        fill: Side,
    ) -> (usize, Refusal) {
        let skipped = match fill {
            Side::Left => length % 2,
            Side::Right => 0,
        };
        // A nibble doubled is a byte that the class can look at.
        let bad = encoding::nibbles(value, length, fill)
            .position(|nibble| !class.holds(&[nibble << 4 | nibble]));
        match bad {
            Some(index) => {
                let position = index.saturating_add(1);
                let byte_index = index.saturating_add(skipped) / 2;
                (byte_index, self.content(ByteKind::HexNibble, position))
            }
            None => match fill {
                Side::Left => (0, Refusal::Fill),
                Side::Right => (value.len().saturating_sub(1), Refusal::Fill),
            },
        }
    }

    fn explain_signed(self, value: &[u8], length: usize) -> (usize, Refusal) {
        let digits = match value.split_first() {
            Some((b'C' | b'D', digits)) => digits,
            Some((sign, _)) => return (0, self.content(kind_of(*sign), 1)),
            None => return (0, self.content(ByteKind::Control, 1)),
        };
        let (index, refusal) = match self {
            Coding::SignedPacked(fill) => {
                self.explain_packed(digits, length.saturating_sub(1), PackedClass::N, fill)
            }
            _ => self.explain_text(digits, |byte| byte.is_ascii_digit()),
        };
        let refusal = match refusal {
            Refusal::Content { got, position, .. } => self.content(got, position.saturating_add(1)),
            other => other,
        };
        (index.saturating_add(1), refusal)
    }

    fn content(self, got: ByteKind, position: usize) -> Refusal {
        Refusal::Content {
            expected: self.class(),
            got,
            position,
        }
    }

    /// The content class as the standard writes it.
    pub(super) const fn class(self) -> ContentClass {
        ContentClass(match self {
            Coding::Text(TextClass::N) | Coding::Packed(PackedClass::N, _) => "n",
            Coding::Text(TextClass::Z) | Coding::Packed(PackedClass::Z, _) => "z",
            Coding::Text(TextClass::A) => "a",
            Coding::Text(TextClass::An) => "an",
            Coding::Text(TextClass::As) => "as",
            Coding::Text(TextClass::Ns) => "ns",
            Coding::Text(TextClass::Ans) => "ans",
            Coding::SignedText | Coding::SignedPacked(_) => "x+n",
            Coding::Raw | Coding::Hex => "b",
        })
    }
}
