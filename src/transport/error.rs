//! What can be wrong with a framing description or with the frames of a peer.

use std::fmt;
use std::io;

use super::literal::Literal;
use super::presets::PRESETS;

/// A framing description that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// No preset has this name.
    #[error("know framing '{name}': expected one of {}", PRESETS.join(", "))]
    UnknownPreset {
        /// The name that was asked for.
        name: String,
    },
    /// No header has this name.
    #[error("know header '{name}': expected none, tpdu, tpdu-unswapped, base1, or hex: and digits")]
    UnknownHeader {
        /// The name that was asked for.
        name: String,
    },
    /// Constant bytes are not written as they should be, or are too many.
    #[error("use constant bytes: expected 1 to {max} bytes as pairs of hexadecimal digits")]
    Literal {
        /// How many bytes there may be.
        max: usize,
    },
    /// The length field is too small or too large for its encoding.
    #[error("use a length field of {got} bytes: {encoding} takes 1 to {max}")]
    LengthSize {
        /// Name of the encoding.
        encoding: &'static str,
        /// Largest size of that encoding, in bytes.
        max: usize,
        /// The size that was asked for, in bytes.
        got: usize,
    },
}

/// Why a byte stream is not a stream of frames, or a frame cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length field claims more than the link takes, or a frame to write is longer than that.
    #[error("take a frame of {got} bytes: at most {max}{}", hint_text(*.hint))]
    TooLong {
        /// Largest frame of the link in bytes, header and body.
        max: usize,
        /// Claimed or built size in bytes.
        got: usize,
        /// What the peer may be speaking instead.
        hint: Option<LengthHint>,
    },
    /// The length field claims less than the frame must have (its own size, the header, one byte).
    #[error("take a frame of {got} bytes: at least {min}{}", hint_text(*.hint))]
    TooShort {
        /// Smallest value of the length field for this framing.
        min: usize,
        /// Claimed value.
        got: usize,
        /// What the peer may be speaking instead.
        hint: Option<LengthHint>,
    },
    /// A length of decimal digits holds something else.
    #[error(
        "read the frame length: expected {expected}, got another byte at offset {offset}{}",
        hint_text(*.hint)
    )]
    NotDigits {
        /// What each byte of the field must be.
        expected: &'static str,
        /// First wrong byte within the length field.
        offset: usize,
        /// What the peer may be speaking instead.
        hint: Option<LengthHint>,
    },
    /// Constant bytes of the framing are not there.
    #[error(
        "read {part}: expected {expected}, got another byte at offset {offset}{}",
        hint_text(*.hint)
    )]
    Constant {
        /// Which constant: the prefix, the zeros behind the length, the trailer.
        part: &'static str,
        /// The bytes that belong there.
        expected: Literal,
        /// First wrong byte within the constant.
        offset: usize,
        /// What the peer may be speaking instead.
        hint: Option<LengthHint>,
    },
    /// A header that says its own length says one that cannot be.
    #[error("read the message header: expected its own length from {min} to {max}, got {got}")]
    HeaderLength {
        /// Bytes of the shortest header.
        min: usize,
        /// Bytes that the frame leaves for it.
        max: usize,
        /// Bytes that it claims.
        got: usize,
    },
    /// A message to write holds the byte that would end its frame.
    #[error("write a frame: expected a message without its end mark, got one at offset {offset}")]
    EndInside {
        /// Where in header and body.
        offset: usize,
    },
    /// The stream stopped, or waited too long, inside a frame.
    #[error("read a whole frame: expected {expected} bytes, got {got}{}", hint_text(*.hint))]
    Incomplete {
        /// Bytes of the whole frame with its length field, or of the length field alone.
        expected: usize,
        /// Bytes that arrived.
        got: usize,
        /// What the peer may be speaking instead.
        hint: Option<LengthHint>,
    },
    /// The peer sends nothing but keep-alives.
    #[error("find a message: more than {max} keep-alives in a row")]
    OnlyKeepAlives {
        /// How many are taken in a row.
        max: u32,
    },
    /// The header given for a frame does not have the size the framing wants.
    #[error("write a frame header: expected {expected} bytes, got {got}")]
    HeaderSize {
        /// Header size of the framing in bytes.
        expected: usize,
        /// Size of the header given in bytes.
        got: usize,
    },
    /// The stream itself failed.
    #[error("read or write the stream: {0}")]
    Io(#[from] io::Error),
}

/// What the first bytes of a refused stream look like; helps whoever configured the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthHint {
    /// Decimal digits where a binary length was expected.
    AsciiDigits,
    /// The start of a TLS handshake.
    TlsHello,
    /// The start of an HTTP request.
    Http,
    /// A binary length, or none, where digits were expected.
    Binary,
}

impl LengthHint {
    /// Judges the first bytes of a stream, read where a binary or a decimal length was expected.
    pub(super) fn of(start: &[u8], expects_binary: bool) -> Option<Self> {
        const METHODS: [&[u8]; 6] = [b"GE", b"PO", b"HE", b"PU", b"DE", b"OP"];
        let first_two = start.get(..2)?;
        if first_two == [0x16, 0x03] {
            Some(Self::TlsHello)
        } else if METHODS.contains(&first_two) {
            Some(Self::Http)
        } else if expects_binary && first_two.iter().all(u8::is_ascii_digit) {
            Some(Self::AsciiDigits)
        } else if !expects_binary && first_two.first() == Some(&0) {
            Some(Self::Binary)
        } else {
            None
        }
    }
}

impl fmt::Display for LengthHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsciiDigits => "the length looks like ASCII digits: is the peer on ascii4?",
            Self::TlsHello => "this looks like TLS: the link is plain TCP",
            Self::Http => "this looks like HTTP: the link speaks ISO 8583",
            Self::Binary => "the length looks binary: is the peer on be2 or be4?",
        })
    }
}

fn hint_text(hint: Option<LengthHint>) -> String {
    hint.map(|hint| format!(" ({hint})")).unwrap_or_default()
}
