//! PIN blocks (ISO 9564-1): PIN, and most often card number, mixed into one block of a cipher.
//!
//! | format | cipher | clear block |
//! |---|---|---|
//! | 0 | TDES | `0`, length, PIN, `F`s; mixed with twelve digits of the card number |
//! | 1 | TDES | `1`, length, PIN, random nibbles; without card number |
//! | 3 | TDES | as 0, with random `A` to `F` behind the PIN |
//! | 4 | AES | `4`, length, PIN, `A`s, random; enciphered, mixed with the card number, and again |

use zeroize::{Zeroize, Zeroizing};

use super::digits::{nibbles, packed, values};
use super::key::{AES_BLOCK, AesKey, BlockKey, TDES_BLOCK, TdesKey};

/// Shortest and longest PIN (ISO 9564-1).
const PIN_DIGITS: std::ops::RangeInclusive<usize> = 4..=12;
/// Digits of the card number that go into a block.
const PAN_DIGITS: usize = 12;
/// Nibbles of a clear block that carry control, length, PIN and fill.
const NIBBLES: usize = 16;
/// What fills a block of format 0 behind the PIN.
const FILL: u8 = 0xF;
/// What fills a block of format 4 behind the PIN.
const AES_FILL: u8 = 0xA;

/// How a PIN is put into a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Format 0, the usual one under TDES.
    Iso0,
    /// Format 1, where no card number is at hand.
    Iso1,
    /// Format 3, as 0 with random fill.
    Iso3,
    /// Format 4, under AES.
    Iso4,
}

impl Format {
    /// Whether a block may be turned from this format into another: a block that is bound to a card
    /// never becomes one that is not.
    pub fn may_become(self, other: Format) -> bool {
        self == Format::Iso1 || other != Format::Iso1
    }

    fn control(self) -> u8 {
        match self {
            Format::Iso0 => 0,
            Format::Iso1 => 1,
            Format::Iso3 => 3,
            Format::Iso4 => 4,
        }
    }

    fn is_fill(self, nibble: u8) -> bool {
        match self {
            Format::Iso0 => nibble == FILL,
            Format::Iso1 => true,
            Format::Iso3 => nibble >= AES_FILL,
            Format::Iso4 => nibble == AES_FILL,
        }
    }

    /// What stands behind the PIN for one random nibble.
    fn fill(self, random: u8) -> u8 {
        match self {
            Format::Iso0 => FILL,
            Format::Iso1 => random,
            Format::Iso3 => AES_FILL.saturating_add(random % 6),
            Format::Iso4 => AES_FILL,
        }
    }
}

