//! Length prefixes: how many characters, digits or bytes of value follow.

use bytes::{BufMut, BytesMut};
use nom::IResult;

use super::decode::{Stop, piece};
use super::encoding;
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
    /// Any other prefix.
    Prefix(Prefix),
    /// By the bytes that end the value.
    Until(Marker),
    /// All that is left of the message.
    Rest,
}

/// A length prefix of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Prefix {
    pub(super) code: PrefixCode,
    /// Digits, or bytes of the number when it is binary or hexadecimal.
    pub(super) width: u8,
    pub(super) counts: Counts,
    /// Whether the number counts its own bytes too.
    pub(super) inclusive: bool,
}

/// How the number of a length prefix is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PrefixCode {
    /// Decimal digits of ASCII.
    Ascii,
    /// Decimal digits of EBCDIC.
    Ebcdic,
    /// Decimal digits, two to a byte, a zero before an odd count.
    Bcd,
    /// Bytes, the highest first.
    Binary,
    /// Two hexadecimal characters for each byte.
    Hex,
    /// One byte below 128, or the count of the bytes that follow.
    Ber,
}

/// What the number of a length prefix counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Counts {
    /// Characters, digits or bytes of the value.
    Value,
    /// Bytes on the wire.
    Bytes,
    /// Half bytes of the value: the characters where it is written in hexadecimal.
    Nibbles,
    /// Digits, rounded up to whole bytes.
    Even,
}

/// Up to four bytes that stand at a certain place: a tag or an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Marker {
    bytes: [u8; 4],
    size: u8,
}

impl Marker {
    /// From one to four bytes.
    pub(super) fn new(wire: &[u8]) -> Option<Self> {
        let mut bytes = [0; 4];
        let size = u8::try_from(wire.len()).ok().filter(|size| *size > 0)?;
        bytes.get_mut(..wire.len())?.copy_from_slice(wire);
        Some(Self { bytes, size })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.size)).unwrap_or_default()
    }
}

impl Prefix {
    /// The greatest number the prefix can say.
    pub(super) fn number_max(self) -> u64 {
        let width = u32::from(self.width);
        match self.code {
            PrefixCode::Ascii | PrefixCode::Ebcdic | PrefixCode::Bcd => {
                10_u64.saturating_pow(width).saturating_sub(1)
            }
            PrefixCode::Binary | PrefixCode::Hex => 256_u64.saturating_pow(width).saturating_sub(1),
            PrefixCode::Ber => u64::MAX,
        }
    }

    /// Bytes of the prefix on the wire when it says this number.
    pub(super) fn size(self, number: u64) -> usize {
        let width = usize::from(self.width);
        match self.code {
            PrefixCode::Ascii | PrefixCode::Ebcdic | PrefixCode::Binary => width,
            PrefixCode::Bcd => width.div_ceil(2),
            PrefixCode::Hex => width.saturating_mul(2),
            PrefixCode::Ber if number < 0x80 => 1,
            PrefixCode::Ber => significant(&number.to_be_bytes()).len().saturating_add(1),
        }
    }

    /// Reads the number.
    pub(super) fn read(self, input: &[u8]) -> IResult<&[u8], u64, Stop> {
        if self.code == PrefixCode::Ber {
            return ber(input);
        }
        let (rest, wire) = piece(self.size(0))(input)?;
        let number = match self.code {
            PrefixCode::Ascii => decimals(wire.iter().map(|byte| byte.wrapping_sub(b'0'))),
            PrefixCode::Ebcdic => decimals(wire.iter().map(|byte| byte.wrapping_sub(0xf0))),
            PrefixCode::Bcd => decimals(wire.iter().flat_map(|byte| [byte >> 4, byte & 0x0f])),
            PrefixCode::Binary | PrefixCode::Ber => Some(big_endian(wire)),
            PrefixCode::Hex => encoding::hex_bytes(wire).map(|bytes| big_endian(&bytes)),
        };
        match number {
            Some(number) => Ok((rest, number)),
            None => Err(stop(input, Refusal::LengthDigits)),
        }
    }

