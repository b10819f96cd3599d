//! Importer of specifications of moov (JSON and YAML, one shape).
//!
//! Source: the schema of the file and the behaviour of its types, encodings and prefixes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::moov_parts::{divided, unread};
use super::{ImportError, Imported, Outcome, Report, Row, file};

/// Reads a specification in JSON; ours gets the name of the file, or this one.
///
/// # Errors
///
/// When the file is not JSON or not of the shape, or has no message type or bitmap that could
/// start a message.
pub fn moov_json(name: &str, text: &str) -> Result<Imported, ImportError> {
    let document = serde_json::from_str(text).map_err(|error| ImportError::Syntax {
        expected: "JSON",
        found: error.to_string(),
    })?;
    specification(name, &document)
}

/// Reads a specification in YAML; ours gets the name of the file, or this one.
///
/// # Errors
///
/// As [`moov_json`].
pub fn moov_yaml(name: &str, text: &str) -> Result<Imported, ImportError> {
    let document = serde_saphyr::from_str(text).map_err(|error| ImportError::Syntax {
        expected: "YAML",
        found: error.to_string(),
    })?;
    specification(name, &document)
}

fn specification(name: &str, document: &Value) -> Result<Imported, ImportError> {
    let old = document
        .as_object()
        .is_some_and(|keys| keys.contains_key("Field000"));
    if old {
        return Err(shape("the older form, which moov itself no longer reads"));
    }
    let fields = document["fields"].as_object();
    let fields = fields.ok_or_else(|| shape("no object named fields"))?;
    let mut numbered = BTreeMap::new();
    for (key, field) in fields {
        let number: u32 = key
            .parse()
            .map_err(|_| shape(&format!("a field named {key}")))?;
        numbered.insert(number, field);
    }
    let mut report = Report::default();
    let header = header(&numbered, &mut report)?;
    let mut rows = Vec::new();
    let mut tables = String::new();
    for (number, field) in numbered.iter().filter(|(number, _)| **number > 1) {
        let path = number.to_string();
        let mut inner = Report::default();
        let outcome = match u8::try_from(*number) {
            Ok(65) if header.element_max > 128 => {
                Outcome::NotExpressible("bit 65 announces the third bitmap".to_owned())
            }
            Ok(_) if u32::from(header.element_max) >= *number => match row(&path, field) {
                Ok((row, mut notes)) => {
                    if field["type"] == "Composite" {
                        match divided(&path, field, &mut inner) {
                            Ok(table) => tables.push_str(&table),
                            Err(reason) => {
                                unread(&path, field, &reason, &mut inner);
                                notes.push("its parts stay one value".to_owned());
                            }
                        }
                    }
                    rows.push(row);
                    match notes.is_empty() {
                        true => Outcome::Taken,
                        false => Outcome::Approximated(notes.join("; ")),
                    }
                }
                Err(reason) => Outcome::NotExpressible(reason),
            },
            _ => Outcome::NotExpressible(format!("the bitmap ends at {}", header.element_max)),
        };
        if matches!(outcome, Outcome::NotExpressible(_)) {
            unread(&path, field, "their element is not expressible", &mut inner);
        }
        report.add(&path, &form(field), outcome);
        report.0.append(&mut inner.0);
    }
    let name = document["name"].as_str().unwrap_or(name);
    Ok(Imported {
        toml: file(name, &header.toml, &rows) + &tables,
        report,
    })
}

fn shape(found: &str) -> ImportError {
    ImportError::Syntax {
        expected: "a specification of moov",
        found: found.to_owned(),
    }
}

/// Type, encoding and prefix of a field, as a report names it.
pub(super) fn form(field: &Value) -> String {
    let words = ["type", "enc", "prefix"].map(|key| field[key].as_str().unwrap_or("-"));
    words.join(" ")
}

struct FileHeader {
    toml: String,
    element_max: u8,
}

