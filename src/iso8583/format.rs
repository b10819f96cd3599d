//! Formats as the standard writes them (`n6`, `z..37`, `x+n8`), and their compilation.

use super::class::{PackedClass, TextClass};
use super::codepage::CodePage;
use super::element::{Coding, ElementProgram, Pad, PadSide, Rare, SignClass, TagPlace};
use super::encoding::Fill;
use super::length::{Counts, LengthForm, Marker, Prefix, PrefixCode, PrefixDigits};

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
    Signed(SignClass),
    Binary,
}

/// The length in characters, digits or bytes; the sign of `x+n` is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Fixed(u16),
    Variable(u8, u16),
}

/// The encodings that hold for one element: the defaults of the specification, or its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encodings {
    pub(super) text: TextForm,
    pub(super) digits: DigitForm,
    pub(super) odd_fill: Option<Fill>,
    pub(super) length: LengthCode,
    pub(super) binary: BinaryForm,
}

/// What an element may have besides its encodings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extras {
    pub(super) counts: Counts,
    pub(super) inclusive: bool,
    pub(super) pad: PadForm,
    pub(super) rare: Rare,
}

/// How a short value is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PadForm {
    /// Digits with zeros on the left, text with spaces on the right.
    Usual,
    /// Not at all.
    Never,
    /// As said.
    Own(Pad),
}

/// How text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextForm {
    Latin1,
    Ebcdic(CodePage),
}

/// How digits are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DigitForm {
    Ascii,
    Ebcdic,
    Bcd,
    Zoned,
}

/// How the end of a variable value is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LengthCode {
    Prefix(PrefixCode),
    Until(Marker),
    Rest,
}

impl LengthCode {
    /// A number in bytes, the highest first.
    pub(super) const BINARY: Self = Self::Prefix(PrefixCode::Binary);
}

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryForm {
    Hex,
    EbcdicHex,
    Raw,
    Converted(CodePage),
}

