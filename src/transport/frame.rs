//! The codec: cuts a byte stream into frames and writes frames in place.
//!
//! Invariants: nothing is allocated for bytes that have only been claimed; a frame is never longer
//! than the link's maximum; how the stream was split into reads never changes the frames.
//! A frame of length zero is a keep-alive on every framing (with a TPDU too): it is skipped, at
//! most [`KEEP_ALIVES_IN_A_ROW_MAX`] times without a message between.

use bytes::{BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::error::{FrameError, LengthHint};
use super::framing::{Framing, Header, LengthEncoding, LengthField};

/// Keep-alives skipped in a row; a night of one every 30 seconds, while a stream of zeros stops.
pub const KEEP_ALIVES_IN_A_ROW_MAX: u32 = 1_000;

/// Bytes reserved at once for a frame that has begun, whatever its length claims.
const RESERVE_BYTES_MAX: usize = 4_096;

/// One frame: the header that came with it (empty without one) and the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// TPDU bytes as received, or empty.
    pub header: Bytes,
    /// The message.
    pub body: Bytes,
}

/// Where a frame that is being written in place began.
#[derive(Debug)]
#[must_use = "a frame that is begun must be finished"]
pub struct FrameMark {
    start: usize,
    header_size: usize,
}

/// Cuts frames out of a stream and writes them back, for one link.
#[derive(Debug, Clone)]
pub struct FrameCodec {
    length: LengthField,
    header: Header,
    frame_max: usize,
    keep_alives_in_a_row: u32,
}

impl FrameCodec {
    /// A codec of this framing; `frame_max` bytes of header and body at most.
    pub fn new(framing: &Framing, frame_max: usize) -> Self {
        let length = framing.length();
        let countable = length.value_max().saturating_sub(length.own_share());
        let frame_max = frame_max.min(countable);
        Self {
            length,
            header: framing.header(),
            frame_max,
            keep_alives_in_a_row: 0,
        }
    }

    /// Starts a frame at the end of `out` with this header; the body is then appended to `out`.
    pub fn begin(&self, out: &mut BytesMut, header: &[u8]) -> FrameMark {
        let start = out.len();
        out.put_bytes(0, self.length.size);
        out.put_slice(header);
        FrameMark {
            start,
            header_size: header.len(),
        }
    }

    /// Starts the reply to a frame that came with `request_header`, its two addresses swapped.
    pub fn begin_reply(&self, out: &mut BytesMut, request_header: &[u8]) -> FrameMark {
        match (self.header, request_header) {
            (Header::Tpdu, &[id, to_0, to_1, from_0, from_1]) => {
                self.begin(out, &[id, from_0, from_1, to_0, to_1])
            }
            (Header::Tpdu | Header::None, other) => self.begin(out, other),
        }
    }

    /// Ends the frame begun at `mark`: writes its length. On an error the frame is taken out again.
    ///
    /// # Errors
    /// The header is not of the framing's size, or the frame is empty or too long.
    pub fn finish(&self, out: &mut BytesMut, mark: FrameMark) -> Result<(), FrameError> {
        let result = self.write_length(out, &mark);
        if result.is_err() {
            out.truncate(mark.start);
        }
        result
    }

    /// The error of a stream that stopped with only `received` bytes of a frame.
    pub fn incomplete(&self, received: &[u8]) -> FrameError {
        let expected = match self.read_length(received) {
            Ok(Some(counted)) => self.length.size + counted,
            Ok(None) => self.length.size,
            Err(error) => return error,
        };
        FrameError::Incomplete {
            expected,
            got: received.len(),
            hint: self.hint(received),
        }
    }

    fn write_length(&self, out: &mut BytesMut, mark: &FrameMark) -> Result<(), FrameError> {
        let expected = self.header.size();
        if mark.header_size != expected {
            return Err(FrameError::HeaderSize {
                expected,
                got: mark.header_size,
            });
        }
        let size = self.length.size;
        let counted = out.len().saturating_sub(mark.start + size);
        if counted > self.frame_max {
            return Err(FrameError::TooLong {
                max: self.frame_max,
                got: counted,
                hint: None,
            });
        }
        let value = counted + self.length.own_share();
        let min = self.length.value_min(self.header);
        if value < min {
            return Err(FrameError::TooShort {
                min,
                got: value,
                hint: None,
            });
        }
        let Some(field) = out.get_mut(mark.start..mark.start + size) else {
            // Only a caller that shortened `out` below its own mark gets here.
            return Err(FrameError::TooShort {
                min,
                got: 0,
                hint: None,
            });
        };
        write_number(field, self.length.encoding, value);
        Ok(())
    }

