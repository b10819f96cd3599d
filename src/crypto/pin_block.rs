//! PIN blocks of format 0 (ISO 9564-1): PIN and card number mixed into eight bytes.

use zeroize::Zeroize;

use super::key::{BLOCK_BYTES, TdesKey};

/// Shortest and longest PIN (ISO 9564-1).
const PIN_DIGITS: std::ops::RangeInclusive<usize> = 4..=12;
/// Digits of the card number that go into a block.
const PAN_DIGITS: usize = 12;
/// What fills a block behind the PIN.
const FILL: u8 = 0xF;

/// A PIN in the clear, for as long as a comparison takes; it cannot be shown.
pub struct Pin {
    digits: [u8; 12],
    length: usize,
}

/// What is in a block is no PIN: a wrong key, another card's block, or damage. No try is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is in the PIN block is no PIN of this card")]
pub struct NoPin;

impl Pin {
    /// A PIN from its digits.
    ///
    /// # Errors
    /// [`NoPin`] unless there are 4 to 12 of them.
    pub fn from_digits(text: &str) -> Result<Pin, NoPin> {
        let values = text.bytes().map(|byte| match byte {
            b'0'..=b'9' => Ok(byte.wrapping_sub(b'0')),
            _ => Err(NoPin),
        });
        Pin::from_values(values, text.len())
    }

    fn from_values(
        values: impl Iterator<Item = Result<u8, NoPin>>,
        length: usize,
    ) -> Result<Pin, NoPin> {
        if !PIN_DIGITS.contains(&length) {
            return Err(NoPin);
        }
        let mut pin = Pin {
            digits: [0; 12],
            length,
        };
        for (slot, value) in pin.digits.iter_mut().zip(values) {
            *slot = value?;
        }
        Ok(pin)
    }

    /// Its digits as numbers 0 to 9.
    pub fn digits(&self) -> &[u8] {
        self.digits.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.digits.zeroize();
    }
}

/// The PIN in an enciphered block of format 0 for a card.
///
/// # Errors
/// [`NoPin`]; the caller does not count it as a wrong PIN.
pub fn decipher(key: &TdesKey, block: [u8; BLOCK_BYTES], pan: &str) -> Result<Pin, NoPin> {
    let mut clear = key.decrypt(block);
    let pan = pan_part(pan).ok_or(NoPin)?;
    for (byte, other) in clear.iter_mut().zip(pan) {
        *byte ^= other;
    }
    let mut nibbles = [0_u8; 16];
    for (pair, byte) in nibbles.chunks_exact_mut(2).zip(clear) {
        pair.copy_from_slice(&[byte >> 4, byte & 0xF]);
    }
    let pin = read(&nibbles);
    clear.zeroize();
    nibbles.zeroize();
    pin
}

/// Control 0, length, PIN, fill.
fn read(nibbles: &[u8; 16]) -> Result<Pin, NoPin> {
    let [0, length, rest @ ..] = nibbles else {
        return Err(NoPin);
    };
    let length = usize::from(*length);
    if !PIN_DIGITS.contains(&length) {
        return Err(NoPin);
    }
    let (digits, fill) = rest.split_at(length);
    let is_sound = digits.iter().all(|digit| *digit <= 9) && fill.iter().all(|it| *it == FILL);
    if !is_sound {
        return Err(NoPin);
    }
    Pin::from_values(digits.iter().copied().map(Ok), length)
}

/// An enciphered block of format 0: what a terminal sends.
///
/// # Errors
/// [`NoPin`] when the card number has fewer than 13 digits.
pub fn encipher(key: &TdesKey, pin: &Pin, pan: &str) -> Result<[u8; BLOCK_BYTES], NoPin> {
    let mut clear = pan_part(pan).ok_or(NoPin)?;
    let length = u8::try_from(pin.length).unwrap_or_default();
    let mut nibbles = [0, length]
        .into_iter()
        .chain(pin.digits().iter().copied())
        .chain(std::iter::repeat(FILL));
    for byte in &mut clear {
        let (high, low) = (nibbles.next(), nibbles.next());
        *byte ^= high.unwrap_or(FILL) << 4 | low.unwrap_or(FILL);
    }
    let block = key.encrypt(clear);
    clear.zeroize();
    Ok(block)
}

/// Four zeros and the last twelve digits of the card number before its check digit.
fn pan_part(pan: &str) -> Option<[u8; BLOCK_BYTES]> {
    let last = pan.len().checked_sub(1)?;
    let first = last.checked_sub(PAN_DIGITS)?;
    let digits = pan.get(first..last)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    let is_decimal = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789ABCDEFFEDCBA9876543210";
    /// A number whose check digit is wrong, as published with the vectors below.
    const PAN: &str = "5555555551234567";

    fn key() -> TdesKey {
        TdesKey::from_hex(KEY).unwrap()
    }

    #[test]
    fn clear_blocks_are_those_of_the_published_vectors() {
        for (digits, clear) in [
            ("1234", 0x0412_61AA_AAED_CBA9_u64),
            ("123456789012", 0x0C12_6103_2D82_26A9),
        ] {
            let pin = Pin::from_digits(digits).unwrap();
            let block = encipher(&key(), &pin, PAN).unwrap();
            assert_eq!(
                key().decrypt(block),
                clear.to_be_bytes(),
                "{}",
                digits.len()
            );
            let read = decipher(&key(), block, PAN).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(read.digits(), pin.digits());
        }
    }

    #[test]
    fn what_is_no_sound_block_is_no_pin() {
        let pan_part = pan_part(PAN).unwrap();
        for (what, nibbles) in [
            ("control", 0x1412_34FF_FFFF_FFFF_u64),
            ("too short", 0x0312_3FFF_FFFF_FFFF),
            ("too long", 0x0D12_3412_3412_341F),
            ("no digit", 0x0412_A4FF_FFFF_FFFF),
            ("fill", 0x0412_34FF_FF0F_FFFF),
        ] {
            let mut clear = nibbles.to_be_bytes();
            for (byte, other) in clear.iter_mut().zip(pan_part) {
                *byte ^= other;
            }
            let block = key().encrypt(clear);
            assert_eq!(decipher(&key(), block, PAN).err(), Some(NoPin), "{what}");
        }
    }

    #[test]
    fn a_block_for_another_card_or_key_is_no_pin() {
        let pin = Pin::from_digits("1234").unwrap();
        let block = encipher(&key(), &pin, PAN).unwrap();
        assert!(decipher(&key(), block, "4111222233334440").is_err());
        let other = TdesKey::from_hex("FEDCBA98765432100123456789ABCDEF").unwrap();
        assert!(decipher(&other, block, PAN).is_err());
        assert!(decipher(&key(), block, "123456789012").is_err());
    }

    #[test]
    fn a_pin_has_four_to_twelve_digits() {
        for (text, is_pin) in [
            ("123", false),
            ("1234", true),
            ("123456789012", true),
            ("1234567890123", false),
            ("12a4", false),
        ] {
            assert_eq!(Pin::from_digits(text).is_ok(), is_pin, "{}", text.len());
        }
    }
}
