//! Framing as data: the length field and the header that stand before a message.
//!
//! A framing is chosen by preset name (`be2`, `be4`, `ascii4`, `bcd2`, each also with `+tpdu`) or
//! described in a file:
//!
//! ```toml
//! framing = { name = "amex", length = { size = 2, encoding = "be", counts_itself = true } }
//! ```

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{self, value::MapAccessDeserializer};

use super::error::FramingError;

/// Bytes of a TPDU: one identifier, two of destination, two of source.
pub const TPDU_SIZE: usize = 5;

const TPDU_SUFFIX: &str = "+tpdu";

/// How frames are cut out of a stream: a length field, then a header counted in it, then the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framing {
    name: String,
    length: LengthField,
    header: Header,
}

/// The length field before every frame. It counts header and body, and itself only when told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LengthField {
    /// Bytes on the wire.
    pub size: usize,
    /// How the number is written in them.
    pub encoding: LengthEncoding,
    /// Whether the number includes the bytes of the length field.
    #[serde(default)]
    pub counts_itself: bool,
}

/// How the number of a length field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LengthEncoding {
    /// Binary, most significant byte first.
    Be,
    /// Decimal digits in ASCII, one per byte.
    Ascii,
    /// Decimal digits packed two per byte.
    Bcd,
}

/// What stands between the length field and the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Header {
    /// Nothing.
    #[default]
    None,
    /// A TPDU; a reply goes out with the two addresses swapped.
    Tpdu,
}

impl Framing {
    /// The framing of this preset name.
    ///
    /// # Errors
    /// The name is none of the presets.
    pub fn preset(name: &str) -> Result<Self, FramingError> {
        let (base, header) = match name.strip_suffix(TPDU_SUFFIX) {
            Some(base) => (base, Header::Tpdu),
            None => (name, Header::None),
        };
        let (size, encoding) = match base {
            "be2" => (2, LengthEncoding::Be),
            "be4" => (4, LengthEncoding::Be),
            "ascii4" => (4, LengthEncoding::Ascii),
            "bcd2" => (2, LengthEncoding::Bcd),
            _ => {
                return Err(FramingError::UnknownPreset {
                    name: name.to_owned(),
                });
            }
        };
        Self::new(
            name,
            LengthField {
                size,
                encoding,
                counts_itself: false,
            },
            header,
        )
    }

    /// A framing of its own.
    ///
    /// # Errors
    /// The length field is empty or larger than its encoding takes.
    pub fn new(name: &str, length: LengthField, header: Header) -> Result<Self, FramingError> {
        let max = length.encoding.size_max();
        if length.size == 0 || length.size > max {
            let encoding = length.encoding.name();
            return Err(FramingError::LengthSize {
                encoding,
                max,
                got: length.size,
            });
        }
        Ok(Self {
            name: name.to_owned(),
            length,
            header,
        })
    }

    /// Preset name, or the name given in the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The length field.
    pub fn length(&self) -> LengthField {
        self.length
    }

    /// The header between length and body.
    pub fn header(&self) -> Header {
        self.header
    }
}

impl LengthField {
    /// Largest number the field can hold.
    pub fn value_max(self) -> usize {
        // Sizes were checked by `Framing::new`; a field of 8 bytes would saturate here.
        let size = u32::try_from(self.size).unwrap_or(u32::MAX);
        let base: usize = match self.encoding {
            LengthEncoding::Be => 256,
            LengthEncoding::Ascii => 10,
            LengthEncoding::Bcd => 100,
        };
        base.checked_pow(size)
            .map_or(usize::MAX, |count| count.saturating_sub(1))
    }

    /// The smallest value of a frame that carries something: itself if counted, header, one byte.
    pub(super) fn value_min(self, header: Header) -> usize {
        self.own_share() + header.size() + 1
    }

    /// How much of the number is the length field itself.
    pub(super) fn own_share(self) -> usize {
        if self.counts_itself { self.size } else { 0 }
    }
}

