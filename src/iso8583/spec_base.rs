//! The key `base` of a specification file: rows of a specification that comes with the program.
//!
//! A row without a format changes the base's row key by key; any other replaces it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::spec;
use super::spec_file::Reader;

impl Reader<'_> {
    /// Gives the file everything of its base that it does not say itself.
    pub(super) fn with_base<'d>(&mut self, own: &DeTable<'d>) -> DeTable<'d> {
        let mut merged = own.clone();
        let Some(value) = own.get("base") else {
            return merged;
        };
        let text = value.get_ref().as_str().and_then(spec::builtin_text);
        let base = text.map(|text| DeTable::parse_recoverable(text).0.into_inner());
        let Some(base) = base.filter(|base| !base.contains_key("base")) else {
            let expected = "base: expected a built-in specification that has no base itself";
            self.mistake(value.span(), expected.to_owned());
            return merged;
        };
        for section in ["elements", "parts", "messages"] {
            let Some(rows) = base.get(section).and_then(|rows| rows.get_ref().as_table()) else {
                continue;
            };
            let place = merged.entry(Spanned::new(value.span(), section.into()));
            let place =
                place.or_insert_with(|| Spanned::new(value.span(), DeValue::Table(DeTable::new())));
            if let DeValue::Table(own) = place.get_mut() {
                merge(own, rows, value.span(), section == "elements");
            }
        }
        merged
    }
}

/// Adds the rows that are not there, and to an element's row without a format the base's keys.
fn merge<'d>(own: &mut DeTable<'d>, base: &DeTable<'static>, span: Range<usize>, by_key: bool) {
    for (key, row) in base {
        let base_row = row.get_ref().as_table();
        match (own.get_mut(key.get_ref().as_ref()), base_row) {
            (None, _) => {
                let key = Spanned::new(span.clone(), key.get_ref().clone());
                own.insert(key, at(row.get_ref(), &span));
            }
            (Some(changed), Some(base_row)) => {
                if let DeValue::Table(changed) = changed.get_mut()
                    && by_key
                    && !changed.contains_key("format")
                {
                    merge(changed, base_row, span.clone(), false);
                }
            }
            (Some(_), None) => {}
        }
    }
}

/// The value as if it stood where the base is named, so that a mistake in it has a line.
fn at<'d>(value: &DeValue<'static>, span: &Range<usize>) -> Spanned<DeValue<'d>> {
    let value = match value {
        DeValue::Table(table) => {
            let rows = table.iter().map(|(key, value)| {
                let key = Spanned::new(span.clone(), key.get_ref().clone());
                (key, at(value.get_ref(), span))
            });
            DeValue::Table(rows.collect())
        }
        other => other.clone(),
    };
    Spanned::new(span.clone(), value)
}