/// Why a text is no format, or not with these encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormatMistake {
    /// The letters are no content class.
    #[error("expected a class: a n an as ns ans b z x+n, or any ascii h s+n")]
    Class,
    /// There are too many dots.
    #[error("expected at most six dots")]
    Dots,
    /// The length is missing, zero or no number.
    #[error("expected a length from 1 to 65535 after the class")]
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
    #[error("x+n and s+n have a fixed length")]
    SignedVariable,
    /// Packed digits of odd count, and nothing says where the fill nibble goes.
    #[error("packed digits need odd_fill")]
    FillUnknown,
    /// Nibbles that are no digits, or a free sign, written as characters.
    #[error("h and s+n need digits = \"bcd\"")]
    Nibbles,
    /// Stripped packed digits whose first digit may not start a byte.
    #[error("packed digits are stripped only of zeros on the left, with odd_fill = \"left\"")]
    StripPacked,
    /// Digits that are no digits of the class.
    #[error("zoned digits are for class n")]
    Zoned,
    /// A filled element that says no length.
    #[error("filled needs a length prefix, and for text a pad")]
    Filled,
    /// A tag behind a length, and no length.
    #[error("a tag behind the length needs a length prefix")]
    TagBehind,
    /// Padding of packed digits that is no zero on the left.
    #[error("packed digits and amounts are padded with zeros, digits on the left")]
    PadPacked,
    /// Half bytes or whole bytes counted where they are the same as the value, or make no sense.
    #[error("counts: nibbles is for bytes with a prefix, bytes and even for packed digits")]
    Counts,
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
            Ok(length @ 1_u16..) if number.bytes().all(|byte| byte.is_ascii_digit()) => length,
            Ok(0) if class == FormatClass::Binary && dots == 0 => 0,
            _ => return Err(FormatMistake::Length),
        };
        let shape = match u8::try_from(dots) {
            Ok(0) => Shape::Fixed(fixed_length(class, length)?),
            Ok(width @ 1..=PREFIX_WIDTH_MAX) => Shape::Variable(width, length),
            _ => return Err(FormatMistake::Dots),
        };
        match (shape, class) {
            (Shape::Variable(..), FormatClass::Signed(_)) => Err(FormatMistake::SignedVariable),
            _ => Ok(Self { class, shape }),
        }
    }

    pub(super) fn compile(
        self,
        encodings: &Encodings,
        extras: &Extras,
    ) -> Result<ElementProgram, FormatMistake> {
        let coding = self.coding(encodings)?;
        let (length, length_max) = self.length(encodings.length, extras)?;
        let pad = match extras.pad {
            PadForm::Usual => usual_pad(coding),
            PadForm::Never => None,
            PadForm::Own(pad) => Some(pad),
        };
        match (coding, extras.counts) {
            (_, Counts::Value) => {}
            (Coding::Packed(..), Counts::Bytes | Counts::Even) if self.is_variable() => {}
            (coding, Counts::Nibbles) if coding.is_binary() && self.is_variable() => {}
            _ => return Err(FormatMistake::Counts),
        }
        let rare = extras.rare;
        if let (true, Coding::Packed(_, fill)) = (rare.strip, coding) {
            let zeros = Pad {
                side: PadSide::Left,
                character: b'0',
            };
            if fill != Fill::Left || pad != Some(zeros) {
                return Err(FormatMistake::StripPacked);
            }
        }
        let tag_behind = rare.tag.is_some_and(|tag| tag.place != TagPlace::Before);
        if tag_behind && !matches!(length, LengthForm::Prefix(_)) {
            return Err(FormatMistake::TagBehind);
        }
        if matches!(
            coding,
            Coding::Packed(..) | Coding::SignedPacked(..) | Coding::Zoned
        ) && pad.is_some()
            && pad != usual_pad(coding)
        {
            return Err(FormatMistake::PadPacked);
        }
        if rare.filled {
            let counted = matches!(
                length,
                LengthForm::Ascii(_) | LengthForm::Bcd(_) | LengthForm::Prefix(_)
            );
            if !counted || pad.is_none() && !coding.is_binary() {
                return Err(FormatMistake::Filled);
            }
        }
        let usual = matches!(
            length,
            LengthForm::Fixed | LengthForm::Ascii(_) | LengthForm::Bcd(_)
        );
        Ok(ElementProgram {
            length,
            length_max,
            coding,
            plain: usual && rare == Rare::default(),
            pad,
            rare,
        })
    }

    fn length(self, code: LengthCode, extras: &Extras) -> Result<(LengthForm, u16), FormatMistake> {
        let (width, max) = match self.shape {
            Shape::Fixed(length) => return Ok((LengthForm::Fixed, length)),
            Shape::Variable(width, max) => (width, max),
        };
        let code = match code {
            LengthCode::Prefix(code) => code,
            LengthCode::Until(end) => return Ok((LengthForm::Until(end), max)),
            LengthCode::Rest => return Ok((LengthForm::Rest, max)),
        };
        let prefix = Prefix {
            code,
            width,
            counts: extras.counts,
            inclusive: extras.inclusive,
        };
        if u64::from(max) > prefix.number_max() {
            return Err(FormatMistake::Prefix { length: max });
        }
        let digits = match width {
            2 => Some(PrefixDigits::Two),
            3 => Some(PrefixDigits::Three),
            _ => None,
        };
        let own = prefix.inclusive
            || prefix.counts != Counts::Value
            || (extras.rare.tag).is_some_and(|tag| tag.place != TagPlace::Before);
        let form = match (code, digits) {
            (PrefixCode::Ascii, Some(digits)) if !own => LengthForm::Ascii(digits),
            (PrefixCode::Bcd, Some(digits)) if !own => LengthForm::Bcd(digits),
            _ => LengthForm::Prefix(prefix),
        };
        Ok((form, max))
    }

    fn coding(self, encodings: &Encodings) -> Result<Coding, FormatMistake> {
        let fill = encodings.odd_fill.ok_or(FormatMistake::FillUnknown);
        Ok(match self.class {
            FormatClass::Text(class) => match encodings.text {
                TextForm::Latin1 => Coding::Text(class),
                TextForm::Ebcdic(page) => Coding::Ebcdic(page, class),
            },
            FormatClass::Digits(class) => match (encodings.digits, text_class(class)) {
                (DigitForm::Bcd, _) => Coding::Packed(class, fill?),
                (DigitForm::Ascii, Some(class)) => Coding::Text(class),
                (DigitForm::Ebcdic, Some(class)) => Coding::Ebcdic(CodePage::Ibm1047, class),
                (DigitForm::Zoned, Some(TextClass::N)) => Coding::Zoned,
                (DigitForm::Zoned, Some(_)) => return Err(FormatMistake::Zoned),
                (_, None) => return Err(FormatMistake::Nibbles),
            },
            FormatClass::Signed(class) => match encodings.digits {
                DigitForm::Ascii | DigitForm::Ebcdic if class == SignClass::Any => {
                    return Err(FormatMistake::Nibbles);
                }
                DigitForm::Ascii => Coding::SignedText,
                DigitForm::Ebcdic => Coding::SignedEbcdic,
                DigitForm::Bcd => Coding::SignedPacked(class, fill?),
                DigitForm::Zoned => return Err(FormatMistake::Zoned),
            },
            FormatClass::Binary => match encodings.binary {
                BinaryForm::Hex => Coding::Hex,
                BinaryForm::EbcdicHex => Coding::HexEbcdic,
                BinaryForm::Raw => Coding::Raw,
                BinaryForm::Converted(page) => Coding::Converted(page),
            },
        })
    }

    pub(super) const fn is_variable(self) -> bool {
        matches!(self.shape, Shape::Variable(..))
    }

    pub(super) const fn has_digits(self) -> bool {
        matches!(self.class, FormatClass::Digits(_) | FormatClass::Signed(_))
    }

    pub(super) const fn is_text(self) -> bool {
        matches!(self.class, FormatClass::Text(_))
    }

    pub(super) const fn is_binary(self) -> bool {
        matches!(self.class, FormatClass::Binary)
    }
}

