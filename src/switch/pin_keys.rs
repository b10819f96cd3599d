//! Which of the keys that an HSM keeps PIN blocks are judged with.
//!
//! The keys come from a file that the configuration names, into this process's memory, or lie in a
//! device; either way they are asked through one trait.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::crypto::hsm::{Hsm, HsmError};
use crate::crypto::key::TdesKey;
use crate::crypto::software::{KeyTerms, SoftwareHsm};

use super::key_file::{Algorithm, KeyFile};

/// Who judges PINs, and with which keys.
pub struct PinKeys {
    /// Whoever keeps the keys.
    pub(super) hsm: Arc<dyn Hsm>,
    /// Name of the key that PIN blocks come in under where their link names none; `None`: all do.
    pub(super) zone: Option<String>,
    /// Names of the keys for PIN verification values, by their index.
    pub(super) verification: BTreeMap<u8, String>,
}

/// PIN keys that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("PIN keys {file}: {}", .mistakes.join("; "))]
pub struct PinKeysError {
    /// The file, or the device.
    pub file: String,
    /// What is wrong, without any of its content.
    pub mistakes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    zone_key: Zeroizing<String>,
    verification_key: Vec<KeyRow>,
    #[serde(default)]
    key: Vec<NamedKeyRow>,
}

/// A key for something else than PINs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedKeyRow {
    name: String,
    usage: String,
    key: Zeroizing<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRow {
    index: u8,
    key: Zeroizing<String>,
}

/// Fills bytes at random; false when the system gives none.
pub fn random(bytes: &mut [u8]) -> bool {
    getrandom::fill(bytes).is_ok()
}

/// The keys of an opened key file in the memory of this process.
///
/// # Errors
/// Every key that cannot be taken, by its name.
pub fn software(file: &str, keys: &KeyFile) -> Result<SoftwareHsm, PinKeysError> {
    let hsm = SoftwareHsm::new(random);
    let mut mistakes = Vec::new();
    for key in &keys.keys {
        let label = &key.label;
        let terms = KeyTerms {
            name: label.name.clone(),
            usage: label.usage.clone(),
            version: label.version.clone(),
            mode: u8::try_from(label.mode).unwrap_or(b'N'),
            is_exportable: label.exportability == 'E',
        };
        if let Err(error) = hsm.add(terms, &key.bytes, label.algorithm == Algorithm::A) {
            mistakes.push(format!("key {}: {error}", label.name));
        }
    }
    if mistakes.is_empty() {
        return Ok(hsm);
    }
    let file = file.to_owned();
    Err(PinKeysError { file, mistakes })
}

impl PinKeys {
    /// Whoever keeps them, and others.
    pub fn keeper(&self) -> &Arc<dyn Hsm> {
        &self.hsm
    }

