//! Where the crates come from, without a tool: one registry, each with its hash, no unsafe code of
//! ours, and no more of them than were looked at.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

/// Crates in Cargo.lock, tests' and other systems' included. A growth is looked at before it is
/// written down here.
const CRATES_MAX: usize = 400;
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn table(file: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).unwrap().parse().unwrap()
}

#[test]
fn every_crate_comes_from_the_registry_with_its_hash() {
    let lock = table("Cargo.lock");
    let packages = lock["package"].as_array().unwrap();
    let text =
        |package: &Value, key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
    for package in packages {
        let name = text(package, "name").unwrap();
        if name == "cardswitch" {
            continue;
        }
        assert_eq!(text(package, "source").as_deref(), Some(REGISTRY), "{name}");
        let hash = text(package, "checksum").unwrap();
        assert_eq!(hash.len(), 64, "{name}");
    }
    assert!(packages.len() <= CRATES_MAX, "{}", packages.len());
}

#[test]
fn unsafe_code_is_forbidden_and_what_is_refused_is_written_down() {
    let manifest = table("Cargo.toml");
    assert_eq!(
        manifest["lints"]["rust"]["unsafe_code"].as_str(),
        Some("forbid")
    );
    let deny = table("deny.toml");
    for key in ["unknown-registry", "unknown-git"] {
        assert_eq!(deny["sources"][key].as_str(), Some("deny"), "{key}");
    }
    assert_eq!(deny["bans"]["wildcards"].as_str(), Some("deny"));
    // An advisory is passed over with a reason, or not at all.
    for ignored in deny["advisories"]["ignore"].as_array().unwrap() {
        let reason = ignored.get("reason").and_then(Value::as_str).unwrap();
        assert!(reason.len() > 20, "{ignored}");
    }
}
