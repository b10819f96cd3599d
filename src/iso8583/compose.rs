//! Writing parts: new values and kept ones become the value of their element.

use bytes::{BufMut, Bytes, BytesMut};

use super::MessageWriter;
use super::ber;
use super::bitmap::{Bitmap, BitmapForm, Bitmaps};
use super::element::{Coding, ElementProgram, Rare, Tag};
use super::encode::{check_binary, check_text, latin_text, put_bytes, put_text};
use super::encoding;
use super::error::{EncodeError, EncodeRefusal};
use super::length::{LengthForm, Marker};
use super::parts::{
    BitmapSize, Part, PartSpec, Parts, PartsForm, UNKNOWN_BER, UnknownPart, divisible,
};
use super::parts_read::DATASET_BER_KEY;

/// What stands in a part that is to be written.
#[derive(Clone, PartialEq, Eq)]
pub enum PartValue {
    /// Characters, or bytes in hexadecimal where the part holds bytes.
    Text(String),
    /// Bytes, for a binary part.
    Bytes(Bytes),
    /// The parts of the part, by key.
    Parts(Vec<(String, PartValue)>),
    /// The part as it stood on the wire, with its tag and length.
    Wire(Bytes),
}

/// A part that could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("part {part}: {refusal}")]
pub struct PartRefusal {
    /// Its key, behind those of the parts it lies in.
    pub part: String,
    /// What was expected and what was offered.
    pub refusal: EncodeRefusal,
}

impl Parts {
    /// The value made of these parts: in the order of the specification where it has one, as they
    /// come where a tag names each.
    ///
    /// # Errors
    ///
    /// The first part that has no place here or whose value is not of its form.
    pub fn write(&self, items: &[(String, PartValue)]) -> Result<Vec<u8>, PartRefusal> {
        let mut out = BytesMut::new();
        match self.form {
            PartsForm::Positional => {
                self.positional(items, &mut out)?;
            }
            PartsForm::Bitmap(form, size) => self.announced(items, form, size, &mut out)?,
            PartsForm::Tagged(unknown) => self.tagged(items, unknown, &mut out)?,
            PartsForm::Ber => {
                for (key, value) in items {
                    self.item(key, value, &mut out)?;
                }
            }
            PartsForm::DatasetBitmap => self.dataset(items, &mut out)?,
        }
        Ok(out.to_vec())
    }

    fn positional(
        &self,
        items: &[(String, PartValue)],
        out: &mut BytesMut,
    ) -> Result<(), PartRefusal> {
        let places = self.places(items)?;
        let last = places.iter().rposition(Option::is_some);
        let count = last.map_or(0, |last| last.saturating_add(1));
        for (row, value) in self.rows.iter().zip(places).take(count) {
            match value {
                Some(value) => row.put(value, out)?,
                None => row.put_empty(out)?,
            }
        }
        Ok(())
    }

    fn announced(
        &self,
        items: &[(String, PartValue)],
        form: BitmapForm,
        size: BitmapSize,
        out: &mut BytesMut,
    ) -> Result<(), PartRefusal> {
        let places = self.places(items)?;
        let mut present = Bitmap::default();
        let mut highest = 0;
        for (row, _) in self
            .rows
            .iter()
            .zip(&places)
            .filter(|(_, value)| value.is_some())
        {
            present.insert(row.element.number);
            highest = row.element.number.max(highest);
        }
        let (words, bytes) = match size {
            BitmapSize::Extending(bitmaps) => {
                let count = bitmap_count(highest, bitmaps);
                (present.words(bitmaps, count), count.saturating_mul(8))
            }
            BitmapSize::Bytes(count) => (present.words(Bitmaps::Plain, 1), usize::from(count)),
        };
        let coding = match form {
            BitmapForm::Binary => Coding::Raw,
            BitmapForm::Hex => Coding::Hex,
            BitmapForm::HexEbcdic => Coding::HexEbcdic,
        };
        let wire: Vec<u8> = words.into_iter().flat_map(u64::to_be_bytes).collect();
        put_bytes(coding, wire.get(..bytes).unwrap_or_default(), out);
        for (row, value) in self.rows.iter().zip(places) {
            if let Some(value) = value {
                row.put(value, out)?;
            }
        }
        Ok(())
    }

