//! PIN verification values: four digits that tell a right PIN from a wrong one.

use super::key::TdesKey;
use super::pin_block::Pin;

/// Digits of the card number that go in.
const PAN_DIGITS: usize = 11;
/// Digits of the PIN that go in.
const PIN_DIGITS: usize = 4;

/// A PIN verification value, its digits as numbers.
pub type Pvv = [u8; 4];

/// The value of a PIN of a card under a key of that index; `None` for a card number of fewer than
/// 12 digits or an index above 9.
///
/// The right-most eleven digits of the card number without its check digit, the key index and the
/// first four digits of the PIN are enciphered; the first decimal digits of the outcome, then its
/// first other digits less ten, are the value.
pub fn pvv(key: &TdesKey, key_index: u8, pan: &str, pin: &Pin) -> Option<Pvv> {
    let last = pan.len().checked_sub(1)?;
    let account = pan.get(last.checked_sub(PAN_DIGITS)?..last)?;
    let pin = pin.digits().get(..PIN_DIGITS)?;
    let digits = account
        .bytes()
        .map(|byte| byte.wrapping_sub(b'0'))
        .chain([key_index])
        .chain(pin.iter().copied());
    let mut number = 0_u64;
    for digit in digits {
        if digit > 9 {
            return None;
        }
        number = number << 4 | u64::from(digit);
    }
    let outcome = u64::from_be_bytes(key.encrypt(number.to_be_bytes()));
    let nibbles = || {
        (0..16_u32)
            .rev()
            .filter_map(move |place| u8::try_from(outcome >> (place.wrapping_mul(4)) & 0xF).ok())
    };
    let decimals = nibbles().filter(|nibble| *nibble <= 9);
    let others = nibbles().filter_map(|nibble| nibble.checked_sub(10));
    let mut value = Pvv::default();
    for (slot, digit) in value.iter_mut().zip(decimals.chain(others)) {
        *slot = digit;
    }
    Some(value)
}

/// Whether two values are equal, in a time that does not tell where they differ.
pub fn same(one: &Pvv, other: &Pvv) -> bool {
    let differences = one
        .iter()
        .zip(other)
        .fold(0, |sum, (one, other)| sum | (one ^ other));
    differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_published_vectors() {
        let key = TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        for (index, pin, pan, value) in [
            (1, "4524", "1122334455667788", [8, 5, 2, 3]),
            (2, "1912", "1122334455667788", [3, 2, 4, 4]),
            (1, "0570", "1122334455667718", [3, 1, 4, 4]),
            (1, "8299", "1122334455667708", [4, 4, 2, 2]),
        ] {
            let pin = Pin::from_digits(pin).unwrap();
            let got = pvv(&key, index, pan, &pin).unwrap();
            assert!(same(&got, &value), "{index} {value:?}");
            assert!(!same(&got, &[0, 0, 0, 0]));
        }
    }

    #[test]
    fn a_short_card_number_or_a_wrong_index_has_no_value() {
        let key = TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        let pin = Pin::from_digits("1234").unwrap();
        assert_eq!(pvv(&key, 1, "12345678901", &pin), None);
        assert_eq!(pvv(&key, 10, "1122334455667788", &pin), None);
    }
}