fn header(fields: &BTreeMap<u32, &Value>, report: &mut Report) -> Result<FileHeader, ImportError> {
    let nothing = Value::Null;
    let field = |number| *fields.get(&number).unwrap_or(&&nothing);
    let refused = |number: u8, expected| ImportError::Header {
        field: number,
        expected,
        got: form(field(u32::from(number))),
    };
    let mti = match field(0)["enc"].as_str() {
        Some("ASCII") => "ascii",
        Some("BCD") => "bcd",
        Some("EBCDIC" | "EBCDIC1047") => "ebcdic",
        _ => return Err(refused(0, "four characters of ASCII or EBCDIC, or BCD")),
    };
    let bitmap = match field(1)["enc"].as_str() {
        Some("Binary") => "binary",
        Some("HexToASCII") => "hex",
        _ => return Err(refused(1, "a bitmap in Binary or HexToASCII")),
    };
    let highest = fields.keys().next_back().copied().unwrap_or(0);
    let expands = field(1)["disableAutoExpand"] != true;
    let (bitmaps, element_max) = match field(1)["length"].as_u64() {
        Some(16) => ("always two", 128),
        None | Some(0 | 8) if !expands => ("one", 64),
        None | Some(0 | 8) if highest > 128 => ("up to three", 192),
        None | Some(0 | 8) => ("up to two", 128),
        _ => return Err(refused(1, "blocks of 8 or 16 bytes")),
    };
    report.add("0", &form(field(0)), Outcome::Taken);
    let outcome = match expands {
        true => Outcome::Taken,
        false => Outcome::Approximated("bit 1 is refused".to_owned()),
    };
    report.add("1", &form(field(1)), outcome);
    Ok(FileHeader {
        toml: format!(
            "mti = \"{mti}\"\nbitmap = \"{bitmap}\"\nbitmaps = \"{bitmaps}\"\ntext = \"latin1\"\n\
             digits = \"bcd\"\nodd_fill = \"left\"\nlength = \"ascii\"\nbinary = \"raw\"\n"
        ),
        element_max,
    })
}

/// What a type and an encoding say: the class, further keys, and what differs.
struct Data {
    class: &'static str,
    keys: &'static str,
    note: Option<&'static str>,
}

fn data(kind: &str, encoding: &str) -> Result<Data, String> {
    let plain = |class, keys| {
        Ok(Data {
            class,
            keys,
            note: None,
        })
    };
    let noted = |class, keys, note| {
        Ok(Data {
            class,
            keys,
            note: Some(note),
        })
    };
    match (kind, encoding) {
        ("Composite", _) => plain("b", ""),
        ("String" | "Numeric" | "Track1" | "Track2" | "Track3", encoding) => match encoding {
            "ASCII" => plain("ascii", ""),
            "EBCDIC" => plain("any", "text = \"ebcdic-posix\", "),
            "EBCDIC1047" => plain("any", "text = \"ebcdic-1047\", "),
            "BCD" => plain("n", ""),
            "LBCD" => plain("n", "odd_fill = \"right\", "),
            "Binary" => plain("any", ""),
            "HexToASCII" => noted("b", "binary = \"hex\", ", "the value is bytes, not text"),
            "ASCIIToHex" => noted("b", "", "the value is bytes, not text"),
            other => Err(format!("no encoding {other} is known")),
        },
        ("Binary" | "Hex", "Binary") => plain("b", ""),
        ("Binary" | "Hex", "HexToASCII") => plain("b", "binary = \"hex\", "),
        ("Binary" | "Hex", other) => Err(format!("bytes in {other} are not expressible")),
        (other, _) => Err(format!("no type {other} is known")),
    }
}

/// How the length is known: dots, further keys, the greatest length the prefix can say.
pub(super) struct Length {
    pub(super) width: u8,
    pub(super) keys: &'static str,
    pub(super) greatest: u64,
}

