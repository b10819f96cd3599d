//! What stands between the length of a frame and its message, and how an answer returns it.
//!
//! Source of the BASE I layout: byte 0 is the header's own length, the high bit of byte 1 says that
//! another header follows, bytes 3 and 4 hold the length of header and message, 5 to 7 the
//! destination, 8 to 10 the source.

use std::fmt;
use std::str::FromStr;

use super::error::{FrameError, FramingError};
use super::literal::Literal;

/// Bytes of a TPDU: one identifier, two of destination, two of source.
pub const TPDU_SIZE: usize = 5;
/// Bytes of a BASE I header.
pub const BASE1_SIZE: usize = 22;

/// What stands between the length field and the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// Nothing.
    #[default]
    None,
    /// A TPDU; a reply goes out with the two addresses swapped.
    Tpdu,
    /// A TPDU that goes back as it came.
    TpduUnswapped,
    /// A BASE I header; a reply goes out with the two stations swapped and the length renewed.
    Base1,
    /// As many bytes as these; a reply returns what came, a request carries these.
    Fixed(Literal),
}

impl Header {
    /// Bytes of the header on the wire; of a header that says its own length, the fewest.
    pub fn size_min(self) -> usize {
        match self {
            Self::None => 0,
            Self::Tpdu | Self::TpduUnswapped => TPDU_SIZE,
            Self::Base1 => BASE1_SIZE,
            Self::Fixed(bytes) => bytes.len(),
        }
    }

    /// The header of a request that nobody has routed yet.
    pub fn of_request(self) -> Vec<u8> {
        const TPDU: [u8; TPDU_SIZE] = [0x60, 0, 0, 0, 0];
        match self {
            Self::None => Vec::new(),
            Self::Tpdu | Self::TpduUnswapped => TPDU.to_vec(),
            Self::Base1 => {
                let mut header = vec![0x16, 0x01, 0x02];
                header.resize(BASE1_SIZE, 0);
                header
            }
            Self::Fixed(bytes) => bytes.to_vec(),
        }
    }

    /// Turns the header of a request into the header of its reply.
    pub(super) fn turn(self, header: &mut [u8]) {
        match self {
            Self::Tpdu => swap(header, 1, 2),
            Self::Base1 => swap(header, 5, 3),
            Self::None | Self::TpduUnswapped | Self::Fixed(_) => {}
        }
    }

    /// How many bytes of this header and message are header.
    pub(super) fn measure(self, header_and_body: &[u8]) -> Result<usize, FrameError> {
        match self {
            Self::None | Self::Tpdu | Self::TpduUnswapped | Self::Fixed(_) => Ok(self.size_min()),
            Self::Base1 => {
                let first = base1_size(header_and_body)?;
                let has_second = header_and_body
                    .get(1)
                    .is_some_and(|format| format & SECOND_FOLLOWS != 0);
                let rest = header_and_body.get(first..).unwrap_or_default();
                let second = if has_second { base1_size(rest)? } else { 0 };
                Ok(first + second)
            }
        }
    }

    /// Renews what the header says about the whole of header and body.
    pub(super) fn renew(self, header: &mut [u8], size: usize) {
        if self == Self::Base1
            && let (Some(field), Ok(size)) = (header.get_mut(3..5), u16::try_from(size))
        {
            field.copy_from_slice(&size.to_be_bytes());
        }
    }
}

/// The high bit of the header format.
const SECOND_FOLLOWS: u8 = 0x80;

/// The own length of the header at the start; at least one byte of message must follow.
fn base1_size(bytes: &[u8]) -> Result<usize, FrameError> {
    let max = bytes.len().saturating_sub(1);
    match bytes.first().map(|size| usize::from(*size)) {
        Some(size) if (BASE1_SIZE..=max).contains(&size) => Ok(size),
        got => Err(FrameError::HeaderLength {
            min: BASE1_SIZE,
            max,
            got: got.unwrap_or(0),
        }),
    }
}

/// Swaps two neighbouring fields of `size` bytes, the first of which begins at `start`.
fn swap(header: &mut [u8], start: usize, size: usize) {
    if let Some(fields) = header.get_mut(start..start + 2 * size) {
        fields.rotate_left(size);
    }
}

impl FromStr for Header {
    type Err = FramingError;

    fn from_str(name: &str) -> Result<Self, FramingError> {
        match name {
            "none" => Ok(Self::None),
            "tpdu" => Ok(Self::Tpdu),
            "tpdu-unswapped" => Ok(Self::TpduUnswapped),
            "base1" => Ok(Self::Base1),
            _ => match name.strip_prefix("hex:") {
                Some(hex) => Ok(Self::Fixed(hex.parse()?)),
                None => Err(FramingError::UnknownHeader {
                    name: name.to_owned(),
                }),
            },
        }
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Tpdu => f.write_str("tpdu"),
            Self::TpduUnswapped => f.write_str("tpdu-unswapped"),
            Self::Base1 => f.write_str("base1"),
            Self::Fixed(bytes) => write!(f, "hex:{bytes}"),
        }
    }
}
