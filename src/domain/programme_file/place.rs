//! Finds the line of a programme file on which a key stands.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line of `key` in `text`, from 1: of the nearest table above it where the key is missing.
///
/// A key reads `limit[3].amount_max`; words after it, such as a name in quotes, are passed over.
pub(in crate::domain) fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut offset = None;
    let mut table = Some(document.get_ref());
    for step in key.split('.') {
        let (name, index) = name_and_index(step);
        let Some((_, value)) = table.and_then(|table| {
            table
                .iter()
                .find(|(known, _)| known.get_ref().as_ref() == name)
        }) else {
            break;
        };
        let value = index.map_or(Some(value), |index| element(value, index))?;
        offset = Some(value.span().start);
        table = match value.get_ref() {
            DeValue::Table(inner) => Some(inner),
            _ => None,
        };
    }
    Some(line_at(text, offset?))
}

/// The line on which a byte stands, from 1.
pub(in crate::domain) fn line_at(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    before
        .filter(|byte| *byte == b'\n')
        .count()
        .saturating_add(1)
}

/// `limit[3] "x"` is `limit` and 3, `home` is `home` alone.
fn name_and_index(step: &str) -> (&str, Option<usize>) {
    let step = step.split(' ').next().unwrap_or(step);
    match step.split_once('[') {
        Some((name, index)) => (name, index.trim_end_matches(']').parse().ok()),
        None => (step, None),
    }
}

fn element<'a, 'i>(
    value: &'a Spanned<DeValue<'i>>,
    index: usize,
) -> Option<&'a Spanned<DeValue<'i>>> {
    match value.get_ref() {
        DeValue::Array(rows) => rows.get(index),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_tables_and_lists_and_else_the_table_it_belongs_to() {
        let text = "a = 1\n[home]\nletters = \"JP\"\n\n[[row]]\nid = 1\n[[row]]\nmcc = [\n1]\n";
        for (key, line) in [
            ("a", Some(1)),
            ("home.letters", Some(3)),
            ("home.numeric", Some(2)),
            ("row[1] \"x\".mcc", Some(8)),
            ("row[0].absent", Some(5)),
            ("nothing", None),
        ] {
            assert_eq!(line_of(text, key), line, "{key}");
        }
    }
}
