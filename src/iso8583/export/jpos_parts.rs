//! The fields inside a field of a jPOS packager file.

use super::jpos::{Classes, field, quoted};
use crate::iso8583::bitmap::{BitmapForm, Bitmaps};
use crate::iso8583::element::{Coding, ElementSpec, TagPlace};
use crate::iso8583::import::{Outcome, Report};
use crate::iso8583::parts::{BitmapSize, KeyForm, Parts, PartsForm, UnknownPart};

/// What stands inside a definition.
pub(super) struct Inside {
    pub(super) attributes: String,
    pub(super) xml: String,
    /// What is not said of the parts.
    pub(super) note: Option<&'static str>,
}

/// The packager that says how an element is divided, and the definitions inside.
pub(super) fn inside(
    classes: &Classes,
    parts: &Parts,
    element: &ElementSpec,
    path: &str,
    report: &mut Report,
) -> Result<Inside, &'static str> {
    let mut xml = String::new();
    let mut note = None;
    let attributes = match parts.form {
        PartsForm::Positional => {
            let first = numbers(parts)?;
            rows(classes, parts, path, &mut xml, report);
            packager(
                "org.jpos.iso.packager.GenericSubFieldPackager",
                &format!("emitBitmap=\"false\" firstField=\"{first}\" "),
            )
        }
        PartsForm::Bitmap(form, size) => {
            let first = numbers(parts)?;
            xml.push_str(&bitmap(form, size, first)?);
            rows(classes, parts, path, &mut xml, report);
            packager(
                "org.jpos.iso.packager.GenericSubFieldPackager",
                &format!("emitBitmap=\"true\" bitmapField=\"0\" firstField=\"{first}\" "),
            )
        }
        PartsForm::Ber | PartsForm::Tagged(Some(UnknownPart { datasets: true, .. })) => {
            if element.program.coding != Coding::Raw {
                return Err("its parts are not said: its bytes are written as text");
            }
            note = (!parts.rows().is_empty()).then_some("the rows of its items are not said");
            let class = match parts.form {
                PartsForm::Ber => "org.jpos.tlv.packager.bertlv.BERTLVBinaryPackager",
                _ => "org.jpos.iso.packager.DatasetPackager",
            };
            packager(class, "emitBitmap=\"false\" ")
        }
        PartsForm::Tagged(unknown) => {
            let hex = tagged(classes, parts, unknown, path, &mut xml, report)?;
            let class = match hex {
                true => "org.jpos.tlv.packager.BinaryHexTaggedSequencePackager",
                false => "org.jpos.tlv.packager.TaggedSequencePackager",
            };
            packager(class, "emitBitmap=\"false\" ")
        }
        PartsForm::DatasetBitmap => return Err("its parts are not said: no packager reads them"),
    };
    Ok(Inside {
        attributes,
        xml,
        note,
    })
}

fn packager(class: &str, attributes: &str) -> String {
    format!("{attributes}packager=\"{class}\" ")
}

/// The first number of the parts, all of which have one.
fn numbers(parts: &Parts) -> Result<u8, &'static str> {
    let mut rows = parts.rows().iter();
    let is_numbered = |number: u8, key: &str| number.to_string() == key;
    if !rows.all(|row| is_numbered(row.element.number, row.key())) {
        return Err("its parts are not said: they have no numbers");
    }
    Ok(parts.rows().first().map_or(0, |row| row.element.number))
}

fn rows(classes: &Classes, parts: &Parts, path: &str, xml: &mut String, report: &mut Report) {
    for row in parts.rows() {
        let path = format!("{path}.{}", row.key());
        classes.write(row.element(), row.key(), &path, xml, report);
    }
}

fn bitmap(form: BitmapForm, size: BitmapSize, first: u8) -> Result<String, &'static str> {
    let class = match form {
        BitmapForm::Binary => "IFB_BITMAP",
        BitmapForm::Hex => "IFA_BITMAP",
        BitmapForm::HexEbcdic => "IFE_BITMAP",
    };
    let bytes = match size {
        BitmapSize::Bytes(bytes @ 1..=7) => u32::from(bytes),
        BitmapSize::Bytes(8) if first == 1 => 8,
        BitmapSize::Extending(Bitmaps::One) => 8,
        BitmapSize::Extending(Bitmaps::UpToTwo) => 16,
        BitmapSize::Extending(Bitmaps::UpToThree) => 24,
        BitmapSize::Bytes(_) | BitmapSize::Extending(_) => {
            return Err("its parts are not said: no bitmap is of its size");
        }
    };
    Ok(field("0", class, bytes, "", "Bitmap", ""))
}

/// Fields with tokens; whether the tokens are hexadecimal.
fn tagged(
    classes: &Classes,
    parts: &Parts,
    unknown: Option<UnknownPart>,
    path: &str,
    xml: &mut String,
    report: &mut Report,
) -> Result<bool, &'static str> {
    let is_before = |place| place == TagPlace::Before;
    let placed = parts
        .rows()
        .iter()
        .filter_map(|row| row.element.program.rare.tag);
    if !placed.into_iter().all(|tag| is_before(tag.place)) {
        return Err("its parts are not said: their length stands before the tag");
    }
    let layout = unknown.map(|unknown| unknown.tag.form);
    let hex = layout == Some(KeyForm::Hex) || !parts.rows().iter().all(keyed_by_characters);
    let mut id = 0_u32;
    for row in parts.rows() {
        let path = format!("{path}.{}", row.key());
        let element = row.element();
        let number = id.to_string();
        id = id.saturating_add(1);
        let Some(tag) = element.program.rare.tag else {
            classes.write(element, &number, &path, xml, report);
            continue;
        };
        let token = match hex {
            true => KeyForm::Hex.key(tag.marker.bytes()),
            false => KeyForm::Latin1.key(tag.marker.bytes()),
        };
        let outcome = match classes.with_token(&element.program, hex) {
            Some(class) => {
                let length = u32::from(element.program.length_max);
                let token = format!("token={} ", quoted(&token));
                xml.push_str(&field(&number, class, length, &token, element.name(), ""));
                Outcome::Taken
            }
            None => {
                let words = element.wire_words();
                Outcome::NotExpressible(format!("no class is written so: {words}"))
            }
        };
        report.add(&path, element.format(), outcome);
    }
    if let Some(unknown) = unknown {
        let class = classes.with_token(&unknown.program, false);
        let class = class.filter(|_| !hex);
        let class = class.ok_or("its parts are not said: unknown tags cannot be passed over")?;
        let token = "#".repeat(usize::from(unknown.tag.size));
        let length = u32::from(unknown.program.length_max);
        let token = format!("token=\"{token}\" ");
        xml.push_str(&field(
            &id.to_string(),
            class,
            length,
            &token,
            "Unknown",
            "",
        ));
    }
    Ok(hex)
}

/// Whether the key of a part is its tag as characters, or it has none.
fn keyed_by_characters(row: &crate::iso8583::PartSpec) -> bool {
    let tag = row.element.program.rare.tag;
    tag.is_none_or(|tag| {
        tag.marker.bytes().is_ascii() && KeyForm::Latin1.key(tag.marker.bytes()) == row.key()
    })
}
