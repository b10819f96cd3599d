//! Loads the rulebook: programme files and dialects, from the binary or from a folder.

use std::path::Path;
use std::sync::Arc;

use crate::domain::programme::Programme;
use crate::domain::programme_file;
use crate::domain::rulebook::Rulebook;
use crate::engine::operation_rules::ProgrammeRecord;

use super::dialect::table::{self, Dialect};

/// The programme files built into the binary.
const BUILT_IN: [(&str, &str); 3] = [
    (
        "prepaid-jp.toml",
        include_str!("../../spec/programme/prepaid-jp.toml"),
    ),
    (
        "gift-code.toml",
        include_str!("../../spec/programme/gift-code.toml"),
    ),
    (
        "travel.toml",
        include_str!("../../spec/programme/travel.toml"),
    ),
];

/// The dialect tables built into the binary.
const BUILT_IN_DIALECTS: [(&str, &str); 5] = [
    ("iso87", include_str!("../../spec/dialect/iso87.toml")),
    (
        "visa-style",
        include_str!("../../spec/dialect/visa-style.toml"),
    ),
    (
        "mastercard-style",
        include_str!("../../spec/dialect/mastercard-style.toml"),
    ),
    ("iso93", include_str!("../../spec/dialect/iso93.toml")),
    ("iso2003", include_str!("../../spec/dialect/iso2003.toml")),
];

/// The rulebook with the dialects its response codes came from, in the same order.
#[derive(Clone, Debug)]
pub struct LoadedRules {
    /// For the engine.
    pub rulebook: Arc<Rulebook>,
    /// For the links.
    pub dialects: Vec<Arc<Dialect>>,
    /// The programme files, for the journal.
    pub files: Vec<ProgrammeRecord>,
}

/// The rulebook cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("load the programmes: {}", .0.join("\n  "))]
pub struct RulesError(pub Vec<String>);

impl LoadedRules {
    /// Reads every `*.toml` of `programmes_dir`, or the built-in programmes without one, and the
    /// dialects: the built-in ones, replaced or joined by those of `dialects_dir`.
    ///
    /// # Errors
    /// Every mistake of every file, and card number ranges that two programmes claim.
    pub fn load(
        programmes_dir: Option<&Path>,
        dialects_dir: Option<&Path>,
    ) -> Result<LoadedRules, RulesError> {
        let mut mistakes = Vec::new();
        let (programmes, files) = read_programmes(programmes_dir, &mut mistakes)?;
        let dialects = dialects(dialects_dir, &mut mistakes)?;
        if !mistakes.is_empty() {
            return Err(RulesError(mistakes));
        }
        let rulebook = Rulebook {
            programmes,
            codes: dialects
                .iter()
                .map(|dialect| dialect.codes.clone())
                .collect(),
        };
        Ok(LoadedRules {
            rulebook: Arc::new(rulebook),
            dialects,
            files,
        })
    }

    /// Reads the programmes alone, as [`LoadedRules::load`] does, with their files.
    ///
    /// # Errors
    /// Every mistake of every file, and card number ranges that two programmes claim.
    pub fn programmes(
        folder: Option<&Path>,
    ) -> Result<(Vec<Programme>, Vec<ProgrammeRecord>), RulesError> {
        let mut mistakes = Vec::new();
        let read = read_programmes(folder, &mut mistakes)?;
        if mistakes.is_empty() {
            Ok(read)
        } else {
            Err(RulesError(mistakes))
        }
    }

    /// The dialect with this name and its number in the rulebook.
    pub fn dialect(&self, name: &str) -> Option<(u8, Arc<Dialect>)> {
        let position = self
            .dialects
            .iter()
            .position(|dialect| dialect.name == name)?;
        let dialect = self.dialects.get(position)?;
        Some((u8::try_from(position).ok()?, Arc::clone(dialect)))
    }
}

