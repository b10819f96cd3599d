//! The sections `[[webhook]]` of the configuration: who is told over HTTP of what happens.

use std::path::PathBuf;

use toml::Value;

use super::config::{ConfigMistake, Knob};
use super::config_file::{Notes, Section};

/// Longest name, characters.
const NAME_CHARACTERS_MAX: usize = 40;

/// Milliseconds. A consumer takes a telling in and looks at it later; ten seconds are many.
const TIMEOUT_MS: Knob<u64> = knob("timeout_ms", 100, 10_000, 60_000);
/// Milliseconds before the first repeat; it doubles from one to the next, a minute at most.
const RETRY_MS: Knob<u64> = knob("retry_ms", 10, 500, 60_000);
/// Failures in a row after which a telling is put aside; with standard values after some 7 minutes.
const ATTEMPTS_MAX: Knob<u32> = Knob {
    key: "attempts_max",
    min: 1,
    max: 1_000,
    standard: 13,
};

const fn knob(key: &'static str, min: u64, standard: u64, max: u64) -> Knob<u64> {
    Knob {
        key,
        min,
        max,
        standard,
    }
}

/// Whoever is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Its name; unique.
    pub name: String,
    /// Where it is told.
    pub url: String,
    /// File of the secret that signs.
    pub secret_file: PathBuf,
    /// File of who signs its certificate; `None`: it is told in the clear.
    pub ca: Option<PathBuf>,
    /// Of what.
    pub tells: Tells,
    /// Time that it has to take a telling. See `timeout_ms`.
    pub timeout_ms: u64,
    /// Wait before the first repeat. See `retry_ms`.
    pub retry_ms: u64,
    /// Failures after which a telling is put aside. See `attempts_max`.
    pub attempts_max: u32,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    /// Notices for holders (rule A37).
    Notices,
    /// Every decision, posting and operation.
    Activity,
}

const TELLS: &[(&str, Tells)] = &[("notices", Tells::Notices), ("activity", Tells::Activity)];

impl Tells {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Tells::Notices => "notices",
            Tells::Activity => "activity",
        }
    }
}

impl WebhookConfig {
    /// With standard values.
    pub fn standard(name: &str, url: &str, secret_file: PathBuf, tells: Tells) -> WebhookConfig {
        WebhookConfig {
            name: name.to_owned(),
            url: url.to_owned(),
            secret_file,
            ca: None,
            tells,
            timeout_ms: TIMEOUT_MS.standard,
            retry_ms: RETRY_MS.standard,
            attempts_max: ATTEMPTS_MAX.standard,
        }
    }
}

/// The sections; none without any.
pub(super) fn webhooks(top: &mut Section, notes: &mut Notes) -> Vec<WebhookConfig> {
    let rows = match top.has("webhook").then(|| top.take("webhook", notes)) {
        None | Some(None) => return Vec::new(),
        Some(Some(Value::Array(rows))) => rows,
        Some(Some(other)) => {
            notes.mistake("webhook", "[[webhook]] sections", &other);
            return Vec::new();
        }
    };
    let mut webhooks: Vec<WebhookConfig> = Vec::with_capacity(rows.len());
    for (index, row) in rows.into_iter().enumerate() {
        let key = format!("webhook[{index}]");
        let Value::Table(table) = row else {
            notes.mistake(&key, "a [[webhook]] section", &row);
            continue;
        };
        let webhook = webhook(Section::new(key.clone(), table), notes);
        if webhooks.iter().any(|other| other.name == webhook.name) {
            let key = format!("{key}.name");
            let mistake = ConfigMistake::new(&key, "a unique name", &webhook.name);
            notes.mistakes.push(mistake);
        }
        webhooks.push(webhook);
    }
    webhooks
}

fn webhook(mut section: Section, notes: &mut Notes) -> WebhookConfig {
    let name = section.text("name", notes).unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.chars().count() > NAME_CHARACTERS_MAX || !name.chars().all(is_plain) {
        let expected = format!("{NAME_CHARACTERS_MAX} characters of a-z, 0-9 and - at most");
        let key = section.key_of("name");
        notes
            .mistakes
            .push(ConfigMistake::new(&key, expected, &name));
    }
    let url = section.text("url", notes).unwrap_or_default();
    let ca = section.path_optional("ca", notes);
    check_url(&section, &url, ca.is_some(), notes);
    let secret_file = section.text("secret_file", notes).unwrap_or_default();
    let tells = section.word("tells", None, TELLS, notes);
    let webhook = WebhookConfig {
        name,
        url,
        secret_file: PathBuf::from(secret_file),
        ca,
        tells: tells.unwrap_or(Tells::Notices),
        timeout_ms: section.number(&TIMEOUT_MS, notes),
        retry_ms: section.number(&RETRY_MS, notes),
        attempts_max: section.number(&ATTEMPTS_MAX, notes),
    };
    section.finish(notes);
    webhook
}

/// In the clear, or over TLS with a certificate that somebody named signs. Whoever may look at the
/// webhooks sees the URL, so it holds no secret.
fn check_url(section: &Section, url: &str, has_ca: bool, notes: &mut Notes) {
    let key = section.key_of("url");
    if url.contains(['@', '?', '#']) {
        let expected = "a URL without user, query and fragment: the signature says who calls";
        // Not repeated: it may be a secret.
        let mistake = ConfigMistake::new(&key, expected, "one with them");
        return notes.mistakes.push(mistake);
    }
    let expected = match (url.split_once("://"), has_ca) {
        (Some(("http", rest)), false) | (Some(("https", rest)), true) if !rest.is_empty() => return,
        (Some(("http", _)), true) => "https:// with ca",
        (Some(("https", _)), false) => "ca: a file of who signs the certificate there",
        _ => "a URL such as http://127.0.0.1:9000/cards",
    };
    notes.mistakes.push(ConfigMistake::new(&key, expected, url));
}
