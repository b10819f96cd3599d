//! The key that turns card numbers into tokens: made at first start, kept beside the store.
//!
//! A token is the first 16 bytes of keyed BLAKE3 over the digits. Without the key a token cannot
//! be searched for the number behind it, which an unkeyed hash can within a second (PCI DSS
//! 3.5.1.1). The key is read once and never printed.
//!
//! The file has the key in 64 hexadecimal digits and, on a line of its own, a check value in 16:
//! with another key every card would be unknown, and nothing else would tell. A file of the first
//! form, without the check value, is taken as it is and gets one.

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
/// Makes the check value a hash that nothing else uses.
const CHECK_CONTEXT: &str = "cardswitch card token key, check value";
const CHECK_BYTES: usize = 8;

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
    /// The file holds another key than was written into it.
    #[error(
        "card token key {} is damaged: it does not fit its check value, and with it no card can be \
         found; restore the file from a backup",
        path.display()
    )]
    Damaged {
        /// The key file.
        path: PathBuf,
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
        match Self::read(&path)? {
            Some((key, true)) => Ok(key),
            Some((key, false)) => {
                key.write(path)?;
                Ok(key)
            }
            None if store_is_new => Self::create(path),
            None => Err(TokenKeyError::Lost { path }),
        }
    }

    /// Says whether the key of a data directory is there and whole; writes nothing.
    ///
    /// # Errors
    /// [`TokenKeyError`] says what is wrong.
    pub fn prove(data_dir: &Path, store_is_new: bool) -> Result<(), TokenKeyError> {
        let path = data_dir.join(KEY_FILE);
        match Self::read(&path)? {
            None if !store_is_new => Err(TokenKeyError::Lost { path }),
            Some(_) | None => Ok(()),
        }
    }

    /// The key in a file, and whether it has its check value there; `None` without a file.
    fn read(path: &Path) -> Result<Option<(TokenKey, bool)>, TokenKeyError> {
        let path = path.to_path_buf();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(TokenKeyError::Io { path, source }),
        };
        let text = bytes.trim_ascii();
        let (digits, check) = match text.iter().position(|byte| *byte == b'\n') {
            Some(end) => (text.get(..end), text.get(end.saturating_add(1)..)),
            None => (Some(text), None),
        };
        let Some(key) = digits.and_then(from_hex).map(TokenKey) else {
            let got = text.len();
            return Err(TokenKeyError::Malformed { path, got });
        };
        match check.map(from_hex) {
            None => Ok(Some((key, false))),
            Some(check) if check == Some(key.check()) => Ok(Some((key, true))),
            Some(_) => Err(TokenKeyError::Damaged { path }),
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

    /// Another key, made of this one for one purpose, which the context names.
    pub fn derived(&self, context: &'static str) -> [u8; 32] {
        blake3::derive_key(context, &self.0)
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
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| TokenKeyError::Random(error.to_string()))?;
        let key = TokenKey(bytes);
        key.write(path)?;
        Ok(key)
    }

    fn write(&self, path: PathBuf) -> Result<(), TokenKeyError> {
        let text = format!("{}\n{}\n", to_hex(&self.0), to_hex(&self.check()));
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
        written.map_err(|source| TokenKeyError::Io { path, source })
    }

    /// Tells this key from another; says nothing of it to who has not got it.
    fn check(&self) -> [u8; CHECK_BYTES] {
        let hash = blake3::derive_key(CHECK_CONTEXT, &self.0);
        let mut check = [0; CHECK_BYTES];
        check.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        check
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Exactly `N` bytes in twice as many digits, and nothing else.
fn from_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0_u8; N];
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    Some(bytes)
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
    fn any_flipped_bit_of_the_key_file_is_refused_or_leaves_the_key_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let made = TokenKey::open(directory.path(), true).unwrap();
        let path = directory.path().join(KEY_FILE);
        let whole = fs::read(&path).unwrap();
        assert_eq!(whole.len(), 64 + 1 + 16 + 1);
        let mut refused = 0;
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &damaged).unwrap();
            match TokenKey::open(directory.path(), false) {
                Ok(key) => assert_eq!(key.0, made.0, "bit {bit}"),
                Err(_) => refused += 1,
            }
            let proven = TokenKey::prove(directory.path(), false).is_ok();
            let opened = TokenKey::open(directory.path(), false).is_ok();
            assert_eq!(proven, opened, "bit {bit}");
        }
        // Letters have two cases, and white space at the end has many forms.
        assert!(refused > 7 * 64, "{refused}");
    }

    #[test]
    fn a_key_file_without_a_check_value_is_taken_and_gets_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(KEY_FILE);
        fs::write(&path, "07".repeat(32)).unwrap();
        let key = TokenKey::open(directory.path(), false).unwrap();
        assert_eq!(key.0, [7; 32]);
        fs::write(
            &path,
            fs::read_to_string(&path).unwrap().replacen("07", "17", 1),
        )
        .unwrap();
        let error = TokenKey::open(directory.path(), false).err().unwrap();
        assert!(matches!(error, TokenKeyError::Damaged { .. }), "{error}");
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
