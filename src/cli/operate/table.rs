//! Tables for people.

use serde_json::Value;

use super::text;

/// A column: its heading, and where its value is.
pub(super) type Column = (&'static str, &'static str);

/// Rows of an answer as a table; a sentence where there are none.
pub(super) fn table(rows: Option<&Value>, columns: &[Column], none: &str) -> String {
    let rows = rows.and_then(Value::as_array);
    let rows = rows.map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return none.to_owned();
    }
    let mut lines = vec![columns.iter().map(|column| column.0.to_owned()).collect()];
    lines.extend(rows.iter().map(|row| {
        let cells = columns.iter().map(|column| row.pointer(column.1));
        let cells = cells.map(|cell| cell.map_or("-".to_owned(), text));
        cells.collect::<Vec<String>>()
    }));
    aligned(&lines)
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|place| {
            let cells = lines.iter().filter_map(|line| line.get(place));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut told = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        told.push_str(cells.join("  ").trim_end());
        told.push('\n');
    }
    told
}

/// The page that comes next, as a sentence; empty at the end.
pub(super) fn more(answer: &Value) -> String {
    match answer.get("next") {
        None | Some(Value::Null) => String::new(),
        Some(next) => format!("there may be more: --after {}\n", text(next)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_nothing_is_a_dash() {
        let rows = json!([{ "id": 1, "name": "a" }, { "id": 22, "name": null }]);
        let told = table(Some(&rows), &[("id", "/id"), ("name", "/name")], "nothing");
        assert_eq!(told, "id  name\n1   a\n22  -\n");
        assert_eq!(
            table(Some(&json!([])), &[("id", "/id")], "nothing"),
            "nothing"
        );
    }
}
