//! The tokens of a data directory: `access/tokens.toml` with their hashes, and, for the command
//! line on the same machine, `access/admin.token` with one of them in clear.
//!
//! Both are for the owner's eyes only (0600). Whoever may write into the data directory may make
//! tokens; the API itself makes none.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::domain::actor::ACTOR_NAME_BYTES_MAX;

use super::hashing;
use super::token::{MadeToken, Role, TokenText};

/// Folder within the data directory.
const FOLDER: &str = "access";
const TOKENS_FILE: &str = "tokens.toml";
/// Name of the file with the local token in clear.
pub const LOCAL_TOKEN_FILE: &str = "admin.token";
/// Name of the token that the first start makes.
const LOCAL_NAME: &str = "local";
const HEADING: &str = "# Tokens of the operators' API: argon2id hashes, no secrets. Written by \
                       `cardswitch token`.\n";
/// Tokens of one file.
const TOKENS_MAX: usize = 1_000;

/// One token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptToken {
    /// Its number, eight hexadecimal digits.
    pub id: String,
    /// What people call it; stands in the journal beside what it did.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// Hash of its secret, in the PHC string form.
    pub hash: String,
    /// When it was made, RFC 3339.
    pub created: String,
}

impl KeptToken {
    /// Its number.
    pub fn number(&self) -> Option<u32> {
        u32::from_str_radix(&self.id, 16).ok()
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    token: Vec<KeptToken>,
}

/// Tokens cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The system refuses.
    #[error("use {path}: {source}", path = .path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}: {what}", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected and found; never a secret.
        what: String,
    },
    /// What is asked for does not fit.
    #[error("{0}")]
    Refused(String),
}

impl AccessError {
    /// Exit code of a command that ends for this (sysexits).
    pub fn exit_code(&self) -> u8 {
        match self {
            AccessError::Io { .. } => 73,
            AccessError::Malformed { .. } => 78,
            AccessError::Refused(_) => 65,
        }
    }
}

/// Where the tokens of a data directory are.
#[derive(Clone, Debug)]
pub struct TokenFile {
    folder: PathBuf,
}

