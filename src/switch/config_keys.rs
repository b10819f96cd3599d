//! The keys of a link, as a `[[listener]]` or one of its clients names them.

use super::config_file::{Notes, Section};
use crate::crypto::hsm::MacScheme;
use crate::crypto::mac::Padding;

/// The keys of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkKeys {
    /// How its messages are authenticated; `None`: they are not.
    pub mac: Option<MacConfig>,
}

/// How the messages of a link are authenticated (DE 64, DE 128).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacConfig {
    /// Name of the key.
    pub key: String,
    /// How codes are made.
    pub scheme: MacScheme,
    /// Whether a message without a code is refused.
    pub is_required: bool,
}

/// Names of the schemes.
pub const SCHEMES: &[(&str, MacScheme)] = &[
    ("x9.19", MacScheme::Retail(Padding::Zeros)),
    ("x9.19-bit", MacScheme::Retail(Padding::OneThenZeros)),
    ("cmac", MacScheme::Cmac),
];

/// The keys of a link.
pub(super) fn link_keys(section: &mut Section, notes: &mut Notes) -> LinkKeys {
    LinkKeys {
        mac: mac(section, notes),
    }
}

/// `mac`: how messages are authenticated.
fn mac(section: &mut Section, notes: &mut Notes) -> Option<MacConfig> {
    if !section.has("mac") {
        return None;
    }
    let mut section = section.section("mac", notes);
    let key = section.text("key", notes);
    let scheme = section.word("algorithm", None, SCHEMES, notes);
    let is_required = section.switch("require", true, notes);
    section.finish(notes);
    Some(MacConfig {
        key: key?,
        scheme: scheme?,
        is_required,
    })
}