/// The class of the same digits as characters.
const fn text_class(class: PackedClass) -> Option<TextClass> {
    match class {
        PackedClass::N => Some(TextClass::N),
        PackedClass::Z => Some(TextClass::Z),
        PackedClass::H => None,
    }
}

/// Zeros before digits, spaces behind text.
const fn usual_pad(coding: Coding) -> Option<Pad> {
    let (side, character) = match coding {
        Coding::Text(TextClass::N) | Coding::Ebcdic(_, TextClass::N) => (PadSide::Left, b'0'),
        Coding::Packed(..) | Coding::Zoned => (PadSide::Left, b'0'),
        Coding::SignedText | Coding::SignedEbcdic | Coding::SignedPacked(..) => {
            (PadSide::Sign, b'0')
        }
        Coding::Text(_) | Coding::Ebcdic(..) => (PadSide::Right, b' '),
        Coding::Raw | Coding::Hex | Coding::HexEbcdic | Coding::Converted(_) => return None,
    };
    Some(Pad { side, character })
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
        "ascii" => FormatClass::Text(TextClass::Ascii),
        "any" => FormatClass::Text(TextClass::Any),
        "h" => FormatClass::Digits(PackedClass::H),
        "x+n" => FormatClass::Signed(SignClass::Strict),
        "s+n" => FormatClass::Signed(SignClass::Any),
        "b" => FormatClass::Binary,
        _ => return None,
    })
}

/// Units of a fixed element: the standard counts bits for `b` and leaves the sign of `x+n` out.
fn fixed_length(class: FormatClass, length: u16) -> Result<u16, FormatMistake> {
    match class {
        FormatClass::Binary if !length.is_multiple_of(8) => Err(FormatMistake::Bits),
        FormatClass::Binary => Ok(length / 8),
        FormatClass::Signed(_) => Ok(length.saturating_add(1)),
        FormatClass::Digits(_) | FormatClass::Text(_) => Ok(length),
    }
}

const PREFIX_WIDTH_MAX: u8 = 6;
