//! The keys of a link, as a `[[listener]]` or one of its clients names them.

use super::config::{Knob, Listener};
use super::config_file::{Notes, Section};
use crate::crypto::hsm::MacScheme;
use crate::crypto::mac::Padding;

/// The keys of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkKeys {
    /// How its messages are authenticated; `None`: they are not.
    pub mac: Option<MacConfig>,
    /// Name of the key that its PIN blocks come under; `None`: the one that nobody names.
    pub pin_key: Option<String>,
    /// How its peer may change these keys; `None`: not at all.
    pub exchange: Option<ExchangeConfig>,
}

impl Listener {
    /// The keys of its own link and of its clients' links.
    pub fn all_keys(&self) -> impl Iterator<Item = &LinkKeys> {
        let clients = self.tls.iter().flat_map(|tls| &tls.clients);
        let of_clients = clients.filter_map(|client| client.keys.as_ref());
        of_clients.chain([&self.keys])
    }
}

/// How new keys of a link come (0800).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeConfig {
    /// Name of the key-exchange key.
    pub under: String,
    /// How long the key before a new one stays good.
    pub overlap_seconds: u64,
}

/// Seconds. Longer than an answer may take; what is sent later has the new key.
const OVERLAP_SECONDS: Knob<u64> = Knob {
    key: "overlap_seconds",
    min: 0,
    max: 86_400,
    standard: 300,
};

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
        pin_key: section.text_optional("pin_key", notes),
        exchange: exchange(section, notes),
    }
}

/// `key_exchange`: how new keys come.
fn exchange(section: &mut Section, notes: &mut Notes) -> Option<ExchangeConfig> {
    if !section.has("key_exchange") {
        return None;
    }
    let mut section = section.section("key_exchange", notes);
    let under = section.text("under", notes);
    let overlap_seconds = section.number(&OVERLAP_SECONDS, notes);
    section.finish(notes);
    Some(ExchangeConfig {
        under: under?,
        overlap_seconds,
    })
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
