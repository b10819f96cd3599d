//! The key file: the issuer's keys, each sealed under one sealing key that lies elsewhere.
//!
//! TOML, so that people can see what is in it; every row is sealed together with what it says, and
//! the whole file with the list of its rows, so that nothing of it can be changed, exchanged or
//! left out. Not what card schemes call a secure cryptographic device.
//!
//! ```toml
//! format = 1
//! sealing = 3                 # rises with each rotation of the sealing key
//! seal = "..."                # over the rows, in order
//! [[key]]
//! name = "zone"
//! usage = "P0"                # ANSI X9.143: P0 PIN encryption, V2 PVV, C0 CVV, E0 EMV, M3 MAC ...
//! algorithm = "T"             # T: TDES of double length, A: AES
//! mode = "N"                  # of use: E, D, B, V ..., N without limits
//! exportability = "E"         # E: may leave in a key block, N: never, S: not in a key block
//! version = "00"
//! check_value = "08D7B4"
//! sealed = "..."              # base64
//! ```

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::key::{AesKey, KeyError, TdesKey};
use crate::crypto::sealing::{NONCE, SealingKey};

/// The format that this program writes.
const FORMAT: u32 = 1;

/// What a key is for, and how to recognise it; none of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLabel {
    /// What people call it; unique in its file.
    pub name: String,
    /// Two characters of ANSI X9.143, such as `P0`.
    pub usage: String,
    /// `T` or `A`.
    pub algorithm: Algorithm,
    /// Mode of use of ANSI X9.143, such as `E` or `N`.
    pub mode: char,
    /// `E` may leave in a key block, `N` never leaves, `S` not in a key block.
    pub exportability: char,
    /// Two digits; of a PVV key the second one is its index.
    pub version: String,
    /// Six hexadecimal digits of its check value.
    pub check_value: String,
}

/// The cipher of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// TDES of double length.
    T,
    /// AES.
    A,
}

/// A key with its label.
pub struct LabelledKey {
    /// What it is for.
    pub label: KeyLabel,
    /// Its bytes.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// A key file, opened.
#[derive(Default)]
pub struct KeyFile {
    /// How often its sealing key was changed.
    pub sealing: u32,
    /// Its keys.
    pub keys: Vec<LabelledKey>,
}

/// A key file that cannot be used; never with any of its keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("{action} key file {file}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not written as a key file.
    #[error("key file {file}: expected format, sealing, seal and rows of [[key]]: {detail}")]
    Form {
        /// The file.
        file: String,
        /// What is wrong, without content.
        detail: String,
    },
    /// It was written by a later release.
    #[error("key file {file}: expected format {FORMAT}, got {got}")]
    Format {
        /// The file.
        file: String,
        /// Its format.
        got: u32,
    },
    /// Another sealing key, or a changed file.
    #[error("key file {file}: {part} is sealed under another key, or was changed since")]
    Seal {
        /// The file.
        file: String,
        /// Which part.
        part: String,
    },
    /// A key that cannot be taken.
    #[error("key {name}: {detail}")]
    Key {
        /// Its name.
        name: String,
        /// Why not.
        detail: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    sealing: u32,
    seal: String,
    #[serde(default)]
    key: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    label: KeyLabel,
    sealed: String,
}

impl KeyLabel {
    /// What is sealed together with a key: all that its row says, and which sealing key.
    fn about(&self, sealing: u32) -> String {
        let KeyLabel {
            name,
            usage,
            algorithm,
            mode,
            exportability,
            version,
            check_value,
        } = self;
        format!(
            "key {FORMAT} {sealing} {usage} {algorithm:?} {mode} {exportability} {version} \
             {check_value} {name}"
        )
    }

    /// Whether its parts are what they should be; says what is not.
    fn check(&self) -> Result<(), KeyFileError> {
        let is_word = |text: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            (1..=40).contains(&text.len()) && text.bytes().all(plain)
        };
        let pair = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphanumeric());
        let detail = if !is_word(&self.name) {
            "a name: expected 1 to 40 letters, digits, '-', '_' or '.'"
        } else if !pair(&self.usage) {
            "usage: expected two letters or digits, such as P0"
        } else if self.version.len() != 2 || !self.version.bytes().all(|b| b.is_ascii_digit()) {
            "version: expected two digits"
        } else if !self.mode.is_ascii_alphanumeric() {
            "mode: expected a letter or digit, such as N"
        } else if !"ENS".contains(self.exportability) {
            "exportability: expected E, N or S"
        } else {
            return Ok(());
        };
        Err(KeyFileError::Key {
            name: self.name.escape_default().to_string(),
            detail: detail.to_owned(),
        })
    }
}

/// Six hexadecimal digits that a key is recognised by.
///
/// # Errors
/// [`KeyError`] when the bytes are no key of the algorithm.
pub fn check_value(algorithm: Algorithm, bytes: &[u8]) -> Result<String, KeyError> {
    let value = match algorithm {
        Algorithm::T => TdesKey::from_bytes(bytes)?.check_value(),
        Algorithm::A => AesKey::from_bytes(bytes)?.check_value(),
    };
    Ok(value.iter().map(|byte| format!("{byte:02X}")).collect())
}