/// Programmes with their files; what is wrong with them is added to the mistakes.
fn read_programmes(
    folder: Option<&Path>,
    mistakes: &mut Vec<String>,
) -> Result<(Vec<Programme>, Vec<ProgrammeRecord>), RulesError> {
    let (mut programmes, mut files) = (Vec::new(), Vec::new());
    for (name, text) in programme_texts(folder)? {
        match programme_file::parse(&name, &text) {
            Ok(programme) => {
                files.push(ProgrammeRecord {
                    name: programme.name,
                    version: programme.version,
                    text,
                });
                programmes.push(programme);
            }
            Err(error) => mistakes.push(error.to_string()),
        }
    }
    if programmes.is_empty() && mistakes.is_empty() {
        mistakes.push("no programme file found".to_owned());
    }
    mistakes.extend(claimed_twice(&programmes));
    Ok((programmes, files))
}

/// The built-in dialects, replaced or joined by those of a folder.
fn dialects(
    folder: Option<&Path>,
    mistakes: &mut Vec<String>,
) -> Result<Vec<Arc<Dialect>>, RulesError> {
    let mut dialects: Vec<Arc<Dialect>> = Vec::new();
    let own = folder.map(toml_files).transpose()?.unwrap_or_default();
    let built_in = BUILT_IN_DIALECTS.map(|(name, text)| (name.to_owned(), text.to_owned()));
    for (name, text) in own.into_iter().chain(built_in) {
        match table::parse(&text) {
            // The folder comes first, so a built-in table of the same name is passed over.
            Ok(dialect) if dialects.iter().any(|known| known.name == dialect.name) => {}
            Ok(dialect) => dialects.push(Arc::new(dialect)),
            Err(wrong) => mistakes.push(format!("dialect {name}: {}", wrong.join("; "))),
        }
    }
    Ok(dialects)
}

fn programme_texts(folder: Option<&Path>) -> Result<Vec<(String, String)>, RulesError> {
    let Some(folder) = folder else {
        return Ok(BUILT_IN
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into());
    };
    toml_files(folder)
}

/// Name and text of every `*.toml` of a folder, in order of the names.
fn toml_files(folder: &Path) -> Result<Vec<(String, String)>, RulesError> {
    let unreadable = |error: std::io::Error| {
        RulesError(vec![format!("read folder {}: {error}", folder.display())])
    };
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .map_err(unreadable)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).map_err(unreadable)?;
            Ok((path.display().to_string(), text))
        })
        .collect()
}

fn claimed_twice(programmes: &[Programme]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for (n, first) in programmes.iter().enumerate() {
        for second in programmes.iter().skip(n + 1) {
            if first.name == second.name {
                mistakes.push(format!("two programmes are named {}", first.name));
            }
            for bin in &first.bins {
                if second.bins.iter().any(|other| other.prefix == bin.prefix) {
                    mistakes.push(format!(
                        "{} and {} both claim card numbers that begin with {}",
                        first.name, second.name, bin.prefix
                    ));
                }
            }
        }
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decision::Reason;

    #[test]
    fn the_built_in_rulebook_loads() {
        let rules = LoadedRules::load(None, None).unwrap();
        assert_eq!(rules.rulebook.programmes.len(), 3);
        assert!(rules.dialect("iso87").is_some());
    }

    #[test]
    fn two_programmes_cannot_claim_the_same_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            let text = BUILT_IN[0]
                .1
                .replace("name = \"prepaid-jp\"", &format!("name = {name:?}"));
            std::fs::write(folder.path().join(format!("{name}.toml")), text).unwrap();
        }
        let error = LoadedRules::load(Some(folder.path()), None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("both claim") && error.contains("476173"),
            "{error}"
        );
    }

    #[test]
    fn a_table_of_the_folder_replaces_the_built_in_one_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let text = BUILT_IN_DIALECTS[0]
            .1
            .replace("insufficient-funds = \"51\"", "insufficient-funds = \"05\"");
        std::fs::write(folder.path().join("mine.toml"), text).unwrap();
        let rules = LoadedRules::load(None, Some(folder.path())).unwrap();
        assert_eq!(rules.dialects.len(), BUILT_IN_DIALECTS.len());
        let (number, _) = rules.dialect("iso87").unwrap();
        let codes = &rules.rulebook.codes[usize::from(number)];
        assert_eq!(codes.code(Reason::InsufficientFunds).as_str(), "05");
    }
}
