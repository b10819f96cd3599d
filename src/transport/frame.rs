//! The codec: cuts a byte stream into frames and writes frames in place.
//!
//! Invariants: nothing is allocated for bytes that have only been claimed; a frame is never longer
//! than the link's maximum; how the stream was split into reads never changes the frames.
//! A frame of length zero is a keep-alive on every framing that does not close on it (with a header
//! too): at most [`KEEP_ALIVES_IN_A_ROW_MAX`] are taken without a message between, and where they
//! are echoed, at most one a second is: an echo of an echo meets silence.

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::error::{FrameError, LengthHint};
use super::framing::{Boundary, Framing, KeepAlive, LengthEncoding, LengthField};
use super::header::Header;
use super::literal::Literal;

/// Keep-alives taken in a row; a night of one every 30 seconds, while a stream of zeros stops.
pub const KEEP_ALIVES_IN_A_ROW_MAX: u32 = 1_000;

/// Between two echoes: peers that want one ask every few seconds, a storm asks at once.
const ECHO_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Bytes reserved at once for a frame that has begun, whatever its length claims.
const RESERVE_BYTES_MAX: usize = 4_096;

/// One frame: the header that came with it (empty without one) and the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Header bytes as received, or empty.
    pub header: Bytes,
    /// The message.
    pub body: Bytes,
}

/// Where a frame lies in a buffer that begins with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameBounds {
    /// First byte of the header.
    pub header_start: usize,
    /// First byte of the body.
    pub body_start: usize,
    /// The byte behind the body.
    pub body_end: usize,
    /// Bytes of the whole frame, from its length field to its trailer.
    pub whole: usize,
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
    boundary: Boundary,
    header: Header,
    keep_alive: KeepAlive,
    frame_max: usize,
    keep_alives_in_a_row: u32,
    echo_due: bool,
    echoed: Option<Instant>,
}

/// What the start of a buffer holds.
enum Start {
    /// Not enough to say.
    Unknown,
    /// A keep-alive of so many bytes.
    Empty(usize),
    /// A frame of which so many bytes are expected; its end mark has not been seen.
    Open(usize),
    /// A frame: bytes before the header, of header and body, behind the body.
    Whole {
        lead: usize,
        counted: usize,
        tail: usize,
    },
}

impl FrameCodec {
    /// A codec of this framing; `frame_max` bytes of header and body at most.
    pub fn new(framing: &Framing, frame_max: usize) -> Self {
        Self {
            boundary: framing.boundary(),
            header: framing.header(),
            keep_alive: framing.keep_alive(),
            frame_max: frame_max.min(framing.frame_max()),
            keep_alives_in_a_row: 0,
            echo_due: false,
            echoed: None,
        }
    }

    /// Starts a frame at the end of `out` with this header; the body is then appended to `out`.
    pub fn begin(&self, out: &mut BytesMut, header: &[u8]) -> FrameMark {
        let start = out.len();
        if let Boundary::Length(length) = self.boundary {
            out.put_slice(&length.prefix);
            out.put_bytes(0, length.size + length.zeros_after);
        }
        out.put_slice(header);
        FrameMark {
            start,
            header_size: header.len(),
        }
    }

    /// Starts the reply to a frame that came with `request_header`, its addresses swapped.
    pub fn begin_reply(&self, out: &mut BytesMut, request_header: &[u8]) -> FrameMark {
        let mark = self.begin(out, request_header);
        let header_start = out.len().saturating_sub(request_header.len());
        if let Some(header) = out.get_mut(header_start..) {
            self.header.turn(header);
        }
        mark
    }

    /// Ends the frame begun at `mark`: writes what surrounds header and body. On an error the
    /// frame is taken out again.
    ///
    /// # Errors
    /// The header is not of the framing's size, or the frame is empty, too long, or holds its own
    /// end mark.
    pub fn finish(&self, out: &mut BytesMut, mark: FrameMark) -> Result<(), FrameError> {
        let result = self.close(out, &mark);
        if result.is_err() {
            out.truncate(mark.start);
        }
        result
    }

