//! Card numbers: held as short as possible, shown masked, stored as a keyed token.

use std::fmt;
use std::hash::{Hash, Hasher};

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

/// A primary account number of 8 to 19 digits. No `Display`; `Debug` is masked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pan(ArrayString<19>);

impl Pan {
    /// The number in this text, or nothing unless it is 8 to 19 ASCII digits (ISO/IEC 7812-1).
    pub fn parse(text: &str) -> Option<Pan> {
        let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits_only || text.len() < 8 {
            return None;
        }
        ArrayString::from(text).ok().map(Pan)
    }

    /// The clear digits, for the token computation and the BIN lookup only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// First six and last four digits, the rest starred (PCI DSS 3.4.1).
    pub fn masked(&self) -> MaskedPan {
        MaskedPan::of(self)
    }

    /// Whether the last digit is the right check digit (ISO/IEC 7812-1 annex B, Luhn).
    pub fn has_valid_check_digit(&self) -> bool {
        // Two digits from the right at a time: the right one counts as it is.
        let mut sum = 0_u32;
        for pair in self.0.as_bytes().rchunks(2) {
            let (single, doubled) = match pair {
                [doubled, single] => (*single, *doubled),
                [single] => (*single, b'0'),
                _ => continue,
            };
            let doubled = DOUBLED.get(usize::from(doubled & 0x0f));
            let single = u32::from(single & 0x0f);
            sum = sum
                .wrapping_add(single)
                .wrapping_add(doubled.copied().unwrap_or(0));
        }
        sum.is_multiple_of(10)
    }
}

/// Digit sum of twice a digit.
const DOUBLED: [u32; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.masked().as_str())
    }
}

/// A card number made safe to show: `476173******0119`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskedPan(ArrayString<19>);

impl MaskedPan {
    fn of(pan: &Pan) -> MaskedPan {
        const STARS: &str = "*******************";
        let digits = pan.expose();
        // A number too short for six and four shows only its last four.
        let shown_head = if digits.len() >= 13 { 6 } else { 0 };
        let shown_tail = digits.len().saturating_sub(4);
        let hidden = shown_tail.saturating_sub(shown_head);
        let mut text = ArrayString::new();
        for part in [
            digits.get(..shown_head),
            STARS.get(..hidden),
            digits.get(shown_tail..),
        ] {
            text.push_str(part.unwrap_or_default());
        }
        MaskedPan(text)
    }

    /// What is shown in place of a number that was erased.
    pub fn erased() -> MaskedPan {
        let mut text = ArrayString::new();
        text.push_str(ERASED);
        MaskedPan(text)
    }

    /// Whether the number was erased.
    pub fn is_erased(&self) -> bool {
        self.0.as_str() == ERASED
    }

    /// The masked text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// No masked number has a letter.
const ERASED: &str = "erased";

impl fmt::Display for MaskedPan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MaskedPan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A card's name inside the switch: a keyed hash of its number (PCI DSS 3.5.1.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CardToken(pub [u8; 16]);

impl Hash for CardToken {
    /// Half of it is enough: it is a hash already.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let half = self.0.first_chunk().copied().unwrap_or_default();
        state.write_u64(u64::from_ne_bytes(half));
    }
}

impl fmt::Display for CardToken {
    /// 32 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CardToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_only_the_first_six_and_the_last_four() {
        let pan = Pan::parse("4761739001010119").unwrap();
        assert_eq!(pan.masked().as_str(), "476173******0119");
        assert_eq!(format!("{pan:?}"), "476173******0119");
        assert_eq!(
            Pan::parse("123456789012").unwrap().masked().as_str(),
            "********9012"
        );
    }

    #[test]
    fn check_digits() {
        for (digits, valid) in [
            ("4761739001010119", true),
            ("4761739001010118", false),
            ("4761739001011019", false),
            ("4000000000000002", true),
        ] {
            assert_eq!(
                Pan::parse(digits).unwrap().has_valid_check_digit(),
                valid,
                "{digits}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_card_number() {
        for text in ["", "1234567", "12345678901234567890", "47617390010101x9"] {
            assert!(Pan::parse(text).is_none(), "{text}");
        }
    }
}
