//! Taking one element off a message and putting one on: tag, length, value, fill, end.
//!
//! A plain element (a fixed length or two or three digits of length, then the value) goes the
//! short way; all others share the long one.

use bytes::{BufMut, BytesMut};
use nom::IResult;

use super::decode::{Stop, piece};
use super::element::{Coding, ElementProgram, Pad, PadSide, TagPlace};
use super::encoding::Fill;
use super::error::Refusal;
use super::length::{Counts, LengthForm, Marker, Prefix, stop};

/// An element as it was found.
#[derive(Clone, Copy)]
pub(super) struct Taken<'a> {
    /// The value on the wire, without stripped padding.
    pub(super) value: &'a [u8],
    /// Characters, digits or bytes of the value.
    pub(super) length: u16,
    /// Bytes of the element before the value.
    pub(super) lead: usize,
}

impl ElementProgram {
    /// Takes the element from the front of the input. The short way is the inner loop of decode.
    #[inline(always)]
    pub(super) fn take<'a>(&self, input: &'a [u8]) -> IResult<&'a [u8], Taken<'a>, Stop> {
        if !self.plain {
            return self.take_rare(input);
        }
        let (rest, length) = self.length.read(self.length_max, input)?;
        let (rest, value) = piece(self.coding.wire_size(usize::from(length)))(rest)?;
        let lead = usize::from(self.length.prefix_size());
        Ok((
            rest,
            Taken {
                value,
                length,
                lead,
            },
        ))
    }

    #[inline(never)]
    fn take_rare<'a>(&self, input: &'a [u8]) -> IResult<&'a [u8], Taken<'a>, Stop> {
        let rest = match self.rare.tag {
            Some(tag) if tag.place == TagPlace::Before => expect(&tag.marker, input)?,
            _ => input,
        };
        let (mut rest, (value, length)) = match self.length {
            LengthForm::Prefix(prefix) => self.take_counted(prefix, rest)?,
            LengthForm::Until(end) => self.take_until(&end, rest)?,
            LengthForm::Rest => {
                let length = self.checked(self.units_of(rest)?, rest)?;
                (rest.get(rest.len()..).unwrap_or_default(), (rest, length))
            }
            LengthForm::Fixed | LengthForm::Ascii(_) | LengthForm::Bcd(_) => {
                let (rest, length) = self.length.read(self.length_max, rest)?;
                let (rest, value) = piece(self.coding.wire_size(usize::from(length)))(rest)?;
                (rest, (value, length))
            }
        };
        let value_end = match self.length {
            LengthForm::Until(end) => rest.len().saturating_add(end.bytes().len()),
            _ => rest.len(),
        };
        let lead = input
            .len()
            .saturating_sub(value_end)
            .saturating_sub(value.len());
        if self.rare.filled {
            let whole = self.coding.wire_size(usize::from(self.length_max));
            (rest, _) = piece(whole.saturating_sub(value.len()))(rest)?;
        }
        let taken = Taken {
            value,
            length,
            lead,
        };
        match self.pad {
            Some(pad) if self.rare.strip => Ok((rest, self.stripped(taken, pad))),
            _ => Ok((rest, taken)),
        }
    }

    /// Takes a number that counts, a tag behind it, and the value.
    fn take_counted<'a>(
        &self,
        prefix: Prefix,
        input: &'a [u8],
    ) -> IResult<&'a [u8], (&'a [u8], u16), Stop> {
        let (mut rest, number) = prefix.read(input)?;
        let mut besides = 0;
        if prefix.inclusive {
            besides = input.len().saturating_sub(rest.len());
        }
        let behind = self.rare.tag.filter(|tag| tag.place != TagPlace::Before);
        if let Some(tag) = behind.filter(|tag| tag.place == TagPlace::Counted) {
            besides = besides.saturating_add(tag.marker.bytes().len());
        }
        let besides = u64::try_from(besides).unwrap_or(u64::MAX);
        let Some(counted) = number.checked_sub(besides) else {
            let refusal = Refusal::LengthShort {
                min: shortened(besides),
                got: shortened(number),
            };
            return Err(stop(input, refusal));
        };
        if let Some(tag) = behind {
            rest = expect(&tag.marker, rest)?;
        }
        let units = match (prefix.counts, self.coding) {
            (Counts::Bytes, Coding::Packed(..)) => counted.saturating_mul(2),
            (Counts::Nibbles, coding) if coding.is_binary() => {
                if !counted.is_multiple_of(2) {
                    let got = shortened(counted);
                    return Err(stop(input, Refusal::LengthOdd { got }));
                }
                counted >> 1
            }
            _ => counted,
        };
        let mut length = self.checked(units, input)?;
        let (rest, value) = piece(self.coding.wire_size(usize::from(length)))(rest)?;
        if let (Counts::Bytes, Coding::Packed(_, fill)) = (prefix.counts, self.coding) {
            // Only a fill that is no digit can be told from one.
            if fill == Fill::RightF && value.last().is_some_and(|byte| byte & 0x0f == 0x0f) {
                length = length.saturating_sub(1);
            }
        }
        Ok((rest, (value, length)))
    }

    fn take_until<'a>(
        &self,
        end: &Marker,
        input: &'a [u8],
    ) -> IResult<&'a [u8], (&'a [u8], u16), Stop> {
        let size = end.bytes().len();
        let found = input.windows(size).position(|window| window == end.bytes());
        let Some(at) = found else {
            return Err(stop(input, Refusal::Unended));
        };
        let length = self.checked(u64::try_from(at).unwrap_or(u64::MAX), input)?;
        let (rest, value) = piece(at)(input)?;
        let (rest, _) = piece(size)(rest)?;
        Ok((rest, (value, length)))
    }

    /// Characters, digits or bytes of a value that is all of the input.
    fn units_of(&self, input: &[u8]) -> Result<u64, nom::Err<Stop>> {
        let size = u64::try_from(input.len()).unwrap_or(u64::MAX);
        Ok(match self.coding {
            Coding::Packed(_, Fill::RightF)
                if input.last().is_some_and(|byte| byte & 0x0f == 0x0f) =>
            {
                size.saturating_mul(2).saturating_sub(1)
            }
            Coding::Packed(..) => size.saturating_mul(2),
            Coding::Hex | Coding::HexEbcdic if !size.is_multiple_of(2) => {
                let got = shortened(size);
                return Err(stop(input, Refusal::LengthOdd { got }));
            }
            Coding::Hex | Coding::HexEbcdic => size >> 1,
            _ => size,
        })
    }

    /// Whether the tag of the element stands at the front of the input.
    pub(super) fn stands_at(&self, input: &[u8]) -> bool {
        match (self.rare.tag, self.length) {
            (None, _) => false,
            (Some(tag), _) if tag.place == TagPlace::Before => {
                input.starts_with(tag.marker.bytes())
            }
            (Some(tag), LengthForm::Prefix(prefix)) => {
                let behind = prefix.read(input);
                behind.is_ok_and(|(rest, _)| rest.starts_with(tag.marker.bytes()))
            }
            (Some(_), _) => false,
        }
    }

    /// A length that the specification allows.
    fn checked(&self, length: u64, input: &[u8]) -> Result<u16, nom::Err<Stop>> {
        // A number that counts whole bytes may be one above an odd count of digits.
        let round = match (self.length, self.coding) {
            (LengthForm::Prefix(prefix), Coding::Packed(..)) => {
                matches!(prefix.counts, Counts::Bytes | Counts::Even)
            }
            (LengthForm::Rest, Coding::Packed(..)) => true,
            _ => false,
        };
        let max = match round {
            true => self.length_max.checked_next_multiple_of(2),
            false => None,
        };
        let max = max.unwrap_or(self.length_max);
        match u16::try_from(length) {
            Ok(length) if length <= max => Ok(length),
            _ => Err(stop(
                input,
                Refusal::Length {
                    max,
                    got: shortened(length),
                },
            )),
        }
    }

    /// Leaves the padding out of the value.
    fn stripped<'a>(&self, taken: Taken<'a>, pad: Pad) -> Taken<'a> {
        let nibbles = matches!(self.coding, Coding::Packed(..));
        let filler = self.pad_byte(pad);
        let is_pad = |byte: &u8| *byte == filler;
        let padding = match (pad.side, nibbles) {
            (PadSide::Left, true) => {
                let length = usize::from(taken.length);
                let zeros = super::encoding::nibbles(taken.value, length, Fill::Left)
                    .take_while(|nibble| *nibble == pad.character & 0x0f)
                    .count();
                let kept = length.saturating_sub(zeros);
                let size = self.coding.wire_size(kept);
                let (lead, value) = taken
                    .value
                    .split_at_checked(taken.value.len().saturating_sub(size))
                    .unwrap_or_default();
                return Taken {
                    value,
                    length: u16::try_from(kept).unwrap_or(u16::MAX),
                    lead: taken.lead.saturating_add(lead.len()),
                };
            }
            (PadSide::Left, false) => taken.value.iter().take_while(|byte| is_pad(byte)).count(),
            (PadSide::Right, false) => {
                let trailing = taken.value.iter().rev().take_while(|byte| is_pad(byte));
                trailing.count()
            }
            (PadSide::Right | PadSide::Sign, _) => return taken,
        };
        let kept = taken.value.len().saturating_sub(padding);
        let (value, before) = match pad.side {
            PadSide::Right => (taken.value.get(..kept), 0),
            PadSide::Left | PadSide::Sign => (taken.value.get(padding..), padding),
        };
        Taken {
            value: value.unwrap_or_default(),
            length: u16::try_from(kept).unwrap_or(u16::MAX),
            lead: taken.lead.saturating_add(before),
        }
    }

    /// The byte of the padding on the wire.
    pub(super) fn pad_byte(&self, pad: Pad) -> u8 {
        match self.coding {
            Coding::Ebcdic(page, _) => page.byte_of(pad.character),
            Coding::SignedEbcdic | Coding::Zoned => 0xf0 | pad.character & 0x0f,
            _ => pad.character,
        }
    }

    /// Writes all that stands before a value of this length.
    pub(super) fn put_head(&self, length: usize, out: &mut BytesMut) {
        if self.plain {
            let length = u16::try_from(length).unwrap_or(u16::MAX);
            return self.length.write(length, out);
        }
        let tag = self.rare.tag;
        if let Some(tag) = tag.filter(|tag| tag.place == TagPlace::Before) {
            out.put_slice(tag.marker.bytes());
        }
        let behind = tag.filter(|tag| tag.place != TagPlace::Before);
        match self.length {
            LengthForm::Prefix(prefix) => {
                let counted = match prefix.counts {
                    Counts::Value => length,
                    Counts::Bytes => self.coding.wire_size(length),
                    Counts::Nibbles => length.saturating_mul(2),
                    Counts::Even => length.next_multiple_of(2),
                };
                let counted_tag = behind.filter(|tag| tag.place == TagPlace::Counted);
                let tag_size = counted_tag.map_or(0, |tag| tag.marker.bytes().len());
                let mut number = u64::try_from(counted.saturating_add(tag_size)).unwrap_or(0);
                if prefix.inclusive {
                    let own = u64::try_from(prefix.size(number)).unwrap_or(0);
                    number = number.saturating_add(own);
                }
                prefix.write(number, out);
            }
            _ => self
                .length
                .write(u16::try_from(length).unwrap_or(u16::MAX), out),
        }
        if let Some(tag) = behind {
            out.put_slice(tag.marker.bytes());
        }
    }

    /// Writes all that stands behind a value of this length.
    pub(super) fn put_tail(&self, length: usize, out: &mut BytesMut) {
        if self.plain {
            return;
        }
        if let LengthForm::Until(end) = self.length {
            out.put_slice(end.bytes());
        }
        if self.rare.filled {
            let whole = self.coding.wire_size(usize::from(self.length_max));
            let missing = whole.saturating_sub(self.coding.wire_size(length));
            out.put_bytes(self.pad.map_or(0, |pad| self.pad_byte(pad)), missing);
        }
    }
}

fn expect<'a>(marker: &Marker, input: &'a [u8]) -> Result<&'a [u8], nom::Err<Stop>> {
    let (rest, found) = piece(marker.bytes().len())(input)?;
    match found == marker.bytes() {
        true => Ok(rest),
        false => Err(stop(input, Refusal::Tag)),
    }
}

/// A number as an error shows it.
fn shortened(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
