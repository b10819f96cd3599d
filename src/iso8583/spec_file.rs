//! The TOML form of a specification, read so that every mistake is found at once.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::bitmap::{BitmapForm, Bitmaps};
use super::codepage::CodePage;
use super::element::{ElementSpec, Mask, Pad, PadSide, Rare, Tag, TagPlace};
use super::encoding::{self, Fill};
use super::format::{
    BinaryForm, DigitForm, Encodings, Extras, Format, LengthCode, PadForm, TextForm,
};
use super::length::{Counts, Marker, PrefixCode};
use super::spec::{Header, MessageSpec, MtiForm, SpecError};

/// Reads a file, or says every mistake in it.
pub(super) fn read(text: &str) -> Result<MessageSpec, Vec<SpecError>> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        text,
        errors: Vec::new(),
    };
    for error in syntax {
        reader.mistake(error.span().unwrap_or_default(), error.message().to_owned());
    }
    let table = &reader.with_base(document.get_ref());
    reader.only_keys(table, "the file", &FILE_KEYS);
    let name = reader.string(table, 0..0, "name");
    let defaults = match reader.table(table, "defaults") {
        Some((span, table)) => reader.defaults(table, span),
        None => Defaults {
            header: None,
            encodings: None,
        },
    };
    let mut elements = match reader.table(table, "elements") {
        Some((_, rows)) => {
            let bitmaps = defaults.header.map(|header| header.bitmaps);
            reader.elements(rows, defaults.encodings.as_ref(), bitmaps)
        }
        None => Vec::new(),
    };
    if table.contains_key("parts")
        && let Some((_, divided)) = reader.table(table, "parts")
    {
        reader.parts(divided, defaults.encodings.as_ref(), &mut elements);
    }
    let rules = match table.contains_key("messages") {
        true => reader.table(table, "messages"),
        false => None,
    };
    let rules = rules.map_or(Vec::new(), |(_, rules)| reader.rules(rules, &elements));
    reader.errors.sort_by_key(|error| error.line);
    match (name, defaults.header) {
        (Some(name), Some(header)) if reader.errors.is_empty() => Ok(MessageSpec::compile(
            name.to_owned(),
            header,
            elements,
            rules,
        )),
        _ => Err(reader.errors),
    }
}

pub(super) struct Reader<'t> {
    text: &'t str,
    errors: Vec<SpecError>,
}

struct Defaults {
    header: Option<Header>,
    encodings: Option<Encodings>,
}

