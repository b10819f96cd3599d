//! Loads the rulebook: programme files and dialects, from the binary or from a folder.

use std::path::Path;
use std::sync::Arc;

use crate::domain::programme::{Programme, Rulebook};
use crate::domain::programme_file;

use super::dialect::{built_in, table::Dialect};

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

/// The rulebook with the dialects its response codes came from, in the same order.
#[derive(Clone, Debug)]
pub struct LoadedRules {
    /// For the engine.
    pub rulebook: Arc<Rulebook>,
    /// For the links.
    pub dialects: Vec<Arc<Dialect>>,
}

/// The rulebook cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("load the programmes: {}", .0.join("\n  "))]
pub struct RulesError(pub Vec<String>);

impl LoadedRules {
    /// Reads every `*.toml` of a folder, or the built-in programmes without one.
    ///
    /// # Errors
    /// Every mistake of every file, and card number ranges that two programmes claim.
    pub fn load(folder: Option<&Path>) -> Result<LoadedRules, RulesError> {
        let mut mistakes = Vec::new();
        let mut programmes = Vec::new();
        for (name, text) in texts(folder)? {
            match programme_file::parse(&name, &text) {
                Ok(programme) => programmes.push(programme),
                Err(error) => mistakes.push(error.to_string()),
            }
        }
        if programmes.is_empty() && mistakes.is_empty() {
            mistakes.push("no programme file found".to_owned());
        }
        mistakes.extend(claimed_twice(&programmes));
        let dialect = match built_in("iso87") {
            Ok(dialect) => dialect,
            Err(mistake) => {
                mistakes.push(mistake);
                return Err(RulesError(mistakes));
            }
        };
        if !mistakes.is_empty() {
            return Err(RulesError(mistakes));
        }
        let rulebook = Rulebook {
            programmes,
            codes: vec![dialect.codes.clone()],
        };
        Ok(LoadedRules {
            rulebook: Arc::new(rulebook),
            dialects: vec![Arc::new(dialect)],
        })
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

fn texts(folder: Option<&Path>) -> Result<Vec<(String, String)>, RulesError> {
    let Some(folder) = folder else {
        return Ok(BUILT_IN
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into());
    };
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

    #[test]
    fn the_built_in_rulebook_loads() {
        let rules = LoadedRules::load(None).unwrap();
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
        let error = LoadedRules::load(Some(folder.path()))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("both claim") && error.contains("476173"),
            "{error}"
        );
    }
}
