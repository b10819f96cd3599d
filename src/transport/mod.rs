//! L2: frames on a byte stream; knows lengths and headers, never what an element is.
//!
//! Owns the framing data (how long is a frame, what stands before the message) and the codec that
//! cuts a stream into frames and writes them back. Does not own sockets, time-outs or messages.

mod framing;

mod frame;

mod error;

pub use error::{FrameError, FramingError, LengthHint};
pub use frame::{Frame, FrameCodec, FrameMark, KEEP_ALIVES_IN_A_ROW_MAX};
pub use framing::{Framing, Header, LengthEncoding, LengthField, TPDU_SIZE};
