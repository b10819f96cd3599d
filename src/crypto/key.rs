//! Keys of block ciphers: TDES of double length and AES.
//!
//! A key has no `Debug`, `Display` or `Clone`, and its bytes are wiped when it is dropped. What may
//! be shown of it is its check value.

use aes::{Aes128, Aes192, Aes256};
use cmac::digest::InnerInit;
use cmac::{Cmac, KeyInit, Mac};
use des::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt};
use des::{Des, TdesEde2};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of a TDES block.
pub const TDES_BLOCK: usize = 8;
/// Bytes of an AES block.
pub const AES_BLOCK: usize = 16;
/// Bytes of a TDES key of double length.
pub const TDES_KEY: usize = 16;

/// How much of a stack is overwritten, bytes: more than taking in a key goes down.
const SCRUBBED: usize = 256 * 1024;

/// Overwrites what functions that have returned left on this thread's stack: ciphers are made and
/// moved by value, and nobody holds the copies that are left behind.
#[inline(never)]
pub fn scrub_stack() {
    let mut below = [0_u8; SCRUBBED];
    // Looked at, so that it is written.
    std::hint::black_box(&mut below);
}

/// A block cipher under one key, of blocks of `N` bytes.
pub trait BlockKey<const N: usize> {
    /// One block, enciphered.
    fn encrypt(&self, block: [u8; N]) -> [u8; N];

    /// One block, deciphered.
    fn decrypt(&self, block: [u8; N]) -> [u8; N];

    /// CMAC over the parts of a message, one after the other (NIST SP 800-38B).
    fn cmac(&self, parts: &[&[u8]]) -> [u8; N];
}

/// A TDES key of double length.
pub struct TdesKey {
    bytes: Zeroizing<[u8; TDES_KEY]>,
    whole: TdesEde2,
    left: Des,
    right: Des,
}

/// An AES key of 128, 192 or 256 bits.
pub struct AesKey {
    bytes: Zeroizing<Vec<u8>>,
    cipher: AesCipher,
}

enum AesCipher {
    Of128(Box<Aes128>),
    Of192(Box<Aes192>),
    Of256(Box<Aes256>),
}

/// A key that is none; its bytes are never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Of another length, or no hexadecimal digits.
    #[error("a TDES key: expected 32 hexadecimal digits (double length)")]
    Tdes,
    /// Of another length, or no hexadecimal digits.
    #[error("an AES key: expected 32, 48 or 64 hexadecimal digits")]
    Aes,
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
        TdesKey::from_bytes(&bytes_of(digits).ok_or(KeyError::Tdes)?)
    }

    /// A key from its sixteen bytes.
    ///
    /// # Errors
    /// [`KeyError`] for another length, and for equal halves.
    pub fn from_bytes(bytes: &[u8]) -> Result<TdesKey, KeyError> {
        let bytes: [u8; TDES_KEY] = bytes.try_into().map_err(|_| KeyError::Tdes)?;
        let key = TdesKey::derived(Zeroizing::new(bytes));
        let (left, right) = key.bytes.split_at(TDES_BLOCK);
        if bool::from(left.ct_eq(right)) {
            return Err(KeyError::Halves);
        }
        Ok(key)
    }

    /// A key that was computed from another one: its halves are whatever they are.
    pub(super) fn derived(bytes: Zeroizing<[u8; TDES_KEY]>) -> TdesKey {
        let mut halves = [[0; TDES_BLOCK]; 2];
        for (half, part) in halves.iter_mut().zip(bytes.as_chunks::<TDES_BLOCK>().0) {
            *half = *part;
        }
        let [left, right] = Zeroizing::new(halves).map(|half| Des::new(&half.into()));
        TdesKey {
            whole: TdesEde2::new(&(*bytes).into()),
            left,
            right,
            bytes,
        }
    }

    /// The same key with every byte mixed with `mask`: a variant for one purpose.
    pub(super) fn variant(&self, mask: u8) -> TdesKey {
        TdesKey::derived(Zeroizing::new(self.bytes.map(|byte| byte ^ mask)))
    }

    /// Its bytes, to be enciphered under another key.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..]
    }

    /// One block under the left half alone.
    pub(super) fn encrypt_left(&self, block: [u8; TDES_BLOCK]) -> [u8; TDES_BLOCK] {
        let mut block: Block<Des> = block.into();
        self.left.encrypt_block(&mut block);
        block.into()
    }

    /// One block, deciphered under the right half alone.
    pub(super) fn decrypt_right(&self, block: [u8; TDES_BLOCK]) -> [u8; TDES_BLOCK] {
        let mut block: Block<Des> = block.into();
        self.right.decrypt_block(&mut block);
        block.into()
    }

    /// Key check value: the first three bytes of an enciphered block of zeros.
    pub fn check_value(&self) -> [u8; 3] {
        let [a, b, c, ..] = self.encrypt([0; TDES_BLOCK]);
        [a, b, c]
    }
}

impl BlockKey<TDES_BLOCK> for TdesKey {
    fn encrypt(&self, block: [u8; TDES_BLOCK]) -> [u8; TDES_BLOCK] {
        let mut block: Block<TdesEde2> = block.into();
        self.whole.encrypt_block(&mut block);
        block.into()
    }

    fn decrypt(&self, block: [u8; TDES_BLOCK]) -> [u8; TDES_BLOCK] {
        let mut block: Block<TdesEde2> = block.into();
        self.whole.decrypt_block(&mut block);
        block.into()
    }

    fn cmac(&self, parts: &[&[u8]]) -> [u8; TDES_BLOCK] {
        cmac_of(Cmac::<TdesEde2>::new(&(*self.bytes).into()), parts)
    }
}