    /// Where the frame at the start of `src` lies, once all of it is there.
    ///
    /// For a reader that keeps its own buffer; the decoder uses the same. A keep-alive has an empty
    /// body and is the caller's to skip.
    ///
    /// # Errors
    /// The bytes cannot be a frame of this framing.
    pub fn bounds(&self, src: &[u8]) -> Result<Option<FrameBounds>, FrameError> {
        match self.start(src)? {
            Start::Unknown | Start::Open(_) => Ok(None),
            Start::Empty(size) => Ok(Some(FrameBounds {
                header_start: size,
                body_start: size,
                body_end: size,
                whole: size,
            })),
            Start::Whole {
                lead,
                counted,
                tail,
            } => self.locate(src, lead, counted, tail),
        }
    }

    /// Header and body of a frame that begins `src`, once all of it is there.
    fn locate(
        &self,
        src: &[u8],
        lead: usize,
        counted: usize,
        tail: usize,
    ) -> Result<Option<FrameBounds>, FrameError> {
        let body_end = lead + counted;
        let whole = body_end + tail;
        let Some(content) = src.get(lead..body_end).filter(|_| src.len() >= whole) else {
            return Ok(None);
        };
        if let Boundary::Length(length) = self.boundary
            && tail > 0
        {
            let trailer = src.get(body_end..whole).unwrap_or_default();
            self.check_constant("the trailer", length.trailer, trailer, src)?;
        }
        Ok(Some(FrameBounds {
            header_start: lead,
            body_start: lead + self.header.measure(content)?,
            body_end,
            whole,
        }))
    }

    /// The error of a stream that stopped with only `received` bytes of a frame.
    pub fn incomplete(&self, received: &[u8]) -> FrameError {
        let expected = match self.start(received) {
            Ok(Start::Unknown) => match self.boundary {
                Boundary::Length(length) => length.number_end(),
                Boundary::End(_) => 1,
            },
            Ok(Start::Empty(size) | Start::Open(size)) => size,
            Ok(Start::Whole {
                lead,
                counted,
                tail,
            }) => lead + counted + tail,
            Err(error) => return error,
        };
        FrameError::Incomplete {
            expected,
            got: received.len(),
            hint: self.hint(received),
        }
    }

    /// Writes the echo of the keep-alives that came since the last call, when one is due.
    pub fn echo_keep_alive(&mut self, now: Instant, out: &mut BytesMut) {
        if !std::mem::take(&mut self.echo_due) {
            return;
        }
        let is_late = |echoed| now.saturating_duration_since(echoed) >= ECHO_INTERVAL_MIN;
        if self.echoed.is_none_or(is_late) {
            self.echoed = Some(now);
            self.put_keep_alive(out);
        }
    }

    /// Writes a frame that carries nothing.
    pub fn put_keep_alive(&self, out: &mut BytesMut) {
        match self.boundary {
            Boundary::Length(length) => {
                out.put_slice(&length.prefix);
                let number = out.len();
                out.put_bytes(0, length.size + length.zeros_after);
                if let Some(field) = out.get_mut(number..number + length.size) {
                    write_number(field, length.encoding, length.value_empty());
                }
            }
            Boundary::End(mark) => out.put_u8(mark),
        }
    }

    fn close(&self, out: &mut BytesMut, mark: &FrameMark) -> Result<(), FrameError> {
        let lead = match self.boundary {
            Boundary::Length(length) => length.lead(),
            Boundary::End(_) => 0,
        };
        let content_start = mark.start + lead;
        // Only a caller that shortened `out` below its own mark has no content here.
        let content = out.get_mut(content_start..).unwrap_or_default();
        let counted = content.len();
        if counted > self.frame_max {
            return Err(FrameError::TooLong {
                max: self.frame_max,
                got: counted,
                hint: None,
            });
        }
        let header_min = self.header.size_min();
        let wrong_header = |expected| FrameError::HeaderSize {
            expected,
            got: mark.header_size,
        };
        if mark.header_size < header_min {
            return Err(wrong_header(header_min));
        }
        if counted <= mark.header_size {
            return Err(FrameError::TooShort {
                min: mark.header_size + 1,
                got: counted,
                hint: None,
            });
        }
        let measured = self.header.measure(content)?;
        if mark.header_size != measured {
            return Err(wrong_header(measured));
        }
        self.header.renew(content, counted);
        match self.boundary {
            Boundary::Length(length) => {
                let number = mark.start + length.prefix.len();
                if let Some(field) = out.get_mut(number..number + length.size) {
                    write_number(field, length.encoding, counted + length.beside());
                }
                out.put_slice(&length.trailer);
            }
            Boundary::End(end) => {
                if let Some(offset) = content.iter().position(|byte| *byte == end) {
                    return Err(FrameError::EndInside { offset });
                }
                out.put_u8(end);
            }
        }
        Ok(())
    }

