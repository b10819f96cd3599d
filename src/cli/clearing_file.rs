//! Reads a clearing file line by line: CSV or JSON lines, whichever its first line is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::engine::operation::Reference;
use crate::switch::clearing::{Columns, name_of};

/// Longest line, bytes; a longer one is no line of a clearing file.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// What the first line of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The name of the batch.
    pub(super) batch: Reference,
    /// How many lines it has.
    pub(super) lines: u32,
}

/// A line of the file by its number there, with what it says or what is wrong with it.
pub(super) type Numbered = (u64, Result<Columns, String>);

/// A clearing file that is being read.
pub(super) struct ClearingFile {
    input: BufReader<File>,
    /// What the first line says.
    pub(super) header: Header,
    /// Names of the columns of a CSV file.
    columns: Option<Vec<String>>,
    number: u64,
}

/// What a line of text is.
enum Text {
    Line(String),
    Unreadable(&'static str),
    End,
}

impl ClearingFile {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path) -> Result<ClearingFile, String> {
        let shown = path.display();
        let input = File::open(path).map_err(|error| format!("open {shown}: {error}"))?;
        let mut file = ClearingFile {
            input: BufReader::new(input),
            header: Header {
                batch: Reference::new(),
                lines: 0,
            },
            columns: None,
            number: 0,
        };
        let text = file.head(&shown.to_string())?;
        let is_json = text.trim_start().starts_with('{');
        let header = match is_json {
            true => json_header(&text),
            false => csv_header(&text),
        };
        file.header = header.map_err(|what| format!("{shown}: line 1: {what}"))?;
        if !is_json {
            let names = file.head(&shown.to_string())?;
            let names = fields(&names).map_err(|what| format!("{shown}: line 2: {what}"))?;
            file.columns = Some(names);
        }
        Ok(file)
    }

    fn head(&mut self, shown: &str) -> Result<String, String> {
        let number = self.number + 1;
        match self.text().map_err(|error| error.to_string())? {
            Text::Line(text) => Ok(text),
            Text::Unreadable(what) => Err(format!("{shown}: line {number}: {what}")),
            Text::End => Err(format!(
                "{shown}: line {number}: expected a header, got none"
            )),
        }
    }

    fn text(&mut self) -> io::Result<Text> {
        self.number += 1;
        let mut bytes = Vec::new();
        let mut limited = (&mut self.input).take(LINE_BYTES_MAX);
        let count = limited.read_until(b'\n', &mut bytes)?;
        if count == 0 {
            return Ok(Text::End);
        }
        if !bytes.ends_with(b"\n") && bytes.len() as u64 == LINE_BYTES_MAX {
            self.input.skip_until(b'\n')?;
            return Ok(Text::Unreadable("expected at most 16,384 bytes"));
        }
        while bytes.ends_with(b"\n") || bytes.ends_with(b"\r") {
            bytes.pop();
        }
        Ok(match String::from_utf8(bytes) {
            Ok(text) => Text::Line(text),
            Err(_) => Text::Unreadable("expected UTF-8"),
        })
    }

    /// The next line that says something.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Numbered>> {
        loop {
            let text = match self.text()? {
                Text::End => return Ok(None),
                Text::Unreadable(what) => return Ok(Some((self.number, Err(what.to_owned())))),
                Text::Line(text) => text,
            };
            if text.trim().is_empty() {
                continue;
            }
            let read = match &self.columns {
                Some(names) => named(names, &text),
                None => object(&text),
            };
            return Ok(Some((self.number, read)));
        }
    }
}

fn header(batch: &str, lines: Option<u64>) -> Result<Header, String> {
    let batch = name_of(batch).map_err(|what| format!("batch: {what}"))?;
    let lines = lines.and_then(|lines| u32::try_from(lines).ok());
    let lines = lines.ok_or("lines: expected how many lines follow")?;
    Ok(Header { batch, lines })
}

fn csv_header(text: &str) -> Result<Header, String> {
    match fields(text)?.as_slice() {
        [word, batch, lines] if word == "batch" => header(batch, lines.parse().ok()),
        _ => Err("expected batch,NAME,LINES or a JSON object with batch and lines".to_owned()),
    }
}

fn json_header(text: &str) -> Result<Header, String> {
    let object: serde_json::Value =
        serde_json::from_str(text).map_err(|_| "expected a JSON object".to_owned())?;
    let batch = object.get("batch").and_then(serde_json::Value::as_str);
    let lines = object.get("lines").and_then(serde_json::Value::as_u64);
    header(batch.unwrap_or_default(), lines)
}

/// A row of a CSV file under the names of its columns.
fn named(names: &[String], text: &str) -> Result<Columns, String> {
    let values = fields(text)?;
    if values.len() != names.len() {
        return Err(format!(
            "expected {} fields, got {}",
            names.len(),
            values.len()
        ));
    }
    Ok(names.iter().cloned().zip(values).collect())
}

/// The fields of one line (RFC 4180); a field does not go over the end of its line.
fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut letters = text.chars().peekable();
    let mut quoted = false;
    while let Some(letter) = letters.next() {
        let Some(field) = fields.last_mut() else {
            break;
        };
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    if quoted {
        return Err("a quoted field does not end".to_owned());
    }
    Ok(fields)
}

/// A JSON object whose values are texts and whole numbers.
fn object(text: &str) -> Result<Columns, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|_| "expected a JSON object".to_owned())?;
    let read = |(name, value): (String, serde_json::Value)| match value {
        serde_json::Value::String(text) => Ok((name, text)),
        serde_json::Value::Number(number) if number.is_u64() => Ok((name, number.to_string())),
        _ => Err("expected texts and whole numbers as values".to_owned()),
    };
    object.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_line_is_cut_at_its_commas_outside_quotes() {
        for (text, expected) in [
            ("a,b,,", vec!["a", "b", "", ""]),
            ("\"a,b\",\"c\"\"d\"", vec!["a,b", "c\"d"]),
            ("a\"b,c", vec!["a\"b", "c"]),
        ] {
            assert_eq!(fields(text).unwrap(), expected, "{text}");
        }
        assert!(fields("\"a,b").is_err());
    }

    #[test]
    fn a_json_line_is_an_object_of_texts_and_whole_numbers() {
        let columns = object("{\"line\": \"1\", \"amount\": 1200}").unwrap();
        assert_eq!(columns.get("amount").map(String::as_str), Some("1200"));
        for wrong in ["[]", "{\"line\": true}", "{\"amount\": 1.5}", "line"] {
            assert!(object(wrong).is_err(), "{wrong}");
        }
    }
}
