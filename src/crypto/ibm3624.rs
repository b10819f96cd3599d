//! IBM 3624 PIN verification: a natural PIN of the card, and an offset from it.

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::digits::{nibbles, packed, values};
use super::key::{BlockKey, TDES_BLOCK, TdesKey};
use super::pin_block::Pin;

/// Digits of validation data, one block.
const VALIDATION_DIGITS: usize = 16;

/// Which decimal digit each of the sixteen nibbles becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecimalizationTable([u8; 16]);

impl DecimalizationTable {
    /// A table from its sixteen digits; `None` when they are not.
    pub fn parse(text: &str) -> Option<DecimalizationTable> {
        values(text)?.try_into().ok().map(DecimalizationTable)
    }

    /// Its digits, as numbers.
    pub fn digits(&self) -> impl Iterator<Item = u8> + use<> {
        self.0.into_iter()
    }
}

/// What the issuer keeps of a PIN: how far each digit is from the natural PIN, modulo ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset<'a>(pub &'a [u8]);

/// The digits of the natural PIN of a card; `None` when the validation data are no 16 digits.
fn natural(
    key: &TdesKey,
    table: &DecimalizationTable,
    validation: &str,
) -> Option<Zeroizing<[u8; VALIDATION_DIGITS]>> {
    let data = values(validation)?;
    if data.len() != VALIDATION_DIGITS {
        return None;
    }
    let clear: [u8; TDES_BLOCK] = packed(data);
    let outcome = Zeroizing::new(key.encrypt(clear));
    let mut digits = Zeroizing::new([0; VALIDATION_DIGITS]);
    for (digit, nibble) in digits.iter_mut().zip(nibbles(&outcome[..])) {
        *digit = *table.0.get(usize::from(nibble))?;
    }
    Some(digits)
}

/// The offset of a PIN that a holder chose, its digits as numbers.
pub fn offset(
    key: &TdesKey,
    table: &DecimalizationTable,
    validation: &str,
    pin: &Pin,
) -> Option<Vec<u8>> {
    let natural = natural(key, table, validation)?;
    let digits = pin.digits().iter().zip(natural.iter());
    Some(
        digits
            .map(|(chosen, natural)| chosen.wrapping_add(10).wrapping_sub(*natural) % 10)
            .collect(),
    )
}

/// Whether a PIN is the natural one plus the offset, in a time that does not tell where it differs;
/// a PIN of another length than the offset is not.
pub fn verify(
    key: &TdesKey,
    table: &DecimalizationTable,
    validation: &str,
    offset: Offset<'_>,
    pin: &Pin,
) -> Option<bool> {
    let natural = natural(key, table, validation)?;
    let is_as_long = Choice::from(u8::from(pin.digits().len() == offset.0.len()));
    let pairs = pin.digits().iter().zip(offset.0.iter().zip(natural.iter()));
    let same = pairs.fold(is_as_long, |same, (got, (offset, natural))| {
        same & got.ct_eq(&(natural.wrapping_add(*offset) % 10))
    });
    Some(same.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_and_offsets_are_those_of_the_published_vectors() {
        let key =
            TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap_or_else(|_| panic!());
        let table = DecimalizationTable::parse("1234567890123456").unwrap();
        let validation = "1122334455667788";
        for (digits, distance) in [("4524", [0, 0, 0, 0]), ("1234", [7, 7, 1, 0])] {
            let pin = Pin::from_digits(digits).unwrap_or_else(|_| panic!());
            assert_eq!(offset(&key, &table, validation, &pin).unwrap(), distance);
            let is_right =
                |distance: &[u8]| verify(&key, &table, validation, Offset(distance), &pin).unwrap();
            assert!(is_right(&distance));
            assert!(!is_right(&[1, 0, 0, 0]) && !is_right(&[0, 0, 0]));
        }
        assert_eq!(DecimalizationTable::parse("123456789012345A"), None);
        let pin = Pin::from_digits("1234").unwrap_or_else(|_| panic!());
        assert_eq!(offset(&key, &table, "11223344", &pin), None);
    }
}