/// What tells one version of the file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl TokenFile {
    /// The tokens of a data directory; nothing is touched.
    pub fn of(data_dir: &Path) -> TokenFile {
        TokenFile {
            folder: data_dir.join(FOLDER),
        }
    }

    /// Where the local token lies in clear.
    pub fn local_token_path(&self) -> PathBuf {
        self.folder.join(LOCAL_TOKEN_FILE)
    }

    fn path(&self) -> PathBuf {
        self.folder.join(TOKENS_FILE)
    }

    /// The local token; `None` without its file.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn local_token(&self) -> Result<Option<Zeroizing<String>>, AccessError> {
        let path = self.local_token_path();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Zeroizing::new(text.trim().to_owned()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(AccessError::Io { path, source }),
        }
    }

    /// Sees to it that somebody can ask for everything: where no token is an admin's, one for the
    /// machine itself is made. Whether it was.
    ///
    /// # Errors
    /// The folder cannot be used, or the file is not what it should be.
    pub fn make_first(&self, now: &str) -> Result<bool, AccessError> {
        let _lock = self.lock()?;
        let tokens = self.read()?;
        if tokens.iter().any(|token| token.role == Role::Admin) {
            return Ok(false);
        }
        let made = self.add(LOCAL_NAME, Role::Admin, now)?;
        let path = self.local_token_path();
        self.write_whole(&path, &format!("{}\n", *made.text))?;
        Ok(true)
    }

    /// Makes a token and keeps its hash; the text is not kept anywhere.
    ///
    /// # Errors
    /// The name does not fit or is taken, or the file cannot be used.
    pub fn create(&self, name: &str, role: Role, now: &str) -> Result<MadeToken, AccessError> {
        let _lock = self.lock()?;
        self.add(name, role, now)
    }

    fn add(&self, name: &str, role: Role, now: &str) -> Result<MadeToken, AccessError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
        if name.is_empty() || name.len() > ACTOR_NAME_BYTES_MAX || !name.bytes().all(plain) {
            return Err(AccessError::Refused(format!(
                "name: expected 1 to {ACTOR_NAME_BYTES_MAX} letters, digits, - _ . or @"
            )));
        }
        let mut tokens = self.read()?;
        if tokens.iter().any(|token| token.name == name) {
            let what = format!("there is a token {name}; revoke it first, or take another name");
            return Err(AccessError::Refused(what));
        }
        if tokens.len() >= TOKENS_MAX {
            let what = format!("there are {TOKENS_MAX} tokens; revoke some");
            return Err(AccessError::Refused(what));
        }
        let refused = |what: String| AccessError::Refused(format!("make a token: {what}"));
        let token = loop {
            let token = TokenText::random().map_err(|error| refused(error.to_string()))?;
            if !tokens.iter().any(|kept| kept.number() == Some(token.id)) {
                break token;
            }
        };
        tokens.push(KeptToken {
            id: format!("{:08x}", token.id),
            name: name.to_owned(),
            role,
            hash: hashing::hash(&token.secret).map_err(refused)?,
            created: now.to_owned(),
        });
        self.write(tokens)?;
        Ok(MadeToken {
            id: token.id,
            text: token.text(),
        })
    }

    /// Ends a token, named by its name or its number; a running switch hears of it in a second.
    ///
    /// # Errors
    /// There is none, or the file cannot be used.
    pub fn revoke(&self, which: &str) -> Result<KeptToken, AccessError> {
        let _lock = self.lock()?;
        let mut tokens = self.read()?;
        let is_it = |token: &KeptToken| token.name == which || token.id == which;
        let Some(place) = tokens.iter().position(is_it) else {
            return Err(AccessError::Refused(format!("there is no token {which}")));
        };
        let ended = tokens.remove(place);
        self.write(tokens)?;
        Ok(ended)
    }

    /// The tokens in the order in which they were made; none without a file.
    ///
    /// # Errors
    /// The file cannot be read or is not what it should be.
    pub fn read(&self) -> Result<Vec<KeptToken>, AccessError> {
        let path = self.path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(AccessError::Io { path, source }),
        };
        let page: Page = toml::from_str(&text).map_err(|error| AccessError::Malformed {
            path: path.clone(),
            what: error.message().to_owned(),
        })?;
        let is_whole = |token: &KeptToken| {
            token.number().is_some()
                && token.name.len() <= ACTOR_NAME_BYTES_MAX
                && hashing::is_hash(&token.hash)
        };
        match page.token.iter().find(|token| !is_whole(token)) {
            None => Ok(page.token),
            Some(token) => Err(AccessError::Malformed {
                path,
                what: format!(
                    "token {:?}: expected eight hexadecimal digits, a short name and an argon2id \
                     hash",
                    token.name
                ),
            }),
        }
    }

    /// What tells this version of the file from another; `None` without a file.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let found = fs::metadata(self.path()).ok()?;
        Some(Stamp {
            inode: found.ino(),
            length: found.len(),
            changed: (found.mtime(), found.mtime_nsec()),
        })
    }

    fn write(&self, token: Vec<KeptToken>) -> Result<(), AccessError> {
        let path = self.path();
        let text = toml::to_string(&Page { token }).map_err(|error| AccessError::Malformed {
            path: path.clone(),
            what: error.to_string(),
        })?;
        self.write_whole(&path, &format!("{HEADING}\n{text}"))
    }

    /// Writes a file that is there whole or not at all.
    fn write_whole(&self, path: &Path, text: &str) -> Result<(), AccessError> {
        let beside = path.with_extension("new");
        let written = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            File::open(&self.folder)?.sync_all()
        })();
        written.map_err(|source| AccessError::Io {
            path: path.to_path_buf(),
            source,
        })
    }

    /// One process at a time; let go when it is dropped.
    fn lock(&self) -> Result<File, AccessError> {
        let folder = &self.folder;
        let failed = |source| AccessError::Io {
            path: folder.clone(),
            source,
        };
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(folder);
        made.map_err(failed)?;
        let lock = File::open(folder).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(lock)
    }
}
