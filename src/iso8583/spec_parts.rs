//! The tables `[parts.N]` of a specification file: how the value of element N is divided.

use toml::de::DeTable;

use super::bitmap::Bitmaps;
use super::element::ElementSpec;
use super::format::Encodings;
use super::parts::{Parts, PartsForm};
use super::spec_file::{BITMAP_FORMS, BITMAPS, Reader};

impl Reader<'_> {
    /// Reads every table and gives its rows to the element it names.
    pub(super) fn parts(
        &mut self,
        divided: &DeTable<'_>,
        defaults: Option<&Encodings>,
        elements: &mut [ElementSpec],
    ) {
        for (key, value) in divided {
            let place = format!("parts of element {}", key.get_ref());
            let Some(table) = value.get_ref().as_table() else {
                self.mistake(value.span(), format!("{place}: expected a table"));
                continue;
            };
            self.only_keys(table, &place, &["form", "bitmap", "bitmaps", "rows"]);
            let form = self.parts_form(table);
            let rows = match self.table(table, "rows") {
                Some((_, rows)) => self.part_rows(rows, defaults, &place),
                None => continue,
            };
            let owner = elements
                .iter_mut()
                .find(|element| element.number.to_string() == *key.get_ref());
            let Some(owner) = owner else {
                self.mistake(key.span(), format!("{place}: expected such an element"));
                continue;
            };
            if !owner.program.coding.is_as_is() {
                let expected = "expected an element of raw bytes or latin1 text";
                self.mistake(key.span(), format!("{place}: {expected}"));
            }
            if let Some(form) = form {
                owner.parts = Some(Parts { form, rows });
            }
        }
    }

    fn parts_form(&mut self, table: &DeTable<'_>) -> Option<PartsForm> {
        let bitmap = self.choice(table, "bitmap", &BITMAP_FORMS);
        let plain = [("one plain", Bitmaps::Plain)];
        let choices = [&plain[..], &BITMAPS[..]].concat();
        let bitmaps = self.choice(table, "bitmaps", &choices);
        let form = self.choice(table, "form", &[("positional", false), ("bitmap", true)]);
        match (form, bitmap) {
            (Some(false), None) if bitmaps.is_none() => Some(PartsForm::Positional),
            (Some(true), Some(bitmap)) => {
                Some(PartsForm::Bitmap(bitmap, bitmaps.unwrap_or(Bitmaps::One)))
            }
            _ => {
                let span = table.values().next().map_or(0..0, toml::Spanned::span);
                let expected = "expected form positional alone, or form bitmap and a bitmap";
                self.mistake(span, expected.to_owned());
                None
            }
        }
    }

    fn part_rows(
        &mut self,
        rows: &DeTable<'_>,
        defaults: Option<&Encodings>,
        place: &str,
    ) -> Vec<ElementSpec> {
        let mut read: Vec<ElementSpec> = Vec::new();
        for (key, value) in rows {
            let number = key.get_ref().parse::<u8>().ok();
            let number = number.filter(|number| number.to_string() == *key.get_ref());
            let (Some(number), Some(row)) = (number, value.get_ref().as_table()) else {
                let expected = "expected a number from 0 to 255 and a table";
                self.mistake(key.span(), format!("{place}: {expected}"));
                continue;
            };
            read.extend(self.row(number, row, value.span(), defaults));
        }
        read.sort_by_key(ElementSpec::number);
        read
    }
}
