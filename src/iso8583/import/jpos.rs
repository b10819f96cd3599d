//! Importer of jPOS packager files (XML).
//!
//! Neither the document type nor anything else outside the file is looked at, and no entity is
//! expanded but the five of XML itself. Source: the attribute list of the packager's DTD and the
//! behaviour of its classes.

use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::jpos_classes::{FieldClass, Padding, TagForm, class_named};
use super::jpos_parts::{Owner, divided, unread};
use super::{ImportError, Imported, Outcome, Report, Row, file};
use crate::iso8583::codepage::CodePage;
use crate::iso8583::encoding::hex_pair;

/// Reads a packager file; the specification gets this name.
///
/// # Errors
///
/// When the file is not XML, or has no message type or bitmap that could start a message.
pub fn jpos(name: &str, text: &str) -> Result<Imported, ImportError> {
    let fields = read(text)?;
    let mut report = Report::default();
    let header = header(&fields, &mut report)?;
    let last = last_definitions(&fields);
    let mut rows = BTreeMap::new();
    let mut tables = BTreeMap::new();
    for (index, field) in fields
        .iter()
        .enumerate()
        .filter(|(_, field)| field.depth == 0)
    {
        let owner = Owner {
            fields: &fields,
            index,
            path: &field.id,
        };
        let number = match field.id.parse::<u8>() {
            Ok(0 | 1) => continue,
            Ok(number) if number <= header.element_max => number,
            _ => {
                let reason = format!("the bitmap ends at {}", header.element_max);
                report.add(&field.id, field.form(), Outcome::NotExpressible(reason));
                unread(&owner, "their element is not expressible", &mut report);
                continue;
            }
        };
        let mut inner = Report::default();
        let outcome = if last.get(&field.id) != Some(&index) {
            Outcome::NotExpressible("defined again further down".to_owned())
        } else if number == 65 && header.element_max > 128 {
            Outcome::NotExpressible("bit 65 announces the third bitmap".to_owned())
        } else {
            match row(u32::from(number), field) {
                Ok((mut row, mut notes)) => {
                    if field.get("packager").is_some() {
                        match divided(&owner, &mut row, &mut inner) {
                            Ok(table) => {
                                tables.insert(number, table);
                            }
                            Err(reason) => {
                                unread(&owner, &reason, &mut inner);
                                notes.push("its parts stay one value".to_owned());
                            }
                        }
                    }
                    rows.insert(number, row);
                    match notes.is_empty() {
                        true => Outcome::Taken,
                        false => Outcome::Approximated(notes.join("; ")),
                    }
                }
                Err(reason) => Outcome::NotExpressible(reason),
            }
        };
        if matches!(outcome, Outcome::NotExpressible(_)) {
            unread(&owner, "their element is not expressible", &mut inner);
        }
        report.add(&field.id, field.form(), outcome);
        report.0.append(&mut inner.0);
    }
    let rows: Vec<Row> = rows.into_values().collect();
    Ok(Imported {
        toml: file(name, &header.toml, &rows) + &tables.into_values().collect::<String>(),
        report,
    })
}

/// One definition of the file, with its attributes.
pub(in crate::iso8583) struct Field {
    pub(in crate::iso8583) depth: usize,
    pub(in crate::iso8583) id: String,
    pub(in crate::iso8583) class: String,
    pub(in crate::iso8583) attributes: BTreeMap<String, String>,
}

impl Field {
    pub(super) fn form(&self) -> &str {
        &self.class
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
    }

    pub(super) fn length(&self) -> Result<i64, String> {
        let text = self.get("length").unwrap_or_default();
        let number = text.trim().parse();
        number.map_err(|_| format!("length {text:?} is no number"))
    }
}

fn read(text: &str) -> Result<Vec<Field>, ImportError> {
    let mut reader = Reader::from_str(text);
    let mut fields = Vec::new();
    let mut depth = 0_usize;
    loop {
        match reader.read_event().map_err(|error| syntax(&error))? {
            Event::Eof if depth == 0 => return Ok(fields),
            Event::Eof => return Err(syntax(&"the file ends inside an element")),
            Event::Start(start) => {
                fields.extend(field(&start, depth)?);
                depth = depth.saturating_add(1);
            }
            Event::Empty(start) => fields.extend(field(&start, depth)?),
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::Decl(_) => {}
            Event::PI(_) | Event::DocType(_) | Event::GeneralRef(_) => {}
        }
    }
}

