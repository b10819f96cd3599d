//! The parts of an element: in a fixed order, announced by a bitmap, tagged, or in BER-TLV.
//!
//! An element is one value until someone asks for its parts. Parts share the bytes of their
//! message; what stands in front of, between and behind them is kept with them.

use std::borrow::Cow;

use bytes::Bytes;

use super::bitmap::{BitmapForm, Bitmaps};
use super::codepage::CodePage;
use super::element::{Coding, ElementProgram, ElementSpec, Mask, TagPlace};
use super::encoding;
use super::message::{binary_of, text_of};
use super::{Message, MessageSpec, Refusal};

/// How the parts of an element, or of a part, stand in its value.
#[derive(Debug, Clone)]
pub struct Parts {
    pub(super) form: PartsForm,
    pub(super) rows: Vec<PartSpec>,
    /// How a part is shown that has no row.
    pub(super) mask: Mask,
}

/// A part that the specification knows.
#[derive(Debug, Clone)]
pub struct PartSpec {
    pub(super) key: String,
    pub(super) element: ElementSpec,
}

/// How it is known which parts there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartsForm {
    /// All in order; the last ones may be missing.
    Positional,
    /// A bitmap in front announces them.
    Bitmap(BitmapForm, BitmapSize),
    /// Each has a tag, in any order, behind those without one; how unknown tags are passed over.
    Tagged(Option<UnknownPart>),
    /// The items of BER-TLV, in any order.
    Ber,
    /// A bitmap of two bytes or more whose last bit says that BER-TLV follows.
    DatasetBitmap,
}

impl PartsForm {
    /// As a specification file says it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            PartsForm::Positional => "positional",
            PartsForm::Bitmap(..) => "bitmap",
            PartsForm::Tagged(Some(UnknownPart { datasets: true, .. })) => "datasets",
            PartsForm::Tagged(_) => "tagged",
            PartsForm::Ber => "ber",
            PartsForm::DatasetBitmap => "dataset-bitmap",
        }
    }
}

/// How long the bitmap of a composite is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BitmapSize {
    /// As that of a message.
    Extending(Bitmaps),
    /// So many bytes, each bit for a part.
    Bytes(u8),
}

/// The layout of tagged parts that have no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnknownPart {
    pub(super) program: ElementProgram,
    pub(super) tag: TagLayout,
    /// Whether a tag of at most 70 (hexadecimal) says that BER-TLV is inside.
    pub(super) datasets: bool,
}

/// How the tags of a composite are written, and as keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TagLayout {
    pub(super) form: KeyForm,
    /// Bytes of a tag.
    pub(super) size: u8,
    pub(super) place: TagPlace,
}

/// How a tag becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyForm {
    /// Characters of ISO 8859-1.
    Latin1,
    /// Characters of EBCDIC.
    Ebcdic(CodePage),
    /// Two hexadecimal digits for each byte.
    Hex,
}

/// One part of an element.
#[derive(Clone)]
pub struct Part<'s> {
    pub(super) key: Cow<'s, str>,
    pub(super) spec: Option<&'s PartSpec>,
    pub(super) wire: Bytes,
    pub(super) value: Bytes,
    /// Characters, digits or bytes, as the coding counts them.
    pub(super) length: u16,
    pub(super) coding: Coding,
    pub(super) mask: Mask,
    pub(super) inside: Option<Inside<'s>>,
    /// Why an item of BER-TLV is read as bytes though it has a row.
    pub(super) misfit: Option<PartError>,
    /// Whether an item of BER-TLV stands on more bytes than it needs: filler beside it, or a longer
    /// form of its length.
    pub(super) is_wide: bool,
}

/// What is known of the inside of a part.
#[derive(Clone, Copy)]
pub(super) struct Inside<'s> {
    pub(super) parts: &'s Parts,
    /// Whether the specification says so; otherwise the tag does, and the value may be none.
    pub(super) specified: bool,
    pub(super) depth: u8,
}

/// Why the parts of an element cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("part {part} at byte {offset} of the element: {refusal}")]
pub struct PartError {
    /// The key of the part; 0 also for a bitmap, a tag without a row, and what follows the last.
    pub part: String,
    /// Bytes from the start of the value of the element, or of the part that is divided.
    pub offset: usize,
    /// What was expected and what was there.
    pub refusal: Refusal,
}

impl Parts {
    /// Every part that the specification knows, in the order of the specification.
    #[must_use]
    pub fn rows(&self) -> &[PartSpec] {
        &self.rows
    }

    /// The part with this key.
    #[must_use]
    pub fn row(&self, key: &str) -> Option<&PartSpec> {
        self.rows.iter().find(|row| row.key == key)
    }

    /// Whether some part, at any depth, is masked.
    #[must_use]
    pub fn hides(&self) -> bool {
        let masked = |row: &PartSpec| {
            row.element.mask != Mask::Shown || row.element.parts.as_ref().is_some_and(Parts::hides)
        };
        self.mask != Mask::Shown || self.rows.iter().any(masked)
    }
}

impl PartSpec {
    /// What names the part: its number, or its tag.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(super) const fn is_tagged(&self) -> bool {
        self.element.program.rare.tag.is_some()
    }

    /// Name, format and mask.
    #[must_use]
    pub const fn element(&self) -> &ElementSpec {
        &self.element
    }
}

