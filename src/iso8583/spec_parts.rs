//! The tables `[parts.N]` of a specification file: how the value of element N is divided, and
//! `[parts."N.KEY"]`: how that part of it is.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ber;
use super::bitmap::Bitmaps;
use super::codepage::CodePage;
use super::element::{ElementSpec, Mask, Tag, TagPlace};
use super::encoding::Fill;
use super::format::{BinaryForm, DigitForm, Encodings, LengthCode, TextForm};
use super::length::Marker;
use super::parts::{BitmapSize, KeyForm, PartSpec, Parts, PartsForm, TagLayout, UnknownPart};
use super::spec_file::{BITMAP_FORMS, BITMAPS, Reader};

impl Reader<'_> {
    /// Reads every table and gives its rows to the element or part that it names.
    pub(super) fn parts(
        &mut self,
        divided: &DeTable<'_>,
        defaults: Option<&Encodings>,
        elements: &mut [ElementSpec],
    ) {
        let mut tables: Vec<_> = divided.iter().collect();
        // What lies further in comes after what it lies in.
        tables.sort_by_key(|(key, _)| key.get_ref().matches('.').count());
        for (key, value) in tables {
            let place = format!("parts of element {}", key.get_ref());
            let Some(table) = value.get_ref().as_table() else {
                self.mistake(value.span(), format!("{place}: expected a table"));
                continue;
            };
            self.only_keys(table, &place, &TABLE_KEYS);
            let Some(owner) = owner(elements, key.get_ref()) else {
                self.mistake(key.span(), format!("{place}: expected such an element"));
                continue;
            };
            if !owner.program.coding.is_divisible() {
                let expected = "expected an element of bytes or of text without a number in it";
                self.mistake(key.span(), format!("{place}: {expected}"));
            }
            let mask = match owner.mask {
                Mask::Shown => Mask::Shown,
                Mask::Pan | Mask::Wipe => Mask::Wipe,
            };
            let before = self.mistakes();
            let division = Division {
                defaults,
                mask,
                span: key.span(),
            };
            owner.parts = self.division(table, &division);
            self.prefix_mistakes(before, &place);
        }
    }

    fn division(&mut self, table: &DeTable<'_>, division: &Division<'_>) -> Option<Parts> {
        let layout = self.tag_layout(table);
        let form = self.parts_form(table, layout, division)?;
        let rows = match (table.contains_key("rows"), form) {
            // Of these a specification may know nothing.
            (false, PartsForm::Ber | PartsForm::Tagged(Some(_))) => Vec::new(),
            (true, PartsForm::Ber) if table.get("rows").and_then(word) == Some("emv") => {
                let rows = DeTable::parse_recoverable(EMV).0.into_inner();
                let division = Division {
                    defaults: Some(&EMV_ENCODINGS),
                    span: division.span.clone(),
                    ..*division
                };
                self.part_rows(&rows, form, layout, &division)
            }
            _ => {
                let (_, rows) = self.table(table, "rows")?;
                self.part_rows(rows, form, layout, division)
            }
        };
        Some(Parts {
            form,
            rows,
            mask: division.mask,
        })
    }

    /// Which form, and that the other keys are those of the form.
    fn parts_form(
        &mut self,
        table: &DeTable<'_>,
        layout: Option<TagLayout>,
        division: &Division<'_>,
    ) -> Option<PartsForm> {
        let span = table
            .get("form")
            .map_or(division.span.clone(), Spanned::span);
        let Some(word) = self.choice(table, "form", &FORMS) else {
            if !table.contains_key("form") {
                self.mistake(span, "expected a form".to_owned());
            }
            return None;
        };
        let own: &[&str] = match word {
            FormWord::Bitmap => &["bitmap", "bitmaps", "bitmap_bytes"],
            FormWord::Tagged => &["tag", "tag_place", "unknown"],
            FormWord::Positional | FormWord::Ber | FormWord::Dataset | FormWord::Datasets => &[],
        };
        for key in TABLE_KEYS {
            if table.contains_key(key) && !["form", "rows"].contains(&key) && !own.contains(&key) {
                self.mistake(span.clone(), format!("{key} has no effect on this form"));
            }
        }
        match word {
            FormWord::Positional => Some(PartsForm::Positional),
            FormWord::Ber => Some(PartsForm::Ber),
            FormWord::Dataset => Some(PartsForm::DatasetBitmap),
            FormWord::Bitmap => self.bitmap_form(table, span),
            FormWord::Datasets => {
                let unknown = self.unknown_row("b..65535", LengthCode::BINARY, division)?;
                Some(PartsForm::Tagged(Some(UnknownPart {
                    program: unknown.program,
                    tag: DATASET_TAG,
                    datasets: true,
                })))
            }
            FormWord::Tagged => {
                let Some(tag) = layout else {
                    let expected = "expected a tag: latin1, ebcdic-1047 or hex, a space and its \
                                    bytes from 1 to 4";
                    self.mistake(span, expected.to_owned());
                    return None;
                };
                let unknown = match table.get("unknown") {
                    None => None,
                    Some(row) => Some(self.unknown_part(row, tag, division)?),
                };
                Some(PartsForm::Tagged(unknown))
            }
        }
    }

    fn bitmap_form(&mut self, table: &DeTable<'_>, span: Range<usize>) -> Option<PartsForm> {
        let bitmap = self.choice(table, "bitmap", &BITMAP_FORMS);
        let bitmaps = self.choice(table, "bitmaps", &BITMAPS);
        let bytes = table.get("bitmap_bytes").map(|value| {
            let number = value.get_ref().as_integer();
            number.and_then(|number| number.as_str().parse::<u8>().ok())
        });
        let size = match (bitmaps, bytes) {
            (bitmaps, None) => Some(BitmapSize::Extending(bitmaps.unwrap_or(Bitmaps::One))),
            (None, Some(Some(bytes @ 1..=24))) => Some(BitmapSize::Bytes(bytes)),
            (_, Some(_)) => None,
        };
        if let (Some(bitmap), Some(size)) = (bitmap, size) {
            return Some(PartsForm::Bitmap(bitmap, size));
        }
        let expected = "expected a bitmap, and bitmaps or bitmap_bytes from 1 to 24";
        self.mistake(span, expected.to_owned());
        None
    }

    fn tag_layout(&mut self, table: &DeTable<'_>) -> Option<TagLayout> {
        let place = match table.contains_key("tag_place") {
            true => self.choice(table, "tag_place", &TAG_PLACES)?,
            false => TagPlace::Before,
        };
        let word = table.get("tag")?.get_ref().as_str()?;
        let (form, size) = word.split_once(' ')?;
        let form = KEY_FORMS.iter().find(|(name, _)| *name == form);
        let size = size.parse().ok().filter(|size| (1..=4).contains(size));
        let (form, size) = (form?.1, size?);
        Some(TagLayout { form, size, place })
    }

    /// The format of parts with an unknown tag, from a row that has no name.
    fn unknown_part(
        &mut self,
        row: &Spanned<DeValue<'_>>,
        tag: TagLayout,
        division: &Division<'_>,
    ) -> Option<UnknownPart> {
        let Some(table) = row.get_ref().as_table() else {
            self.mistake(row.span(), "unknown: expected a table".to_owned());
            return None;
        };
        let mut table = table.clone();
        let name = Spanned::new(row.span(), DeValue::String("unknown".into()));
        if let Some(named) = table.insert(Spanned::new(row.span(), "name".into()), name) {
            self.mistake(named.span(), "unknown: a row without a name".to_owned());
        }
        let marker = Marker::new(&[0])?;
        let place = tag.place;
        let row = self.row(
            0,
            &table,
            row.span(),
            division.defaults,
            Some(Tag { marker, place }),
        )?;
        Some(UnknownPart {
            program: row.program,
            tag,
            datasets: false,
        })
    }

    /// The row that a text of a format alone makes.
    fn unknown_row(
        &mut self,
        format: &str,
        length: LengthCode,
        division: &Division<'_>,
    ) -> Option<ElementSpec> {
        let mut table = DeTable::new();
        for (key, value) in [("format", format), ("name", "unknown")] {
            let value = Spanned::new(0..0, DeValue::String(value.to_owned().into()));
            table.insert(Spanned::new(0..0, key.into()), value);
        }
        let defaults = Encodings {
            length,
            ..*division.defaults?
        };
        self.row(0, &table, 0..0, Some(&defaults), None)
    }

    fn part_rows(
        &mut self,
        rows: &DeTable<'_>,
        form: PartsForm,
        layout: Option<TagLayout>,
        division: &Division<'_>,
    ) -> Vec<PartSpec> {
        let mut ordered: Vec<_> = rows.iter().collect();
        ordered.sort_by_key(|(key, _)| key.span().start);
        let mut read: Vec<PartSpec> = Vec::new();
        for (key, value) in ordered {
            let text = key.get_ref().to_string();
            let Some(row) = value.get_ref().as_table() else {
                self.mistake(key.span(), format!("{text}: expected a table"));
                continue;
            };
            let part = self.part_row(&text, row, value.span(), (form, layout), division);
            read.extend(part);
        }
        if read
            .iter()
            .all(|row| row.element.number > 0 || row.key == "0")
        {
            read.sort_by_key(|row| row.element.number);
        }
        read
    }

    fn part_row(
        &mut self,
        text: &str,
        row: &DeTable<'_>,
        span: Range<usize>,
        (form, layout): (PartsForm, Option<TagLayout>),
        division: &Division<'_>,
    ) -> Option<PartSpec> {
        let number = text.parse::<u8>().ok();
        let number = number.filter(|number| number.to_string() == *text);
        let mut key = text.to_owned();
        let mut defaults = division.defaults.copied();
        let mut tag = None;
        match form {
            PartsForm::Positional => {}
            PartsForm::Bitmap(..) if number.is_some() => {}
            PartsForm::DatasetBitmap if number.is_some() || text == "tlv" => {}
            PartsForm::Bitmap(..) | PartsForm::DatasetBitmap => {
                let expected = "expected a number from 0 to 255";
                self.mistake(span.clone(), format!("{text}: {expected}"));
            }
            PartsForm::Ber => {
                key.make_ascii_uppercase();
                let bytes = KeyForm::Hex.tag(&key);
                if !bytes.is_some_and(|bytes| ber::is_tag(&bytes)) {
                    let expected = "expected a tag of BER in hexadecimal";
                    self.mistake(span.clone(), format!("{text}: {expected}"));
                }
                for key in ["length", "tag", "filled", "counts", "inclusive"] {
                    if row.contains_key(key) {
                        let mistake = format!("{text}: {key} has no effect, the item has a length");
                        self.mistake(span.clone(), mistake);
                    }
                }
                defaults = defaults.map(|defaults| Encodings {
                    length: LengthCode::Rest,
                    ..defaults
                });
            }
            PartsForm::Tagged(unknown) => {
                let layout = layout.or(unknown.map(|unknown| unknown.tag))?;
                tag = self.key_tag(text, row, &span, layout);
                if unknown.is_some_and(|unknown| unknown.datasets) {
                    key.make_ascii_uppercase();
                }
            }
        }
        let before = self.mistakes();
        let element = self.row(number.unwrap_or(0), row, span, defaults.as_ref(), tag);
        self.prefix_mistakes(before, text);
        let mut element = element?;
        if !row.contains_key("mask") {
            element.mask = division.mask;
        }
        Some(PartSpec { key, element })
    }

    /// The tag that a key says, unless the row says another or none.
    fn key_tag(
        &mut self,
        text: &str,
        row: &DeTable<'_>,
        span: &Range<usize>,
        layout: TagLayout,
    ) -> Option<Tag> {
        if row.contains_key("tag") {
            return None;
        }
        let bytes = layout.form.tag(text);
        let bytes = bytes.filter(|bytes| bytes.len() == usize::from(layout.size));
        let marker = bytes.and_then(|bytes| Marker::new(&bytes));
        if marker.is_none() {
            let expected = format!("expected a tag of {} bytes", layout.size);
            self.mistake(span.clone(), format!("{text}: {expected}"));
        }
        Some(Tag {
            marker: marker?,
            place: layout.place,
        })
    }
}

