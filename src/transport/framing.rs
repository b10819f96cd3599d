//! Framing as data: where a frame begins and ends, and the header that stands before a message.
//!
//! A framing is chosen by preset name (`presets.rs`) or described in a file (`framing_file.rs`).
//! Every shape is one of two: a length field, perhaps between constant bytes, or an end mark.

use std::str::FromStr;

use super::error::FramingError;
use super::header::Header;
use super::literal::Literal;

/// How frames are cut out of a stream, what stands before the message, and what zero means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framing {
    name: String,
    boundary: Boundary,
    header: Header,
    keep_alive: KeepAlive,
    frame_max: usize,
}

/// How the end of a frame is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// A length field stands before the frame.
    Length(LengthField),
    /// This byte ends the frame, and no message holds it.
    End(u8),
}

/// What stands around header and body when their length is said:
/// prefix, number, zeros, then header and body, then the trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LengthField {
    /// Constant bytes before the number.
    pub prefix: Literal,
    /// Bytes of the number on the wire.
    pub size: usize,
    /// How the number is written in them.
    pub encoding: LengthEncoding,
    /// What the number counts besides header and body.
    pub counts: Counts,
    /// Zero bytes between the number and the header.
    pub zeros_after: usize,
    /// Constant bytes behind the body.
    pub trailer: Literal,
}

/// How the number of a length field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthEncoding {
    /// Binary, most significant byte first.
    Be,
    /// Binary, least significant byte first.
    Le,
    /// Decimal digits in ASCII, one per byte.
    Ascii,
    /// Decimal digits packed two per byte.
    Bcd,
    /// Hexadecimal digits in ASCII, one per byte.
    Hex,
}

/// What a length counts. Header and body always; prefix and zeros never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Header and body alone.
    Body,
    /// The bytes of the number as well.
    BodyAndLength,
    /// The trailer as well.
    BodyAndTrailer,
}

/// What a frame of length zero is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// Nothing: it is skipped.
    Ignore,
    /// The same, at most once a second, so that two ends that echo never make a storm.
    Echo,
    /// The end of the link: on this framing a zero is no keep-alive.
    Close,
}

impl Framing {
    /// A framing of its own; `frame_max` bytes of header and body at most.
    ///
    /// # Errors
    /// The number is empty or larger than its encoding takes.
    pub fn new(
        name: &str,
        boundary: Boundary,
        header: Header,
        keep_alive: KeepAlive,
        frame_max: usize,
    ) -> Result<Self, FramingError> {
        if let Boundary::Length(length) = boundary {
            let max = length.encoding.size_max();
            if length.size == 0 || length.size > max {
                let encoding = length.encoding.name();
                return Err(FramingError::LengthSize {
                    encoding,
                    max,
                    got: length.size,
                });
            }
        }
        Ok(Self {
            name: name.to_owned(),
            boundary,
            header,
            keep_alive,
            frame_max,
        })
    }

    /// The same with another header, under another name.
    #[must_use]
    pub fn with_header(&self, name: &str, header: Header) -> Self {
        Self {
            name: name.to_owned(),
            header,
            ..self.clone()
        }
    }

    /// Preset name, or the name given in the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the end of a frame is known.
    pub fn boundary(&self) -> Boundary {
        self.boundary
    }

    /// The header between length and body.
    pub fn header(&self) -> Header {
        self.header
    }

    /// What a frame of length zero is answered with.
    pub fn keep_alive(&self) -> KeepAlive {
        self.keep_alive
    }

    /// Bytes of header and body that the longest frame has.
    pub fn frame_max(&self) -> usize {
        match self.boundary {
            Boundary::Length(length) => self.frame_max.min(length.countable_max()),
            Boundary::End(_) => self.frame_max,
        }
    }

    /// Whether both put the same bytes around a message.
    pub fn has_wire_of(&self, other: &Self) -> bool {
        self.boundary == other.boundary && self.header == other.header
    }
}

impl LengthField {
    /// A plain number before header and body.
    #[must_use]
    pub const fn plain(size: usize, encoding: LengthEncoding) -> Self {
        Self {
            prefix: Literal::EMPTY,
            size,
            encoding,
            counts: Counts::Body,
            zeros_after: 0,
            trailer: Literal::EMPTY,
        }
    }

    /// Largest number the field can hold.
    pub fn value_max(self) -> usize {
        // Sizes were checked by `Framing::new`; a field of 8 bytes would saturate here.
        let size = u32::try_from(self.size).unwrap_or(u32::MAX);
        let base: usize = match self.encoding {
            LengthEncoding::Be | LengthEncoding::Le => 256,
            LengthEncoding::Ascii => 10,
            LengthEncoding::Bcd => 100,
            LengthEncoding::Hex => 16,
        };
        base.checked_pow(size)
            .map_or(usize::MAX, |count| count.saturating_sub(1))
    }

    /// Largest header and body that the number can say.
    fn countable_max(self) -> usize {
        self.value_max().saturating_sub(self.beside())
    }

    /// How much of the number is neither header nor body.
    pub(super) fn beside(self) -> usize {
        match self.counts {
            Counts::Body => 0,
            Counts::BodyAndLength => self.size,
            Counts::BodyAndTrailer => self.trailer.len(),
        }
    }

    /// The number of a frame that carries nothing.
    pub(super) fn value_empty(self) -> usize {
        match self.counts {
            Counts::Body | Counts::BodyAndTrailer => 0,
            Counts::BodyAndLength => self.size,
        }
    }

    /// The smallest number of a frame that carries something.
    pub(super) fn value_min(self, header: Header) -> usize {
        self.beside() + header.size_min() + 1
    }

    /// Where the number ends, from the first byte of the frame.
    pub(super) fn number_end(self) -> usize {
        self.prefix.len() + self.size
    }

    /// Bytes before the header: prefix, number and zeros.
    pub(super) fn lead(self) -> usize {
        self.number_end() + self.zeros_after
    }
}

impl LengthEncoding {
    fn size_max(self) -> usize {
        match self {
            Self::Be | Self::Le => 4,
            Self::Ascii | Self::Hex => 6,
            Self::Bcd => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Be => "be",
            Self::Le => "le",
            Self::Ascii => "ascii",
            Self::Bcd => "bcd",
            Self::Hex => "hex",
        }
    }
}

impl FromStr for Framing {
    type Err = FramingError;

    fn from_str(name: &str) -> Result<Self, FramingError> {
        Self::preset(name)
    }
}
