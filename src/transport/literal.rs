//! A few constant bytes of a framing, written in files as hexadecimal text.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use super::error::FramingError;

/// Bytes of the longest constant: `ISO` headers have twelve.
pub const LITERAL_BYTES_MAX: usize = 15;

/// Constant bytes, held inline.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Literal {
    bytes: [u8; LITERAL_BYTES_MAX],
    size: u8,
}

impl Literal {
    /// No bytes.
    pub const EMPTY: Self = Self {
        bytes: [0; LITERAL_BYTES_MAX],
        size: 0,
    };

    /// These bytes, `None` when there are more than [`LITERAL_BYTES_MAX`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut literal = Self {
            size: u8::try_from(bytes.len()).ok()?,
            ..Self::EMPTY
        };
        literal.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(literal)
    }
}

impl Deref for Literal {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.size)).unwrap_or_default()
    }
}

impl FromStr for Literal {
    type Err = FramingError;

    fn from_str(hex: &str) -> Result<Self, FramingError> {
        let wrong = || FramingError::Literal {
            max: LITERAL_BYTES_MAX,
        };
        let (pairs, odd) = hex.as_bytes().as_chunks::<2>();
        let mut bytes = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let digit = |character: u8| char::from(character).to_digit(16);
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
                return Err(wrong());
            };
            bytes.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
        }
        if !odd.is_empty() || bytes.is_empty() {
            return Err(wrong());
        }
        Self::new(&bytes).ok_or_else(wrong)
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Literal({self})")
    }
}