    /// Whether a value has bytes besides these parts that they would be written without: filler
    /// alone, or a bitmap longer than they need.
    pub(super) fn are_less_than(&self, parts: &[Part<'_>], value: &[u8]) -> bool {
        let numbers = || parts.iter().filter_map(|part| part.spec);
        let numbers = || numbers().map(|row| row.element.number);
        let bitmap_size = match self.form {
            PartsForm::Ber => return parts.is_empty() && !value.is_empty(),
            PartsForm::Bitmap(form, BitmapSize::Extending(bitmaps)) => {
                let count = bitmap_count(numbers().max().unwrap_or(0), bitmaps);
                form.size().saturating_mul(count)
            }
            PartsForm::DatasetBitmap => {
                let behind = parts.iter().any(|part| part.key == DATASET_BER_KEY);
                let numbers: Vec<u8> = numbers().filter(|number| *number > 0).collect();
                dataset_bitmap(&numbers, behind).len()
            }
            PartsForm::Bitmap(_, BitmapSize::Bytes(_))
            | PartsForm::Positional
            | PartsForm::Tagged(_) => return false,
        };
        let covered = parts.iter().map(|part| part.wire.len()).sum::<usize>();
        value.len() > covered.saturating_add(bitmap_size)
    }

    fn tagged(
        &self,
        items: &[(String, PartValue)],
        unknown: Option<UnknownPart>,
        out: &mut BytesMut,
    ) -> Result<(), PartRefusal> {
        let leading = |key: &str| self.row(key).filter(|row| !row.is_tagged());
        let (first, others): (Vec<_>, Vec<_>) = items
            .iter()
            .cloned()
            .partition(|(key, _)| leading(key).is_some());
        let untagged = self.rows.iter().filter(|row| !row.is_tagged()).cloned();
        let front = Parts {
            form: PartsForm::Positional,
            rows: untagged.collect(),
            mask: self.mask,
        };
        front.positional(&first, out)?;
        for (key, value) in &others {
            match (self.row(key), unknown) {
                (Some(row), _) => row.put(value, out)?,
                (None, Some(unknown)) => unknown.put(key, value, out)?,
                (None, None) => return Err(refused(key, EncodeRefusal::Key)),
            }
        }
        Ok(())
    }

    /// Writes one item of BER-TLV.
    fn item(&self, key: &str, value: &PartValue, out: &mut BytesMut) -> Result<(), PartRefusal> {
        if let PartValue::Wire(wire) = value {
            out.put_slice(wire);
            return Ok(());
        }
        let tag = encoding::hex_bytes(key.as_bytes()).filter(|tag| ber::is_tag(tag));
        let tag = tag.ok_or_else(|| refused(key, EncodeRefusal::Key))?;
        let row = self.row(key);
        let mut inner = BytesMut::new();
        match (row, value) {
            (Some(row), PartValue::Text(_) | PartValue::Bytes(_)) => row.put(value, &mut inner)?,
            (row, PartValue::Parts(items)) => {
                let own = row.and_then(|row| row.element.parts.as_ref());
                let bytes = own.unwrap_or(self).write(items);
                inner.put_slice(&bytes.map_err(|error| error.inside(key))?);
            }
            (_, value) => inner.put_slice(&raw(key, value)?),
        }
        ber::put_item(&tag, &inner, out);
        Ok(())
    }

    fn dataset(
        &self,
        items: &[(String, PartValue)],
        out: &mut BytesMut,
    ) -> Result<(), PartRefusal> {
        let (behind, elements): (Vec<_>, Vec<_>) = items
            .iter()
            .cloned()
            .partition(|(key, _)| key == DATASET_BER_KEY);
        let places = self.places(&elements)?;
        let present = self
            .rows
            .iter()
            .zip(&places)
            .filter(|(_, value)| value.is_some());
        let numbers: Vec<u8> = present.map(|(row, _)| row.element.number).collect();
        out.put_slice(&dataset_bitmap(&numbers, !behind.is_empty()));
        for (row, value) in self.rows.iter().zip(places) {
            if let Some(value) = value {
                row.put(value, out)?;
            }
        }
        for (key, value) in &behind {
            let row = self.row(key).and_then(|row| row.element.parts.as_ref());
            let bytes = match value {
                PartValue::Parts(items) => {
                    let written = row.unwrap_or(&UNKNOWN_BER).write(items);
                    written.map_err(|error| error.inside(key))?
                }
                value => raw(key, value)?,
            };
            out.put_slice(&bytes);
        }
        Ok(())
    }

    /// The value of each row, when there is one; a key without a row is refused, and one twice.
    fn places<'v>(
        &self,
        items: &'v [(String, PartValue)],
    ) -> Result<Vec<Option<&'v PartValue>>, PartRefusal> {
        let mut places = vec![None; self.rows.len()];
        for (key, value) in items {
            let found = self.rows.iter().position(|row| row.key == *key);
            let place = found.and_then(|index| places.get_mut(index));
            let place = place.ok_or_else(|| refused(key, EncodeRefusal::Key))?;
            if place.replace(value).is_some() {
                return Err(refused(key, EncodeRefusal::Repeated));
            }
        }
        Ok(places)
    }
}