impl Reader<'_> {
    fn defaults(&mut self, table: &DeTable<'_>, span: Range<usize>) -> Defaults {
        let required = ["mti", "bitmap", "digits", "length", "binary"];
        self.only_keys(
            table,
            "[defaults]",
            &[&required[..], &["version", "bitmaps", "text", "odd_fill"]].concat(),
        );
        for key in required {
            if !table.contains_key(key) {
                self.mistake(span.clone(), format!("[defaults] needs {key}"));
            }
        }
        let version = self.version(table);
        let mti = self.choice(table, "mti", &MTI_FORMS);
        let bitmap = self.choice(table, "bitmap", &BITMAP_FORMS);
        let bitmaps = self.choice(table, "bitmaps", &BITMAPS);
        let text = self.choice(table, "text", &TEXT_FORMS);
        let digits = self.choice(table, "digits", &DIGIT_FORMS);
        let odd_fill = self.choice(table, "odd_fill", &FILLS);
        let length = self.length_code(table);
        let binary = self.choice(table, "binary", &BINARY_FORMS);
        let encodings = match (digits, length, binary) {
            (Some(digits), Some(length), Some(binary)) => Some(Encodings {
                text: text.unwrap_or(TextForm::Latin1),
                digits,
                odd_fill,
                length,
                binary,
            }),
            _ => None,
        };
        let header = match (mti, bitmap) {
            (Some(mti), Some(bitmap)) => Some(Header {
                version,
                mti,
                bitmap,
                bitmaps: bitmaps.unwrap_or(Bitmaps::UpToTwo),
            }),
            _ => None,
        };
        Defaults { header, encodings }
    }

    /// How a variable length is known: a kind of prefix, `rest`, or `until` and bytes in hex.
    fn length_code(&mut self, table: &DeTable<'_>) -> Option<LengthCode> {
        let value = table.get("length")?;
        let word = value.get_ref().as_str().unwrap_or_default();
        if let Some(hex) = word.strip_prefix("until ") {
            if let Some(end) = marker(hex) {
                return Some(LengthCode::Until(end));
            }
            let expected = "length: expected one to four bytes in hexadecimal after until";
            self.mistake(value.span(), expected.to_owned());
            return None;
        }
        self.choice(table, "length", &LENGTH_CODES)
    }

    fn version(&mut self, table: &DeTable<'_>) -> Option<u8> {
        let value = table.get("version")?;
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|number| number.as_str().parse().ok());
        if !matches!(number, Some(0..=9)) {
            self.mistake(
                value.span(),
                "version: expected a digit from 0 to 9".to_owned(),
            );
        }
        number
    }

    /// Reads the rows; without encodings they are still checked as far as they go.
    fn elements(
        &mut self,
        rows: &DeTable<'_>,
        defaults: Option<&Encodings>,
        bitmaps: Option<Bitmaps>,
    ) -> Vec<ElementSpec> {
        let bitmaps = bitmaps.unwrap_or(Bitmaps::UpToTwo);
        let max = bitmaps.element_max();
        let mut elements: Vec<ElementSpec> = Vec::new();
        for (key, value) in rows {
            let number = match key.get_ref().parse::<u8>() {
                Ok(65) if bitmaps == Bitmaps::UpToThree => {
                    let mistake = "bit 65 says that a third bitmap follows: it is no element";
                    self.mistake(key.span(), mistake.to_owned());
                    continue;
                }
                Ok(number @ 2..) if number <= max && number.to_string() == *key.get_ref() => number,
                _ => {
                    let expected = format!("expected an element number from 2 to {max}");
                    self.mistake(key.span(), format!("{expected}, got {}", key.get_ref()));
                    continue;
                }
            };
            let Some(row) = value.get_ref().as_table() else {
                self.mistake(value.span(), format!("element {number}: expected a table"));
                continue;
            };
            let before = self.mistakes();
            let element = self.row(number, row, value.span(), defaults, None);
            self.prefix_mistakes(before, &format!("element {number}"));
            elements.extend(element);
        }
        elements.sort_by_key(ElementSpec::number);
        elements
    }

    /// Reads one row; the tag holds when the row says none itself.
    pub(super) fn row(
        &mut self,
        number: u8,
        row: &DeTable<'_>,
        span: Range<usize>,
        defaults: Option<&Encodings>,
        tag: Option<Tag>,
    ) -> Option<ElementSpec> {
        self.only_keys(row, "a row", &ROW_KEYS);
        let name = self.string(row, span.clone(), "name").map(str::to_owned);
        let mask = match row.contains_key("mask") {
            true => self.choice(row, "mask", &MASKS),
            false => Some(Mask::Shown),
        };
        let own_text = self.choice(row, "text", &TEXT_FORMS);
        let own_digits = self.choice(row, "digits", &DIGIT_FORMS);
        let own_fill = self.choice(row, "odd_fill", &FILLS);
        let own_length = self.length_code(row);
        let own_binary = self.choice(row, "binary", &BINARY_FORMS);
        let extras = self.extras(row, tag);
        let text = self.string(row, span.clone(), "format")?.to_owned();
        let format = match Format::parse(&text) {
            Ok(format) => format,
            Err(mistake) => {
                self.mistake(span, format!("format {text:?}: {mistake}"));
                return None;
            }
        };
        let default = defaults?;
        let encodings = Encodings {
            text: own_text.unwrap_or(default.text),
            digits: own_digits.unwrap_or(default.digits),
            odd_fill: own_fill.or(default.odd_fill),
            length: own_length.unwrap_or(default.length),
            binary: own_binary.unwrap_or(default.binary),
        };
        let packed = format.has_digits() && encodings.digits == DigitForm::Bcd;
        for (key, has_effect) in [
            ("text", format.is_text()),
            ("counts", format.is_variable()),
            ("inclusive", format.is_variable()),
            ("filled", format.is_variable()),
            ("digits", format.has_digits()),
            ("odd_fill", packed),
            ("length", format.is_variable()),
            ("binary", format.is_binary()),
        ] {
            if row.contains_key(key) && !has_effect {
                self.mistake(
                    span.clone(),
                    format!("{key} has no effect on format {text:?}"),
                );
            }
        }
        if format.is_binary() && mask == Some(Mask::Pan) {
            self.mistake(span.clone(), "mask \"pan\" needs a text format".to_owned());
        }
        let program = match format.compile(&encodings, &extras) {
            Ok(program) => program,
            Err(mistake) => {
                self.mistake(span, format!("format {text:?}: {mistake}"));
                return None;
            }
        };
        Some(ElementSpec {
            number,
            name: name?,
            format: text,
            mask: mask?,
            program,
            parts: None,
        })
    }

    fn extras(&mut self, row: &DeTable<'_>, usual_tag: Option<Tag>) -> Extras {
        let pad = match row.get("pad") {
            None => PadForm::Usual,
            Some(value) => {
                let form = value.get_ref().as_str().and_then(pad_named);
                if form.is_none() {
                    let expected = "pad: expected none, or left, right or sign, a space and \
                                    one character";
                    self.mistake(value.span(), expected.to_owned());
                }
                form.unwrap_or(PadForm::Never)
            }
        };
        let tag = match row.get("tag") {
            None => usual_tag,
            Some(value) if value.get_ref().as_str() == Some("none") => None,
            Some(value) => {
                let tag = value.get_ref().as_str().and_then(tag_named);
                if tag.is_none() {
                    let expected = "tag: expected none, or one to four bytes in hexadecimal, and \
                                    counted or behind when they stand behind the length";
                    self.mistake(value.span(), expected.to_owned());
                }
                tag
            }
        };
        Extras {
            counts: self.choice(row, "counts", &COUNTS).unwrap_or(Counts::Value),
            inclusive: self.flag(row, "inclusive"),
            pad,
            rare: Rare {
                strip: self.flag(row, "strip"),
                filled: self.flag(row, "filled"),
                tag,
            },
        }
    }

    /// A key that is only ever true.
    fn flag(&mut self, table: &DeTable<'_>, key: &str) -> bool {
        let Some(value) = table.get(key) else {
            return false;
        };
        let on = value.get_ref().as_bool() == Some(true);
        if !on {
            self.mistake(value.span(), format!("{key}: expected true"));
        }
        on
    }

    pub(super) fn only_keys(&mut self, table: &DeTable<'_>, place: &str, known: &[&str]) {
        for key in table.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                self.mistake(key.span(), format!("{place} has no key {}", key.get_ref()));
            }
        }
    }

    pub(super) fn table<'a, 'i>(
        &mut self,
        parent: &'a DeTable<'i>,
        key: &str,
    ) -> Option<(Range<usize>, &'a DeTable<'i>)> {
        let found = parent
            .get(key)
            .and_then(|value| Some((value.span(), value.get_ref().as_table()?)));
        if found.is_none() {
            self.mistake(
                span_of(parent.get(key)),
                format!("expected a table [{key}]"),
            );
        }
        found
    }

    /// A required text that is not empty.
    pub(super) fn string<'a>(
        &mut self,
        table: &'a DeTable<'_>,
        table_span: Range<usize>,
        key: &str,
    ) -> Option<&'a str> {
        let value = table.get(key);
        let text = value
            .and_then(|value| value.get_ref().as_str())
            .filter(|text| !text.is_empty());
        if text.is_none() {
            let span = value.map_or(table_span, Spanned::span);
            self.mistake(span, format!("{key}: expected a text"));
        }
        text
    }

    /// One of the words of a key; `None` when the key is absent, which is the caller's to judge.
    pub(super) fn choice<T: Copy>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let value = table.get(key)?;
        let word = value.get_ref().as_str();
        let chosen = choices.iter().find(|(name, _)| Some(*name) == word);
        if chosen.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.mistake(
                value.span(),
                format!("{key}: expected {}", names.join(" or ")),
            );
        }
        chosen.map(|(_, choice)| *choice)
    }

    /// How many mistakes there are so far.
    pub(super) const fn mistakes(&self) -> usize {
        self.errors.len()
    }

    /// Says of every mistake from this one on where it lies.
    pub(super) fn prefix_mistakes(&mut self, first: usize, place: &str) {
        for error in self.errors.iter_mut().skip(first) {
            error.mistake = format!("{place}: {}", error.mistake);
        }
    }

    pub(super) fn mistake(&mut self, span: Range<usize>, mistake: String) {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count().saturating_add(1);
        self.errors.push(SpecError { line, mistake });
    }
}

