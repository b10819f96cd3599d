//! The key that turns card numbers into tokens: made at first start, kept beside the store.
//!
//! A token is the first 16 bytes of keyed BLAKE3 over the digits. Without the key a token cannot
//! be searched for the number behind it, which an unkeyed hash can within a second (PCI DSS
//! 3.5.1.1). The key is read once and never printed.

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::domain::masking;
use crate::domain::pan::{CardToken, Pan};
use crate::domain::rare_facts::LifecycleId;

/// Name of the key file inside the data directory.
pub const KEY_FILE: &str = "card-token.key";

/// Turns card numbers into tokens.
pub struct TokenKey([u8; 32]);

/// The key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The file cannot be read or written.
    #[error("use the card token key {}: {source}", path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file does not hold a key.
    #[error("card token key {}: expected 64 hexadecimal digits, got {got} bytes", path.display())]
    Malformed {
        /// The key file.
        path: PathBuf,
        /// How many bytes it has.
        got: usize,
    },
    /// The store has cards whose key is gone.
    #[error(
        "card token key {} is missing although the store holds records: without it no card can be \
         found; restore the file from a backup",
        path.display()
    )]
    Lost {
        /// The key file.
        path: PathBuf,
    },
    /// The system gives no randomness.
    #[error("make a card token key: {0}")]
    Random(String),
}

impl TokenKey {
    /// The key of a data directory; made when there is none and the store is new.
    ///
    /// # Errors
    /// [`TokenKeyError`] says what stands in the way.
    pub fn open(data_dir: &Path, store_is_new: bool) -> Result<TokenKey, TokenKeyError> {
        let path = data_dir.join(KEY_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => parse(text.trim())
                .map(TokenKey)
                .ok_or(TokenKeyError::Malformed {
                    path,
                    got: text.trim().len(),
                }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if store_is_new {
                    Self::create(path)
                } else {
                    Err(TokenKeyError::Lost { path })
                }
            }
            Err(source) => Err(TokenKeyError::Io { path, source }),
        }
    }

    /// A key for tests and benches.
    pub fn fixed(bytes: [u8; 32]) -> TokenKey {
        TokenKey(bytes)
    }

    /// The token of a card number.
    pub fn token(&self, pan: &Pan) -> CardToken {
        let hash = blake3::keyed_hash(&self.0, pan.expose().as_bytes());
        let mut token = [0_u8; 16];
        token
            .iter_mut()
            .zip(hash.as_bytes())
            .for_each(|(to, from)| *to = *from);
        CardToken(token)
    }

    /// The network's name for a transaction as it is kept. One that could be a card number is kept
    /// as a keyed hash: equal names stay equal, and without the key it is of no use to find the
    /// number. `None`: it is too long.
    pub fn lifecycle_id(&self, text: &str) -> Option<LifecycleId> {
        let id = LifecycleId::of(text)?;
        Some(match masking::masked(text) {
            Some(_) => self.name_of(text),
            None => id,
        })
    }

    fn name_of(&self, text: &str) -> LifecycleId {
        let hash = blake3::keyed_hash(&self.0, text.as_bytes());
        let mut name = String::from("#");
        for byte in hash.as_bytes().iter().take(7) {
            // Seven bytes are fourteen digits.
            let _ = write!(name, "{byte:02x}");
        }
        LifecycleId::of(&name).unwrap_or_default()
    }

    fn create(path: PathBuf) -> Result<TokenKey, TokenKeyError> {
        let mut key = [0_u8; 32];
        getrandom::fill(&mut key).map_err(|error| TokenKeyError::Random(error.to_string()))?;
        let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        // Under its name the file is whole: a start that is cut off leaves no half of a key.
        let unfinished = path.with_extension("key.writing");
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&unfinished, &path))
            .and_then(|()| match path.parent() {
                Some(directory) => fs::File::open(directory)?.sync_all(),
                None => Ok(()),
            });
        written.map_err(|source| TokenKeyError::Io { path, source })?;
        Ok(TokenKey(key))
    }
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let mut key = [0_u8; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (n, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(n * 2..n * 2 + 2)?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pan(digits: &str) -> Pan {
        Pan::parse(digits).unwrap()
    }

    #[test]
    fn a_key_is_made_once_and_gives_the_same_tokens_ever_after() {
        let directory = tempfile::tempdir().unwrap();
        let first = TokenKey::open(directory.path(), true).unwrap();
        let again = TokenKey::open(directory.path(), false).unwrap();
        let card = pan("4761739001010119");
        assert_eq!(first.token(&card), again.token(&card));
        assert_ne!(first.token(&card), first.token(&pan("4761739001010118")));
    }

    #[test]
    fn tokens_depend_on_the_key() {
        let card = pan("4761739001010119");
        assert_ne!(
            TokenKey::fixed([1; 32]).token(&card),
            TokenKey::fixed([2; 32]).token(&card)
        );
    }

    #[test]
    fn a_lost_key_is_never_replaced_by_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            TokenKey::open(directory.path(), false),
            Err(TokenKeyError::Lost { .. })
        ));
    }

    #[test]
    fn a_start_that_was_cut_off_while_it_made_the_key_is_made_good_by_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let half = directory.path().join("card-token.key.writing");
        fs::write(&half, "abc").unwrap();
        let made = TokenKey::open(directory.path(), true).unwrap();
        let again = TokenKey::open(directory.path(), false).unwrap();
        let card = pan("4761739001010119");
        assert_eq!(made.token(&card), again.token(&card));
        assert!(!half.exists());
    }

    #[test]
    fn a_damaged_key_file_is_refused_without_showing_it() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(KEY_FILE), "abc").unwrap();
        let error = TokenKey::open(directory.path(), false)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("got 3 bytes") && !error.contains("abc"),
            "{error}"
        );
    }
}