    /// Bytes of header and body of the frame at the start of `src`, once its length is there.
    fn read_length(&self, src: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(field) = src.get(..self.length.size) else {
            return Ok(None);
        };
        let value = self.read_number(field)?;
        let own_share = self.length.own_share();
        // A length that counts only itself is a keep-alive as well.
        if value == 0 || value == own_share {
            return Ok(Some(0));
        }
        let min = self.length.value_min(self.header);
        if value < min {
            return Err(FrameError::TooShort {
                min,
                got: value,
                hint: self.hint(field),
            });
        }
        let counted = value - own_share;
        if counted > self.frame_max {
            let hint = self.hint(field);
            return Err(FrameError::TooLong {
                max: self.frame_max,
                got: counted,
                hint,
            });
        }
        Ok(Some(counted))
    }

    fn read_number(&self, field: &[u8]) -> Result<usize, FrameError> {
        let not_digits = |offset, expected| {
            let hint = self.hint(field);
            FrameError::NotDigits {
                expected,
                offset,
                hint,
            }
        };
        let mut value = 0_usize;
        for (offset, &byte) in field.iter().enumerate() {
            value = match self.length.encoding {
                LengthEncoding::Be => value << 8 | usize::from(byte),
                LengthEncoding::Ascii if byte.is_ascii_digit() => {
                    value * 10 + usize::from(byte - b'0')
                }
                LengthEncoding::Ascii => return Err(not_digits(offset, "ASCII digits")),
                LengthEncoding::Bcd if byte >> 4 <= 9 && byte & 0x0F <= 9 => {
                    value * 100 + usize::from(byte >> 4) * 10 + usize::from(byte & 0x0F)
                }
                LengthEncoding::Bcd => return Err(not_digits(offset, "packed digits")),
            };
        }
        Ok(value)
    }

    fn hint(&self, start: &[u8]) -> Option<LengthHint> {
        LengthHint::of(start, self.length.encoding == LengthEncoding::Be)
    }

    fn keep_alive(&mut self) -> Result<(), FrameError> {
        self.keep_alives_in_a_row += 1;
        if self.keep_alives_in_a_row > KEEP_ALIVES_IN_A_ROW_MAX {
            return Err(FrameError::OnlyKeepAlives {
                max: KEEP_ALIVES_IN_A_ROW_MAX,
            });
        }
        Ok(())
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        loop {
            let Some(counted) = self.read_length(src)? else {
                return Ok(None);
            };
            let size = self.length.size;
            if counted == 0 {
                self.keep_alive()?;
                let _ = src.split_to(size);
                continue;
            }
            let whole = size + counted;
            if src.len() < whole {
                src.reserve((whole - src.len()).min(RESERVE_BYTES_MAX));
                return Ok(None);
            }
            self.keep_alives_in_a_row = 0;
            let mut body = src.split_to(whole).freeze();
            let _ = body.split_to(size);
            let header = match self.header {
                Header::None => Bytes::new(),
                Header::Tpdu => body.split_to(self.header.size()),
            };
            return Ok(Some(Frame { header, body }));
        }
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        match self.decode(src)? {
            Some(frame) => Ok(Some(frame)),
            None if src.is_empty() => Ok(None),
            None => Err(self.incomplete(src)),
        }
    }
}

impl Encoder<Frame> for FrameCodec {
    type Error = FrameError;

    fn encode(&mut self, frame: Frame, out: &mut BytesMut) -> Result<(), FrameError> {
        let mark = self.begin(out, &frame.header);
        out.put_slice(&frame.body);
        self.finish(out, mark)
    }
}

/// Writes `value` into the whole field; the caller has checked that it fits.
fn write_number(field: &mut [u8], encoding: LengthEncoding, mut value: usize) {
    for byte in field.iter_mut().rev() {
        let (base, digit) = match encoding {
            LengthEncoding::Be => (256, value % 256),
            LengthEncoding::Ascii => (10, usize::from(b'0') + value % 10),
            LengthEncoding::Bcd => (100, value % 100 / 10 * 16 + value % 10),
        };
        *byte = u8::try_from(digit).unwrap_or(u8::MAX);
        value /= base;
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
