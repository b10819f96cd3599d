//! Specifications of other projects, turned into ours with a report on every field.
//!
//! An importer answers the text of a specification file and what became of each definition. It
//! reads no file and follows no reference.

use std::fmt;

use super::{Mask, MessageSpec};

mod jpos;

mod jpos_classes;

mod jpos_parts;

mod moov;

mod moov_parts;

pub(super) use jpos::{Field, row as jpos_row};
pub(super) use jpos_classes::{CLASSES as JPOS_CLASSES, FieldClass, Padding, TagForm};

pub use jpos::jpos;
pub use moov::{moov_json, moov_yaml};

/// A specification of another project in our form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The text of a specification file.
    pub toml: String,
    /// What became of each definition, in the order of the file.
    pub report: Report,
}

/// What became of the definitions of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report(Vec<Finding>);

/// What became of one definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The number of the field; those of its parts follow behind dots.
    pub field: String,
    /// What the file calls its form.
    pub form: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// How much of a definition our form says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it.
    Taken,
    /// Nearly all: what differs.
    Approximated(String),
    /// None of it: why.
    NotExpressible(String),
}

/// Why a file is no specification at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file is not of the language it should be written in.
    #[error("expected {expected}: {found}")]
    Syntax {
        /// The language.
        expected: &'static str,
        /// What the reader of the language says.
        found: String,
    },
    /// The message type or the bitmap is missing, or of a form that cannot stand there.
    #[error("field {field}: expected {expected}, got {got}")]
    Header {
        /// 0 for the message type, 1 for the bitmap.
        field: u8,
        /// What could stand there.
        expected: &'static str,
        /// What the file says.
        got: String,
    },
}

impl Report {
    /// Every definition of the file.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }

    /// How many definitions were taken, approximated and not expressible.
    #[must_use]
    pub fn counts(&self) -> [usize; 3] {
        self.0.iter().fold([0; 3], |[taken, near, not], finding| {
            match finding.outcome {
                Outcome::Taken => [taken.saturating_add(1), near, not],
                Outcome::Approximated(_) => [taken, near.saturating_add(1), not],
                Outcome::NotExpressible(_) => [taken, near, not.saturating_add(1)],
            }
        })
    }

    /// Adds what became of one more definition.
    pub(super) fn add(&mut self, field: &str, form: &str, outcome: Outcome) {
        self.0.push(Finding {
            field: field.to_owned(),
            form: form.to_owned(),
            outcome,
        });
    }
}

impl Report {
    /// Adds what became of the definitions of another report.
    pub(super) fn append(&mut self, mut other: Report) {
        self.0.append(&mut other.0);
    }
}

impl fmt::Display for Report {
    /// The counts, and a line for each definition that was not simply taken.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [taken, near, not] = self.counts();
        write!(
            formatter,
            "{taken} taken, {near} approximated, {not} not expressible"
        )?;
        for finding in &self.0 {
            let (word, reason) = match &finding.outcome {
                Outcome::Taken => continue,
                Outcome::Approximated(reason) => ("approximated", reason),
                Outcome::NotExpressible(reason) => ("not expressible", reason),
            };
            let Finding { field, form, .. } = finding;
            write!(formatter, "\n{field} {form}: {word}: {reason}")?;
        }
        Ok(())
    }
}

/// A row of a specification file.
pub(super) struct Row {
    /// The number of an element; the number or the tag of a part.
    key: String,
    format: String,
    name: String,
    /// Further keys as they stand in the file, each ended by a comma and a space.
    keys: String,
    /// Whether the format can show its first and last characters.
    is_text: bool,
}

/// The text of a specification file of these rows.
fn file(name: &str, header: &str, rows: &[Row]) -> String {
    let mut text = format!(
        "name = {}\n\n[defaults]\n{header}\n[elements]\n",
        quoted(name)
    );
    for row in rows {
        let mask = match row.key.parse().map_or(Mask::Wipe, mask) {
            Mask::Shown => "",
            Mask::Pan if row.is_text => "mask = \"pan\", ",
            Mask::Pan | Mask::Wipe => "mask = \"wipe\", ",
        };
        text.push_str(&line(row, mask));
    }
    text
}

/// A file as the importer of jPOS makes it, of one row.
pub(super) fn jpos_file(name: &str, row: Row) -> String {
    let header = jpos::defaults("ascii", "binary", "up to two");
    file(name, &header, &[row])
}

/// One row as it stands in a specification file.
fn line(row: &Row, mask: &str) -> String {
    let Row {
        key, format, keys, ..
    } = row;
    let key = match key.bytes().all(|byte| byte.is_ascii_digit()) {
        true => key.clone(),
        false => quoted(key),
    };
    let name = quoted(match row.name.trim() {
        "" => "Unnamed",
        name => name,
    });
    format!("{key} = {{ format = \"{format}\", {keys}{mask}name = {name} }}\n")
}

/// Other projects' files say nothing of masks: those of the 1987 edition hold, and what it does
/// not have is wiped.
fn mask(number: u8) -> Mask {
    MessageSpec::builtin("iso87-ascii")
        .and_then(|spec| spec.element(number))
        .map_or(Mask::Wipe, super::ElementSpec::mask)
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            control if control.is_control() => quoted.push(' '),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
