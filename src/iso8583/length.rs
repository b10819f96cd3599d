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
        let (rest, length) = match self {
            LengthForm::Fixed => return Ok((input, length_max)),
            LengthForm::Ascii(_) => {
                let (rest, prefix) = piece(usize::from(self.prefix_size()))(input)?;
                (
                    rest,
                    decimal(prefix.iter().map(|character| character.wrapping_sub(b'0'))),
                )
            }
            LengthForm::Bcd(_) => {
                let (rest, prefix) = piece(usize::from(self.prefix_size()))(input)?;
                let nibbles = prefix.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
                (rest, decimal(nibbles))
            }
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

/// The number these digit values say; four digits at most, so that it cannot overflow.
#[inline]
fn decimal(digits: impl Iterator<Item = u8>) -> Option<u16> {
    let mut number = 0_u16;
    for digit in digits {
        if digit > 9 {
            return None;
        }
        number = number.wrapping_mul(10).wrapping_add(u16::from(digit));
    }
    Some(number)
}

fn stop(input: &[u8], refusal: Refusal) -> nom::Err<Stop> {
    nom::Err::Failure(Stop {
        left: input.len(),
        refusal,
    })
}
