//! One data element of a specification: what it is called, how it stands on the wire, how it is
//! masked.

use super::class::{PackedClass, TextClass, kind_of};
use super::codepage::CodePage;
use super::encoding::{self, Fill};
use super::error::{ByteKind, ContentClass, Refusal};
use super::length::{LengthForm, Marker};
use super::parts::Parts;

/// A data element of a specification.
#[derive(Debug, Clone)]
pub struct ElementSpec {
    pub(super) number: u8,
    pub(super) name: String,
    pub(super) format: String,
    pub(super) mask: Mask,
    pub(super) program: ElementProgram,
    pub(super) parts: Option<Parts>,
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

    /// How its value is divided, when the specification says so.
    #[must_use]
    pub const fn parts(&self) -> Option<&Parts> {
        self.parts.as_ref()
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
    /// Whether a length of one of the plain forms and a value are all there is.
    pub(super) plain: bool,
    pub(super) pad: Option<Pad>,
    pub(super) rare: Rare,
}

impl ElementProgram {
    /// Whether a text of ASCII is a value as it stands on the wire, behind its length: one of the
    /// class and length that needs no fill.
    #[inline]
    pub(super) fn is_whole(&self, text: &[u8]) -> bool {
        let Coding::Text(class) = self.coding else {
            return false;
        };
        let max = usize::from(self.length_max);
        let fits = match self.length {
            LengthForm::Fixed => text.len() == max,
            _ => text.len() <= max,
        };
        self.plain && fits && class != TextClass::Any && class.holds(text)
    }
}

/// What fills a value that is shorter than its element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pad {
    pub(super) side: PadSide,
    /// A character of ISO 8859-1; the byte itself in a binary element.
    pub(super) character: u8,
}

/// Where the padding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PadSide {
    /// Before the value.
    Left,
    /// After the value.
    Right,
    /// Between the first character, which is a sign, and the rest.
    Sign,
}

/// What few elements have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Rare {
    /// Whether the padding is no part of the value that is read.
    pub(super) strip: bool,
    /// Whether a variable value is padded to the greatest length behind its prefix.
    pub(super) filled: bool,
    pub(super) tag: Option<Tag>,
}

/// Bytes that stand beside the length and name the element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tag {
    pub(super) marker: Marker,
    pub(super) place: TagPlace,
}

/// Where a tag stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum TagPlace {
    /// Before the length.
    Before,
    /// Behind the length, which counts it.
    Counted,
    /// Behind the length, which counts only the value.
    Behind,
}

/// How a value stands on the wire. What a length counts is said with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Coding {
    /// Bytes as they are. The first, so that an empty slot is all zero.
    #[default]
    Raw,
    /// One byte for each character, of ISO 8859-1.
    Text(TextClass),
    /// One byte for each character, of an EBCDIC code page.
    Ebcdic(CodePage, TextClass),
    /// Two digits to a byte; counts digits.
    Packed(PackedClass, Fill),
    /// A sign, C or D, and digits as text; counts the sign too.
    SignedText,
    /// A sign, C or D, and digits as EBCDIC text; counts the sign too.
    SignedEbcdic,
    /// A sign as one character and packed digits; counts the sign too.
    SignedPacked(SignClass, Fill),
    /// EBCDIC digits, the zone of the last one D when the number is negative; counts digits.
    Zoned,
    /// Two hexadecimal characters for each byte; counts bytes.
    Hex,
    /// Two hexadecimal characters of EBCDIC for each byte; counts bytes.
    HexEbcdic,
    /// Bytes that were converted as if they were text.
    Converted(CodePage),
}

/// Which signs a signed amount may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SignClass {
    /// C or D.
    Strict,
    /// Any printable character.
    Any,
}

impl Coding {
    /// Bytes on the wire of a value of this length.
    #[inline]
    pub(super) const fn wire_size(self, length: usize) -> usize {
        match self {
            Coding::Text(_) | Coding::SignedText | Coding::Raw => length,
            Coding::Packed(..) => encoding::packed_size(length),
            Coding::SignedPacked(..) => {
                encoding::packed_size(length.saturating_sub(1)).saturating_add(1)
            }
            Coding::Hex | Coding::HexEbcdic => length.saturating_mul(2),
            Coding::Ebcdic(..) | Coding::SignedEbcdic => length,
            Coding::Zoned | Coding::Converted(_) => length,
        }
    }

    /// Whether the value keeps its content class.
    #[inline]
    pub(super) fn holds(self, value: &[u8], length: usize) -> bool {
        match self {
            Coding::Text(class) => class.holds(value),
            Coding::Packed(class, fill) => packed_holds(class, value, length, fill),
            Coding::Raw => true,
            Coding::Hex => encoding::is_hex(value),
            _ => self.rare_holds(value, length),
        }
    }

    #[inline(never)]
    fn rare_holds(self, value: &[u8], length: usize) -> bool {
        match self {
            Coding::Ebcdic(page, class) => ebcdic_holds(page, value, |text| class.holds(text)),
            Coding::HexEbcdic => ebcdic_holds(CodePage::Ibm1047, value, encoding::is_hex),
            Coding::Zoned => match value.split_last() {
                Some((last, digits)) => {
                    digits.iter().all(|byte| matches!(byte, 0xf0..=0xf9))
                        && matches!(last, 0xc0..=0xc9 | 0xd0..=0xd9 | 0xf0..=0xf9)
                }
                None => true,
            },
            Coding::Text(_) | Coding::Packed(..) => true,
            Coding::Raw | Coding::Hex | Coding::Converted(_) => true,
            Coding::SignedText | Coding::SignedEbcdic | Coding::SignedPacked(..) => {
                self.signed_holds(value, length)
            }
        }
    }

