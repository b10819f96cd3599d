//! The fields inside a composite of a moov specification.

use serde_json::{Map, Value, json};

use super::moov::{field, put};
use crate::iso8583::bitmap::BitmapForm;
use crate::iso8583::element::{Coding, ElementSpec, TagPlace};
use crate::iso8583::import::Report;
use crate::iso8583::length::{LengthForm, PrefixCode, PrefixDigits};
use crate::iso8583::parts::{BitmapSize, KeyForm, Parts, PartsForm, UnknownPart};

/// How an element is divided, and its fields.
pub(super) fn composite(
    parts: &Parts,
    element: &ElementSpec,
    path: &str,
    report: &mut Report,
) -> Result<Value, String> {
    if element.program.coding != Coding::Raw {
        return Err("its parts are not said: its bytes are written as text".to_owned());
    }
    let mut own = json!({});
    let mut prefix = None;
    match parts.form {
        PartsForm::Positional => {
            let sort =
                sort(parts).ok_or("its parts are not said: their order is not that of keys")?;
            put(&mut own, "tag", json!({ "sort": sort }));
        }
        PartsForm::Ber => {
            let tag = json!({"enc": "BerTLVTag", "sort": "StringsByHex",
                "skipUnknownTLVTags": true, "storeUnknownTLVTags": true});
            put(&mut own, "tag", tag);
            prefix = Some("BerTLV");
        }
        PartsForm::Bitmap(form, BitmapSize::Bytes(bytes)) => {
            let enc = match form {
                BitmapForm::Binary => "Binary",
                BitmapForm::Hex => "HexToASCII",
                BitmapForm::HexEbcdic => {
                    return Err("its parts are not said: a bitmap in EBCDIC".to_owned());
                }
            };
            let bitmap = json!({"type": "Bitmap", "length": bytes, "enc": enc,
                "prefix": "Binary.Fixed", "disableAutoExpand": true});
            put(&mut own, "bitmap", bitmap);
        }
        PartsForm::Tagged(unknown) => {
            put(&mut own, "tag", tag(parts, unknown)?);
            prefix = Some("");
        }
        PartsForm::Bitmap(_, BitmapSize::Extending(_)) => {
            return Err("its parts are not said: a bitmap whose first bit is no part".to_owned());
        }
        PartsForm::DatasetBitmap => {
            return Err("its parts are not said: a bitmap of a dataset".to_owned());
        }
    }
    let mut fields = Map::new();
    for row in parts.rows() {
        let path = format!("{path}.{}", row.key());
        if let Some(value) = field(row.element(), &path, prefix, report) {
            fields.insert(row.key().to_owned(), value);
        }
    }
    put(&mut own, "subfields", Value::Object(fields));
    Ok(own)
}

/// The sorting of keys that is the order of the parts.
fn sort(parts: &Parts) -> Option<&'static str> {
    let keys = parts.rows().iter().map(|row| row.key().parse::<u64>().ok());
    let numbers: Option<Vec<u64>> = keys.collect();
    numbers
        .filter(|numbers| numbers.is_sorted())
        .map(|_| "StringsByInt")
}

fn tag(parts: &Parts, unknown: Option<UnknownPart>) -> Result<Value, String> {
    let tags = parts.rows().iter().map(|row| row.element.program.rare.tag);
    let tags: Option<Vec<_>> = tags.collect();
    let tags = tags.ok_or("its parts are not said: some have no tag")?;
    if tags.iter().any(|tag| tag.place != TagPlace::Before) {
        return Err("its parts are not said: their length stands before the tag".to_owned());
    }
    let keyed = |form: KeyForm| {
        let mut keys = parts.rows().iter().zip(&tags);
        keys.all(|(row, tag)| form.key(tag.marker.bytes()) == row.key())
    };
    let (form, enc) = [(KeyForm::Latin1, "ASCII"), (KeyForm::Hex, "ASCIIToHex")]
        .into_iter()
        .find(|(form, _)| keyed(*form) && unknown.is_none_or(|own| own.tag.form == *form))
        .ok_or("its parts are not said: their keys are not their tags")?;
    let sizes = tags.iter().map(|tag| tag.marker.bytes().len());
    let sizes = sizes.chain(unknown.map(|unknown| usize::from(unknown.tag.size)));
    let mut sizes: Vec<usize> = sizes.collect();
    sizes.dedup();
    let [size] = *sizes else {
        return Err("its parts are not said: their tags are not of one size".to_owned());
    };
    let sort = if form == KeyForm::Hex {
        "StringsByHex"
    } else {
        "StringsByInt"
    };
    let mut tag = json!({"length": size, "enc": enc, "sort": sort});
    if let Some(unknown) = unknown {
        if unknown.datasets || unknown.program.coding != Coding::Raw {
            return Err("its parts are not said: unknown tags are not bytes".to_owned());
        }
        let prefix = match unknown.program.length {
            LengthForm::Ascii(PrefixDigits::Two) => "ASCII.LL".to_owned(),
            LengthForm::Ascii(PrefixDigits::Three) => "ASCII.LLL".to_owned(),
            LengthForm::Prefix(own) if own.code == PrefixCode::Ascii => {
                format!("ASCII.{}", "L".repeat(usize::from(own.width)))
            }
            _ => return Err("its parts are not said: the length of unknown tags".to_owned()),
        };
        put(&mut tag, "skipUnknownTLVTags", true.into());
        put(&mut tag, "storeUnknownTLVTags", true.into());
        put(&mut tag, "prefUnknownTLV", prefix.into());
    }
    Ok(tag)
}