    /// What the buffer begins with, as far as can be said.
    #[inline]
    fn start(&self, src: &[u8]) -> Result<Start, FrameError> {
        match self.boundary {
            Boundary::Length(length) => self.start_by_length(length, src),
            Boundary::End(mark) => self.start_by_end(mark, src),
        }
    }

    fn start_by_length(&self, length: LengthField, src: &[u8]) -> Result<Start, FrameError> {
        let prefix = length.prefix;
        if !prefix.is_empty() {
            let came = src.get(..src.len().min(prefix.len())).unwrap_or_default();
            self.check_constant("the frame's prefix", prefix, came, src)?;
        }
        let Some(field) = src.get(prefix.len()..length.number_end()) else {
            return Ok(Start::Unknown);
        };
        let value = self.read_number(length, field)?;
        if length.zeros_after > 0 {
            let lead = src.len().min(length.lead());
            let came = src.get(length.number_end()..lead).unwrap_or_default();
            if let Some(offset) = came.iter().position(|byte| *byte != 0) {
                let expected = Literal::new(&[0]).unwrap_or(Literal::EMPTY);
                return Err(FrameError::Constant {
                    part: "the zeros behind the length",
                    expected,
                    offset,
                    hint: self.hint(src),
                });
            }
            if src.len() < length.lead() {
                return Ok(Start::Unknown);
            }
        }
        // A length that counts only itself is a keep-alive as well.
        if value == 0 || value == length.value_empty() {
            return Ok(Start::Empty(length.lead()));
        }
        let min = length.value_min(self.header);
        if value < min {
            return Err(FrameError::TooShort {
                min,
                got: value,
                hint: self.hint(src),
            });
        }
        let counted = value - length.beside();
        if counted > self.frame_max {
            return Err(FrameError::TooLong {
                max: self.frame_max,
                got: counted,
                hint: self.hint(src),
            });
        }
        Ok(Start::Whole {
            lead: length.lead(),
            counted,
            tail: length.trailer.len(),
        })
    }

    fn start_by_end(&self, mark: u8, src: &[u8]) -> Result<Start, FrameError> {
        let content = src.iter().take(self.frame_max.saturating_add(1));
        match content.enumerate().find(|(_, byte)| **byte == mark) {
            Some((0, _)) => Ok(Start::Empty(1)),
            Some((counted, _)) if counted <= self.header.size_min() => Err(FrameError::TooShort {
                min: self.header.size_min() + 1,
                got: counted,
                hint: self.hint(src),
            }),
            Some((counted, _)) => Ok(Start::Whole {
                lead: 0,
                counted,
                tail: 1,
            }),
            None if src.len() > self.frame_max => Err(FrameError::TooLong {
                max: self.frame_max,
                got: src.len(),
                hint: self.hint(src),
            }),
            None if src.is_empty() => Ok(Start::Unknown),
            None => Ok(Start::Open(src.len() + 1)),
        }
    }

    /// Refuses the bytes that came where these constant ones should be.
    fn check_constant(
        &self,
        part: &'static str,
        expected: Literal,
        came: &[u8],
        src: &[u8],
    ) -> Result<(), FrameError> {
        let mut pairs = expected.iter().zip(came);
        match pairs.position(|(expected, got)| expected != got) {
            None => Ok(()),
            Some(offset) => Err(FrameError::Constant {
                part,
                expected,
                offset,
                hint: self.hint(src),
            }),
        }
    }