    fn signed_holds(self, value: &[u8], length: usize) -> bool {
        let Some((sign, digits)) = value.split_first() else {
            return false;
        };
        if !self.sign_holds(*sign) {
            return false;
        }
        match self {
            Coding::SignedPacked(_, fill) => {
                packed_holds(PackedClass::N, digits, length.saturating_sub(1), fill)
            }
            Coding::SignedEbcdic => digits.iter().all(|byte| matches!(byte, 0xf0..=0xf9)),
            _ => TextClass::N.holds(digits),
        }
    }

    const fn sign_holds(self, sign: u8) -> bool {
        match self {
            Coding::SignedPacked(SignClass::Any, _) => matches!(sign, b' '..=b'~'),
            Coding::SignedEbcdic => matches!(sign, 0xc3 | 0xc4),
            _ => matches!(sign, b'C' | b'D'),
        }
    }

    /// Says what is wrong with a value that [`Coding::holds`] refused, and at which of its bytes.
    #[cold]
    pub(super) fn explain(self, value: &[u8], length: usize) -> (usize, Refusal) {
        match self {
            Coding::Text(class) => self.explain_text(value, |byte| class.holds(&[byte])),
            Coding::Hex => self.explain_text(value, |byte| encoding::is_hex(&[byte])),
            Coding::Packed(class, fill) => self.explain_packed(value, length, class, fill),
            Coding::SignedText | Coding::SignedEbcdic | Coding::SignedPacked(..) => {
                self.explain_signed(value, length)
            }
            Coding::Ebcdic(page, _) => self.explain_ebcdic(page, value),
            Coding::HexEbcdic => self.explain_ebcdic(CodePage::Ibm1047, value),
            Coding::Zoned => {
                let last = value.len().saturating_sub(1);
                let bad = (0..=last).find(|index| match value.get(*index) {
                    Some(0xc0..=0xc9 | 0xd0..=0xd9) => *index < last,
                    Some(byte) => !matches!(byte, 0xf0..=0xf9),
                    None => false,
                });
                let index = bad.unwrap_or(0);
                (index, self.content(ByteKind::High, index.saturating_add(1)))
            }
            Coding::Raw | Coding::Converted(_) => (0, Refusal::Fill),
        }
    }

    fn explain_ebcdic(self, page: CodePage, value: &[u8]) -> (usize, Refusal) {
        let bad = value
            .iter()
            .position(|byte| !self.rare_holds(&[*byte], 1))
            .unwrap_or(0);
        let latin = value.get(bad).map_or(0, |byte| page.latin_of(*byte));
        (bad, self.content(kind_of(latin), bad.saturating_add(1)))
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
        fill: Fill,
    ) -> (usize, Refusal) {
        let skipped = fill.lead(length);
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
                Fill::Left => (0, Refusal::Fill),
                Fill::Right | Fill::RightF => (value.len().saturating_sub(1), Refusal::Fill),
            },
        }
    }

    fn explain_signed(self, value: &[u8], length: usize) -> (usize, Refusal) {
        let digits = match value.split_first() {
            Some((sign, digits)) if self.sign_holds(*sign) => digits,
            Some((sign, _)) => return (0, self.content(kind_of(*sign), 1)),
            None => return (0, self.content(ByteKind::Control, 1)),
        };
        let (index, refusal) = match self {
            Coding::SignedPacked(_, fill) => {
                self.explain_packed(digits, length.saturating_sub(1), PackedClass::N, fill)
            }
            Coding::SignedEbcdic => self.explain_text(digits, |byte| matches!(byte, 0xf0..=0xf9)),
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
            Coding::Text(class) | Coding::Ebcdic(_, class) => class.name(),
            Coding::Packed(PackedClass::N, _) | Coding::Zoned => "n",
            Coding::Packed(PackedClass::Z, _) => "z",
            Coding::Packed(PackedClass::H, _) => "h",
            Coding::SignedText | Coding::SignedEbcdic | Coding::SignedPacked(..) => "x+n",
            Coding::Raw | Coding::Hex | Coding::HexEbcdic | Coding::Converted(_) => "b",
        })
    }

    /// Whether a value is bytes or free text, so that it may be divided into parts.
    pub(super) const fn is_divisible(self) -> bool {
        self.is_binary() || matches!(self, Coding::Text(_) | Coding::Ebcdic(..))
    }

    /// Whether a value is bytes rather than characters.
    pub(super) const fn is_binary(self) -> bool {
        matches!(
            self,
            Coding::Raw | Coding::Hex | Coding::HexEbcdic | Coding::Converted(_)
        )
    }
}

/// Whether packed digits keep their class, and an odd count of them its fill.
#[inline]
fn packed_holds(class: PackedClass, value: &[u8], length: usize, fill: Fill) -> bool {
    let digits = match value.split_last() {
        // A fill that is no digit is not held against the class.
        Some((last, before)) if fill == Fill::RightF && !length.is_multiple_of(2) => {
            class.holds(&[last & 0xf0 | last >> 4]).then_some(before)
        }
        _ => Some(value),
    };
    digits.is_some_and(|digits| class.holds(digits)) && encoding::fill_holds(value, length, fill)
}

/// Whether the characters of a text in EBCDIC are good, looked at a piece at a time.
fn ebcdic_holds(page: CodePage, value: &[u8], good: impl Fn(&[u8]) -> bool) -> bool {
    value.chunks(EBCDIC_PIECE).all(|piece| {
        let mut text = [0; EBCDIC_PIECE];
        for (character, byte) in text.iter_mut().zip(piece) {
            *character = page.latin_of(*byte);
        }
        text.get(..piece.len()).is_some_and(&good)
    })
}

const EBCDIC_PIECE: usize = 64;
