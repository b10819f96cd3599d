//! Reading parts out of a value, one behind the other.

use std::borrow::Cow;

use bytes::Bytes;

use super::Refusal;
use super::ber::{self, TlvError, Tlvs};
use super::bitmap::{Bitmap, BitmapForm, Bitmaps};
use super::decode::{Stop, bitmap_words};
use super::element::{Coding, ElementProgram, Mask, Rare, Tag, TagPlace};
use super::encoding;
use super::length::{LengthForm, Marker};
use super::parts::{
    BitmapSize, DEPTH_MAX, Inside, Part, PartError, PartSpec, Parts, PartsForm, UNKNOWN_BER,
    UnknownPart, hexadecimal,
};
use super::take::Taken;

impl Parts {
    /// Reads every part of a value that itself lies so many levels deep.
    pub(super) fn read<'s>(&'s self, value: &Bytes, depth: u8) -> Result<Vec<Part<'s>>, PartError> {
        let mut cursor = Cursor {
            parts: self,
            depth,
            whole: value,
            rest: value,
            behind: 0,
            found: Vec::new(),
        };
        match self.form {
            PartsForm::Positional => cursor.positional()?,
            PartsForm::Bitmap(form, size) => cursor.announced(form, size)?,
            PartsForm::Tagged(unknown) => cursor.tagged(unknown)?,
            PartsForm::Ber => cursor.ber()?,
            PartsForm::DatasetBitmap => cursor.dataset()?,
        }
        match cursor.rest.len() {
            0 => Ok(cursor.found),
            got => Err(cursor.refused("0", Refusal::Trailing { got })),
        }
    }
}

/// Where the reading of one value stands.
struct Cursor<'s, 'v> {
    parts: &'s Parts,
    depth: u8,
    whole: &'v Bytes,
    rest: &'v [u8],
    /// Bytes of the whole behind the rest: more than none inside an item of BER-TLV.
    behind: usize,
    found: Vec<Part<'s>>,
}

impl<'s, 'v> Cursor<'s, 'v> {
    fn positional(&mut self) -> Result<(), PartError> {
        for row in &self.parts.rows {
            if !self.rest.is_empty() {
                self.take(row)?;
            }
        }
        Ok(())
    }

    fn announced(&mut self, form: BitmapForm, size: BitmapSize) -> Result<(), PartError> {
        let (rest, bitmaps, words) = match size {
            BitmapSize::Extending(bitmaps) => {
                let (rest, words) = bitmap_words(form, bitmaps, self.rest)
                    .map_err(|(_, stopped)| self.stopped("0", stopped))?;
                (rest, bitmaps, words)
            }
            BitmapSize::Bytes(count) => {
                let (rest, words) = self.plain_bitmap(form, count)?;
                (rest, Bitmaps::Plain, words)
            }
        };
        self.rest = rest;
        for number in Bitmap::new(bitmaps, words).elements() {
            let row = self.numbered(number)?;
            self.take(row)?;
        }
        Ok(())
    }

