//! Length prefixes: how many characters, digits or bytes of value follow.

use bytes::{BufMut, BytesMut};
use nom::IResult;

use super::decode::{Stop, piece};
use super::error::Refusal;

/// How the length of an element is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum LengthForm {
    /// From the specification alone.
    Fixed,
    /// Two or three digits as text.
    Ascii(PrefixDigits),
    /// Two digits in one byte, or three in two bytes.
    Bcd(PrefixDigits),
}

/// Digits in a length prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PrefixDigits {
    /// `..` in a format, up to 99.
    Two,
    /// `...` in a format, up to 999.
    Three,
}

impl PrefixDigits {
    /// The greatest length the prefix can say.
    pub(super) const fn length_max(self) -> u16 {
        match self {
            PrefixDigits::Two => 99,
            PrefixDigits::Three => 999,
        }
    }
}

impl LengthForm {
    /// Bytes of the prefix on the wire.
    pub(super) const fn prefix_size(self) -> u8 {
        match self {
            LengthForm::Fixed => 0,
            LengthForm::Ascii(PrefixDigits::Two) | LengthForm::Bcd(PrefixDigits::Three) => 2,
            LengthForm::Ascii(PrefixDigits::Three) => 3,
            LengthForm::Bcd(PrefixDigits::Two) => 1,
        }
    }

    /// Reads the length; `length_max` is the only length of a fixed element and the greatest of a
    /// variable one.
    #[inline]
    pub(super) fn read(self, length_max: u16, input: &[u8]) -> IResult<&[u8], u16, Stop> {
        if self == LengthForm::Fixed {
            return Ok((input, length_max));
        }
        let (rest, prefix) = piece(usize::from(self.prefix_size()))(input)?;
        let length = match (self, prefix) {
            (LengthForm::Ascii(_), [tens, ones]) => decimal([0, 0, digit(*tens), digit(*ones)]),
            (LengthForm::Ascii(_), [hundreds, tens, ones]) => {
                decimal([0, digit(*hundreds), digit(*tens), digit(*ones)])
            }
            (_, [low]) => decimal([0, 0, low >> 4, low & 0x0f]),
            (_, [high, low]) => decimal([high >> 4, high & 0x0f, low >> 4, low & 0x0f]),
            _ => None,
        };
        match length {
            Some(length) if length <= length_max => Ok((rest, length)),
            Some(length) => Err(stop(
                input,
                Refusal::Length {
                    max: length_max,
                    got: length,
                },
            )),
            None => Err(stop(input, Refusal::LengthDigits)),
        }
    }

    /// Writes the prefix; the caller has checked the length against the maximum.
    pub(super) fn write(self, length: u16, out: &mut BytesMut) {
        let [ones, tens, hundreds] = [length % 10, length / 10 % 10, length / 100 % 10]
            .map(|digit| u8::try_from(digit).unwrap_or(0));
        match self {
            LengthForm::Fixed => {}
            LengthForm::Ascii(PrefixDigits::Two) => out.put_slice(&[b'0' | tens, b'0' | ones]),
            LengthForm::Ascii(PrefixDigits::Three) => {
                out.put_slice(&[b'0' | hundreds, b'0' | tens, b'0' | ones]);
            }
            LengthForm::Bcd(PrefixDigits::Two) => out.put_u8(tens << 4 | ones),
            LengthForm::Bcd(PrefixDigits::Three) => {
                out.put_slice(&[hundreds, tens << 4 | ones]);
            }
        }
    }
}

/// The number that four digit values say; `None` when one is no digit.
#[inline]
fn decimal(digits: [u8; 4]) -> Option<u16> {
    let mut number = 0_u16;
    for digit in digits {
        if digit > 9 {
            return None;
        }
        number = number.wrapping_mul(10).wrapping_add(u16::from(digit));
    }
    Some(number)
}

/// The value of a digit character; what is no digit becomes a value above nine.
#[inline]
const fn digit(character: u8) -> u8 {
    character.wrapping_sub(b'0')
}

#[cold]
fn stop(input: &[u8], refusal: Refusal) -> nom::Err<Stop> {
    nom::Err::Failure(Stop {
        left: input.len(),
        refusal,
    })
}
