//! L2: one durable, ordered, hash-chained log of records.
//!
//! Owns: the byte form of a frame, what *durable* means, and the proof at every start that nothing
//! acknowledged is missing. Does not own: what a record says (the engine's business), when to
//! stop a process (the caller's).
//!
//! Invariants:
//! - sequences are dense from 1; a record is never rewritten or moved, and removed only with its
//!   whole generation, behind two checkpoints, when its owner says so;
//! - a record is acknowledged only after `append` returned `Ok`, and then it is on the device;
//! - after the first error a journal never writes again: its caller stops the process and the next
//!   start decides from what is on disk;
//! - recovery removes nothing it cannot prove was never acknowledged. It refuses instead.
//!
//! Layout of a store directory:
//!
//! ```text
//! <dir>/LOCK              held while a process has the store open; says its process number
//! <dir>/watermark         8 slots of 512 bytes: the newest position known to be durable
//! <dir>/ring              group commits become durable here first (see `ring.rs`); it fills what
//!                         sled lacks at the next start, and a clean close leaves nothing in it
//!                         that sled has not
//! <dir>/j/<generation>/   one sled store of frames, 16 hexadecimal digits; a tree for each 256 KiB
//!                         of them, named like its first key (of releases before: one tree)
//!     READY               its creation was completed
//!     SEALED              nothing may follow the position in it; the next generation goes on
//! <dir>/j/FIRST           where the journal begins, once generations were removed
//! <dir>/c/<sequence>/     one sled store of chunks: a checkpoint at that sequence
//!     VALID               it was written whole and read back
//! ```

mod batch;
mod error;
mod frame;
mod options;

mod backup;
mod checkpoint;
mod drain;
mod held;
mod inspect;
mod label;
mod memory;
mod passage;
mod reader;
mod sled;
mod stepped;
mod store;
mod survey;

mod plan;
mod recovery;
mod walk;

mod first;
mod generation;
mod lock;
mod ring;
mod ring_scan;
mod seal;
mod watermark;

mod aligned;
mod bytes;
mod contain;
mod durable;
mod group;

pub use self::backup::{
    CopyError, CopyProgress, MANIFEST, check_manifest, copy_file, copy_files, make_empty,
    write_manifest,
};
pub use self::batch::Batch;
pub use self::checkpoint::{CHUNK_BYTES_MAX, CheckpointError, CheckpointWriter, Checkpoints};
pub use self::error::{Damage, JournalError};
pub use self::frame::{
    ChainHash, FRAME_BYTES_MAX, Frame, FrameError, FrameHeader, FrameWriter, RECORD_BYTES_MAX,
    Records, Refused, decode_frame,
};
pub use self::held::HeldStore;
pub use self::inspect::{GenerationView, StoreView, is_open, view};
pub use self::label::Checkpoint;
pub use self::memory::{MemoryJournal, MemoryStore};
pub use self::options::{CommitPoint, RING_BYTES_MIN, RingMode, SledOptions, WatermarkPolicy};
pub use self::reader::JournalReader;
pub use self::recovery::{Cut, Recovery};
pub use self::seal::Head;
pub use self::sled::SledJournal;
pub use self::stepped::{Medium, SteppedJournal};
pub use self::survey::Whereabouts;

/// One durable, ordered log with a single writer.
pub trait Journal: Send {
    /// Makes every record of `batch` durable; when this returns `Ok` they may be acknowledged.
    ///
    /// An empty batch does nothing.
    ///
    /// # Errors
    ///
    /// Any error is final: nothing of the batch was acknowledged, the journal returns the same
    /// error to every later append, and the caller stops the process.
    fn append(&mut self, batch: &Batch) -> Result<(), JournalError>;

    /// The sequence of the last durable record; 0 when there is none.
    fn last_sequence(&self) -> u64;

    /// The chain hash of the last durable frame; zeros when there is none.
    fn chain(&self) -> ChainHash;
}

/// Receives every record of a journal in order while it opens, frame by frame, and at the end no
/// records once: then everything was handed over, and nothing was written yet.
///
/// A record that is refused stops the opening with [`JournalError::Replay`].
pub type Replay<'a> = dyn FnMut(Records<'_>) -> Result<(), Refused> + 'a;
