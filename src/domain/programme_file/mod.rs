//! Reads a programme file (`spec/programme/*.toml`) into a proven [`super::programme::Programme`].
//!
//! Every mistake of a file is reported at once, each with its line and the key it stands under.

mod rows;

mod place;

mod reader;

mod blocks;

mod cash;

mod loads;

mod exchange;
mod holders;

mod guessing;

#[cfg(test)]
mod tests;

pub(super) use place::{line_at, line_of};
pub use reader::{ProgrammeErrors, parse};