impl AesKey {
    /// The key that hexadecimal digits spell.
    ///
    /// # Errors
    /// [`KeyError`], which never shows the digits.
    pub fn from_hex(digits: &str) -> Result<AesKey, KeyError> {
        AesKey::from_bytes(&bytes_of(digits).ok_or(KeyError::Aes)?)
    }

    /// A key from its 16, 24 or 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`] for another length.
    pub fn from_bytes(bytes: &[u8]) -> Result<AesKey, KeyError> {
        let none = |_| KeyError::Aes;
        let cipher = match bytes.len() {
            16 => AesCipher::Of128(Box::new(Aes128::new_from_slice(bytes).map_err(none)?)),
            24 => AesCipher::Of192(Box::new(Aes192::new_from_slice(bytes).map_err(none)?)),
            32 => AesCipher::Of256(Box::new(Aes256::new_from_slice(bytes).map_err(none)?)),
            _ => return Err(KeyError::Aes),
        };
        Ok(AesKey {
            bytes: Zeroizing::new(bytes.to_vec()),
            cipher,
        })
    }

    /// Its bytes, to be enciphered under another key.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Key check value: the first three bytes of the CMAC of a block of zeros (ANSI X9.24-1).
    pub fn check_value(&self) -> [u8; 3] {
        let [a, b, c, ..] = self.cmac(&[&[0; AES_BLOCK]]);
        [a, b, c]
    }
}

impl BlockKey<AES_BLOCK> for AesKey {
    fn encrypt(&self, block: [u8; AES_BLOCK]) -> [u8; AES_BLOCK] {
        let mut block: Block<Aes128> = block.into();
        match &self.cipher {
            AesCipher::Of128(cipher) => cipher.encrypt_block(&mut block),
            AesCipher::Of192(cipher) => cipher.encrypt_block(&mut block),
            AesCipher::Of256(cipher) => cipher.encrypt_block(&mut block),
        }
        block.into()
    }

    fn decrypt(&self, block: [u8; AES_BLOCK]) -> [u8; AES_BLOCK] {
        let mut block: Block<Aes128> = block.into();
        match &self.cipher {
            AesCipher::Of128(cipher) => cipher.decrypt_block(&mut block),
            AesCipher::Of192(cipher) => cipher.decrypt_block(&mut block),
            AesCipher::Of256(cipher) => cipher.decrypt_block(&mut block),
        }
        block.into()
    }

    fn cmac(&self, parts: &[&[u8]]) -> [u8; AES_BLOCK] {
        match &self.cipher {
            AesCipher::Of128(cipher) => {
                cmac_of(Cmac::<Aes128>::inner_init((**cipher).clone()), parts)
            }
            AesCipher::Of192(cipher) => {
                cmac_of(Cmac::<Aes192>::inner_init((**cipher).clone()), parts)
            }
            AesCipher::Of256(cipher) => {
                cmac_of(Cmac::<Aes256>::inner_init((**cipher).clone()), parts)
            }
        }
    }
}

fn cmac_of<M: Mac, const N: usize>(mut mac: M, parts: &[&[u8]]) -> [u8; N] {
    parts.iter().for_each(|part| mac.update(part));
    let code = mac.finalize().into_bytes();
    code.first_chunk().copied().unwrap_or([0; N])
}

/// Bytes from hexadecimal digits, wiped when they go; takes as long for every digit.
pub(super) fn bytes_of(digits: &str) -> Option<Zeroizing<Vec<u8>>> {
    base16ct::mixed::decode_vec(digits).ok().map(Zeroizing::new)
}

/// Bytes with odd parity, as DES keys are kept.
pub(super) fn with_odd_parity<const N: usize>(bytes: [u8; N]) -> [u8; N] {
    bytes.map(|byte| {
        let is_even = byte.count_ones() % 2 == 0;
        if is_even { byte ^ 1 } else { byte }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_known_check_value_and_undoes_itself() {
        let key =
            TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap_or_else(|_| panic!());
        assert_eq!(key.check_value(), [0x08, 0xd7, 0xb4]);
        let block = *b"12345678";
        assert_eq!(key.decrypt(key.encrypt(block)), block);
    }

    #[test]
    fn cmac_of_aes_is_that_of_rfc_4493() {
        let key = AesKey::from_hex("2b7e151628aed2a6abf7158809cf4f3c").unwrap_or_else(|_| panic!());
        for (message, code) in [
            ("", "bb1d6929e95937287fa37d129b756746"),
            (
                "6bc1bee22e409f96e93d7e117393172a",
                "070a16b46b4d4144f79bdd9dd04a287c",
            ),
        ] {
            let message = bytes_of(message).unwrap();
            assert_eq!(key.cmac(&[&message])[..], bytes_of(code).unwrap()[..]);
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_shown() {
        for (digits, error) in [
            ("", KeyError::Tdes),
            ("0123456789ABCDEF", KeyError::Tdes),
            ("0123456789ABCDEFFEDCBA987654321G", KeyError::Tdes),
            ("+123456789ABCDEFFEDCBA9876543210", KeyError::Tdes),
            ("0123456789ABCDEF0123456789ABCDEF", KeyError::Halves),
        ] {
            assert_eq!(TdesKey::from_hex(digits).err(), Some(error));
            assert!(!error.to_string().contains("0123"));
        }
        assert_eq!(AesKey::from_hex("00").err(), Some(KeyError::Aes));
    }

    #[test]
    fn parity_becomes_odd_in_every_byte() {
        assert_eq!(
            with_odd_parity([0x00, 0x01, 0xfe, 0xff]),
            [1, 1, 0xfe, 0xfe]
        );
    }
}