    /// Writes a number that fits.
    pub(super) fn write(self, number: u64, out: &mut BytesMut) {
        let bytes = number.to_be_bytes();
        let size = self.size(number);
        let last = |count: usize| {
            bytes
                .get(bytes.len().saturating_sub(count)..)
                .unwrap_or_default()
        };
        match self.code {
            PrefixCode::Ascii => digits(number, self.width).for_each(|d| out.put_u8(b'0' | d)),
            PrefixCode::Ebcdic => digits(number, self.width).for_each(|d| out.put_u8(0xf0 | d)),
            PrefixCode::Bcd => {
                let mut nibbles = digits(number, self.width.next_multiple_of(2));
                while let (Some(high), Some(low)) = (nibbles.next(), nibbles.next()) {
                    out.put_u8(high << 4 | low);
                }
            }
            PrefixCode::Binary => out.put_slice(last(usize::from(self.width))),
            PrefixCode::Hex => {
                for byte in last(usize::from(self.width)) {
                    out.put_slice(&encoding::hex_pair(*byte));
                }
            }
            PrefixCode::Ber => {
                if let Some(count @ 1..) = size.checked_sub(1) {
                    out.put_u8(0x80 | u8::try_from(count).unwrap_or(0));
                    out.put_slice(last(count));
                } else {
                    out.put_slice(last(1));
                }
            }
        }
    }
}

fn ber(input: &[u8]) -> IResult<&[u8], u64, Stop> {
    let (rest, first) = piece(1)(input)?;
    match first {
        [short @ ..=0x7f] => Ok((rest, u64::from(*short))),
        [0x81..=0x84] => {
            let count = first.iter().fold(0, |_, byte| usize::from(byte & 0x0f));
            let (rest, number) = piece(count)(rest)?;
            Ok((rest, big_endian(number)))
        }
        _ => Err(stop(input, Refusal::LengthBer)),
    }
}

/// The decimal digits of a number, as many as asked for, the highest first.
fn digits(number: u64, count: u8) -> impl Iterator<Item = u8> {
    (0..count).rev().map(move |place| {
        let power = 10_u64.saturating_pow(u32::from(place));
        u8::try_from(number.checked_div(power).unwrap_or(0) % 10).unwrap_or(0)
    })
}

fn decimals(mut values: impl Iterator<Item = u8>) -> Option<u64> {
    values.try_fold(0_u64, |number, value| {
        (value < 10).then(|| number.wrapping_mul(10).wrapping_add(u64::from(value)))
    })
}

/// The number of up to six bytes.
fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The bytes without the zeros in front.
fn significant(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// Digits in a length prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PrefixDigits {
    /// `..` in a format: up to 99.
    Two,
    /// `...` in a format: up to 999.
    Three,
}

impl LengthForm {
    /// Bytes of the prefix on the wire, for the forms of plain elements.
    pub(super) const fn prefix_size(self) -> u8 {
        match self {
            LengthForm::Fixed => 0,
            LengthForm::Ascii(PrefixDigits::Two) | LengthForm::Bcd(PrefixDigits::Three) => 2,
            LengthForm::Ascii(PrefixDigits::Three) => 3,
            LengthForm::Bcd(PrefixDigits::Two) => 1,
            LengthForm::Prefix(_) | LengthForm::Until(_) | LengthForm::Rest => 0,
        }
    }

    /// Reads the length of a plain element; `length_max` is the only length of a fixed element and
    /// the greatest of a variable one.
    #[inline(always)]
    pub(super) fn read(self, length_max: u16, input: &[u8]) -> IResult<&[u8], u16, Stop> {
        if matches!(self, LengthForm::Fixed) {
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

    /// Writes the prefix of a plain element; the caller has checked the length against the maximum.
    pub(super) fn write(self, length: u16, out: &mut BytesMut) {
        let [ones, tens, hundreds] = [length % 10, length / 10 % 10, length / 100 % 10]
            .map(|digit| u8::try_from(digit).unwrap_or(0));
        match self {
            LengthForm::Fixed | LengthForm::Prefix(_) => {}
            LengthForm::Until(_) | LengthForm::Rest => {}
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

/// The number that up to four digit values say; `None` when one is no digit.
#[inline]
pub(super) fn decimal<const COUNT: usize>(digits: [u8; COUNT]) -> Option<u16> {
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
pub(super) const fn digit(character: u8) -> u8 {
    character.wrapping_sub(b'0')
}

#[cold]
pub(super) fn stop(input: &[u8], refusal: Refusal) -> nom::Err<Stop> {
    nom::Err::Failure(Stop {
        left: input.len(),
        refusal,
    })
}