    fn numbered(&self, number: u8) -> Result<&'s PartSpec, PartError> {
        let mut rows = self.parts.rows.iter();
        let row = rows.find(|row| row.element.number == number);
        row.ok_or_else(|| self.refused(&number.to_string(), Refusal::Undefined))
    }

    /// The bits of so many bytes, the first on the left.
    fn plain_bitmap(&self, form: BitmapForm, count: u8) -> Result<Bits<'v>, PartError> {
        let count = usize::from(count);
        let size = match form {
            BitmapForm::Binary => count,
            BitmapForm::Hex | BitmapForm::HexEbcdic => count.saturating_mul(2),
        };
        let (wire, rest) = self.rest.split_at_checked(size).ok_or_else(|| {
            let got = self.rest.len();
            let expected = size;
            self.refused("0", Refusal::Truncated { expected, got })
        })?;
        let bytes = match form {
            BitmapForm::Binary => Some(Cow::Borrowed(wire)),
            BitmapForm::Hex => encoding::hex_bytes(wire).map(Cow::Owned),
            BitmapForm::HexEbcdic => {
                super::message::binary_of(Coding::HexEbcdic, wire).map(|b| Cow::Owned(b.into()))
            }
        };
        let bytes = bytes.ok_or_else(|| self.refused("0", Refusal::BitmapHex))?;
        let mut words = [0; 3];
        for (word, eight) in words.iter_mut().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            for (place, byte) in whole.iter_mut().zip(eight) {
                *place = *byte;
            }
            *word = u64::from_be_bytes(whole);
        }
        Ok((rest, words))
    }

    fn tagged(&mut self, unknown: Option<UnknownPart>) -> Result<(), PartError> {
        let parts = self.parts;
        for row in parts.rows.iter().filter(|row| !row.is_tagged()) {
            if !self.rest.is_empty() {
                self.take(row)?;
            }
        }
        while !self.rest.is_empty() {
            let rest = self.rest;
            let standing = parts.rows.iter();
            let standing = standing.filter(|row| row.element.program.stands_at(rest));
            let tag_size = |row: &&PartSpec| {
                let tag = row.element.program.rare.tag;
                tag.map_or(0, |tag| tag.marker.bytes().len())
            };
            match (standing.max_by_key(tag_size), unknown) {
                (Some(row), _) => self.take(row)?,
                (None, Some(unknown)) => self.take_unknown(&unknown)?,
                (None, None) => return Err(self.refused("0", Refusal::TagUnknown)),
            }
        }
        Ok(())
    }

    /// Takes a part whose tag has no row: its bytes are kept.
    fn take_unknown(&mut self, unknown: &UnknownPart) -> Result<(), PartError> {
        let behind = match (unknown.tag.place, unknown.program.length) {
            (TagPlace::Counted | TagPlace::Behind, LengthForm::Prefix(prefix)) => {
                let read = prefix.read(self.rest);
                read.map_err(|stopped| self.stopped("0", stopped))?.0
            }
            _ => self.rest,
        };
        let size = usize::from(unknown.tag.size);
        let tag = behind.get(..size).ok_or_else(|| {
            let got = behind.len();
            let expected = size;
            self.refused("0", Refusal::Truncated { expected, got })
        })?;
        let marker = Marker::new(tag);
        let program = ElementProgram {
            plain: false,
            rare: Rare {
                tag: marker.map(|marker| Tag {
                    marker,
                    place: unknown.tag.place,
                }),
                ..unknown.program.rare
            },
            ..unknown.program
        };
        let (wire, taken) = self.taken("0", &program)?;
        let holds_ber = unknown.datasets && tag.first().is_some_and(|id| *id <= DATASET_BER_MAX);
        let part = Part {
            key: Cow::Owned(unknown.tag.form.key(tag)),
            spec: None,
            wire,
            value: self.whole.slice_ref(taken.value),
            length: taken.length,
            coding: program.coding,
            mask: self.parts.mask,
            inside: match holds_ber {
                true => self.inside(&UNKNOWN_BER, false),
                false => None,
            },
            misfit: None,
            is_wide: false,
        };
        self.found.push(part);
        Ok(())
    }

    fn ber(&mut self) -> Result<(), PartError> {
        let mut items = Tlvs::new(self.rest);
        let mut start = self.rest;
        while let Some(item) = items.next() {
            let item = item.map_err(|error| self.broken(error))?;
            let key = hexadecimal(item.tag());
            let row = self.parts.row(&key);
            let wire = start.get(..start.len().saturating_sub(items.left().len()));
            start = items.left();
            let wire = self.whole.slice_ref(wire.unwrap_or_default());
            (self.rest, self.behind) = (item.value(), items.left().len());
            let (taken, coding, misfit) = match row {
                Some(row) => match self.whole_item(row) {
                    Ok(taken) => (taken, row.element.program.coding, None),
                    Err(misfit) => (all_of(item.value()), Coding::Raw, Some(misfit)),
                },
                None => (all_of(item.value()), Coding::Raw, None),
            };
            let mask = match (row, &misfit) {
                (Some(row), Some(_)) if row.element.mask != Mask::Shown => Mask::Wipe,
                (Some(row), _) => row.element.mask,
                (None, _) => self.parts.mask,
            };
            let own = row.and_then(|row| row.element.parts.as_ref());
            let inside = match (own, item.items()) {
                (Some(own), _) => self.inside(own, true),
                (None, Some(_)) => self.inside(self.parts, false),
                (None, None) => None,
            };
            let size = ber::item_size(item.tag(), item.value());
            self.found.push(Part {
                key: row.map_or(Cow::Owned(key), |row| Cow::Borrowed(&*row.key)),
                spec: row,
                is_wide: wire.len() > size,
                wire,
                value: self.whole.slice_ref(taken.value),
                length: taken.length,
                coding,
                mask,
                inside,
                misfit,
            });
        }
        // Zero bytes at the end belong to the last item.
        if let (Some(last), 1..) = (self.found.last_mut(), start.len()) {
            let size = last.wire.len().saturating_add(start.len());
            let from = self.whole.len().saturating_sub(size);
            last.wire = self.whole.slice(from..);
            last.is_wide = true;
        }
        (self.rest, self.behind) = (&[], 0);
        Ok(())
    }

    /// Takes all of the rest, an item of BER-TLV, as its row says.
    fn whole_item(&mut self, row: &PartSpec) -> Result<Taken<'v>, PartError> {
        let (_, taken) = self.taken(&row.key, &row.element.program)?;
        match self.rest.len() {
            0 => Ok(taken),
            got => Err(self.refused(&row.key, Refusal::Trailing { got })),
        }
    }

    fn dataset(&mut self) -> Result<(), PartError> {
        let mut words = Vec::new();
        let (first, mut rest) = match self.rest {
            [high, low, rest @ ..] => ([*high, *low], rest),
            short => {
                let got = short.len();
                return Err(self.refused("0", Refusal::Truncated { expected: 2, got }));
            }
        };
        words.extend(first);
        let mut more = first.first().is_some_and(|byte| byte & 0x80 != 0);
        while more {
            let Some((byte, after)) = rest.split_first() else {
                let refusal = Refusal::Truncated {
                    expected: 1,
                    got: 0,
                };
                return Err(self.refused("0", refusal));
            };
            words.push(*byte);
            more = byte & 0x80 != 0;
            rest = after;
        }
        self.rest = rest;
        let (bits, ber_follows) = dataset_bits(&words);
        for number in (1_usize..).zip(bits).filter(|(_, is_set)| *is_set) {
            let number = u8::try_from(number.0).unwrap_or(u8::MAX);
            let row = self.numbered(number)?;
            self.take(row)?;
        }
        if ber_follows {
            let row = self.parts.row(DATASET_BER_KEY);
            let own = row.and_then(|row| row.element.parts.as_ref());
            let wire = self.whole.slice_ref(self.rest);
            self.found.push(Part {
                key: Cow::Borrowed(DATASET_BER_KEY),
                spec: row,
                value: wire.clone(),
                length: u16::try_from(wire.len()).unwrap_or(u16::MAX),
                wire,
                coding: Coding::Raw,
                mask: row.map_or(self.parts.mask, |row| row.element.mask),
                inside: self.inside(own.unwrap_or(&UNKNOWN_BER), own.is_some()),
                misfit: None,
                is_wide: false,
            });
            self.rest = &[];
        }
        Ok(())
    }

    fn inside(&self, parts: &'s Parts, specified: bool) -> Option<Inside<'s>> {
        let depth = self.depth.saturating_add(1);
        (depth <= DEPTH_MAX).then_some(Inside {
            parts,
            specified,
            depth,
        })
    }

    /// Takes a part that has a row.
    fn take(&mut self, row: &'s PartSpec) -> Result<(), PartError> {
        let (wire, taken) = self.taken(&row.key, &row.element.program)?;
        let own = row.element.parts.as_ref();
        self.found.push(Part {
            key: Cow::Borrowed(&row.key),
            spec: Some(row),
            wire,
            value: self.whole.slice_ref(taken.value),
            length: taken.length,
            coding: row.element.program.coding,
            mask: row.element.mask,
            inside: own.and_then(|own| self.inside(own, true)),
            misfit: None,
            is_wide: false,
        });
        Ok(())
    }
}