    fn read_number(&self, length: LengthField, field: &[u8]) -> Result<usize, FrameError> {
        let not_digits = |offset, expected| {
            let hint = self.hint(field);
            FrameError::NotDigits {
                expected,
                offset,
                hint,
            }
        };
        let mut value = 0_usize;
        if length.encoding == LengthEncoding::Le {
            let join = |value: usize, byte: &u8| value << 8 | usize::from(*byte);
            return Ok(field.iter().rev().fold(value, join));
        }
        for (offset, &byte) in field.iter().enumerate() {
            value = match length.encoding {
                LengthEncoding::Be | LengthEncoding::Le => value << 8 | usize::from(byte),
                LengthEncoding::Ascii if byte.is_ascii_digit() => {
                    value * 10 + usize::from(byte - b'0')
                }
                LengthEncoding::Ascii => return Err(not_digits(offset, "ASCII digits")),
                LengthEncoding::Bcd if byte >> 4 <= 9 && byte & 0x0F <= 9 => {
                    value * 100 + usize::from(byte >> 4) * 10 + usize::from(byte & 0x0F)
                }
                LengthEncoding::Bcd => return Err(not_digits(offset, "packed digits")),
                LengthEncoding::Hex => match char::from(byte).to_digit(16) {
                    Some(digit) => value << 4 | usize::try_from(digit).unwrap_or(0),
                    None => return Err(not_digits(offset, "hexadecimal digits")),
                },
            };
        }
        Ok(value)
    }

    fn hint(&self, start: &[u8]) -> Option<LengthHint> {
        match self.boundary {
            Boundary::Length(length) => {
                let is_text = matches!(
                    length.encoding,
                    LengthEncoding::Ascii | LengthEncoding::Bcd | LengthEncoding::Hex
                );
                LengthHint::of(start, !is_text)
            }
            Boundary::End(_) => LengthHint::of(start, false),
        }
    }

    fn take_keep_alive(&mut self) -> Result<(), FrameError> {
        if self.keep_alive == KeepAlive::Close {
            return Err(FrameError::TooShort {
                min: self.header.size_min() + 1,
                got: 0,
                hint: None,
            });
        }
        self.keep_alives_in_a_row += 1;
        if self.keep_alives_in_a_row > KEEP_ALIVES_IN_A_ROW_MAX {
            return Err(FrameError::OnlyKeepAlives {
                max: KEEP_ALIVES_IN_A_ROW_MAX,
            });
        }
        self.echo_due = self.keep_alive == KeepAlive::Echo;
        Ok(())
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        loop {
            let (lead, counted, tail) = match self.start(src)? {
                Start::Unknown | Start::Open(_) => return Ok(None),
                Start::Empty(size) => {
                    self.take_keep_alive()?;
                    let _ = src.split_to(size);
                    continue;
                }
                Start::Whole {
                    lead,
                    counted,
                    tail,
                } => (lead, counted, tail),
            };
            let Some(bounds) = self.locate(src, lead, counted, tail)? else {
                let missing = (lead + counted + tail).saturating_sub(src.len());
                src.reserve(missing.min(RESERVE_BYTES_MAX));
                return Ok(None);
            };
            self.keep_alives_in_a_row = 0;
            let mut body = src.split_to(bounds.whole).freeze();
            body.truncate(bounds.body_end);
            let mut header = body.split_to(bounds.body_start);
            let _ = header.split_to(bounds.header_start);
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
    let mut put = |byte: &mut u8| {
        let (base, digit) = match encoding {
            LengthEncoding::Be | LengthEncoding::Le => (256, value % 256),
            LengthEncoding::Ascii => (10, usize::from(b'0') + value % 10),
            LengthEncoding::Bcd => (100, value % 100 / 10 * 16 + value % 10),
            LengthEncoding::Hex => match value % 16 {
                digit @ 0..=9 => (16, usize::from(b'0') + digit),
                letter => (16, usize::from(b'A') + letter - 10),
            },
        };
        *byte = u8::try_from(digit).unwrap_or(u8::MAX);
        value /= base;
    };
    match encoding {
        LengthEncoding::Le => field.iter_mut().for_each(&mut put),
        _ => field.iter_mut().rev().for_each(&mut put),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
