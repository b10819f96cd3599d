//! PIN verification values: four digits that tell a right PIN from a wrong one.

use subtle::ConstantTimeEq;

use super::digits::{decimalized, packed, values};
use super::key::{BlockKey, TDES_BLOCK, TdesKey};
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
    let account = values(pan.get(last.checked_sub(PAN_DIGITS)?..last)?)?;
    let pin = pin.digits().get(..PIN_DIGITS)?;
    if key_index > 9 {
        return None;
    }
    let digits = account.into_iter().chain([key_index]);
    let clear: [u8; TDES_BLOCK] = packed(digits.chain(pin.iter().copied()));
    let outcome = key.encrypt(clear);
    let mut value = Pvv::default();
    for (slot, digit) in value.iter_mut().zip(decimalized(&outcome)) {
        *slot = digit;
    }
    Some(value)
}

/// Whether two values are equal, in a time that does not tell where they differ.
pub fn same(one: &Pvv, other: &Pvv) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TdesKey {
        TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap_or_else(|_| panic!())
    }

    #[test]
    fn values_are_those_of_the_published_vectors() {
        for (index, pin, pan, value) in [
            (1, "4524", "1122334455667788", [8, 5, 2, 3]),
            (2, "1912", "1122334455667788", [3, 2, 4, 4]),
            (1, "0570", "1122334455667718", [3, 1, 4, 4]),
            (1, "8299", "1122334455667708", [4, 4, 2, 2]),
        ] {
            let pin = Pin::from_digits(pin).unwrap_or_else(|_| panic!());
            let got = pvv(&key(), index, pan, &pin).unwrap();
            assert!(same(&got, &value), "{index} {value:?}");
            assert!(!same(&got, &[0, 0, 0, 0]));
        }
    }

    #[test]
    fn a_short_card_number_or_a_wrong_index_has_no_value() {
        let pin = Pin::from_digits("1234").unwrap_or_else(|_| panic!());
        assert_eq!(pvv(&key(), 1, "12345678901", &pin), None);
        assert_eq!(pvv(&key(), 10, "1122334455667788", &pin), None);
    }
}
