//! The message type indicator: four digits that say edition, class, function and origin.
//!
//! Source: ISO 8583:1987 clause 4.1.

use std::fmt;
use std::str::FromStr;

/// A message type indicator such as `0100`; its digits are known to be in range.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mti([u8; 4]);

/// Why four digits are no message type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMti {
    /// Something else than exactly four decimal digits.
    #[error("expected four decimal digits")]
    NotFourDigits,
    /// The second digit is not 1 to 8.
    #[error("expected a message class from 1 to 8, got {got}")]
    Class {
        /// The class digit.
        got: u8,
    },
    /// The fourth digit is not 0 to 5.
    #[error("expected a message origin from 0 to 5, got {got}")]
    Origin {
        /// The origin digit.
        got: u8,
    },
}

impl Mti {
    /// The message type with these four digits, for constants: `Mti::new(100)` is `0100`.
    ///
    /// # Panics
    ///
    /// When the digits are no message type; in a constant that stops the build. Digits that came
    /// from a peer go through `Mti::try_from`.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        assert!(number <= 9999, "a message type has four digits");
        match Self::from_digits(split(number)) {
            Ok(mti) => mti,
            Err(_) => panic!("the digits are no message type"),
        }
    }

    /// The message type with these digits (values 0 to 9, not characters).
    ///
    /// # Errors
    ///
    /// When a digit is out of its range.
    #[inline(always)]
    pub const fn from_digits(digits: [u8; 4]) -> Result<Self, InvalidMti> {
        let [version, class, function, origin] = digits;
        if version > 9 || class > 9 || function > 9 || origin > 9 {
            return Err(InvalidMti::NotFourDigits);
        }
        if class < 1 || class > 8 {
            return Err(InvalidMti::Class { got: class });
        }
        if origin > 5 {
            return Err(InvalidMti::Origin { got: origin });
        }
        Ok(Self(digits))
    }

    /// The four digits, as values.
    #[must_use]
    pub const fn digits(self) -> [u8; 4] {
        self.0
    }

    /// The four digits as one number, 100 for `0100`.
    #[must_use]
    pub fn number(self) -> u16 {
        let shifted =
            |number: u16, digit: &u8| number.wrapping_mul(10).wrapping_add((*digit).into());
        // Four digits fit.
        self.0.iter().fold(0, shifted)
    }

    /// First digit: the edition of the standard, 0 for 1987.
    #[must_use]
    pub const fn version(self) -> u8 {
        self.0[0]
    }

    /// Second digit: 1 authorization, 2 financial, 4 reversal, 8 network management.
    #[must_use]
    pub const fn class(self) -> u8 {
        self.0[1]
    }

    /// Third digit: 0 request, 1 request response, 2 advice, 3 advice response, 4 notification.
    #[must_use]
    pub const fn function(self) -> u8 {
        self.0[2]
    }

    /// Fourth digit: 0 acquirer, 2 issuer, 4 other; the odd number after each is its repeat.
    #[must_use]
    pub const fn origin(self) -> u8 {
        self.0[3]
    }

    /// Whether the sender expects an answer: a request or an advice.
    #[must_use]
    pub const fn is_request(self) -> bool {
        matches!(self.function(), 0 | 2)
    }

    /// Whether the message is sent again because no answer came.
    #[must_use]
    pub const fn is_repeat(self) -> bool {
        matches!(self.origin(), 1 | 3 | 5)
    }

    /// The type that answers this one, `None` for what is not answered.
    #[must_use]
    pub const fn response(self) -> Option<Self> {
        let [version, class, function, origin] = self.0;
        let answer = match function {
            0 => 1,
            2 => 3,
            _ => return None,
        };
        Some(Self([version, class, answer, first_sending(origin)]))
    }

    /// The request or advice this type belongs to, as it was first sent.
    #[must_use]
    pub const fn request(self) -> Self {
        let [version, class, function, origin] = self.0;
        let request = match function {
            1 => 0,
            3 => 2,
            other => other,
        };
        Self([version, class, request, first_sending(origin)])
    }
}

const fn first_sending(origin: u8) -> u8 {
    origin & !1
}

const fn split(number: u16) -> [u8; 4] {
    let [_, thousands] = (number / 1000).to_be_bytes();
    let [_, hundreds] = (number / 100 % 10).to_be_bytes();
    let [_, tens] = (number / 10 % 10).to_be_bytes();
    let [_, ones] = (number % 10).to_be_bytes();
    [thousands, hundreds, tens, ones]
}

impl TryFrom<u16> for Mti {
    type Error = InvalidMti;

    fn try_from(number: u16) -> Result<Self, InvalidMti> {
        if number > 9999 {
            return Err(InvalidMti::NotFourDigits);
        }
        Self::from_digits(split(number))
    }
}

impl FromStr for Mti {
    type Err = InvalidMti;

    fn from_str(text: &str) -> Result<Self, InvalidMti> {
        let characters: [u8; 4] = text
            .as_bytes()
            .try_into()
            .map_err(|_| InvalidMti::NotFourDigits)?;
        // Anything but a digit becomes a value above 9, which `from_digits` refuses.
        Self::from_digits(characters.map(|character| character.wrapping_sub(b'0')))
    }
}

impl fmt::Display for Mti {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [version, class, function, origin] = self.0;
        write!(formatter, "{version}{class}{function}{origin}")
    }
}

impl fmt::Debug for Mti {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Mti({self})")
    }
}