/// Bitmaps of sixty-four bits that reach the highest number.
fn bitmap_count(highest: u8, bitmaps: Bitmaps) -> usize {
    let needed = usize::from(highest).saturating_sub(1) / 64;
    needed.saturating_add(1).max(bitmaps.least())
}

impl PartSpec {
    fn put(&self, value: &PartValue, out: &mut BytesMut) -> Result<(), PartRefusal> {
        let program = &self.element.program;
        let written = match value {
            PartValue::Wire(wire) => {
                out.put_slice(wire);
                Ok(())
            }
            PartValue::Text(text) => program.put_shown(text, out),
            PartValue::Bytes(bytes) => program.put_binary(bytes, out),
            PartValue::Parts(items) => match &self.element.parts {
                Some(parts) => {
                    let inner = parts
                        .write(items)
                        .map_err(|error| error.inside(&self.key))?;
                    program.put_divided(&inner, out)
                }
                None => Err(EncodeRefusal::Kind {
                    expected: program.coding.class(),
                }),
            },
        };
        written.map_err(|refusal| refused(&self.key, refusal))
    }

    /// Writes the part without a value, so that a later one finds its place.
    fn put_empty(&self, out: &mut BytesMut) -> Result<(), PartRefusal> {
        let written = self.element.program.put_shown("", out);
        written.map_err(|_| refused(&self.key, EncodeRefusal::Missing))
    }
}

impl UnknownPart {
    fn put(&self, key: &str, value: &PartValue, out: &mut BytesMut) -> Result<(), PartRefusal> {
        let tag = self.tag.form.tag(key);
        let tag = tag.filter(|tag| tag.len() == usize::from(self.tag.size));
        let marker = tag.and_then(|tag| Marker::new(&tag));
        let marker = marker.ok_or_else(|| refused(key, EncodeRefusal::Key))?;
        let program = ElementProgram {
            plain: false,
            rare: Rare {
                tag: Some(Tag {
                    marker,
                    place: self.tag.place,
                }),
                ..self.program.rare
            },
            ..self.program
        };
        let written = match value {
            PartValue::Wire(wire) => {
                out.put_slice(wire);
                Ok(())
            }
            PartValue::Text(text) => program.put_shown(text, out),
            PartValue::Bytes(bytes) => program.put_binary(bytes, out),
            PartValue::Parts(items) => {
                let inner = UNKNOWN_BER
                    .write(items)
                    .map_err(|error| error.inside(key))?;
                program.put_divided(&inner, out)
            }
        };
        written.map_err(|refusal| refused(key, refusal))
    }
}

impl ElementProgram {
    /// Writes a value as people write it: text, or bytes in hexadecimal.
    fn put_shown(&self, text: &str, out: &mut BytesMut) -> Result<(), EncodeRefusal> {
        if self.coding.is_binary() {
            let bytes = encoding::hex_bytes(text.as_bytes()).ok_or(EncodeRefusal::Hex)?;
            return self.put_binary(&bytes, out);
        }
        let characters = latin_text(self.coding, text)?;
        let (length, fill) = check_text(self, &characters)?;
        self.put_head(length, out);
        let start = out.len();
        put_text(self, &characters, fill, out);
        self.put_end(start, length, out)
    }

    fn put_binary(&self, bytes: &[u8], out: &mut BytesMut) -> Result<(), EncodeRefusal> {
        check_binary(self, bytes.len())?;
        self.put_head(bytes.len(), out);
        let start = out.len();
        put_bytes(self.coding, bytes, out);
        self.put_end(start, bytes.len(), out)
    }

    /// Writes a value that is made of parts.
    fn put_divided(&self, inner: &[u8], out: &mut BytesMut) -> Result<(), EncodeRefusal> {
        match self.coding.is_binary() {
            true => self.put_binary(inner, out),
            false => self.put_shown(&latin(inner), out),
        }
    }

    /// Writes what stands behind a value, which may not hold the bytes that end it.
    fn put_end(
        &self,
        start: usize,
        length: usize,
        out: &mut BytesMut,
    ) -> Result<(), EncodeRefusal> {
        if let LengthForm::Until(end) = self.length {
            let size = end.bytes().len();
            let value = out.get(start..).unwrap_or_default();
            if value.windows(size).any(|window| window == end.bytes()) {
                let expected = self.coding.class();
                return Err(EncodeRefusal::Content { expected });
            }
        }
        self.put_tail(length, out);
        Ok(())
    }
}

