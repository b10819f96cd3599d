//! The table of keys that go with a device: enciphered under its LMK, so of no use without it.
//!
//! ```toml
//! [[key]]
//! name = "zone"
//! usage = "P0"                # as in a key file
//! version = "00"              # of a PVV key the second digit is its index
//! key = "U0123..."            # U: under a variant LMK; S: a key block
//! check_value = "08D7B4"      # may be left out; else the device must agree
//! exportable = false          # may be left out
//! ```

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::crypto::hsm::{Hsm, KeyNote};
use crate::crypto::payshield::DeviceKey;
use crate::crypto::payshield::client::TableKey;
use crate::crypto::payshield::lmk::Lmk;
use crate::switch::key_file::{Algorithm, KeyFile};
use crate::switch::pin_keys::random;

/// A table of keys that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("key table {file}: {}", .mistakes.join("; "))]
pub struct KeyTableError {
    /// The file.
    pub file: String,
    /// Everything that is wrong.
    pub mistakes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    key: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    usage: String,
    #[serde(default = "no_version")]
    version: String,
    key: String,
    check_value: Option<String>,
    #[serde(default)]
    exportable: bool,
}

fn no_version() -> String {
    "00".to_owned()
}

/// Reads a table.
///
/// # Errors
/// Every mistake.
pub fn load(path: &Path) -> Result<Vec<TableKey>, KeyTableError> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&file, &text),
        Err(error) => Err(KeyTableError {
            file,
            mistakes: vec![error.to_string()],
        }),
    }
}

/// Reads the text of a table; `file` names it in errors.
///
/// # Errors
/// Every mistake.
pub fn parse(file: &str, text: &str) -> Result<Vec<TableKey>, KeyTableError> {
    let wrong = |mistakes| KeyTableError {
        file: file.to_owned(),
        mistakes,
    };
    let raw: File = toml::from_str(text).map_err(|error| {
        let first = error.message().lines().next().unwrap_or_default();
        wrong(vec![format!("expected rows of [[key]]: {first}")])
    })?;
    let (mut mistakes, mut names, mut keys) = (Vec::new(), BTreeSet::new(), Vec::new());
    for row in raw.key {
        let name = row.name.escape_default().to_string();
        if !names.insert(row.name.clone()) {
            mistakes.push(format!("key {name}: it is there already"));
        }
        let value = row.check_value.map(|text| {
            let bytes = base16ct::mixed::decode_vec(&text).ok();
            bytes.and_then(|bytes| <[u8; 3]>::try_from(bytes).ok())
        });
        if value == Some(None) {
            mistakes.push(format!("key {name}: check_value: expected six digits"));
        }
        match DeviceKey::parse(&row.key) {
            Err(error) => mistakes.push(format!("key {name}: {error}")),
            Ok(key) => keys.push(TableKey {
                note: KeyNote {
                    name: row.name,
                    usage: row.usage,
                    version: row.version,
                    check_value: value.flatten(),
                },
                key,
                is_exportable: row.exportable,
            }),
        }
    }
    if mistakes.is_empty() {
        Ok(keys)
    } else {
        Err(wrong(mistakes))
    }
}

/// The table, for a played device, of the keys of a key file.
///
/// # Errors
/// Every key that has no place there.
pub fn of_key_file(file: &str, keys: &KeyFile) -> Result<String, KeyTableError> {
    let wrong = |mistakes| KeyTableError {
        file: file.to_owned(),
        mistakes,
    };
    let lmk = Lmk::test().map_err(|error| wrong(vec![error.to_string()]))?;
    let (mut mistakes, mut rows) = (Vec::new(), Vec::new());
    for key in &keys.keys {
        let mut fill = [0; 32];
        let is_filled = random(&mut fill);
        let is_aes = key.label.algorithm == Algorithm::A;
        let label = &key.label;
        match lmk.wrap(&label.usage, (&key.bytes, is_aes), false, fill) {
            Ok(wrapped) if is_filled => rows.push(Row {
                name: label.name.clone(),
                usage: label.usage.clone(),
                version: label.version.clone(),
                key: wrapped.text().to_owned(),
                check_value: Some(label.check_value.clone()),
                exportable: label.exportability == 'E',
            }),
            Ok(_) => mistakes.push("the system gives no randomness".to_owned()),
            Err(error) => mistakes.push(format!("key {}: {error}", label.name)),
        }
    }
    if !mistakes.is_empty() {
        return Err(wrong(mistakes));
    }
    toml::to_string(&File { key: rows }).map_err(|error| wrong(vec![error.to_string()]))
}

/// What is wrong between the table and whoever keeps the keys: for each key whose check value is
/// known, what the device says of it.
pub fn disagreements(hsm: &dyn Hsm) -> Vec<String> {
    let judge = |note: KeyNote| {
        let expected = note.check_value?;
        match hsm.check_value(&note.name) {
            Ok(value) if value == expected => None,
            Ok(_) => Some(format!("key {}: it has another check value", note.name)),
            Err(error) => Some(format!("key {}: {error}", note.name)),
        }
    };
    hsm.keys().into_iter().filter_map(judge).collect()
}
