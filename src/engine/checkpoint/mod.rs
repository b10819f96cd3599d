//! A state written down and read back: what a start need not replay.
//!
//! Contract: the same state always gives the same bytes, and the state that is read back decides,
//! applies and digests like the one that was written. The bytes are made of rows of their own
//! (`row.rs`), converted by hand, so that neither binds the other.
//!
//! A chunk is `version u8` (1) · rows, each of them whole. Chunks mean something only all together
//! and in order; that they are whole is for whoever stores them to prove.

mod load;
mod row;
mod save;

#[cfg(test)]
mod conserved_tests;
#[cfg(test)]
mod tests;

pub use self::load::{ChunkRows, StateLoader};
pub(super) use self::row::{AnswerRow, EntryRow, RareRow};
pub use self::save::SaveError;

/// The version written by this program.
const VERSION: u8 = 1;

/// A chunk is never larger, bytes.
pub const CHUNK_BYTES_MAX: usize = 60 << 10;

/// Bytes that are not a state.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Written by a program that knows more, or not a chunk at all.
    #[error("chunk version {got:?}, expected {VERSION}")]
    Version {
        /// The first byte, if there is one.
        got: Option<u8>,
    },
    /// A row does not decode.
    #[error("row {number} does not decode: {cause}")]
    Malformed {
        /// Which one, from 1.
        number: u64,
        /// What the decoder says.
        cause: postcard::Error,
    },
    /// A row does not fit those before it.
    #[error("row {number}: {what}")]
    Misfit {
        /// Which one, from 1.
        number: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// The last row is missing.
    #[error("the end is missing after {rows} rows")]
    Unfinished {
        /// Rows there were.
        rows: u64,
    },
}