impl MessageWriter<'_, '_> {
    /// Writes the value of an element that [`Parts::write`] made.
    ///
    /// # Errors
    ///
    /// As [`MessageWriter::text`] and [`MessageWriter::binary`].
    pub fn divided(&mut self, element: u8, value: &[u8]) -> Result<&mut Self, EncodeError> {
        match self.program(element)?.coding.is_binary() {
            true => self.binary(element, value),
            false => self.text(element, &latin(value)),
        }
    }
}

impl Part<'_> {
    /// The part as it is, to be written again: its inside too where that can be read, and as it
    /// stood where its value alone would not bring back every byte.
    #[must_use]
    pub fn rewritten(&self) -> PartValue {
        if self.misfit.is_some() || self.is_wide {
            return PartValue::Wire(self.wire.clone());
        }
        match self.parts() {
            Some(Ok(parts)) if self.has_more_than(&parts) => PartValue::Wire(self.wire.clone()),
            Some(Ok(parts)) => {
                let inner = parts
                    .iter()
                    .map(|part| (part.key().to_owned(), part.rewritten()));
                PartValue::Parts(inner.collect())
            }
            Some(Err(_)) | None => PartValue::Text(self.shown()),
        }
    }

    fn has_more_than(&self, parts: &[Part<'_>]) -> bool {
        let value = divisible(self.coding, &self.value).unwrap_or_default();
        let inside = self.inside.map(|inside| inside.parts);
        inside.is_some_and(|inside| inside.are_less_than(parts, &value))
    }
}

impl PartRefusal {
    fn inside(self, key: &str) -> Self {
        let part = format!("{key}.{}", self.part);
        Self { part, ..self }
    }
}

impl std::fmt::Debug for PartValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The content stays out: it may be that of a card.
        let (form, size) = match self {
            PartValue::Text(text) => ("Text", text.len()),
            PartValue::Bytes(bytes) => ("Bytes", bytes.len()),
            PartValue::Parts(items) => ("Parts", items.len()),
            PartValue::Wire(wire) => ("Wire", wire.len()),
        };
        write!(formatter, "{form}({size} withheld)")
    }
}

/// The bytes of a value whose form nothing says.
fn raw(key: &str, value: &PartValue) -> Result<Vec<u8>, PartRefusal> {
    match value {
        PartValue::Text(text) => {
            let bytes = encoding::hex_bytes(text.as_bytes());
            bytes.ok_or_else(|| refused(key, EncodeRefusal::Hex))
        }
        PartValue::Bytes(bytes) | PartValue::Wire(bytes) => Ok(bytes.to_vec()),
        PartValue::Parts(_) => Err(refused(key, EncodeRefusal::Key)),
    }
}

/// One character for each byte.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The bitmap of a dataset with these elements, in as few bytes as will do.
///
/// All bits but the first of each word and the very last are those of elements; see the reader.
fn dataset_bitmap(numbers: &[u8], ber_follows: bool) -> Vec<u8> {
    let highest = numbers.iter().copied().max().map_or(0, usize::from);
    let more = highest.saturating_sub(DATASET_ELEMENTS).div_ceil(7);
    let mut bytes = vec![0_u8; more.saturating_add(2)];
    let last_word = bytes.len().saturating_sub(1);
    for (index, byte) in bytes.iter_mut().enumerate() {
        // The bits of this byte: a word's first bit is that of no element.
        let first_word = index < 2;
        let bits = (0..8_usize).map(|place| match (first_word, place) {
            (true, _) => index.saturating_mul(8).saturating_add(place),
            (false, 0) => usize::MAX,
            (false, place) => index
                .saturating_mul(7)
                .saturating_add(1)
                .saturating_add(place),
        });
        for (place, number) in (0..8_u32).zip(bits) {
            let is_first = place == 0 && index != 1;
            let is_last = place == 7 && index == last_word;
            let is_set = match (is_first, is_last) {
                (true, _) => last_word > index.max(1),
                (_, true) => ber_follows,
                _ => numbers.iter().any(|own| usize::from(*own) == number),
            };
            if is_set {
                *byte |= 0x80_u8.wrapping_shr(place);
            }
        }
    }
    bytes
}

fn refused(part: &str, refusal: EncodeRefusal) -> PartRefusal {
    PartRefusal {
        part: part.to_owned(),
        refusal,
    }
}

/// Elements that the first two bytes of a dataset have room for.
const DATASET_ELEMENTS: usize = 14;
