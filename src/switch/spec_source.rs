//! Specifications by name: built in, or in a file of ours, of jPOS or of moov.

use std::fs;
use std::path::Path;

use crate::iso8583::MessageSpec;
use crate::iso8583::import::{self, Report};

/// Extensions of files that hold a specification: ours, jPOS, moov.
const EXTENSIONS: [&str; 5] = ["toml", "xml", "json", "yaml", "yml"];

/// A specification, and what an importer says of it when it is of another project.
pub struct Loaded {
    /// The specification.
    pub spec: MessageSpec,
    /// What became of the definitions of the file.
    pub report: Option<Report>,
}

/// Whether a specification may have this name: a built-in one has, or a file could.
pub fn may_exist(name: &str) -> bool {
    let extension = Path::new(name).extension();
    let is_file = EXTENSIONS
        .iter()
        .any(|own| extension.is_some_and(|extension| extension == *own));
    is_file || MessageSpec::builtin(name).is_some()
}

/// What a name may be, for an error.
pub fn expected() -> String {
    let builtin = MessageSpec::builtins().iter().map(MessageSpec::name);
    let names: Vec<&str> = builtin.collect();
    format!(
        "one of {}, or a file ({})",
        names.join(", "),
        EXTENSIONS.join(", ")
    )
}

/// The specification with this name, or in this file.
///
/// # Errors
/// The file cannot be read, or is no specification of the kind that its extension says; a
/// sentence that names it.
pub fn load(name: &str) -> Result<Loaded, String> {
    if let Some(spec) = MessageSpec::builtin(name) {
        let spec = spec.clone();
        return Ok(Loaded { spec, report: None });
    }
    let text = fs::read_to_string(name)
        .map_err(|error| format!("read the spec {name} (no built-in spec is named so): {error}"))?;
    let path = Path::new(name);
    let stem = path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let extension = path.extension().and_then(|extension| extension.to_str());
    let imported = match extension {
        Some("xml") => Some(import::jpos(&stem, &text)),
        Some("json") => Some(import::moov_json(&stem, &text)),
        Some("yaml" | "yml") => Some(import::moov_yaml(&stem, &text)),
        _ => None,
    };
    let imported = imported.transpose();
    let imported = imported.map_err(|error| format!("import the spec {name}: {error}"))?;
    let (text, report) = match imported {
        Some(imported) => (imported.toml, Some(imported.report)),
        None => (text, None),
    };
    let spec =
        MessageSpec::parse(&text).map_err(|errors| format!("use the spec {name}: {errors}"))?;
    Ok(Loaded { spec, report })
}