/// A PIN in the clear, for as long as a comparison takes; it cannot be shown.
pub struct Pin {
    /// On the heap: what moves is a pointer, and no copy stays behind on a stack.
    digits: Box<[u8; 12]>,
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
            digits: Box::new([0; 12]),
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
pub fn decipher(key: &TdesKey, block: [u8; TDES_BLOCK], pan: &str) -> Result<Pin, NoPin> {
    decipher_as(Format::Iso0, key, block, pan)
}

/// An enciphered block of format 0: what a terminal sends.
///
/// # Errors
/// [`NoPin`] when the card number has fewer than 13 digits.
pub fn encipher(key: &TdesKey, pin: &Pin, pan: &str) -> Result<[u8; TDES_BLOCK], NoPin> {
    encipher_as(Format::Iso0, key, pin, pan, [0; TDES_BLOCK])
}

/// The PIN in an enciphered block of a format under TDES; format 1 looks at no card number.
///
/// # Errors
/// [`NoPin`], also for a format that is not one under TDES.
pub fn decipher_as(
    format: Format,
    key: &TdesKey,
    block: [u8; TDES_BLOCK],
    pan: &str,
) -> Result<Pin, NoPin> {
    let mut clear = Zeroizing::new(key.decrypt(block));
    mix(&mut clear, pan_part(format, pan)?);
    read(format, &clear)
}

/// An enciphered block of a format under TDES; `random` fills it where the format wants that.
///
/// # Errors
/// [`NoPin`] when the card number has fewer than 13 digits, and for a format that is not one under
/// TDES.
pub fn encipher_as(
    format: Format,
    key: &TdesKey,
    pin: &Pin,
    pan: &str,
    random: [u8; TDES_BLOCK],
) -> Result<[u8; TDES_BLOCK], NoPin> {
    let mut clear = written(format, pin, random);
    mix(&mut clear, pan_part(format, pan)?);
    Ok(key.encrypt(*clear))
}

/// The PIN in an enciphered block of format 4 for a card.
///
/// # Errors
/// [`NoPin`]; the caller does not count it as a wrong PIN.
pub fn decipher_aes(key: &AesKey, block: [u8; AES_BLOCK], pan: &str) -> Result<Pin, NoPin> {
    let mut inner = Zeroizing::new(key.decrypt(block));
    mix(&mut inner, pan_block(pan)?);
    let clear = Zeroizing::new(key.decrypt(*inner));
    let (pin, _) = clear
        .as_chunks::<TDES_BLOCK>()
        .0
        .split_first()
        .ok_or(NoPin)?;
    read(Format::Iso4, pin)
}

/// An enciphered block of format 4.
///
/// # Errors
/// [`NoPin`] when the card number has more than 19 digits or anything but digits.
pub fn encipher_aes(
    key: &AesKey,
    pin: &Pin,
    pan: &str,
    random: [u8; TDES_BLOCK],
) -> Result<[u8; AES_BLOCK], NoPin> {
    let mut clear = Zeroizing::new([0; AES_BLOCK]);
    let left = written(Format::Iso4, pin, random);
    for (slot, byte) in clear.iter_mut().zip(left.iter().chain(&random)) {
        *slot = *byte;
    }
    let mut inner = Zeroizing::new(key.encrypt(*clear));
    mix(&mut inner, pan_block(pan)?);
    Ok(key.encrypt(*inner))
}

fn mix<const N: usize>(block: &mut [u8; N], other: [u8; N]) {
    for (byte, other) in block.iter_mut().zip(other) {
        *byte ^= other;
    }
}

/// Control, length, PIN, fill.
fn read(format: Format, clear: &[u8; TDES_BLOCK]) -> Result<Pin, NoPin> {
    let mut all = Zeroizing::new([0; NIBBLES]);
    for (slot, nibble) in all.iter_mut().zip(nibbles(clear)) {
        *slot = nibble;
    }
    let [control, length, rest @ ..] = &*all;
    let length = usize::from(*length);
    if *control != format.control() || !PIN_DIGITS.contains(&length) {
        return Err(NoPin);
    }
    let (digits, fill) = rest.split_at(length);
    let is_sound =
        digits.iter().all(|digit| *digit <= 9) && fill.iter().all(|it| format.is_fill(*it));
    if !is_sound {
        return Err(NoPin);
    }
    Pin::from_values(digits.iter().copied().map(Ok), length)
}

/// The clear block that [`read`] reads, before a card number is mixed in.
fn written(format: Format, pin: &Pin, random: [u8; TDES_BLOCK]) -> Zeroizing<[u8; TDES_BLOCK]> {
    let length = u8::try_from(pin.length).unwrap_or_default();
    let head = [format.control(), length];
    let fill = nibbles(&random).map(|nibble| format.fill(nibble));
    let digits = pin.digits().iter().copied();
    Zeroizing::new(packed(head.into_iter().chain(digits).chain(fill)))
}

/// Four zeros and the last twelve digits of the card number before its check digit; nothing but
/// zeros for a format without card number.
fn pan_part(format: Format, pan: &str) -> Result<[u8; TDES_BLOCK], NoPin> {
    match format {
        Format::Iso1 => Ok([0; TDES_BLOCK]),
        Format::Iso4 => Err(NoPin),
        Format::Iso0 | Format::Iso3 => {
            let last = pan.len().checked_sub(1).ok_or(NoPin)?;
            let first = last.checked_sub(PAN_DIGITS).ok_or(NoPin)?;
            let digits = values(pan.get(first..last).ok_or(NoPin)?).ok_or(NoPin)?;
            Ok(packed([0; 4].into_iter().chain(digits)))
        }
    }
}

/// How many digits a card number has above twelve, then its digits, then zeros; a shorter one has
/// zeros on its left.
fn pan_block(pan: &str) -> Result<[u8; AES_BLOCK], NoPin> {
    let digits = values(pan).ok_or(NoPin)?;
    let more = u8::try_from(digits.len().saturating_sub(PAN_DIGITS)).map_err(|_| NoPin)?;
    if more > 7 {
        return Err(NoPin);
    }
    let zeros = std::iter::repeat_n(0, PAN_DIGITS.saturating_sub(digits.len()));
    Ok(packed([more].into_iter().chain(zeros).chain(digits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789ABCDEFFEDCBA9876543210";
    /// A number whose check digit is wrong, as published with the vectors below.
    const PAN: &str = "5555555551234567";

    fn key() -> TdesKey {
        TdesKey::from_hex(KEY).unwrap_or_else(|_| panic!())
    }

    fn pin(digits: &str) -> Pin {
        Pin::from_digits(digits).unwrap_or_else(|_| panic!())
    }

    #[test]
    fn clear_blocks_are_those_of_the_published_vectors() {
        for (digits, clear) in [
            ("1234", 0x0412_61AA_AAED_CBA9_u64),
            ("123456789012", 0x0C12_6103_2D82_26A9),
        ] {
            let pin = pin(digits);
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
        let pan_part = pan_part(Format::Iso0, PAN).unwrap();
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
        let pin = pin("1234");
        let block = encipher(&key(), &pin, PAN).unwrap();
        assert!(decipher(&key(), block, "4111222233334440").is_err());
        let other = TdesKey::from_hex("FEDCBA98765432100123456789ABCDEF");
        let other = other.unwrap_or_else(|_| panic!());
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

    #[test]
    fn blocks_of_formats_1_3_and_4_are_read_back_and_only_as_what_they_are() {
        let all = [Format::Iso0, Format::Iso1, Format::Iso3];
        for (format, random) in [
            (Format::Iso1, 0x5a),
            (Format::Iso3, 0x07),
            (Format::Iso0, 0),
        ] {
            let block = encipher_as(format, &key(), &pin("90125"), PAN, [random; 8]).unwrap();
            for other in all {
                let read = decipher_as(other, &key(), block, PAN);
                let digits = read.as_ref().ok().map(|pin| pin.digits());
                let expected = (other == format).then_some(&[9, 0, 1, 2, 5][..]);
                assert_eq!(digits, expected, "{format:?} as {other:?}");
            }
        }
        let published = 0x3412_61AA_AAED_CBA9_u64.to_be_bytes();
        let read = decipher_as(Format::Iso3, &key(), key().encrypt(published), PAN);
        assert_eq!(
            read.map(|pin| pin.digits().to_vec()).ok(),
            Some(vec![1, 2, 3, 4])
        );
    }

    #[test]
    fn a_block_of_format_4_is_that_of_the_published_vector() {
        let key = AesKey::from_hex("00112233445566778899AABBCCDDEEFF");
        let key = key.unwrap_or_else(|_| panic!());
        let pan = "1234567890123456789";
        let block = encipher_aes(&key, &pin("1234"), pan, [0xFF; 8]).unwrap();
        let expected = 0x28B4_1FDD_D29B_743E_9312_4BD8_E32D_921E_u128;
        assert_eq!(u128::from_be_bytes(block), expected);
        let read = decipher_aes(&key, block, pan).map(|pin| pin.digits().to_vec());
        assert_eq!(read.ok(), Some(vec![1, 2, 3, 4]));
        assert!(decipher_aes(&key, block, "1234567890123456780").is_err());
        let card_number = pan_block("112233445566778890").unwrap();
        let expected = 0x6112_2334_4556_6778_8900_0000_0000_0000_u128;
        assert_eq!(u128::from_be_bytes(card_number), expected);
    }

    #[test]
    fn a_block_that_is_bound_to_a_card_stays_so() {
        let all = [Format::Iso0, Format::Iso1, Format::Iso3, Format::Iso4];
        for from in all {
            for to in all {
                let is_refused = from != Format::Iso1 && to == Format::Iso1;
                assert_eq!(from.may_become(to), !is_refused, "{from:?} to {to:?}");
            }
        }
    }
}