fn field(start: &BytesStart<'_>, depth: usize) -> Result<Option<Field>, ImportError> {
    let element = start.name();
    let is_root = element.as_ref() == "isopackager";
    if !is_root && element.as_ref() != "isofield" && element.as_ref() != "isofieldpackager" {
        return Ok(None);
    }
    let mut attributes = BTreeMap::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| syntax(&error))?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| syntax(&error))?;
        attributes.insert(attribute.key.as_ref().to_owned(), value.into_owned());
    }
    // Other projects read a number here, which may have zeros in front.
    let id = attributes.get("id").map_or("", |id| id.trim());
    let id = id
        .parse::<u32>()
        .map_or_else(|_| id.to_owned(), |number| number.to_string());
    let class = attributes.get("class").map_or("", |class| class.trim());
    let class = class.rsplit('.').next().unwrap_or_default().to_owned();
    let (id, depth) = match is_root {
        true => ("file".to_owned(), usize::MAX),
        false => (id, depth.saturating_sub(1)),
    };
    Ok(Some(Field {
        depth,
        id,
        class,
        attributes,
    }))
}

fn syntax(error: &dyn std::fmt::Display) -> ImportError {
    ImportError::Syntax {
        expected: "XML",
        found: error.to_string(),
    }
}

/// The place of the last definition of each number, which is the one that counts.
fn last_definitions(fields: &[Field]) -> BTreeMap<String, usize> {
    let numbered = fields.iter().enumerate();
    let roots = numbered.filter(|(_, field)| field.depth == 0);
    roots
        .map(|(index, field)| (field.id.clone(), index))
        .collect()
}

struct FileHeader {
    toml: String,
    element_max: u8,
}

fn header(fields: &[Field], report: &mut Report) -> Result<FileHeader, ImportError> {
    let last = |id: &str| {
        let mut own = fields.iter().rev().filter(|field| field.depth == 0);
        own.find(|field| field.id == id)
    };
    let class = |id: &str| last(id).map_or("nothing", |field| &field.class);
    let mti = match class("0") {
        "IFA_NUMERIC" | "IF_CHAR" => "ascii",
        "IFE_NUMERIC" | "IFE_CHAR" => "ebcdic",
        "IFB_NUMERIC" => "bcd",
        other => {
            return Err(ImportError::Header {
                field: 0,
                expected: "IFA_NUMERIC, IFE_NUMERIC or IFB_NUMERIC",
                got: other.to_owned(),
            });
        }
    };
    let bitmap = match class("1") {
        "IFB_BITMAP" => "binary",
        "IFA_BITMAP" | "X92_BITMAP" => "hex",
        "IFE_BITMAP" => "ebcdic-hex",
        other => {
            return Err(ImportError::Header {
                field: 1,
                expected: "IFB_BITMAP, IFA_BITMAP, IFE_BITMAP or X92_BITMAP",
                got: other.to_owned(),
            });
        }
    };
    let bytes = last("1").and_then(|field| field.length().ok()).unwrap_or(0);
    let (bitmaps, element_max) = match (class("1"), bytes) {
        ("X92_BITMAP", _) | (_, 8) => ("one", 64),
        (_, 16) => ("up to two", 128),
        (_, 24) => ("up to three", 192),
        (_, other) => {
            return Err(ImportError::Header {
                field: 1,
                expected: "a bitmap of 8, 16 or 24 bytes",
                got: other.to_string(),
            });
        }
    };
    for id in ["0", "1"] {
        report.add(id, class(id), Outcome::Taken);
    }
    if let Some(root) = fields.iter().find(|field| field.depth == usize::MAX) {
        let expressed = ["headerLength", "thirdBitmapField", "maxValidField"];
        for name in expressed {
            if let Some(value) = root.get(name).filter(|value| *value != "128") {
                let reason = format!("{name} {value} has no place in a specification");
                report.add("file", name, Outcome::NotExpressible(reason));
            }
        }
    }
    Ok(FileHeader {
        toml: defaults(mti, bitmap, bitmaps),
        element_max,
    })
}

/// The defaults on which the rows of every packager stand.
pub(super) fn defaults(mti: &str, bitmap: &str, bitmaps: &str) -> String {
    format!(
        "mti = \"{mti}\"\nbitmap = \"{bitmap}\"\nbitmaps = \"{bitmaps}\"\ntext = \"latin1\"\n\
         digits = \"bcd\"\nodd_fill = \"right\"\nlength = \"ascii\"\nbinary = \"raw\"\n"
    )
}

