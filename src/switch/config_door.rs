//! Who may use a door and what for: `allow`, `may` and `tls` of a listener, and of the admin API.

use std::path::PathBuf;

use toml::Value;

use super::config::{ConfigMistake, LinkKeys};
use super::config_file::{Notes, Section};
use super::config_keys;
use super::networks::{AllowList, Network, NoNetwork};
use super::permits::Permits;
use super::tls::TlsFiles;
use crate::domain::money::Currency;
use crate::iso8583::Mti;

/// Longest leading part of a card number that may be asked for, digits.
const BIN_DIGITS_MAX: usize = 11;

/// TLS of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// Certificates and keys.
    pub files: TlsFiles,
    /// Clients by the names in their certificates; none: every client with a certificate is the
    /// listener's own link.
    pub clients: Vec<ClientConfig>,
}

/// A client that is known by its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// A name of its certificate.
    pub name: String,
    /// The link that it is, in logs, permissions and the journal.
    pub link: String,
    /// What it may send.
    pub may: Permits,
    /// Its keys; `None`: those of the listener.
    pub keys: Option<LinkKeys>,
}

/// `allow`: from where connections are taken.
pub(super) fn allow(section: &mut Section, key: &str, notes: &mut Notes) -> AllowList {
    let Some(rows) = list(section, key, "a list of networks", notes) else {
        return AllowList::default();
    };
    let mut networks = Vec::new();
    for row in rows {
        match row.as_str().map(str::parse::<Network>) {
            Some(Ok(network)) => networks.push(network),
            Some(Err(_)) | None => {
                notes.mistake(&section.key_of(key), NoNetwork.to_string(), &row);
            }
        }
    }
    AllowList::only(networks)
}

/// `may`: what may be sent.
pub(super) fn may(section: &mut Section, notes: &mut Notes) -> Permits {
    if !section.has("may") {
        return Permits::default();
    }
    let mut section = section.section("may", notes);
    let types = texts(&mut section, "message_types", notes, |text| {
        let mti: Mti = text.parse().ok()?;
        (mti.is_request() && !mti.is_repeat()).then_some(mti.number())
    });
    let bins = texts(&mut section, "bins", notes, |text| {
        let is_bin = (1..=BIN_DIGITS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit());
        is_bin.then(|| text.to_owned())
    });
    let programmes = texts(&mut section, "programmes", notes, |text| {
        (!text.is_empty()).then(|| text.to_owned())
    });
    let permits = Permits {
        message_types: types,
        bins,
        programmes,
        amounts_max: amounts(&mut section, notes),
    };
    section.finish(notes);
    permits
}

/// `tls` of a listener.
pub(super) fn tls(section: &mut Section, notes: &mut Notes) -> Option<ListenerTls> {
    if !section.has("tls") {
        return None;
    }
    let mut section = section.section("tls", notes);
    let files = files(&mut section, notes);
    let rows = list(
        &mut section,
        "client",
        "[[listener.tls.client]] sections",
        notes,
    );
    let mut clients = Vec::new();
    for (index, row) in rows.unwrap_or_default().into_iter().enumerate() {
        let key = format!("{}[{index}]", section.key_of("client"));
        match row {
            Value::Table(table) => clients.extend(client(Section::new(key, table), notes)),
            other => notes.mistake(&key, "a [[listener.tls.client]] section", &other),
        }
    }
    if !clients.is_empty() && files.client_ca.is_none() {
        let key = section.key_of("client_ca");
        let expected = "a file, for clients are known by their certificates";
        notes
            .mistakes
            .push(ConfigMistake::new(&key, expected, "nothing"));
    }
    section.finish(notes);
    Some(ListenerTls { files, clients })
}

/// `[admin_tls]`.
pub(super) fn admin_tls(top: &mut Section, notes: &mut Notes) -> Option<TlsFiles> {
    if !top.has("admin_tls") {
        return None;
    }
    let mut section = top.section("admin_tls", notes);
    let files = files(&mut section, notes);
    section.finish(notes);
    Some(files)
}

fn files(section: &mut Section, notes: &mut Notes) -> TlsFiles {
    let mut needed = |key: &str| PathBuf::from(section.text(key, notes).unwrap_or_default());
    let (certificate, key) = (needed("certificate"), needed("key"));
    let files = TlsFiles {
        certificate,
        key,
        client_ca: section.path_optional("client_ca", notes),
        client_crl: section.path_optional("client_crl", notes),
    };
    if files.client_crl.is_some() && files.client_ca.is_none() {
        let key = section.key_of("client_ca");
        let expected = "a file, for what was revoked are certificates of clients";
        notes
            .mistakes
            .push(ConfigMistake::new(&key, expected, "nothing"));
    }
    files
}

fn client(mut section: Section, notes: &mut Notes) -> Option<ClientConfig> {
    let name = section.text("name", notes);
    let link = section.text("link", notes);
    let may = may(&mut section, notes);
    let keys = config_keys::link_keys(&mut section, notes);
    section.finish(notes);
    Some(ClientConfig {
        name: name?,
        link: link?,
        may,
        keys: (keys != LinkKeys::default()).then_some(keys),
    })
}

/// `amounts_max`: minor units by the letters of their currency.
fn amounts(section: &mut Section, notes: &mut Notes) -> Option<Vec<(Currency, i64)>> {
    const EXPECTED: &str = "minor units by currency, such as { JPY = 3000000 }";
    let key = "amounts_max";
    if !section.has(key) {
        return None;
    }
    let value = section.take(key, notes)?;
    let row = |(letters, minor): (&String, &Value)| {
        let minor = minor.as_integer().filter(|minor| *minor >= 0)?;
        Some((Currency::from_alpha(letters)?, minor))
    };
    let rows = value.as_table().map(|table| table.iter().map(row));
    let rows = rows.and_then(Iterator::collect::<Option<Vec<_>>>);
    if rows.is_none() {
        notes.mistake(&section.key_of(key), EXPECTED, &value);
    }
    rows
}

/// A list of texts, each read by `read`; `None` without the key.
fn texts<T>(
    section: &mut Section,
    key: &str,
    notes: &mut Notes,
    read: impl Fn(&str) -> Option<T>,
) -> Option<Vec<T>> {
    let expected = match key {
        "message_types" => "types of requests such as \"0100\"; repeats go with them",
        "bins" => "leading digits of card numbers such as \"476173\"",
        _ => "names",
    };
    let rows = list(section, key, expected, notes)?;
    let mut texts = Vec::new();
    for row in rows {
        match row.as_str().and_then(&read) {
            Some(text) => texts.push(text),
            None => notes.mistake(&section.key_of(key), expected, &row),
        }
    }
    Some(texts)
}

fn list(section: &mut Section, key: &str, expected: &str, notes: &mut Notes) -> Option<Vec<Value>> {
    if !section.has(key) {
        return None;
    }
    match section.take(key, notes)? {
        Value::Array(rows) => Some(rows),
        other => {
            notes.mistake(&section.key_of(key), expected, &other);
            None
        }
    }
}
