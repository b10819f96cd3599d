//! The fields inside a composite of a moov specification, at any depth.

use std::fmt::Write as _;

use serde_json::Value;

use super::moov::{FRAME, form, length, row};
use super::{Outcome, Report, line, quoted};
use crate::iso8583::ber;
use crate::iso8583::codepage::CodePage;
use crate::iso8583::encoding::{hex_bytes, hex_pair};
use crate::iso8583::parts::DEPTH_MAX;

/// Reports the fields inside another one that is read as one value.
pub(super) fn unread(path: &str, field: &Value, reason: &str, report: &mut Report) {
    for (key, part) in field["subfields"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        let outcome = Outcome::NotExpressible(reason.to_owned());
        report.add(&path, &form(part), outcome);
        unread(&path, part, reason, report);
    }
}

/// The tables that say how the value of a composite is divided; what became of each field inside.
pub(super) fn divided(path: &str, field: &Value, report: &mut Report) -> Result<String, String> {
    if path.matches('.').count() >= usize::from(DEPTH_MAX) {
        return Err(format!("parts are read {DEPTH_MAX} levels deep"));
    }
    let kind = kind(field)?;
    let mut rows = String::new();
    let mut tables = String::new();
    for (key, part) in sorted(field, &kind) {
        let path = format!("{path}.{key}");
        let mut inner = Report::default();
        let outcome = match part_row(key, part, &kind) {
            Ok((row, mut notes)) => {
                if part["type"] == "Composite" {
                    match divided(&path, part, &mut inner) {
                        Ok(table) => tables.push_str(&table),
                        Err(reason) => {
                            unread(&path, part, &reason, &mut inner);
                            notes.push("its parts stay one value".to_owned());
                        }
                    }
                }
                rows.push_str(&line(&row, ""));
                match notes.is_empty() {
                    true => Outcome::Taken,
                    false => Outcome::Approximated(notes.join("; ")),
                }
            }
            Err(reason) => {
                unread(&path, part, "their field is not read", &mut inner);
                Outcome::NotExpressible(reason)
            }
        };
        report.add(&path, &form(part), outcome);
        report.0.append(&mut inner.0);
    }
    let path = match path.contains('.') {
        true => quoted(path),
        false => path.to_owned(),
    };
    let mut text = format!("\n[parts.{path}]\n{}", kind.toml);
    // Writing to a string cannot fail.
    let _ = write!(text, "[parts.{path}.rows]\n{rows}");
    Ok(text + &tables)
}

/// How the fields of a composite are told apart.
struct Kind {
    toml: String,
    order: Order,
    tags: Tags,
}

/// In which order fields without tags stand.
#[derive(PartialEq)]
enum Order {
    Decimal,
    Hexadecimal,
    Text,
}

/// What stands before each field.
enum Tags {
    /// Nothing.
    None,
    /// A tag of BER, and its length.
    Ber,
    /// A tag of so many bytes, filled from one side.
    Written {
        hex: bool,
        ebcdic: bool,
        size: usize,
        pad: Option<(bool, char)>,
    },
}

fn kind(field: &Value) -> Result<Kind, String> {
    let (tag, bitmap) = (&field["tag"], &field["bitmap"]);
    let order = match tag["sort"].as_str() {
        Some("StringsByHex") => Order::Hexadecimal,
        _ if has_numbers(field) => Order::Decimal,
        _ => Order::Text,
    };
    if bitmap.is_object() {
        return bitmap_kind(bitmap);
    }
    let encoding = match tag["enc"].as_str() {
        None | Some("") => {
            let toml = "form = \"positional\"\n".to_owned();
            let tags = Tags::None;
            return Ok(Kind { toml, order, tags });
        }
        Some("BerTLVTag") => {
            let toml = "form = \"ber\"\n".to_owned();
            let tags = Tags::Ber;
            return Ok(Kind { toml, order, tags });
        }
        Some(encoding) => encoding,
    };
    let size = tag["length"]
        .as_u64()
        .and_then(|size| usize::try_from(size).ok());
    let size = size.filter(|size| (1..=8).contains(size));
    let digits = size.ok_or("its tags are not one to four characters")?;
    let (written, size) = match encoding {
        "ASCII" | "Binary" => ("latin1", digits),
        "EBCDIC" | "EBCDIC1047" => ("ebcdic-1047", digits),
        "ASCIIToHex" => ("hex", digits),
        "BCD" => ("hex", digits.div_ceil(2)),
        other => return Err(format!("tags in {other} are not read")),
    };
    if size > 4 {
        return Err("its tags are not one to four characters".to_owned());
    }
    let padding = &tag["padding"];
    let side = match padding["type"].as_str() {
        Some("Left") => Some(true),
        Some("Right") => Some(false),
        _ => None,
    };
    let character = padding["pad"].as_str().and_then(|pad| pad.chars().next());
    let tags = Tags::Written {
        hex: written == "hex",
        ebcdic: written.starts_with("ebcdic"),
        size,
        pad: side.zip(character),
    };
    let toml = format!(
        "form = \"tagged\"\ntag = \"{written} {size}\"\n{}",
        unknown(tag)?
    );
    Ok(Kind { toml, order, tags })
}

