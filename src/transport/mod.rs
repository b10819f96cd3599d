//! L2: frames on a byte stream; knows lengths and headers, never what an element is.
//!
//! Owns the framing data (how long is a frame, what stands before the message) and the codec that
//! cuts a stream into frames and writes them back. Does not own sockets, time-outs or messages.

mod framing;

mod presets;

mod framing_file;

mod literal;

mod header;

mod frame;

mod error;

pub use error::{FrameError, FramingError, LengthHint};
pub use frame::{Frame, FrameBounds, FrameCodec, FrameMark, KEEP_ALIVES_IN_A_ROW_MAX};
pub use framing::{Boundary, Counts, Framing, KeepAlive, LengthEncoding, LengthField};
pub use header::{BASE1_SIZE, Header, TPDU_SIZE};
pub use literal::{LITERAL_BYTES_MAX, Literal};
pub use presets::PRESETS;
