//! A6: which PINs a holder may choose. Nothing here keeps or shows a PIN.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::card::PinReference;

/// Digits of a PIN.
const PIN_DIGITS: usize = 4;

/// Why a PIN may not be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum PinRefused {
    /// Not exactly four digits.
    #[error("a PIN has exactly four digits (A6)")]
    Length,
    /// One digit, repeated.
    #[error("a PIN is not one digit repeated (A6)")]
    Repeated,
    /// Four digits in a row, in any order, nine followed by zero.
    #[error("a PIN is not made of four consecutive digits in any order (A6)")]
    Consecutive,
    /// The year, month and day, or day and month of the holder's birth.
    #[error("a PIN is not from the holder's date of birth (A6)")]
    Birth,
    /// Four digits in a row of the holder's telephone number.
    #[error("a PIN is not from the holder's telephone number (A6)")]
    Telephone,
}

/// What is known about the new PIN of a message that asks for a change. Variants are only ever
/// added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewPin {
    /// It may be chosen; this tells it from a wrong one.
    Chosen(PinReference),
    /// It may not be chosen.
    Refused(PinRefused),
    /// What is in the block is no PIN of this card.
    Malformed,
    /// There is no key, or nothing on file, to make a verification value with.
    CannotBeMade,
}

/// Whether a holder born on that day, reached under that number, may choose a PIN.
///
/// # Errors
/// The rule that it breaks, never the PIN.
pub fn check(pin: &str, birth: Option<Date>, telephone: Option<&str>) -> Result<(), PinRefused> {
    let digits: Vec<u8> = pin.bytes().filter(u8::is_ascii_digit).collect();
    if digits.len() != PIN_DIGITS || pin.len() != PIN_DIGITS {
        return Err(PinRefused::Length);
    }
    if digits
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a == b))
    {
        return Err(PinRefused::Repeated);
    }
    if are_consecutive(&digits) {
        return Err(PinRefused::Consecutive);
    }
    if birth.is_some_and(|birth| is_from_birth(pin, birth)) {
        return Err(PinRefused::Birth);
    }
    let from_telephone = |number: &str| {
        let number: String = number.chars().filter(char::is_ascii_digit).collect();
        number.contains(pin)
    };
    if telephone.is_some_and(from_telephone) {
        return Err(PinRefused::Telephone);
    }
    Ok(())
}

/// Whether some digit and the three after it, nine followed by zero, are all there.
fn are_consecutive(digits: &[u8]) -> bool {
    (0..10_u8).any(|first| {
        (0..4_u8).all(|step| {
            let digit = first.wrapping_add(step).rem_euclid(10).wrapping_add(b'0');
            digits.contains(&digit)
        })
    })
}

fn is_from_birth(pin: &str, birth: Date) -> bool {
    let (year, month, day) = (birth.year(), birth.month(), birth.day());
    [
        format!("{year:04}"),
        format!("{month:02}{day:02}"),
        format!("{day:02}{month:02}"),
    ]
    .iter()
    .any(|taken| taken == pin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_that_are_easy_to_guess_are_refused_by_rule() {
        let birth = Some(jiff::civil::date(1987, 11, 25));
        let telephone = Some("090-2846-1735");
        for (pin, refused) in [
            ("123", Some(PinRefused::Length)),
            ("12345", Some(PinRefused::Length)),
            ("12a4", Some(PinRefused::Length)),
            ("１２３４", Some(PinRefused::Length)),
            ("1111", Some(PinRefused::Repeated)),
            ("0000", Some(PinRefused::Repeated)),
            ("1234", Some(PinRefused::Consecutive)),
            ("4321", Some(PinRefused::Consecutive)),
            ("2413", Some(PinRefused::Consecutive)),
            ("8901", Some(PinRefused::Consecutive)),
            ("9012", Some(PinRefused::Consecutive)),
            ("1987", Some(PinRefused::Birth)),
            ("1125", Some(PinRefused::Birth)),
            ("2511", Some(PinRefused::Birth)),
            ("2846", Some(PinRefused::Telephone)),
            ("4617", Some(PinRefused::Telephone)),
            ("1135", None),
            ("1235", None),
            ("2580", None),
            ("1988", None),
        ] {
            assert_eq!(check(pin, birth, telephone).err(), refused, "{pin}");
        }
        assert_eq!(check("1987", None, None), Ok(()));
    }
}