    /// Reads a file of keys.
    ///
    /// # Errors
    /// Every mistake; no key is shown.
    pub fn load(path: &Path) -> Result<PinKeys, PinKeysError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path).map(Zeroizing::new) {
            Ok(text) => PinKeys::parse(&file, &text),
            Err(error) => Err(PinKeysError {
                file,
                mistakes: vec![error.to_string()],
            }),
        }
    }

    /// The keys of an opened key file: see [`PinKeys::kept_by`].
    ///
    /// # Errors
    /// Every mistake; no key is shown.
    pub fn of(file: &str, keys: &KeyFile) -> Result<PinKeys, PinKeysError> {
        PinKeys::kept_by(file, Arc::new(software(file, keys)?), &[])
    }

    /// Of the keys that an HSM keeps: the one of usage P0 that no link names as its own, and every
    /// one of usage V2 under the index that is the second digit of its version. `place` names it in
    /// errors.
    ///
    /// # Errors
    /// Every mistake; no key is shown.
    pub fn kept_by(
        place: &str,
        hsm: Arc<dyn Hsm>,
        of_links: &[&str],
    ) -> Result<PinKeys, PinKeysError> {
        let mut mistakes = Vec::new();
        let (mut zone, mut verification) = (None, BTreeMap::new());
        for note in hsm.keys() {
            let name = note.name;
            match note.usage.as_str() {
                "P0" if of_links.contains(&name.as_str()) => {}
                "P0" if zone.is_some() => {
                    mistakes.push(format!("key {name}: a second one of usage P0"));
                }
                "P0" => zone = Some(name),
                "V2" => {
                    let index = note.version.bytes().last().unwrap_or(b'0') & 0x0f;
                    if verification.insert(index, name.clone()).is_some() {
                        mistakes.push(format!("key {name}: a second one of usage V2 {index}"));
                    }
                }
                _ => {}
            }
        }
        if zone.is_none() && of_links.is_empty() {
            mistakes.push("expected a key of usage P0, got none".to_owned());
        }
        if !mistakes.is_empty() {
            let file = place.to_owned();
            return Err(PinKeysError { file, mistakes });
        }
        Ok(PinKeys {
            hsm,
            zone,
            verification,
        })
    }

    /// Reads the text of a file of keys; `file` names it in errors.
    ///
    /// # Errors
    /// Every mistake; no key is shown.
    pub fn parse(file: &str, text: &str) -> Result<PinKeys, PinKeysError> {
        let wrong = |mistakes| PinKeysError {
            file: file.to_owned(),
            mistakes,
        };
        // What TOML says may quote the line, and with it a key.
        let raw: File = toml::from_str(text).map_err(|_| {
            wrong(vec![
                "expected zone_key, and [[verification_key]] with index and key".to_owned(),
            ])
        })?;
        let mut mistakes = Vec::new();
        let hsm = SoftwareHsm::new(random);
        if let Err(error) = add(&hsm, "zone", "P0", 0, &raw.zone_key) {
            mistakes.push(format!("zone_key: {error}"));
        }
        let mut indexes = BTreeMap::new();
        for (n, KeyRow { index, key }) in raw.verification_key.iter().enumerate() {
            let at = format!("verification_key[{n}]");
            if *index > 9 {
                mistakes.push(format!("{at}.index: expected 0 to 9, got {index}"));
            } else if indexes.insert(index, n).is_some() {
                mistakes.push(format!("{at}.index: it is there already"));
            } else if let Err(error) = add(&hsm, &format!("pvv-{index}"), "V2", *index, key) {
                mistakes.push(format!("{at}.key: {error}"));
            }
        }
        for (n, NamedKeyRow { name, usage, key }) in raw.key.iter().enumerate() {
            if let Err(error) = add(&hsm, name, usage, 0, key) {
                mistakes.push(format!("key[{n}]: {error}"));
            }
        }
        if mistakes.is_empty() {
            // Others of usage P0 are links' own.
            let others = raw.key.iter().filter(|row| row.usage == "P0");
            let others: Vec<&str> = others.map(|row| row.name.as_str()).collect();
            PinKeys::kept_by(file, Arc::new(hsm), &others)
        } else {
            Err(wrong(mistakes))
        }
    }
}

fn add(
    hsm: &SoftwareHsm,
    name: &str,
    usage: &str,
    version: u8,
    digits: &str,
) -> Result<(), HsmError> {
    let not_taken = |detail: String| HsmError::KeyNotTaken { detail };
    let wrong = |error: crate::crypto::key::KeyError| not_taken(error.to_string());
    TdesKey::from_hex(digits).map_err(wrong)?;
    let bytes = base16ct::mixed::decode_vec(digits).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| not_taken("expected hexadecimal digits".to_owned()))?;
    let terms = KeyTerms {
        name: name.to_owned(),
        usage: usage.to_owned(),
        version: format!("{version:02}"),
        mode: b'N',
        is_exportable: false,
    };
    hsm.add(terms, &bytes, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_of_a_key_file_are_told_without_a_key() {
        let key = "0123456789ABCDEFFEDCBA9876543210";
        for (text, part) in [
            (format!("zone_key = \"{key}\""), "expected zone_key"),
            (format!("zone = \"{key}\""), "expected zone_key"),
            (
                format!("zone_key = \"{key}0\"\nverification_key = []"),
                "zone_key: the key that came: a TDES key: expected 32",
            ),
            (
                format!(
                    "zone_key = \"{key}\"\n[[verification_key]]\nindex = 1\nkey = \"{key}\"\n\
                     [[verification_key]]\nindex = 1\nkey = \"{key}\""
                ),
                "verification_key[1].index: it is there already",
            ),
            (
                format!("zone_key = \"{key}\"\n[[verification_key]]\nindex = 10\nkey = \"{key}\""),
                "expected 0 to 9, got 10",
            ),
        ] {
            let error = PinKeys::parse("keys", &text).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
            assert!(!error.contains("0123456789"), "a key is shown");
        }
    }
}