impl<'s> Part<'s> {
    /// What names the part: its number, or its tag.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the specification says of the part; `None` for an unknown tag.
    #[must_use]
    pub const fn spec(&self) -> Option<&'s PartSpec> {
        self.spec
    }

    /// How the part is shown to people.
    #[must_use]
    pub const fn mask(&self) -> Mask {
        self.mask
    }

    /// The part as it stands on the wire, with its tag, length and fill.
    #[must_use]
    pub const fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// The value as text, `None` for bytes.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'_, str>> {
        text_of(self.coding, &self.value, usize::from(self.length))
    }

    /// The bytes of a binary part, `None` for any other.
    #[must_use]
    pub fn binary(&self) -> Option<Cow<'_, [u8]>> {
        binary_of(self.coding, &self.value)
    }

    /// The value as people write it: text, or bytes in hexadecimal.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.text() {
            Some(text) => text.into_owned(),
            None => hexadecimal(&self.binary().unwrap_or_default()),
        }
    }

    /// The parts of this part, when the specification divides it or its tag says that it has some.
    ///
    /// # Errors
    ///
    /// As [`Message::parts`], and only when the specification divides it.
    #[must_use]
    pub fn parts(&self) -> Option<Result<Vec<Part<'s>>, PartError>> {
        let Inside {
            parts,
            specified,
            depth,
        } = self.inside?;
        let value = divisible(self.coding, &self.value)?;
        let read = parts.read(&value, depth);
        (specified || read.is_ok()).then_some(read)
    }
}

impl Part<'_> {
    /// How many parts here and inside have a tag that the specification does not know.
    #[must_use]
    pub fn unknown_count(&self) -> usize {
        let inside = match self.parts() {
            Some(Ok(parts)) => parts.iter().map(Part::unknown_count).sum(),
            Some(Err(_)) | None => 0,
        };
        inside.saturating_add(usize::from(self.spec.is_none()))
    }

    /// The first thing that is wrong with the part or inside it, at any depth. An item of BER-TLV
    /// that does not fit its row is read all the same, as bytes.
    #[must_use]
    pub fn mistake(&self) -> Option<PartError> {
        if self.misfit.is_some() {
            return self.misfit.clone();
        }
        match self.parts()? {
            Ok(parts) => parts.iter().find_map(Part::mistake),
            Err(error) => Some(PartError {
                part: format!("{}.{}", self.spec.map_or("0", PartSpec::key), error.part),
                ..error
            }),
        }
    }
}

impl Message {
    /// The parts of an element that the specification divides, read when they are asked for.
    ///
    /// # Errors
    ///
    /// The first part that is not as specified, or bytes behind the last one.
    pub fn parts<'s>(
        &self,
        spec: &'s MessageSpec,
        element: u8,
    ) -> Option<Result<Vec<Part<'s>>, PartError>> {
        let row = spec.element(element)?;
        let parts = row.parts()?;
        let value = self.bytes().slice_ref(self.raw(element)?);
        let value = divisible(row.program.coding, &value)?;
        Some(parts.read(&value, 0))
    }
}

/// The bytes that parts are read out of: those of a binary value, or one for each character.
pub(super) fn divisible(coding: Coding, value: &Bytes) -> Option<Bytes> {
    match coding {
        Coding::Raw | Coding::Text(_) => Some(value.clone()),
        Coding::Ebcdic(page, _) => Some(value.iter().map(|byte| page.latin_of(*byte)).collect()),
        Coding::Hex | Coding::HexEbcdic | Coding::Converted(_) => {
            binary_of(coding, value).map(|bytes| Bytes::from(bytes.into_owned()))
        }
        Coding::Packed(..) | Coding::SignedPacked(..) => None,
        Coding::SignedText | Coding::SignedEbcdic | Coding::Zoned => None,
    }
}

impl KeyForm {
    /// The key of a tag.
    pub(super) fn key(self, tag: &[u8]) -> String {
        match self {
            KeyForm::Latin1 => tag.iter().map(|byte| char::from(*byte)).collect(),
            KeyForm::Ebcdic(page) => {
                let characters = tag.iter().map(|byte| char::from(page.latin_of(*byte)));
                characters.collect()
            }
            KeyForm::Hex => hexadecimal(tag),
        }
    }

    /// The tag of a key; `None` when it is not of this form.
    pub(super) fn tag(self, key: &str) -> Option<Vec<u8>> {
        match self {
            KeyForm::Latin1 => key.chars().map(|c| u8::try_from(c).ok()).collect(),
            KeyForm::Ebcdic(page) => {
                let latin = key.chars().map(|c| u8::try_from(c).ok());
                latin.map(|byte| Some(page.byte_of(byte?))).collect()
            }
            KeyForm::Hex => encoding::hex_bytes(key.as_bytes()),
        }
    }
}

/// Upper-case hexadecimal text.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let pairs = bytes.iter().flat_map(|byte| encoding::hex_pair(*byte));
    pairs.map(char::from).collect()
}

impl std::fmt::Debug for Part<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The content stays out, as with a message; so does a tag, which came with it.
        let key = self.spec.map_or("unknown", PartSpec::key);
        write!(formatter, "Part({key}, {} bytes withheld)", self.wire.len())
    }
}

/// BER-TLV of which nothing is known, as inside a dataset.
pub(super) static UNKNOWN_BER: Parts = Parts {
    form: PartsForm::Ber,
    rows: Vec::new(),
    mask: Mask::Wipe,
};

/// Parts inside parts are read so deep: chip data has four levels at most.
pub(super) const DEPTH_MAX: u8 = 8;
