//! Formats as the standard writes them (`n6`, `z..37`, `x+n8`), and their compilation.

use super::class::{PackedClass, TextClass};
use super::element::{Coding, ElementProgram};
use super::encoding::Side;
use super::length::{LengthForm, PrefixDigits};

/// A format: what an element holds and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    class: FormatClass,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FormatClass {
    Digits(PackedClass),
    Text(TextClass),
    Signed,
    Binary,
}

/// The length in characters, digits or bytes; the sign of `x+n` is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Fixed(u16),
    Variable(PrefixDigits, u16),
}

/// The encodings that hold for one element: the defaults of the specification, or its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encodings {
    pub(super) digits: TextOrPacked,
    pub(super) odd_fill: Option<Side>,
    pub(super) length: TextOrPacked,
    pub(super) binary: BinaryForm,
}

/// How digits, or the digits of a length, are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextOrPacked {
    Ascii,
    Bcd,
}

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryForm {
    Hex,
    Raw,
}

/// Why a text is no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormatMistake {
    /// The letters are no content class.
    #[error("expected a class: a n an as ns ans b z x+n")]
    Class,
    /// The dots are neither none nor two nor three.
    #[error("expected no dots, two or three")]
    Dots,
    /// The length is missing, zero or no number.
    #[error("expected a length from 1 to 999 after the class")]
    Length,
    /// The length prefix cannot say the length.
    #[error("a length of {length} needs more dots")]
    Prefix {
        /// The length of the format.
        length: u16,
    },
    /// A fixed binary element is not made of whole bytes.
    #[error("expected a multiple of eight bits")]
    Bits,
    /// A signed amount of varying length.
    #[error("x+n has a fixed length")]
    SignedVariable,
    /// Packed digits of odd count, and nothing says where the fill nibble goes.
    #[error("packed digits need odd_fill")]
    FillUnknown,
}

impl Format {
    pub(super) fn parse(text: &str) -> Result<Self, FormatMistake> {
        let class_end = text
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(text.len());
        let (class, rest) = text.split_at(class_end);
        let class = class_named(class).ok_or(FormatMistake::Class)?;
        let number = rest.trim_start_matches('.');
        let dots = rest.len().saturating_sub(number.len());
        let length = match number.parse() {
            Ok(length @ 1..=999) if number.bytes().all(|byte| byte.is_ascii_digit()) => length,
            _ => return Err(FormatMistake::Length),
        };
        let shape = match dots {
            0 => Shape::Fixed(fixed_length(class, length)?),
            2 => Shape::Variable(PrefixDigits::Two, length),
            3 => Shape::Variable(PrefixDigits::Three, length),
            _ => return Err(FormatMistake::Dots),
        };
        match shape {
            Shape::Variable(..) if class == FormatClass::Signed => {
                Err(FormatMistake::SignedVariable)
            }
            Shape::Variable(prefix, length) if length > prefix.length_max() => {
                Err(FormatMistake::Prefix { length })
            }
            _ => Ok(Self { class, shape }),
        }
    }

    pub(super) fn compile(self, encodings: &Encodings) -> Result<ElementProgram, FormatMistake> {
        let (length, length_max) = match (self.shape, encodings.length) {
            (Shape::Fixed(length), _) => (LengthForm::Fixed, length),
            (Shape::Variable(digits, max), TextOrPacked::Ascii) => (LengthForm::Ascii(digits), max),
            (Shape::Variable(digits, max), TextOrPacked::Bcd) => (LengthForm::Bcd(digits), max),
        };
        let coding = match (self.class, encodings.digits) {
            (FormatClass::Text(class), _) => Coding::Text(class),
            (FormatClass::Digits(PackedClass::N), TextOrPacked::Ascii) => {
                Coding::Text(TextClass::N)
            }
            (FormatClass::Digits(PackedClass::Z), TextOrPacked::Ascii) => {
                Coding::Text(TextClass::Z)
            }
            (FormatClass::Digits(class), TextOrPacked::Bcd) => {
                Coding::Packed(class, encodings.odd_fill.ok_or(FormatMistake::FillUnknown)?)
            }
            (FormatClass::Signed, TextOrPacked::Ascii) => Coding::SignedText,
            (FormatClass::Signed, TextOrPacked::Bcd) => {
                Coding::SignedPacked(encodings.odd_fill.ok_or(FormatMistake::FillUnknown)?)
            }
            (FormatClass::Binary, _) => match encodings.binary {
                BinaryForm::Hex => Coding::Hex,
                BinaryForm::Raw => Coding::Raw,
            },
        };
        Ok(ElementProgram {
            length,
            length_max,
            coding,
        })
    }

    pub(super) const fn is_variable(self) -> bool {
        matches!(self.shape, Shape::Variable(..))
    }

    pub(super) const fn has_digits(self) -> bool {
        matches!(self.class, FormatClass::Digits(_) | FormatClass::Signed)
    }

    pub(super) const fn is_binary(self) -> bool {
        matches!(self.class, FormatClass::Binary)
    }
}

fn class_named(name: &str) -> Option<FormatClass> {
    Some(match name {
        "n" => FormatClass::Digits(PackedClass::N),
        "z" => FormatClass::Digits(PackedClass::Z),
        "a" => FormatClass::Text(TextClass::A),
        "an" => FormatClass::Text(TextClass::An),
        "as" => FormatClass::Text(TextClass::As),
        "ns" => FormatClass::Text(TextClass::Ns),
        "ans" => FormatClass::Text(TextClass::Ans),
        "x+n" => FormatClass::Signed,
        "b" => FormatClass::Binary,
        _ => return None,
    })
}

/// Units of a fixed element: the standard counts bits for `b` and leaves the sign of `x+n` out.
fn fixed_length(class: FormatClass, length: u16) -> Result<u16, FormatMistake> {
    match class {
        FormatClass::Binary if !length.is_multiple_of(8) => Err(FormatMistake::Bits),
        FormatClass::Binary => Ok(length / 8),
        FormatClass::Signed => Ok(length.saturating_add(1)),
        FormatClass::Digits(_) | FormatClass::Text(_) => Ok(length),
    }
}