fn span_of(value: Option<&Spanned<DeValue<'_>>>) -> Range<usize> {
    value.map_or(0..0, Spanned::span)
}

/// `none`, or a side and the character behind it.
fn pad_named(word: &str) -> Option<PadForm> {
    if word == "none" {
        return Some(PadForm::Never);
    }
    let (side, character) = word.split_once(' ')?;
    let side = match side {
        "left" => PadSide::Left,
        "right" => PadSide::Right,
        "sign" => PadSide::Sign,
        _ => return None,
    };
    let mut characters = character.chars();
    let (character, rest) = (characters.next()?, characters.next());
    let character = u8::try_from(character).ok().filter(|_| rest.is_none())?;
    Some(PadForm::Own(Pad { side, character }))
}

/// Bytes in hexadecimal, before the length or, with the words `counted` and `behind`, behind it.
fn tag_named(word: &str) -> Option<Tag> {
    let (hex, place) = match word.split_once(' ') {
        None => (word, TagPlace::Before),
        Some((hex, "counted")) => (hex, TagPlace::Counted),
        Some((hex, "behind")) => (hex, TagPlace::Behind),
        Some(_) => return None,
    };
    let marker = marker(hex)?;
    Some(Tag { marker, place })
}

fn marker(hex: &str) -> Option<Marker> {
    Marker::new(&encoding::hex_bytes(hex.as_bytes())?)
}

