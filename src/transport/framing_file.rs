//! Framing as a file says it: a preset name, or a table of its parts.
//!
//! ```toml
//! framing = "nac+tpdu"
//! framing = { name = "ours", length = { size = 2, encoding = "be", counts = "body+length" } }
//! framing = { name = "etx", end = 3, header = "hex:49534F", frame_max = 4096 }
//! ```

use std::fmt;

use serde::Deserialize;
use serde::de::{self, value::MapAccessDeserializer};

use super::framing::{Boundary, Counts, Framing, KeepAlive, LengthEncoding, LengthField};
use super::literal::Literal;

/// A framing as a table of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FramingTable {
    name: String,
    length: Option<LengthTable>,
    end: Option<u8>,
    #[serde(default = "no_header")]
    header: String,
    #[serde(default = "ignore")]
    keep_alive: KeepAliveWord,
    frame_max: Option<usize>,
}

/// A length field as a table of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LengthTable {
    size: usize,
    encoding: EncodingWord,
    #[serde(default = "body")]
    counts: CountsWord,
    #[serde(default)]
    zeros_after: u8,
    prefix: Option<String>,
    trailer: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum EncodingWord {
    Be,
    Le,
    Ascii,
    Bcd,
    Hex,
}

#[derive(Deserialize)]
enum CountsWord {
    #[serde(rename = "body")]
    Body,
    #[serde(rename = "body+length")]
    BodyAndLength,
    #[serde(rename = "body+trailer")]
    BodyAndTrailer,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeepAliveWord {
    Ignore,
    Echo,
    Close,
}

fn no_header() -> String {
    "none".to_owned()
}

fn ignore() -> KeepAliveWord {
    KeepAliveWord::Ignore
}

fn body() -> CountsWord {
    CountsWord::Body
}

fn constant<E: de::Error>(hex: Option<&str>) -> Result<Literal, E> {
    hex.map_or(Ok(Literal::EMPTY), |hex| hex.parse().map_err(E::custom))
}

impl LengthTable {
    fn field<E: de::Error>(&self) -> Result<LengthField, E> {
        Ok(LengthField {
            prefix: constant(self.prefix.as_deref())?,
            size: self.size,
            encoding: match self.encoding {
                EncodingWord::Be => LengthEncoding::Be,
                EncodingWord::Le => LengthEncoding::Le,
                EncodingWord::Ascii => LengthEncoding::Ascii,
                EncodingWord::Bcd => LengthEncoding::Bcd,
                EncodingWord::Hex => LengthEncoding::Hex,
            },
            counts: match self.counts {
                CountsWord::Body => Counts::Body,
                CountsWord::BodyAndLength => Counts::BodyAndLength,
                CountsWord::BodyAndTrailer => Counts::BodyAndTrailer,
            },
            zeros_after: usize::from(self.zeros_after),
            trailer: constant(self.trailer.as_deref())?,
        })
    }
}

impl FramingTable {
    fn framing<E: de::Error>(&self) -> Result<Framing, E> {
        let boundary = match (&self.length, self.end) {
            (Some(length), None) => Boundary::Length(length.field()?),
            (None, Some(end)) => Boundary::End(end),
            (Some(_), Some(_)) | (None, None) => {
                return Err(E::custom("expected either length or end"));
            }
        };
        let header = self.header.parse().map_err(E::custom)?;
        let keep_alive = match self.keep_alive {
            KeepAliveWord::Ignore => KeepAlive::Ignore,
            KeepAliveWord::Echo => KeepAlive::Echo,
            KeepAliveWord::Close => KeepAlive::Close,
        };
        let frame_max = self.frame_max.unwrap_or(usize::MAX);
        Framing::new(&self.name, boundary, header, keep_alive, frame_max).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Framing {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FramingVisitor)
    }
}

/// Takes a preset name or a table; an untagged enum would hide what is wrong with the table.
struct FramingVisitor;

impl<'de> de::Visitor<'de> for FramingVisitor {
    type Value = Framing;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a framing: a preset name, or a table of name, length or end, and header")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Framing, E> {
        Framing::preset(name).map_err(E::custom)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Framing, A::Error> {
        FramingTable::deserialize(MapAccessDeserializer::new(map))?.framing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Header;

    #[derive(Debug, Deserialize)]
    struct File {
        framing: Framing,
    }

    #[test]
    fn every_preset_can_be_said_as_a_table() {
        let rows = [
            (
                "nac+tpdu",
                "header = 'tpdu', length = { size = 2, encoding = 'be' }",
            ),
            ("ncc", "length = { size = 2, encoding = 'bcd' }"),
            ("hex", "length = { size = 4, encoding = 'hex' }"),
            ("le2", "length = { size = 2, encoding = 'le' }"),
            (
                "amex",
                "length = { size = 2, encoding = 'be', counts = 'body+length' }",
            ),
            (
                "vap",
                "header = 'base1', keep_alive = 'echo', \
                 length = { size = 2, encoding = 'be', zeros_after = 2 }",
            ),
            (
                "rbp",
                "length = { size = 2, encoding = 'be', prefix = 'D04A', zeros_after = 2 }",
            ),
            (
                "base24tcp",
                "keep_alive = 'echo', \
                 length = { size = 2, encoding = 'be', counts = 'body+trailer', trailer = '03' }",
            ),
            (
                "base24+hex:49534F",
                "end = 3, frame_max = 4096, header = 'hex:49534f'",
            ),
        ];
        for (name, table) in rows {
            let text = format!("framing = {{ name = '{name}', {table} }}");
            let file: File = toml::from_str(&text).unwrap();
            let preset = Framing::preset(name).unwrap();
            assert!(file.framing.has_wire_of(&preset), "{name}");
            let file: File = toml::from_str(&format!("framing = '{name}'")).unwrap();
            assert_eq!(file.framing, preset);
        }
        let none = Framing::preset("be2").unwrap();
        assert_eq!(none.header(), Header::None);
    }

    #[test]
    fn a_wrong_table_says_what_is_wrong() {
        let tables = [
            ("'be9'", "be9"),
            (
                "{ name = 'x', length = { size = 5, encoding = 'be' } }",
                "1 to 4",
            ),
            (
                "{ name = 'x', length = { size = 0, encoding = 'ascii' } }",
                "1 to 6",
            ),
            (
                "{ name = 'x', length = { size = 4, encoding = 'bcd' } }",
                "1 to 3",
            ),
            (
                "{ name = 'x', length = { size = 2, encoding = 'me' } }",
                "`me`",
            ),
            (
                "{ name = 'x', length = { size = 2, encoding = 'be', trailer = '3' } }",
                "hexa",
            ),
            ("{ name = 'x', end = 3, header = 'cisco' }", "'cisco'"),
            ("{ name = 'x', end = 3, keep_alive = 'wait' }", "`wait`"),
            ("{ name = 'x' }", "either length or end"),
            ("{ name = 'x', size = 2 }", "`size`"),
        ];
        for (table, expected) in tables {
            let text = format!("framing = {table}");
            let error = toml::from_str::<File>(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