impl<'v> Cursor<'_, 'v> {
    /// Takes a value off the rest and looks at its content.
    fn taken(
        &mut self,
        key: &str,
        program: &ElementProgram,
    ) -> Result<(Bytes, Taken<'v>), PartError> {
        let before = self.rest;
        let (after, taken) = program
            .take(before)
            .map_err(|stopped| self.stopped(key, stopped))?;
        let length = usize::from(taken.length);
        if !program.coding.holds(taken.value, length) {
            let (index, refusal) = program.coding.explain(taken.value, length);
            let mut error = self.refused(key, refusal);
            error.offset = (error.offset.saturating_add(taken.lead)).saturating_add(index);
            return Err(error);
        }
        self.rest = after;
        let size = before.len().saturating_sub(after.len());
        let wire = before.get(..size).unwrap_or_default();
        Ok((self.whole.slice_ref(wire), taken))
    }

    /// A refusal at the front of the rest.
    fn refused(&self, part: &str, refusal: Refusal) -> PartError {
        let left = self.rest.len().saturating_add(self.behind);
        PartError {
            part: part.to_owned(),
            offset: self.whole.len().saturating_sub(left),
            refusal,
        }
    }

    fn stopped(&self, part: &str, stopped: nom::Err<Stop>) -> PartError {
        let (left, refusal) = match stopped {
            nom::Err::Error(stop) | nom::Err::Failure(stop) => (stop.left, stop.refusal),
            nom::Err::Incomplete(_) => (0, Refusal::Undefined),
        };
        let mut error = self.refused(part, refusal);
        let passed = self.rest.len().saturating_sub(left);
        error.offset = error.offset.saturating_add(passed);
        error
    }

    fn broken(&self, error: TlvError) -> PartError {
        let (offset, refusal) = match error {
            TlvError::Tag { offset } => (offset, Refusal::TagBer),
            TlvError::Length { offset } => (offset, Refusal::LengthBer),
            TlvError::Truncated {
                offset,
                expected,
                got,
            } => (offset, Refusal::Truncated { expected, got }),
        };
        PartError {
            part: "0".to_owned(),
            offset,
            refusal,
        }
    }
}

/// What follows a bitmap, and its bits.
type Bits<'v> = (&'v [u8], [u64; 3]);

fn all_of(value: &[u8]) -> Taken<'_> {
    Taken {
        value,
        length: u16::try_from(value.len()).unwrap_or(u16::MAX),
        lead: 0,
    }
}

/// The bits of the elements of a dataset, in order, and whether BER-TLV follows them.
///
/// The first two bytes are one word, every further byte is one. The first bit of a word says that
/// another one follows, the last bit of the last one that BER-TLV does; all others are elements.
fn dataset_bits(words: &[u8]) -> (Vec<bool>, bool) {
    let bits = words.iter().enumerate().flat_map(|(index, byte)| {
        let bits = (0..8_u32).map(move |place| byte & 0x80_u8.wrapping_shr(place) != 0);
        bits.skip(usize::from(index != 1))
    });
    let mut bits: Vec<bool> = bits.collect();
    let ber_follows = bits.pop().unwrap_or(false);
    (bits, ber_follows)
}

/// Datasets up to this one hold BER-TLV.
const DATASET_BER_MAX: u8 = 0x70;
/// The key of the BER-TLV behind the elements of a dataset.
pub(super) const DATASET_BER_KEY: &str = "tlv";
