//! TDES keys of double length, as issuers keep them for PINs.

use std::fmt;

use des::TdesEde2;
use des::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

/// Bytes of a TDES block.
pub const BLOCK_BYTES: usize = 8;
/// Hexadecimal digits of a key of double length.
const KEY_DIGITS: usize = 32;

/// A TDES key of double length.
#[derive(Clone)]
pub struct TdesKey {
    cipher: TdesEde2,
}

/// A key that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Of another length, or no hexadecimal digits.
    #[error("a TDES key: expected {KEY_DIGITS} hexadecimal digits")]
    Digits,
    /// Both halves are equal: single DES in disguise.
    #[error("a TDES key: its halves are equal, which is single DES")]
    Halves,
}

impl TdesKey {
    /// The key that hexadecimal digits spell; parity bits are not looked at.
    ///
    /// # Errors
    /// [`KeyError`], which never shows the digits.
    pub fn from_hex(digits: &str) -> Result<TdesKey, KeyError> {
        let bytes = Zeroizing::new(bytes_of(digits).ok_or(KeyError::Digits)?);
        let (left, right) = bytes.split_at(BLOCK_BYTES);
        if left == right {
            return Err(KeyError::Halves);
        }
        let cipher = TdesEde2::new_from_slice(&bytes[..]).map_err(|_| KeyError::Digits)?;
        Ok(TdesKey { cipher })
    }

    /// One block, enciphered.
    pub fn encrypt(&self, block: [u8; BLOCK_BYTES]) -> [u8; BLOCK_BYTES] {
        let mut block: Block<TdesEde2> = block.into();
        self.cipher.encrypt_block(&mut block);
        block.into()
    }

    /// One block, deciphered.
    pub fn decrypt(&self, block: [u8; BLOCK_BYTES]) -> [u8; BLOCK_BYTES] {
        let mut block: Block<TdesEde2> = block.into();
        self.cipher.decrypt_block(&mut block);
        block.into()
    }

    /// Key check value: the first three bytes of an enciphered block of zeros.
    pub fn check_value(&self) -> [u8; 3] {
        let [a, b, c, ..] = self.encrypt([0; BLOCK_BYTES]);
        [a, b, c]
    }
}

impl fmt::Debug for TdesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TdesKey(..)")
    }
}

/// Sixteen bytes from thirty-two hexadecimal digits.
fn bytes_of(digits: &str) -> Option<[u8; 16]> {
    if digits.len() != KEY_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_known_check_value_and_undoes_itself() {
        let key = TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        assert_eq!(key.check_value(), [0x08, 0xd7, 0xb4]);
        let block = *b"12345678";
        assert_eq!(key.decrypt(key.encrypt(block)), block);
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_shown() {
        for (digits, error) in [
            ("", KeyError::Digits),
            ("0123456789ABCDEF", KeyError::Digits),
            ("0123456789ABCDEFFEDCBA987654321G", KeyError::Digits),
            ("+123456789ABCDEFFEDCBA9876543210", KeyError::Digits),
            ("0123456789ABCDEF0123456789ABCDEF", KeyError::Halves),
        ] {
            assert_eq!(TdesKey::from_hex(digits).unwrap_err(), error);
        }
        let key = TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        assert_eq!(format!("{key:?}"), "TdesKey(..)");
    }
}
