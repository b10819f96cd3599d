//! Exporter of specifications of moov (JSON).

use serde_json::{Value, json};

use super::moov_parts::composite;
use super::{ExportError, Exported};
use crate::iso8583::MessageSpec;
use crate::iso8583::bitmap::{BitmapForm, Bitmaps};
use crate::iso8583::class::TextClass;
use crate::iso8583::codepage::CodePage;
use crate::iso8583::element::{Coding, ElementProgram, ElementSpec, PadSide};
use crate::iso8583::encoding::Fill;
use crate::iso8583::import::{Outcome, Report};
use crate::iso8583::length::{Counts, LengthForm, PrefixCode, PrefixDigits};
use crate::iso8583::spec::MtiForm;

/// Writes a specification.
///
/// # Errors
///
/// When the bitmap is one that moov does not read.
pub fn moov(spec: &MessageSpec) -> Result<Exported, ExportError> {
    let header = spec.layout().header;
    let mut report = Report::default();
    let mti = match header.mti {
        MtiForm::Ascii => "ASCII",
        MtiForm::Ebcdic => "EBCDIC1047",
        MtiForm::Bcd => "BCD",
    };
    let (bitmap, prefix) = match header.bitmap {
        BitmapForm::Binary => ("Binary", "Binary.Fixed"),
        BitmapForm::Hex => ("HexToASCII", "Hex.Fixed"),
        BitmapForm::HexEbcdic => {
            return Err(ExportError {
                place: "bitmap",
                expected: "binary or hex",
            });
        }
    };
    let mut map = json!({"type": "Bitmap", "length": 8, "description": "Bitmap",
        "enc": bitmap, "prefix": prefix});
    match header.bitmaps {
        Bitmaps::Two => put(&mut map, "length", 16.into()),
        Bitmaps::One | Bitmaps::Plain => put(&mut map, "disableAutoExpand", true.into()),
        Bitmaps::UpToTwo | Bitmaps::UpToThree => {}
    }
    let mti = json!({"type": "String", "length": 4, "description": "Message type", "enc": mti,
        "prefix": fixed_prefix(mti)});
    let mut fields = vec![("0".to_owned(), mti), ("1".to_owned(), map)];
    for (place, reason) in file_notes(spec) {
        report.add("file", place, Outcome::Approximated(reason.to_owned()));
    }
    for element in spec.elements() {
        let path = element.number().to_string();
        if let Some(value) = field(element, &path, None, &mut report) {
            fields.push((path, value));
        }
    }
    let text = format!(
        "{{\n\t\"name\": {},\n\t\"fields\": ",
        Value::from(spec.name())
    );
    Ok(Exported {
        text: text + &object(&fields, 1) + "\n}\n",
        report,
    })
}

/// What a specification of moov never says.
fn file_notes(spec: &MessageSpec) -> Vec<(&'static str, &'static str)> {
    let mut notes = vec![
        ("mask", "masks are not said"),
        ("format", "content is not checked to be of its class"),
        (
            "pad",
            "numbers must come with all their digits; moov strips the padding of text",
        ),
    ];
    if spec.layout().header.version.is_some() {
        notes.push(("version", "messages of any version are read"));
    }
    if !spec.rules().is_empty() {
        notes.push(("messages", "what each message carries is not said"));
    }
    notes
}

/// The field of an element or part; nothing when it cannot be said. Inside BER-TLV the length is
/// that of the item.
pub(super) fn field(
    element: &ElementSpec,
    path: &str,
    own_prefix: Option<&str>,
    report: &mut Report,
) -> Option<Value> {
    let mut inner = Report::default();
    let (value, notes) = match said(element, path, own_prefix, &mut inner) {
        Ok(said) => said,
        Err(reason) => {
            report.add(path, element.format(), Outcome::NotExpressible(reason));
            return None;
        }
    };
    let outcome = match notes.is_empty() {
        true => Outcome::Taken,
        false => Outcome::Approximated(notes.join("; ")),
    };
    report.add(path, element.format(), outcome);
    report.append(inner);
    Some(value)
}