/// The form of fields with an unknown tag, when they are to be passed over.
fn unknown(tag: &Value) -> Result<String, String> {
    let prefix = tag["prefUnknownTLV"].as_str().unwrap_or_default();
    if tag["skipUnknownTLVTags"] != true || prefix.is_empty() {
        return Ok(String::new());
    }
    let length = length(prefix)?;
    let dots = ".".repeat(usize::from(length.width));
    let greatest = length.greatest.min(FRAME);
    let keys = length.keys.trim_end_matches(", ");
    let separator = if keys.is_empty() { "" } else { ", " };
    Ok(format!(
        "unknown = {{ format = \"b{dots}{greatest}\"{separator}{keys} }}\n"
    ))
}

fn bitmap_kind(bitmap: &Value) -> Result<Kind, String> {
    let written = match bitmap["enc"].as_str() {
        Some("Binary") => "binary",
        Some("HexToASCII") => "hex",
        _ => return Err("an inner bitmap is read in Binary and HexToASCII".to_owned()),
    };
    if bitmap["disableAutoExpand"] != true {
        return Err("an inner bitmap must not expand, as in moov itself".to_owned());
    }
    let bytes = match bitmap["length"].as_u64() {
        None | Some(0) => 8,
        Some(bytes @ 1..=24) => bytes,
        Some(bytes) => return Err(format!("an inner bitmap of {bytes} bytes")),
    };
    Ok(Kind {
        toml: format!("form = \"bitmap\"\nbitmap = \"{written}\"\nbitmap_bytes = {bytes}\n"),
        order: Order::Decimal,
        tags: Tags::None,
    })
}

fn has_numbers(field: &Value) -> bool {
    let mut keys = field["subfields"].as_object().into_iter().flatten();
    keys.all(|(key, _)| key.parse::<u64>().is_ok())
}

/// The fields inside, in the order in which moov writes them.
fn sorted<'v>(field: &'v Value, kind: &Kind) -> Vec<(&'v String, &'v Value)> {
    let mut fields: Vec<_> = field["subfields"]
        .as_object()
        .into_iter()
        .flatten()
        .collect();
    let radix = match kind.order {
        Order::Decimal => 10,
        Order::Hexadecimal => 16,
        Order::Text => return fields,
    };
    fields.sort_by_key(|(key, _)| u64::from_str_radix(key, radix).unwrap_or(u64::MAX));
    fields
}

fn part_row(key: &str, field: &Value, kind: &Kind) -> Result<(super::Row, Vec<String>), String> {
    let (mut part, notes) = row(key, field)?;
    match &kind.tags {
        Tags::None => {}
        Tags::Ber => {
            part.keys = part.keys.replace("length = \"ber\", ", "");
            let is_tag = hex_bytes(key.as_bytes()).is_some_and(|tag| ber::is_tag(&tag));
            if !is_tag || field["prefix"] != "BerTLV" {
                return Err("an item of BER-TLV has a tag in hexadecimal and prefix BerTLV".into());
            }
        }
        Tags::Written {
            hex,
            ebcdic,
            size,
            pad,
        } => {
            let width = if *hex { size.saturating_mul(2) } else { *size };
            let missing = width.saturating_sub(key.chars().count());
            let fill: String = pad.map_or(String::new(), |(_, fill)| {
                std::iter::repeat_n(fill, missing).collect()
            });
            let tag = match pad {
                Some((true, _)) => format!("{fill}{key}"),
                _ => format!("{key}{fill}"),
            };
            if tag.chars().count() != width || !tag.is_ascii() {
                return Err(format!("its tag is not {width} characters"));
            }
            let bytes = tag.bytes().map(|byte| match ebcdic {
                true => CodePage::Ibm1047.byte_of(byte),
                false => byte,
            });
            let written: String = match hex {
                true => tag.clone(),
                false => bytes.flat_map(hex_pair).map(char::from).collect(),
            };
            if tag != key {
                let _ = write!(part.keys, "tag = \"{written}\", ");
            }
        }
    }
    Ok((part, notes))
}
