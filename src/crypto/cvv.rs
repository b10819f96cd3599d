//! Card verification values: three digits that tell a real card from a made-up number.

use subtle::ConstantTimeEq;

use super::digits::{decimalized, packed, values};
use super::key::{BlockKey, TDES_BLOCK, TdesKey};

/// Digits that go in, zeros at the end.
const DIGITS: usize = 32;

/// A card verification value, its digits as numbers.
pub type Cvv = [u8; 3];

/// Where a value stands, which decides the service code that goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CvvKind<'a> {
    /// On the magnetic stripe, with its service code.
    Track(&'a str),
    /// Printed on the card (CVV2): 000.
    Printed,
    /// In the chip's track (iCVV): 999.
    Chip,
}

/// The value of a card. `expiry` are the four digits in the order in which the issuer puts them
/// in; that is YYMM or MMYY, see `reference/crypto.md` E.2.
///
/// `None` unless the number has 8 to 19 digits, the expiry four and the service code three.
pub fn cvv(key: &TdesKey, pan: &str, expiry: &str, kind: CvvKind<'_>) -> Option<Cvv> {
    let service_code = match kind {
        CvvKind::Track(code) => code,
        CvvKind::Printed => "000",
        CvvKind::Chip => "999",
    };
    let is_sound = (8..=19).contains(&pan.len()) && expiry.len() == 4 && service_code.len() == 3;
    if !is_sound {
        return None;
    }
    let mut digits = values(pan)?;
    digits.extend(values(expiry)?);
    digits.extend(values(service_code)?);
    digits.resize(DIGITS, 0);
    let (one, two) = digits.split_at(DIGITS / 2);
    let one: [u8; TDES_BLOCK] = packed(one.iter().copied());
    let two: [u8; TDES_BLOCK] = packed(two.iter().copied());
    let mut block = key.encrypt_left(one);
    for (byte, other) in block.iter_mut().zip(two) {
        *byte ^= other;
    }
    let outcome = key.encrypt(block);
    let mut value = Cvv::default();
    for (slot, digit) in value.iter_mut().zip(decimalized(&outcome)) {
        *slot = digit;
    }
    Some(value)
}

/// Whether two values are equal, in a time that does not tell where they differ.
pub fn same(one: &Cvv, other: &Cvv) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::key::bytes_of;
    use super::*;

    fn key(digits: &str) -> TdesKey {
        let bytes = bytes_of(digits).unwrap();
        TdesKey::derived(Zeroizing::new(bytes[..].try_into().unwrap()))
    }

    #[test]
    fn values_are_those_of_the_published_vectors() {
        let first = "0123456789ABCDEFFEDCBA9876543210";
        for (key_digits, pan, expiry, kind, value) in [
            (
                first,
                "4123456789012345",
                "8701",
                CvvKind::Track("101"),
                [5, 6, 1],
            ),
            (first, "4123456789012345", "8701", CvvKind::Chip, [6, 5, 1]),
            (
                first,
                "4123456789012345",
                "8701",
                CvvKind::Printed,
                [6, 3, 6],
            ),
            (
                first,
                "4123456789012345",
                "0187",
                CvvKind::Printed,
                [1, 2, 2],
            ),
            (
                first,
                "4000000000000002",
                "2912",
                CvvKind::Track("101"),
                [5, 3, 9],
            ),
            (
                first,
                "4000000000000002",
                "2912",
                CvvKind::Printed,
                [3, 8, 1],
            ),
            (first, "4000000000000002", "2912", CvvKind::Chip, [4, 8, 1]),
            (
                "99999999999999998888888888888888",
                "2222222222222222",
                "3333",
                CvvKind::Track("111"),
                [3, 6, 1],
            ),
            (
                "12345678123456781234567812345678",
                "123456789012",
                "1108",
                CvvKind::Printed,
                [2, 0, 4],
            ),
            (
                "12345678123456788765432187654321",
                "123456789012",
                "1108",
                CvvKind::Printed,
                [4, 5, 3],
            ),
        ] {
            let got = cvv(&key(key_digits), pan, expiry, kind).unwrap();
            assert!(same(&got, &value), "{kind:?} {expiry}");
            assert!(!same(&got, &[0, 0, 0]));
        }
    }

    #[test]
    fn what_is_no_card_has_no_value() {
        let key = key("0123456789ABCDEFFEDCBA9876543210");
        for (pan, expiry, code) in [
            ("4123456", "8701", "101"),
            ("4123456789012345", "870", "101"),
            ("4123456789012345", "8701", "10"),
            ("412345678901234A", "8701", "101"),
        ] {
            assert_eq!(cvv(&key, pan, expiry, CvvKind::Track(code)), None);
        }
    }
}