impl KeyFile {
    /// Reads and opens a key file.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn load(path: &Path, key: &SealingKey) -> Result<KeyFile, KeyFileError> {
        let file = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|source| KeyFileError::Io {
            action: "read",
            file: file.clone(),
            source,
        })?;
        KeyFile::parse(&file, &text, key)
    }

    /// Opens the text of a key file; `file` names it in errors.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn parse(file: &str, text: &str, key: &SealingKey) -> Result<KeyFile, KeyFileError> {
        let (raw, file) = (read(file, text)?, file.to_owned());
        let broken = |part: &str| KeyFileError::Seal {
            file: file.clone(),
            part: part.to_owned(),
        };
        let seal = BASE64
            .decode(&raw.seal)
            .map_err(|_| broken("the list of keys"))?;
        key.open(&list_of(raw.sealing, &raw.key), &seal)
            .map_err(|_| broken("the list of keys"))?;
        let mut keys = Vec::new();
        for row in raw.key {
            let part = format!("key {}", row.label.name.escape_default());
            let sealed = BASE64.decode(&row.sealed).map_err(|_| broken(&part))?;
            let about = row.label.about(raw.sealing);
            let bytes = key
                .open(about.as_bytes(), &sealed)
                .map_err(|_| broken(&part))?;
            keys.push(LabelledKey {
                label: row.label,
                bytes,
            });
        }
        Ok(KeyFile {
            sealing: raw.sealing,
            keys,
        })
    }

    /// The labels of a key file, which need no sealing key; what they say is not proven.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn labels(file: &str, text: &str) -> Result<Vec<KeyLabel>, KeyFileError> {
        Ok(read(file, text)?
            .key
            .into_iter()
            .map(|row| row.label)
            .collect())
    }

    /// Adds a key; its check value is made here.
    ///
    /// # Errors
    /// [`KeyFileError::Key`] for a name that is there already, and for what is no key or label.
    pub fn add(
        &mut self,
        mut label: KeyLabel,
        bytes: Zeroizing<Vec<u8>>,
    ) -> Result<&KeyLabel, KeyFileError> {
        let refused = |name: &str, detail: String| KeyFileError::Key {
            name: name.to_owned(),
            detail,
        };
        label.check()?;
        if self.key(&label.name).is_some() {
            let detail = "expected a new name, got one that is there already".to_owned();
            return Err(refused(&label.name, detail));
        }
        label.check_value = check_value(label.algorithm, &bytes)
            .map_err(|error| refused(&label.name, error.to_string()))?;
        self.keys.push(LabelledKey { label, bytes });
        let added = self.keys.last().map(|key| &key.label);
        added.ok_or_else(|| refused("", "nothing was added".to_owned()))
    }

    /// The key of a name.
    pub fn key(&self, name: &str) -> Option<&LabelledKey> {
        self.keys.iter().find(|key| key.label.name == name)
    }

    /// Seals all keys and writes the file, readable by its owner only; it appears whole or not.
    ///
    /// # Errors
    /// [`KeyFileError`]; the file that was there stays then.
    pub fn store(&self, path: &Path, key: &SealingKey) -> Result<(), KeyFileError> {
        let file = path.display().to_string();
        let failed = |source| KeyFileError::Io {
            action: "write",
            file: file.clone(),
            source,
        };
        let text = self.sealed(&file, key)?;
        write_whole(path, &text).map_err(failed)
    }

    fn sealed(&self, file: &str, key: &SealingKey) -> Result<String, KeyFileError> {
        let broken = |detail: String| KeyFileError::Form {
            file: file.to_owned(),
            detail,
        };
        let seal = |about: &[u8], secret: &[u8]| {
            let mut nonce = [0; NONCE];
            getrandom::fill(&mut nonce).map_err(|error| broken(error.to_string()))?;
            let sealed = key.seal(nonce, about, secret);
            let sealed = sealed.map_err(|error| broken(error.to_string()))?;
            Ok::<_, KeyFileError>(BASE64.encode(sealed))
        };
        let mut rows = Vec::new();
        for LabelledKey { label, bytes } in &self.keys {
            rows.push(Row {
                label: label.clone(),
                sealed: seal(label.about(self.sealing).as_bytes(), bytes)?,
            });
        }
        let whole = File {
            format: FORMAT,
            sealing: self.sealing,
            seal: seal(&list_of(self.sealing, &rows), &[])?,
            key: rows,
        };
        toml::to_string(&whole).map_err(|error| broken(error.to_string()))
    }
}

