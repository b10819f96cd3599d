//! Sealing: secrets at rest under one key-encryption key (XChaCha20-Poly1305).
//!
//! ```text
//!  0 24  nonce, random
//! 24     enciphered secret, and 16 bytes that authenticate it together with what it is about
//! ```

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::key::bytes_of;

/// Bytes of a nonce.
pub const NONCE: usize = 24;
/// Bytes of a sealing key.
pub const SEALING_KEY: usize = 32;

/// The key that seals others.
pub struct SealingKey(Zeroizing<[u8; SEALING_KEY]>);

/// A sealing key that is none; never with its digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealing key: expected 64 hexadecimal digits")]
pub struct NoSealingKey;

/// What was sealed under another key, about something else, or changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed under another key, or changed since")]
pub struct NotOpened;

impl SealingKey {
    /// The key that hexadecimal digits spell.
    ///
    /// # Errors
    /// [`NoSealingKey`], which never shows the digits.
    pub fn from_hex(digits: &str) -> Result<SealingKey, NoSealingKey> {
        let bytes = bytes_of(digits.trim()).ok_or(NoSealingKey)?;
        let bytes = bytes[..].try_into().map_err(|_| NoSealingKey)?;
        Ok(SealingKey(Zeroizing::new(bytes)))
    }

    /// Seals a secret together with what it is `about`, which stays readable beside it.
    ///
    /// # Errors
    /// [`NotOpened`] for a secret longer than the cipher takes, which is above 256 GiB.
    pub fn seal(
        &self,
        nonce: [u8; NONCE],
        about: &[u8],
        secret: &[u8],
    ) -> Result<Vec<u8>, NotOpened> {
        let payload = Payload {
            msg: secret,
            aad: about,
        };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload);
        let mut bytes = nonce.to_vec();
        bytes.extend_from_slice(&sealed.map_err(|_| NotOpened)?);
        Ok(bytes)
    }

    /// Opens what was sealed.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn open(&self, about: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or(NotOpened)?;
        let payload = Payload {
            msg: rest,
            aad: about,
        };
        let opened = self.cipher().decrypt(&XNonce::from(*nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| NotOpened)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.0).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_only_unchanged_and_with_what_it_is_about() {
        let key = SealingKey::from_hex(&"a5".repeat(32)).unwrap_or_else(|_| panic!());
        let other = SealingKey::from_hex(&"5a".repeat(32)).unwrap_or_else(|_| panic!());
        let sealed = key.seal([7; NONCE], b"zone", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(key.open(b"zone", &sealed).unwrap()[..], b"secret"[..]);
        assert_eq!(key.open(b"home", &sealed).err(), Some(NotOpened));
        assert_eq!(other.open(b"zone", &sealed).err(), Some(NotOpened));
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                key.open(b"zone", &changed).err(),
                Some(NotOpened),
                "bit {bit}"
            );
        }
        for end in 0..sealed.len() {
            assert!(key.open(b"zone", &sealed[..end]).is_err());
        }
    }

    #[test]
    fn what_is_no_sealing_key_is_refused() {
        for digits in ["", "a5", &"a5".repeat(31), &"g5".repeat(32)] {
            assert!(SealingKey::from_hex(digits).is_err());
        }
    }
}