pub(super) fn length(prefix: &str) -> Result<Length, String> {
    let (family, width) = match prefix {
        "None.Fixed" => ("rest", "L"),
        "BerTLV" => ("ber", "L"),
        _ => prefix.split_once('.').unwrap_or((prefix, "")),
    };
    if width == "Fixed" {
        return Ok(Length {
            width: 0,
            keys: "",
            greatest: u64::MAX,
        });
    }
    let is_width = (1..=6).contains(&width.len()) && width.bytes().all(|letter| letter == b'L');
    let width = match u8::try_from(width.len()) {
        Ok(width) if is_width => width,
        _ => return Err(format!("no prefix {prefix} is known")),
    };
    let decimal = 10_u64.saturating_pow(u32::from(width));
    let bytes = 256_u64.saturating_pow(u32::from(width));
    let (keys, beyond) = match family {
        "ASCII" => ("", decimal),
        "EBCDIC" | "EBCDIC1047" => ("length = \"ebcdic\", ", decimal),
        "BCD" => ("length = \"bcd\", ", decimal),
        "Binary" => ("length = \"binary\", ", bytes),
        "Hex" => ("length = \"hex\", ", bytes),
        "rest" => ("length = \"rest\", ", u64::MAX),
        "ber" => ("length = \"ber\", ", u64::MAX),
        _ => return Err(format!("no prefix {prefix} is known")),
    };
    Ok(Length {
        width,
        keys,
        greatest: beyond.saturating_sub(1),
    })
}

/// The row of one field, and in what it differs.
pub(super) fn row(key: &str, field: &Value) -> Result<(Row, Vec<String>), String> {
    let word = |key: &str| field[key].as_str().unwrap_or_default();
    let Data { class, keys, note } = data(word("type"), word("enc"))?;
    let prefix = length(word("prefix"))?;
    let mut notes: Vec<String> = note.into_iter().map(str::to_owned).collect();
    let asked = field["length"].as_u64().unwrap_or(0);
    let bound = prefix.greatest.min(FRAME);
    let length = match (asked, prefix.width) {
        (0, 0) => return Err("a fixed length of 0".to_owned()),
        (8_192.., 0) => return Err(format!("a fixed length of {asked} is beyond any frame")),
        (0, _) => bound,
        (asked, 1..) if asked > bound => {
            notes.push(format!("length {asked} is bounded by its prefix, {bound}"));
            bound
        }
        (asked, _) => asked,
    };
    let units = match (class, prefix.width) {
        ("b", 0) => length.saturating_mul(8),
        _ => length,
    };
    let dots = ".".repeat(usize::from(prefix.width));
    let format = format!("{class}{dots}{units}");
    let padding = padding(
        field["padding"].as_object(),
        class,
        keys,
        prefix.width,
        &mut notes,
    );
    let row = Row {
        key: key.to_owned(),
        format,
        name: word("description").to_owned(),
        keys: format!("{keys}{}{padding}", prefix.keys),
        is_text: class != "b",
    };
    Ok((row, notes))
}

/// The keys of the padding, which moov leaves out of the values it reads.
fn padding(
    padding: Option<&Map<String, Value>>,
    class: &str,
    data_keys: &str,
    width: u8,
    notes: &mut Vec<String>,
) -> String {
    let word = |key| padding.and_then(|padding| padding.get(key)?.as_str());
    let side = match word("type") {
        Some("Left") => "left",
        Some("Right") => "right",
        _ if class == "b" => return String::new(),
        _ => return "pad = \"none\", ".to_owned(),
    };
    let mut characters = word("pad").unwrap_or_default().chars();
    let character = match (characters.next(), characters.next()) {
        (Some(character), None) if u8::try_from(character).is_ok() => character,
        _ => {
            notes.push("its padding is not one character: none is used".to_owned());
            return "pad = \"none\", ".to_owned();
        }
    };
    if class == "b" || width > 0 {
        notes.push("the padding of bytes and of variable values is not written".to_owned());
    }
    if class == "b" {
        return String::new();
    }
    let character = match character {
        '"' | '\\' => format!("\\{character}"),
        other => other.to_string(),
    };
    let packed = class == "n";
    if packed && (side, &*character) != ("left", "0") {
        notes.push("packed digits are not padded in this way".to_owned());
        return "pad = \"none\", ".to_owned();
    }
    if packed && !data_keys.is_empty() {
        notes.push("the padding stays in the value".to_owned());
        return String::new();
    }
    format!("pad = \"{side} {character}\", strip = true, ")
}

/// Bytes of the longest frame.
pub(super) const FRAME: u64 = 65_535;