/// What holds for all parts of one owner.
struct Division<'d> {
    defaults: Option<&'d Encodings>,
    /// How parts are shown that do not say it themselves.
    mask: Mask,
    span: Range<usize>,
}

/// The element or part that a path such as `127.25` names.
fn owner<'e>(elements: &'e mut [ElementSpec], path: &str) -> Option<&'e mut ElementSpec> {
    let mut keys = path.split('.');
    let number: u8 = keys.next()?.parse().ok()?;
    let mut owner = elements
        .iter_mut()
        .find(|element| element.number == number)?;
    for key in keys {
        let rows = &mut owner.parts.as_mut()?.rows;
        owner = &mut rows.iter_mut().find(|row| row.key == key)?.element;
    }
    Some(owner)
}

fn word<'v>(value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
    value.get_ref().as_str()
}

#[derive(Clone, Copy)]
enum FormWord {
    Positional,
    Bitmap,
    Tagged,
    Ber,
    Datasets,
    Dataset,
}

/// Rows for the tags of chip cards, which are written alike in every message.
const EMV: &str = include_str!("../../spec/iso8583/emv.toml");
const EMV_ENCODINGS: Encodings = Encodings {
    text: TextForm::Latin1,
    digits: DigitForm::Bcd,
    odd_fill: Some(Fill::Left),
    length: LengthCode::Rest,
    binary: BinaryForm::Raw,
};
const FORMS: [(&str, FormWord); 6] = [
    ("positional", FormWord::Positional),
    ("bitmap", FormWord::Bitmap),
    ("tagged", FormWord::Tagged),
    ("ber", FormWord::Ber),
    ("datasets", FormWord::Datasets),
    ("dataset-bitmap", FormWord::Dataset),
];
const TABLE_KEYS: [&str; 8] = [
    "form",
    "bitmap",
    "bitmaps",
    "bitmap_bytes",
    "tag",
    "tag_place",
    "unknown",
    "rows",
];
const KEY_FORMS: [(&str, KeyForm); 3] = [
    ("latin1", KeyForm::Latin1),
    ("ebcdic-1047", KeyForm::Ebcdic(CodePage::Ibm1047)),
    ("hex", KeyForm::Hex),
];
const TAG_PLACES: [(&str, TagPlace); 3] = [
    ("before", TagPlace::Before),
    ("counted", TagPlace::Counted),
    ("behind", TagPlace::Behind),
];
/// A dataset: its identifier in one byte, its length in two.
const DATASET_TAG: TagLayout = TagLayout {
    form: KeyForm::Hex,
    size: 1,
    place: TagPlace::Before,
};
