//! The TOML form of a specification, read so that every mistake is found at once.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ELEMENT_MAX;
use super::bitmap::BitmapForm;
use super::element::{ElementSpec, Mask};
use super::encoding::Side;
use super::format::{BinaryForm, Encodings, Format, TextOrPacked};
use super::spec::{MessageSpec, MtiForm, SpecError};

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
    let table = document.get_ref();
    reader.only_keys(table, "the file", &["name", "defaults", "elements"]);
    let name = reader.string(table, 0..0, "name");
    let defaults = match reader.table(table, "defaults") {
        Some((span, table)) => reader.defaults(table, span),
        None => Defaults {
            header: None,
            encodings: None,
        },
    };
    let elements = match reader.table(table, "elements") {
        Some((_, rows)) => reader.elements(rows, defaults.encodings.as_ref()),
        None => Vec::new(),
    };
    reader.errors.sort_by_key(|error| error.line);
    match (name, defaults.header) {
        (Some(name), Some(header)) if reader.errors.is_empty() => {
            Ok(MessageSpec::compile(name.to_owned(), header, elements))
        }
        _ => Err(reader.errors),
    }
}

struct Reader<'t> {
    text: &'t str,
    errors: Vec<SpecError>,
}

struct Defaults {
    header: Option<(u8, MtiForm, BitmapForm)>,
    encodings: Option<Encodings>,
}

impl Reader<'_> {
    fn defaults(&mut self, table: &DeTable<'_>, span: Range<usize>) -> Defaults {
        let required = ["version", "mti", "bitmap", "digits", "length", "binary"];
        self.only_keys(
            table,
            "[defaults]",
            &[&required[..], &["odd_fill"]].concat(),
        );
        for key in required {
            if !table.contains_key(key) {
                self.mistake(span.clone(), format!("[defaults] needs {key}"));
            }
        }
        let version = self.version(table);
        let mti = self.choice(table, "mti", &MTI_FORMS);
        let bitmap = self.choice(table, "bitmap", &BITMAP_FORMS);
        let digits = self.choice(table, "digits", &TEXT_OR_PACKED);
        let odd_fill = self.choice(table, "odd_fill", &SIDES);
        let length = self.choice(table, "length", &TEXT_OR_PACKED);
        let binary = self.choice(table, "binary", &BINARY_FORMS);
        let encodings = match (digits, length, binary) {
            (Some(digits), Some(length), Some(binary)) => Some(Encodings {
                digits,
                odd_fill,
                length,
                binary,
            }),
            _ => None,
        };
        let header = match (version, mti, bitmap) {
            (Some(version), Some(mti), Some(bitmap)) => Some((version, mti, bitmap)),
            _ => None,
        };
        Defaults { header, encodings }
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
    fn elements(&mut self, rows: &DeTable<'_>, defaults: Option<&Encodings>) -> Vec<ElementSpec> {
        let mut elements: Vec<ElementSpec> = Vec::new();
        for (key, value) in rows {
            let number = match key.get_ref().parse::<u8>() {
                Ok(number @ 2..=ELEMENT_MAX) if number.to_string() == *key.get_ref() => number,
                _ => {
                    let expected = "expected an element number from 2 to 128";
                    self.mistake(key.span(), format!("{expected}, got {}", key.get_ref()));
                    continue;
                }
            };
            let Some(row) = value.get_ref().as_table() else {
                self.mistake(value.span(), format!("element {number}: expected a table"));
                continue;
            };
            let before = self.errors.len();
            let element = self.row(number, row, value.span(), defaults);
            for error in self.errors.iter_mut().skip(before) {
                error.mistake = format!("element {number}: {}", error.mistake);
            }
            elements.extend(element);
        }
        elements.sort_by_key(ElementSpec::number);
        elements
    }

    fn row(
        &mut self,
        number: u8,
        row: &DeTable<'_>,
        span: Range<usize>,
        defaults: Option<&Encodings>,
    ) -> Option<ElementSpec> {
        self.only_keys(
            row,
            "a row",
            &[
                "format", "name", "mask", "digits", "odd_fill", "length", "binary",
            ],
        );
        let name = self.string(row, span.clone(), "name").map(str::to_owned);
        let mask = match row.contains_key("mask") {
            true => self.choice(row, "mask", &MASKS),
            false => Some(Mask::Shown),
        };
        let own_digits = self.choice(row, "digits", &TEXT_OR_PACKED);
        let own_fill = self.choice(row, "odd_fill", &SIDES);
        let own_length = self.choice(row, "length", &TEXT_OR_PACKED);
        let own_binary = self.choice(row, "binary", &BINARY_FORMS);
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
            digits: own_digits.unwrap_or(default.digits),
            odd_fill: own_fill.or(default.odd_fill),
            length: own_length.unwrap_or(default.length),
            binary: own_binary.unwrap_or(default.binary),
        };
        let packed = format.has_digits() && encodings.digits == TextOrPacked::Bcd;
        for (key, has_effect) in [
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
        let program = match format.compile(&encodings) {
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
        })
    }

    fn only_keys(&mut self, table: &DeTable<'_>, place: &str, known: &[&str]) {
        for key in table.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                self.mistake(key.span(), format!("{place} has no key {}", key.get_ref()));
            }
        }
    }

    fn table<'a, 'i>(
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
    fn string<'a>(
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
    fn choice<T: Copy>(
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

    fn mistake(&mut self, span: Range<usize>, mistake: String) {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count().saturating_add(1);
        self.errors.push(SpecError { line, mistake });
    }
}

fn span_of(value: Option<&Spanned<DeValue<'_>>>) -> Range<usize> {
    value.map_or(0..0, Spanned::span)
}

const MTI_FORMS: [(&str, MtiForm); 2] = [("ascii", MtiForm::Ascii), ("bcd", MtiForm::Bcd)];
const BITMAP_FORMS: [(&str, BitmapForm); 2] =
    [("hex", BitmapForm::Hex), ("binary", BitmapForm::Binary)];
const TEXT_OR_PACKED: [(&str, TextOrPacked); 2] =
    [("ascii", TextOrPacked::Ascii), ("bcd", TextOrPacked::Bcd)];
const SIDES: [(&str, Side); 2] = [("left", Side::Left), ("right", Side::Right)];
const BINARY_FORMS: [(&str, BinaryForm); 2] = [("hex", BinaryForm::Hex), ("raw", BinaryForm::Raw)];
const MASKS: [(&str, Mask); 2] = [("pan", Mask::Pan), ("wipe", Mask::Wipe)];