impl LengthEncoding {
    fn size_max(self) -> usize {
        match self {
            Self::Be => 4,
            Self::Ascii => 6,
            Self::Bcd => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Be => "be",
            Self::Ascii => "ascii",
            Self::Bcd => "bcd",
        }
    }
}

impl Header {
    /// Bytes of the header on the wire.
    pub fn size(self) -> usize {
        match self {
            Self::None => 0,
            Self::Tpdu => TPDU_SIZE,
        }
    }
}

impl FromStr for Framing {
    type Err = FramingError;

    fn from_str(name: &str) -> Result<Self, FramingError> {
        Self::preset(name)
    }
}

impl<'de> Deserialize<'de> for Framing {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FramingVisitor)
    }
}

/// A framing as a table of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FramingTable {
    name: String,
    length: LengthField,
    #[serde(default)]
    header: Header,
}

/// Takes a preset name or a table; an untagged enum would hide what is wrong with the table.
struct FramingVisitor;

impl<'de> de::Visitor<'de> for FramingVisitor {
    type Value = Framing;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a framing: a preset name or a table of name, length and header")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Framing, E> {
        Framing::preset(name).map_err(E::custom)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Framing, A::Error> {
        let table = FramingTable::deserialize(MapAccessDeserializer::new(map))?;
        Framing::new(&table.name, table.length, table.header).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        framing: Framing,
    }

    #[test]
    fn a_preset_is_known_by_its_name() {
        // name, bytes of length, largest length, bytes of header
        let presets = [
            ("be2", 2, 65_535, 0),
            ("be2+tpdu", 2, 65_535, 5),
            ("be4", 4, 4_294_967_295, 0),
            ("be4+tpdu", 4, 4_294_967_295, 5),
            ("ascii4", 4, 9_999, 0),
            ("ascii4+tpdu", 4, 9_999, 5),
            ("bcd2", 2, 9_999, 0),
            ("bcd2+tpdu", 2, 9_999, 5),
        ];
        for (name, size, value_max, header_size) in presets {
            let framing = Framing::preset(name).unwrap();
            assert_eq!(framing.name(), name);
            assert_eq!(framing.length().size, size, "{name}");
            assert_eq!(framing.length().value_max(), value_max, "{name}");
            assert_eq!(framing.header().size(), header_size, "{name}");
            let file: File = toml::from_str(&format!("framing = '{name}'")).unwrap();
            assert_eq!(file.framing, framing);
        }
        assert!(
            Framing::preset("be3")
                .unwrap_err()
                .to_string()
                .contains("'be3'")
        );
    }

    #[test]
    fn a_framing_of_its_own_is_a_table() {
        let text = "framing = { name = 'amex', header = 'tpdu', \
                    length = { size = 2, encoding = 'be', counts_itself = true } }";
        let file: File = toml::from_str(text).unwrap();
        let length = LengthField {
            size: 2,
            encoding: LengthEncoding::Be,
            counts_itself: true,
        };
        assert_eq!(
            file.framing,
            Framing::new("amex", length, Header::Tpdu).unwrap()
        );
    }

    #[test]
    fn a_wrong_table_says_what_is_wrong() {
        let tables = [
            ("framing = 'be9'", "be9"),
            (
                "framing = { name = 'x', length = { size = 5, encoding = 'be' } }",
                "1 to 4",
            ),
            (
                "framing = { name = 'x', length = { size = 0, encoding = 'ascii' } }",
                "1 to 6",
            ),
            (
                "framing = { name = 'x', length = { size = 4, encoding = 'bcd' } }",
                "1 to 3",
            ),
            (
                "framing = { name = 'x', length = { size = 2, encoding = 'le' } }",
                "`le`",
            ),
            ("framing = { name = 'x', size = 2 }", "`size`"),
        ];
        for (text, expected) in tables {
            let error = toml::from_str::<File>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
