//! Exporter of jPOS packager files (XML).
//!
//! The class of an element is the one that the importer reads as the same form: the table of
//! classes stands in one place.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::jpos_parts::inside;
use super::{ExportError, Exported};
use crate::iso8583::MessageSpec;
use crate::iso8583::bitmap::{BitmapForm, Bitmaps};
use crate::iso8583::class::{PackedClass, TextClass};
use crate::iso8583::codepage::CodePage;
use crate::iso8583::element::{Coding, ElementProgram, ElementSpec, Pad, PadSide, Rare, SignClass};
use crate::iso8583::encoding::Fill;
use crate::iso8583::import::{
    Field, FieldClass, JPOS_CLASSES, Outcome, Padding, Report, TagForm, jpos_file, jpos_row,
};
use crate::iso8583::length::LengthForm;
use crate::iso8583::parts::hexadecimal;
use crate::iso8583::spec::MtiForm;

/// Writes a packager file.
///
/// # Errors
///
/// Never today; the signature is that of every exporter.
pub fn jpos(spec: &MessageSpec) -> Result<Exported, ExportError> {
    let classes = Classes::new();
    let mut report = Report::default();
    let header = spec.layout().header;
    let mti = match header.mti {
        MtiForm::Ascii => "IFA_NUMERIC",
        MtiForm::Ebcdic => "IFE_NUMERIC",
        MtiForm::Bcd => "IFB_NUMERIC",
    };
    let bitmap = match header.bitmap {
        BitmapForm::Binary => "IFB_BITMAP",
        BitmapForm::Hex => "IFA_BITMAP",
        BitmapForm::HexEbcdic => "IFE_BITMAP",
    };
    let bytes = match header.bitmaps {
        Bitmaps::One | Bitmaps::Plain => 8,
        Bitmaps::UpToTwo | Bitmaps::Two => 16,
        Bitmaps::UpToThree => 24,
    };
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- {} -->\n<isopackager>\n",
        spec.name().replace("--", "- -")
    );
    text.push_str(&field("0", mti, 4, "pad=\"true\" ", "Message type", ""));
    text.push_str(&field("1", bitmap, bytes, "", "Bitmap", ""));
    for (place, reason) in file_notes(spec) {
        report.add("file", place, Outcome::Approximated(reason.to_owned()));
    }
    for element in spec.elements() {
        let path = element.number().to_string();
        classes.write(element, &path, &path, &mut text, &mut report);
    }
    text.push_str("</isopackager>\n");
    Ok(Exported { text, report })
}

/// What a packager file never says.
fn file_notes(spec: &MessageSpec) -> Vec<(&'static str, &'static str)> {
    let header = spec.layout().header;
    let is_classed = |element: &ElementSpec| !matches!(element.class().name(), "any" | "h" | "b");
    let mut notes = Vec::new();
    if header.version.is_some() {
        notes.push(("version", "messages of any version are read"));
    }
    if header.bitmaps == Bitmaps::Two {
        notes.push(("bitmaps", "a second bitmap stands only where it is needed"));
    }
    if spec.elements().iter().any(is_classed) {
        notes.push(("format", "content is not checked to be of its class"));
    }
    if !spec.rules().is_empty() {
        notes.push(("messages", "what each message carries is not said"));
    }
    notes.push(("mask", "masks are not said"));
    notes
}

/// The classes of jPOS, each as the importer reads it.
pub(super) struct Classes(Vec<Candidate>);

struct Candidate {
    class: &'static FieldClass,
    attributes: &'static str,
    program: ElementProgram,
}

/// What two elements written alike have in common.
#[derive(PartialEq, Eq)]
struct Shape {
    length: LengthForm,
    coding: Coding,
    pad: Option<Pad>,
    rare: Rare,
}

