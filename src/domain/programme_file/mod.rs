//! Reads a programme file (`spec/programme/*.toml`) into a proven [`super::programme::Programme`].
//!
//! Every mistake of a file is reported at once, each with its line and the key it stands under.

mod rows;

mod place;

mod reader;

mod blocks;

mod cash;

mod loads;

mod holders;

#[cfg(test)]
mod tests;

pub use reader::{ProgrammeErrors, parse};