const FILE_KEYS: [&str; 6] = ["name", "base", "defaults", "elements", "parts", "messages"];
const ROW_KEYS: [&str; 14] = [
    "format",
    "name",
    "mask",
    "text",
    "digits",
    "odd_fill",
    "length",
    "binary",
    "counts",
    "inclusive",
    "pad",
    "strip",
    "filled",
    "tag",
];
const MTI_FORMS: [(&str, MtiForm); 3] = [
    ("ascii", MtiForm::Ascii),
    ("ebcdic", MtiForm::Ebcdic),
    ("bcd", MtiForm::Bcd),
];
pub(super) const BITMAP_FORMS: [(&str, BitmapForm); 3] = [
    ("hex", BitmapForm::Hex),
    ("ebcdic-hex", BitmapForm::HexEbcdic),
    ("binary", BitmapForm::Binary),
];
pub(super) const BITMAPS: [(&str, Bitmaps); 4] = [
    ("one", Bitmaps::One),
    ("up to two", Bitmaps::UpToTwo),
    ("up to three", Bitmaps::UpToThree),
    ("always two", Bitmaps::Two),
];
const TEXT_FORMS: [(&str, TextForm); 6] = [
    ("latin1", TextForm::Latin1),
    ("ebcdic-1047", TextForm::Ebcdic(CodePage::Ibm1047)),
    ("ebcdic-037", TextForm::Ebcdic(CodePage::Ibm037)),
    ("ebcdic-500", TextForm::Ebcdic(CodePage::Ibm500)),
    ("ebcdic-1148", TextForm::Ebcdic(CodePage::Ibm1148)),
    ("ebcdic-posix", TextForm::Ebcdic(CodePage::Posix)),
];
const DIGIT_FORMS: [(&str, DigitForm); 4] = [
    ("ascii", DigitForm::Ascii),
    ("ebcdic", DigitForm::Ebcdic),
    ("bcd", DigitForm::Bcd),
    ("zoned", DigitForm::Zoned),
];
const LENGTH_CODES: [(&str, LengthCode); 7] = [
    ("ascii", LengthCode::Prefix(PrefixCode::Ascii)),
    ("ebcdic", LengthCode::Prefix(PrefixCode::Ebcdic)),
    ("bcd", LengthCode::Prefix(PrefixCode::Bcd)),
    ("binary", LengthCode::Prefix(PrefixCode::Binary)),
    ("hex", LengthCode::Prefix(PrefixCode::Hex)),
    ("ber", LengthCode::Prefix(PrefixCode::Ber)),
    ("rest", LengthCode::Rest),
];
const COUNTS: [(&str, Counts); 4] = [
    ("value", Counts::Value),
    ("bytes", Counts::Bytes),
    ("nibbles", Counts::Nibbles),
    ("even", Counts::Even),
];
const FILLS: [(&str, Fill); 3] = [
    ("left", Fill::Left),
    ("right", Fill::Right),
    ("right-f", Fill::RightF),
];
const BINARY_FORMS: [(&str, BinaryForm); 8] = [
    ("hex", BinaryForm::Hex),
    ("ebcdic-hex", BinaryForm::EbcdicHex),
    ("raw", BinaryForm::Raw),
    ("ebcdic-1047", BinaryForm::Converted(CodePage::Ibm1047)),
    ("ebcdic-037", BinaryForm::Converted(CodePage::Ibm037)),
    ("ebcdic-500", BinaryForm::Converted(CodePage::Ibm500)),
    ("ebcdic-1148", BinaryForm::Converted(CodePage::Ibm1148)),
    ("ebcdic-posix", BinaryForm::Converted(CodePage::Posix)),
];
const MASKS: [(&str, Mask); 3] = [
    ("shown", Mask::Shown),
    ("pan", Mask::Pan),
    ("wipe", Mask::Wipe),
];