fn said(
    element: &ElementSpec,
    path: &str,
    own_prefix: Option<&str>,
    report: &mut Report,
) -> Result<(Value, Vec<String>), String> {
    let program = &element.program;
    let mut notes = Vec::new();
    if program.rare.tag.is_some() && own_prefix.is_none() {
        return Err("a tag beside the length".to_owned());
    }
    if program.rare.filled {
        return Err("a filled value behind its length".to_owned());
    }
    let (kind, encoding) = data(element, &mut notes)?;
    let prefix = match own_prefix {
        Some(prefix) if !prefix.is_empty() => prefix.to_owned(),
        _ => prefix(program, encoding, &mut notes)?,
    };
    let mut value = json!({"type": kind, "length": program.length_max,
        "description": element.name(), "enc": encoding, "prefix": prefix});
    if let Some(parts) = element.parts() {
        match composite(parts, element, path, report) {
            Ok(Value::Object(own)) => {
                put(&mut value, "type", "Composite".into());
                if let Some(value) = value.as_object_mut() {
                    value.remove("enc");
                    value.extend(own);
                }
                return Ok((value, notes));
            }
            Ok(_) => {}
            Err(reason) => notes.push(reason),
        }
    }
    let is_text = kind == "String" && !matches!(program.coding, Coding::Packed(..));
    let is_number = program.pad.is_some_and(|pad| pad.side == PadSide::Left);
    let pads = program.rare.strip || (program.length == LengthForm::Fixed && !is_number);
    if let Some(pad) = program
        .pad
        .filter(|_| pads && (is_text || program.rare.strip))
    {
        let side = match pad.side {
            PadSide::Left => Some("Left"),
            PadSide::Right => Some("Right"),
            PadSide::Sign => None,
        };
        if let Some(side) = side {
            let character = char::from(pad.character).to_string();
            put(
                &mut value,
                "padding",
                json!({"type": side, "pad": character}),
            );
        }
    }
    Ok((value, notes))
}

/// Type and encoding.
fn data(
    element: &ElementSpec,
    notes: &mut Vec<String>,
) -> Result<(&'static str, &'static str), String> {
    Ok(match element.program.coding {
        Coding::Text(TextClass::Any) => ("String", "Binary"),
        Coding::Text(_) | Coding::SignedText => ("String", "ASCII"),
        Coding::Ebcdic(CodePage::Ibm1047, _) | Coding::SignedEbcdic => ("String", "EBCDIC1047"),
        Coding::Ebcdic(CodePage::Posix, _) => ("String", "EBCDIC"),
        Coding::Packed(_, fill) => {
            if element.class().name() != "n" {
                notes.push("packed characters other than digits are refused".to_owned());
            }
            match fill {
                Fill::Left => ("String", "BCD"),
                Fill::Right => ("String", "LBCD"),
                Fill::RightF if is_even(element) => ("String", "BCD"),
                Fill::RightF => return Err("an odd count of digits filled with F".to_owned()),
            }
        }
        Coding::Raw => ("Binary", "Binary"),
        Coding::Hex => ("Binary", "HexToASCII"),
        Coding::Ebcdic(..)
        | Coding::SignedPacked(..)
        | Coding::Zoned
        | Coding::HexEbcdic
        | Coding::Converted(_) => return Err(format!("{} has no form", element.wire_words())),
    })
}

fn is_even(element: &ElementSpec) -> bool {
    !element.is_variable() && element.length_max().is_multiple_of(2)
}

fn prefix(
    program: &ElementProgram,
    encoding: &str,
    notes: &mut Vec<String>,
) -> Result<String, String> {
    let digits = |digits| match digits {
        PrefixDigits::Two => "LL",
        PrefixDigits::Three => "LLL",
    };
    Ok(match program.length {
        LengthForm::Fixed => fixed_prefix(encoding).to_owned(),
        LengthForm::Ascii(count) => format!("ASCII.{}", digits(count)),
        LengthForm::Bcd(count) => format!("BCD.{}", digits(count)),
        LengthForm::Rest => "None.Fixed".to_owned(),
        LengthForm::Until(_) => return Err("a value that ends with certain bytes".to_owned()),
        LengthForm::Prefix(prefix) => {
            if prefix.counts != Counts::Value {
                return Err("a length that counts something else than the value".to_owned());
            }
            if prefix.inclusive {
                return Err("a length that counts itself".to_owned());
            }
            if prefix.width > 4 {
                notes.push("moov's own files name prefixes of at most four".to_owned());
            }
            let letters = "L".repeat(usize::from(prefix.width));
            match prefix.code {
                PrefixCode::Ascii => format!("ASCII.{letters}"),
                PrefixCode::Ebcdic => format!("EBCDIC.{letters}"),
                PrefixCode::Bcd => format!("BCD.{letters}"),
                PrefixCode::Binary => format!("Binary.{letters}"),
                PrefixCode::Hex => format!("Hex.{letters}"),
                PrefixCode::Ber => "BerTLV".to_owned(),
            }
        }
    })
}

fn fixed_prefix(encoding: &str) -> &'static str {
    match encoding {
        "BCD" | "LBCD" => "BCD.Fixed",
        "EBCDIC" | "EBCDIC1047" => "EBCDIC.Fixed",
        "Binary" => "Binary.Fixed",
        _ => "ASCII.Fixed",
    }
}

/// Sets a key of an object.
pub(super) fn put(value: &mut Value, key: &str, own: Value) {
    if let Some(keys) = value.as_object_mut() {
        keys.insert(key.to_owned(), own);
    }
}

/// An object with its keys in this order, a line for each.
fn object(fields: &[(String, Value)], depth: usize) -> String {
    let indent = "\t".repeat(depth.saturating_add(1));
    let lines: Vec<String> = (fields.iter())
        .map(|(key, value)| format!("{indent}{}: {value}", Value::from(&**key)))
        .collect();
    format!("{{\n{}\n{}}}", lines.join(",\n"), "\t".repeat(depth))
}
