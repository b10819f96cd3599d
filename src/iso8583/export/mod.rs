//! Specifications of ours in the form of other projects, with a report on every element.
//!
//! An exporter answers the text of a file and what the other form cannot say. What it writes is
//! read again by the importer of the same project.

use super::import::Report;

mod jpos;

mod jpos_parts;

mod moov;

mod moov_parts;

pub use jpos::jpos;
pub use moov::moov;

/// A specification in the form of another project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The text of the file.
    pub text: String,
    /// What became of each element and part.
    pub report: Report,
}

/// Why a specification has no file in the other form at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: expected {expected}")]
pub struct ExportError {
    /// What cannot be said.
    pub place: &'static str,
    /// What could be.
    pub expected: &'static str,
}