/// The row of one definition, and in what it differs.
pub(in crate::iso8583) fn row(number: u32, field: &Field) -> Result<(Row, Vec<String>), String> {
    if field.class == "IF_UNUSED" {
        return Err("refused both ways, as by jPOS: no element".to_owned());
    }
    let class = class_named(&field.class).ok_or("no class of this name is known")?;
    if class.tag == TagForm::Mapped && field.depth == 0 {
        return Err("its tag is known only inside of another field".to_owned());
    }
    let mut notes = Vec::new();
    if !class.note.is_empty() {
        notes.push(class.note.to_owned());
    }
    for (name, reason) in [
        ("params", "params of the class are not looked at"),
        ("trim", "trim: a shorter last value is refused"),
    ] {
        if field.get(name).is_some() && (name != "trim" || field.is_true(name)) {
            notes.push(reason.to_owned());
        }
    }
    let mut keys = class.keys.to_owned();
    if let Padding::Nibble(odd_fill) = class.padding {
        let odd_fill = match field.is_true("pad") {
            true => "left",
            false => odd_fill,
        };
        if odd_fill != "right" {
            keys.push_str(&format!("odd_fill = \"{odd_fill}\", "));
        }
    }
    if field.is_true("inclusive") {
        if !matches!(
            &*field.class,
            "IFB_LLHBINARY" | "IFB_LLLHBINARY" | "IFB_LHBINARY"
        ) {
            return Err("inclusive is for bytes behind a binary prefix".to_owned());
        }
        keys.push_str("inclusive = true, ");
    }
    keys.push_str(&tag(number, class, field)?);
    let format = format(class, field.length()?, &keys, &mut notes)?;
    let row = Row {
        key: number.to_string(),
        format,
        name: field.get("name").unwrap_or_default().to_owned(),
        keys,
        is_text: class.class != "b",
    };
    Ok((row, notes))
}

fn format(
    class: &FieldClass,
    length: i64,
    keys: &str,
    notes: &mut Vec<String>,
) -> Result<String, String> {
    let FieldClass {
        name,
        class: letters,
        width,
        ..
    } = *class;
    let dots = ".".repeat(usize::from(width));
    if name == "IF_NOP" {
        return Ok("b0".to_owned());
    }
    if width == 0 {
        return match (letters, length) {
            (_, ..=0) => Err(format!("a fixed length of {length}")),
            (_, 8_192..) => Err(format!("a fixed length of {length} is beyond any frame")),
            ("b", bytes) => Ok(format!("b{}", bytes.saturating_mul(8))),
            ("s+n", 1) => Err("a sign without digits".to_owned()),
            ("s+n", length) => Ok(format!("s+n{}", length.saturating_sub(1))),
            (_, length) => Ok(format!("{letters}{length}")),
        };
    }
    let greatest = match keys {
        _ if keys.contains("length = \"rest\"") || keys.contains("length = \"until") => i64::MAX,
        _ if keys.contains("length = \"binary\"") => 256_i64.saturating_pow(u32::from(width)),
        _ => 10_i64.saturating_pow(u32::from(width)),
    };
    let greatest = greatest.saturating_sub(1);
    let length = match length {
        ..=0 => greatest.min(FRAME),
        length if length > greatest => {
            return Err(format!(
                "length {length} is more than its prefix can say, jPOS refuses it too"
            ));
        }
        length if length > FRAME => {
            notes.push(format!(
                "length {length} is bounded by the longest frame, {FRAME}"
            ));
            FRAME
        }
        length => length,
    };
    Ok(format!("{letters}{dots}{length}"))
}

/// The key of what names the field or ends its value.
fn tag(number: u32, class: &FieldClass, field: &Field) -> Result<String, String> {
    let token = field.get("token");
    let hex = |bytes: &mut dyn Iterator<Item = u8>| -> String {
        bytes.flat_map(hex_pair).map(char::from).collect()
    };
    let digits = |ebcdic: bool, width: usize| -> String {
        let text = format!("{number:0>width$}");
        hex(&mut text.bytes().map(|byte| match ebcdic {
            true => CodePage::Ibm1047.byte_of(byte),
            false => byte,
        }))
    };
    Ok(match class.tag {
        TagForm::None | TagForm::Mapped => String::new(),
        TagForm::Number { ebcdic, width } => format!("tag = \"{}\", ", digits(ebcdic, width)),
        TagForm::Counted { ebcdic, width } => {
            format!("tag = \"{} counted\", ", digits(ebcdic, width))
        }
        TagForm::Token => match token {
            Some(token) if (1..=4).contains(&token.len()) && token.is_ascii() => {
                format!("tag = \"{}\", ", hex(&mut token.bytes()))
            }
            _ => return Err("its tag is not one to four characters".to_owned()),
        },
        TagForm::TokenHex => match token {
            Some(token) if is_bytes(token) => format!("tag = \"{token}\", "),
            _ => return Err("its tag is not one to four bytes in hexadecimal".to_owned()),
        },
        TagForm::EndsAt(usual) => match token.unwrap_or(usual) {
            token if (1..=4).contains(&token.len()) && token.is_ascii() => {
                format!("length = \"until {}\", ", hex(&mut token.bytes()))
            }
            _ => return Err("its end is not one to four characters".to_owned()),
        },
        TagForm::EndsAtHex(usual) => match token.unwrap_or(usual) {
            token if is_bytes(token) => format!("length = \"until {token}\", "),
            _ => return Err("its end is not one to four bytes in hexadecimal".to_owned()),
        },
    })
}

fn is_bytes(token: &str) -> bool {
    matches!(token.len(), 2 | 4 | 6 | 8) && token.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Bytes of the longest frame.
pub(super) const FRAME: i64 = 65_535;