/// Writes a file that its owner only may read; it appears whole or not.
pub(crate) fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = path.with_extension("writing");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn read(file: &str, text: &str) -> Result<File, KeyFileError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    // What TOML says may quote a line; its first line is about the place only.
    let form = |error: toml::de::Error| KeyFileError::Form {
        file: file.to_owned(),
        detail: error
            .message()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    };
    let Format { format } = toml::from_str(text).map_err(form)?;
    if format != FORMAT {
        return Err(KeyFileError::Format {
            file: file.to_owned(),
            got: format,
        });
    }
    toml::from_str(text).map_err(form)
}

/// What the file's own seal is about: every row, in order.
fn list_of(sealing: u32, rows: &[Row]) -> Vec<u8> {
    let mut list = format!("keys {FORMAT} {sealing} {}", rows.len());
    for row in rows {
        list.push('\n');
        list.push_str(&row.label.about(sealing));
        list.push(' ');
        list.push_str(&row.sealed);
    }
    list.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealing_key(byte: &str) -> SealingKey {
        SealingKey::from_hex(&byte.repeat(32)).unwrap_or_else(|_| panic!())
    }

    fn label(name: &str, usage: &str) -> KeyLabel {
        KeyLabel {
            name: name.to_owned(),
            usage: usage.to_owned(),
            algorithm: Algorithm::T,
            mode: 'N',
            exportability: 'E',
            version: "01".to_owned(),
            check_value: String::new(),
        }
    }

    fn bytes(first: u8) -> Zeroizing<Vec<u8>> {
        Zeroizing::new((first..first + 16).collect())
    }

    fn sample() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.toml");
        let mut file = KeyFile::default();
        file.add(label("zone", "P0"), bytes(1)).unwrap();
        file.add(label("pvv", "V2"), bytes(50)).unwrap();
        file.store(&path, &sealing_key("a5")).unwrap();
        (directory, path)
    }

    #[test]
    fn a_file_opens_with_its_sealing_key_only_and_shows_no_key() {
        let (_directory, path) = sample();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("name = \"zone\"") && !text.contains("0102030405"));
        let opened = KeyFile::load(&path, &sealing_key("a5")).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(opened.key("pvv").unwrap().bytes, bytes(50));
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let other = KeyFile::load(&path, &sealing_key("5a"))
            .err()
            .unwrap()
            .to_string();
        assert!(
            other.contains("the list of keys is sealed under another key"),
            "{other}"
        );
        let labels = KeyFile::labels("keys", &text).unwrap();
        assert_eq!(
            labels[0].check_value,
            check_value(Algorithm::T, &bytes(1)).unwrap()
        );
    }

    #[test]
    fn a_row_that_was_changed_exchanged_or_left_out_is_found() {
        let (_directory, path) = sample();
        let text = fs::read_to_string(&path).unwrap();
        let rows: Vec<&str> = text.split("[[key]]").collect();
        let [head, one, two] = rows[..] else { panic!() };
        for (what, changed) in [
            ("usage", text.replace("\"P0\"", "\"K0\"")),
            ("mode", text.replacen("\"N\"", "\"E\"", 1)),
            ("exportability", text.replacen("\"E\"", "\"N\"", 1)),
            ("name", text.replace("\"zone\"", "\"home\"")),
            ("version", text.replacen("\"01\"", "\"02\"", 1)),
            ("sealing", text.replace("sealing = 0", "sealing = 1")),
            ("order", format!("{head}[[key]]{two}\n[[key]]{one}")),
            ("left out", format!("{head}[[key]]{one}")),
            ("twice", format!("{text}\n[[key]]{two}")),
        ] {
            assert_ne!(changed, text, "{what}");
            let error = KeyFile::parse("keys", &changed, &sealing_key("a5")).err();
            assert!(matches!(error, Some(KeyFileError::Seal { .. })), "{what}");
        }
    }

    #[test]
    fn what_is_no_key_or_label_is_refused_by_name() {
        let mut file = KeyFile::default();
        file.add(label("zone", "P0"), bytes(1)).unwrap();
        for (label, bytes, part) in [
            (label("zone", "P0"), bytes(1), "there already"),
            (label("zone two", "P0"), bytes(1), "a name"),
            (label("two", "P"), bytes(1), "usage"),
            (
                label("two", "P0"),
                Zeroizing::new(vec![1; 7]),
                "32 hexadecimal",
            ),
            (
                label("two", "P0"),
                Zeroizing::new(vec![1; 16]),
                "halves are equal",
            ),
        ] {
            let error = file.add(label, bytes).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_file_of_another_form_or_a_later_format_is_told_apart() {
        let key = sealing_key("a5");
        let error = |text: &str| {
            KeyFile::parse("keys", text, &key)
                .err()
                .unwrap()
                .to_string()
        };
        assert!(error("format = 2").contains("expected format 1, got 2"));
        assert!(
            error("format = 1").contains("missing field"),
            "{}",
            error("format = 1")
        );
        assert!(error("zone_key = \"0123456789ABCDEF\"").contains("missing field"));
        assert!(!error("zone_key = \"0123456789ABCDEF\"").contains("0123"));
    }
}