impl Classes {
    fn new() -> Self {
        let plain = JPOS_CLASSES.iter().filter(|class| {
            !matches!(class.tag, TagForm::Number { .. } | TagForm::Counted { .. })
                && class.note.is_empty()
        });
        let tried = plain.flat_map(|class| {
            let pads = class.padding != Padding::Ignored;
            let has_size = class.keys.contains("length = \"binary\"") && class.class == "b";
            let inclusive = has_size && !class.keys.contains("filled");
            [
                ("", true),
                ("pad=\"true\" ", pads),
                ("inclusive=\"true\" ", inclusive),
            ]
            .into_iter()
            .filter_map(move |(attributes, holds)| holds.then_some((class, attributes)))
        });
        let candidates = tried.filter_map(|(class, attributes)| {
            let program = compiled(class, attributes, SAMPLE_LENGTH, "")?;
            Some(Candidate {
                class,
                attributes,
                program,
            })
        });
        Self(candidates.collect())
    }

    /// The class that says the form of an element, and further attributes.
    pub(super) fn of(&self, element: &ElementSpec) -> Option<(&'static str, String)> {
        let program = &element.program;
        if let LengthForm::Until(end) = program.length {
            let bytes = end.bytes();
            return match program.coding {
                Coding::Text(_) if bytes.is_ascii() => {
                    let token: String = bytes.iter().map(|byte| char::from(*byte)).collect();
                    Some(("IF_TCHAR", format!("token={} ", quoted(&token))))
                }
                Coding::Raw => {
                    let token = hexadecimal(bytes);
                    Some(("IF_FSTBINARY", format!("token=\"{token}\" ")))
                }
                _ => None,
            };
        }
        if program.length == LengthForm::Fixed && program.length_max == 0 {
            return Some(("IF_NOP", String::new()));
        }
        let wanted = shape(program, program);
        let fitting: Vec<&Candidate> = (self.0.iter())
            .filter(|candidate| candidate.class.tag == TagForm::None)
            .filter(|candidate| shape(&candidate.program, program) == wanted)
            .collect();
        let has_zeros = wanted.pad.is_some_and(|pad| pad.side == PadSide::Left);
        let is_number = matches!(element.class().name(), "n" | "z") || has_zeros;
        let named = |candidate: &&&Candidate| candidate.class.name.contains("NUM") == is_number;
        let found = fitting.iter().find(named).or(fitting.first())?;
        Some((found.class.name, found.attributes.to_owned()))
    }

    /// The class with a token that says the form of a part beside its tag.
    pub(super) fn with_token(&self, program: &ElementProgram, hex: bool) -> Option<&'static str> {
        let form = if hex {
            TagForm::TokenHex
        } else {
            TagForm::Token
        };
        let untagged = ElementProgram {
            rare: Rare {
                tag: None,
                ..program.rare
            },
            ..*program
        };
        let wanted = shape(&untagged, program);
        let found = self.0.iter().find(|candidate| {
            let own = ElementProgram {
                rare: Rare {
                    tag: None,
                    ..candidate.program.rare
                },
                ..candidate.program
            };
            candidate.class.tag == form && shape(&own, program) == wanted
        });
        found.map(|candidate| candidate.class.name)
    }

    /// Writes one element or part with all that is inside.
    pub(super) fn write(
        &self,
        element: &ElementSpec,
        id: &str,
        path: &str,
        text: &mut String,
        report: &mut Report,
    ) {
        let form = element.format().to_owned();
        let mut notes = Vec::new();
        let stripped = ElementProgram {
            rare: Rare {
                strip: false,
                ..element.program.rare
            },
            ..element.program
        };
        let mut said = element.clone();
        if element.program.rare.strip {
            said.program = stripped;
            notes.push("padding stays in the value");
        }
        let found = match element.program.rare.tag {
            Some(_) => None,
            None => self.of(&said),
        };
        let Some((class, attributes)) = found else {
            let reason = format!("no class is written so: {}", element.wire_words());
            report.add(path, &form, Outcome::NotExpressible(reason));
            return;
        };
        let mut inner = Report::default();
        let children = match element.parts() {
            None => None,
            Some(parts) => match inside(self, parts, element, path, &mut inner) {
                Ok(children) => Some(children),
                Err(reason) => {
                    notes.push(reason);
                    None
                }
            },
        };
        let length = u32::from(element.program.length_max);
        let (attributes, children) = match children {
            Some(inside) => {
                notes.extend(inside.note);
                (attributes + &inside.attributes, inside.xml)
            }
            None => (attributes, String::new()),
        };
        text.push_str(&field(
            id,
            class,
            length,
            &attributes,
            element.name(),
            &children,
        ));
        let outcome = match notes.is_empty() {
            true => Outcome::Taken,
            false => Outcome::Approximated(notes.join("; ")),
        };
        report.add(path, &form, outcome);
        report.append(inner);
    }
}

