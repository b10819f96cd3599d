//! The section `[cpus]` of the configuration: processors that threads stay on.

use toml::Value;

use super::config_file::{Notes, Section};

/// Greatest number of a processor: what a mask of the kernel holds.
const CPU_MAX: usize = 1_023;

/// Processors that threads stay on, by number; with an empty list the system chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpusConfig {
    /// Of the single writer, and of the thread that makes its large batches durable.
    pub writer: Vec<usize>,
    /// Of the threads that serve connections: each stays on one of them, in turn.
    pub io: Vec<usize>,
    /// Of all other threads.
    pub others: Vec<usize>,
}

/// The section; all lists are empty without it.
pub(super) fn cpus(mut section: Section, notes: &mut Notes) -> CpusConfig {
    let cpus = CpusConfig {
        writer: list(&mut section, "writer", notes),
        io: list(&mut section, "io", notes),
        others: list(&mut section, "others", notes),
    };
    section.finish(notes);
    cpus
}

fn list(section: &mut Section, key: &str, notes: &mut Notes) -> Vec<usize> {
    let Some(value) = section.take(key, notes) else {
        return Vec::new();
    };
    let number = |row: &Value| {
        let number = usize::try_from(row.as_integer()?).ok()?;
        (number <= CPU_MAX).then_some(number)
    };
    let rows = value.as_array();
    match rows.and_then(|rows| rows.iter().map(number).collect::<Option<Vec<usize>>>()) {
        Some(numbers) => numbers,
        None => {
            let expected = format!("numbers of processors from 0 to {CPU_MAX}, such as [2, 3]");
            notes.mistake(&section.key_of(key), expected, &value);
            Vec::new()
        }
    }
}