/// One definition; a packager among its attributes makes it one with others inside.
pub(super) fn field(
    id: &str,
    class: &str,
    length: u32,
    attributes: &str,
    name: &str,
    children: &str,
) -> String {
    let package = match class {
        _ if class.starts_with("IFT") || class == "IFB_LHBINARY" => "org.jpos.tlv.packager.",
        "IF_FCHAR" | "IF_FBINARY" | "IF_FSTCHAR" | "IF_FSTBINARY" => "org.jpos.tlv.packager.",
        _ => "org.jpos.iso.",
    };
    let name = quoted(name);
    let element = match attributes.contains("packager=") {
        true => "isofieldpackager",
        false => "isofield",
    };
    let mut text = format!(
        "<{element} id=\"{id}\" length=\"{length}\" name={name} {attributes}\
         class=\"{package}{class}\""
    );
    // Writing to a string cannot fail.
    let _ = match element {
        "isofield" => writeln!(text, "/>"),
        _ => writeln!(text, ">\n{children}</isofieldpackager>"),
    };
    text
}

/// A value of an attribute.
pub(super) fn quoted(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    format!("\"{}\"", escaped.replace('"', "&quot;"))
}

/// The form that the importer makes of a class.
fn compiled(
    class: &FieldClass,
    attributes: &str,
    length: u32,
    token: &str,
) -> Option<ElementProgram> {
    let mut own = BTreeMap::from([("length".to_owned(), length.to_string())]);
    let token = match (token, class.tag) {
        ("", TagForm::Token) => "00",
        ("", TagForm::TokenHex) => "DF",
        (token, _) => token,
    };
    if !token.is_empty() {
        own.insert("token".to_owned(), token.to_owned());
    }
    for name in ["pad", "inclusive"] {
        if attributes.contains(name) {
            own.insert(name.to_owned(), "true".to_owned());
        }
    }
    let field = Field {
        depth: 1,
        id: SAMPLE_NUMBER.to_string(),
        class: class.name.to_owned(),
        attributes: own,
    };
    let (row, _) = jpos_row(SAMPLE_NUMBER, &field).ok()?;
    let spec = MessageSpec::parse(&jpos_file("sample", row)).ok()?;
    spec.elements().first().map(|element| element.program)
}

/// What is compared: content classes, fills that nothing is filled with, and pads that are never
/// written make no difference.
fn shape(program: &ElementProgram, element: &ElementProgram) -> Shape {
    let is_even = |digits: u16| element.length == LengthForm::Fixed && digits.is_multiple_of(2);
    let fill_of = |fill: Fill, digits: u16| if is_even(digits) { Fill::Left } else { fill };
    let length = element.length_max;
    let coding = match program.coding {
        Coding::Text(_) | Coding::SignedText => Coding::Text(TextClass::Any),
        Coding::Ebcdic(page, _) => Coding::Ebcdic(page, TextClass::Any),
        Coding::SignedEbcdic => Coding::Ebcdic(CodePage::Ibm1047, TextClass::Any),
        Coding::Packed(_, fill) => Coding::Packed(PackedClass::H, fill_of(fill, length)),
        Coding::SignedPacked(_, fill) => {
            Coding::SignedPacked(SignClass::Any, fill_of(fill, length.saturating_sub(1)))
        }
        other => other,
    };
    let is_padded = program.length == LengthForm::Fixed || program.rare.filled;
    Shape {
        length: program.length,
        coding,
        pad: program.pad.filter(|_| is_padded),
        rare: program.rare,
    }
}

const SAMPLE_LENGTH: u32 = 6;
const SAMPLE_NUMBER: u32 = 48;
