//! Reads the configuration file: TOML to [`Config`], every mistake reported in one go.
//!
//! A key that nobody asked for is a mistake, so a misspelt knob never runs with its standard value.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;

use toml::{Table, Value};

use super::config::{
    CheckpointConfig, Config, ConfigError, ConfigMistake, HsmConfig, JournalConfig, Knob, Listener,
    LogConfig, LogFile, LogLevel, LogStdout, Overrides, ReplacementAmounts, RetentionConfig,
    SequencerConfig, WhenFull, framing_exists, framings_expected, knob,
};
use super::{
    config_card_check, config_cpus, config_door, config_keys, config_webhook, spec_source,
};
use crate::crypto::payshield::Settings;
use crate::journal::WatermarkPolicy;
use crate::transport::Framing;

/// Longest piece of a wrong value that an error repeats, characters.
const GOT_CHARACTERS_MAX: usize = 60;

const WHEN_FULL: &[(&str, WhenFull)] = &[("wait", WhenFull::Wait), ("decline", WhenFull::Decline)];
const WATERMARKS: &[(&str, WatermarkPolicy)] = &[
    ("lazy", WatermarkPolicy::Lazy),
    ("before-reply", WatermarkPolicy::BeforeReply),
];
const REPLACEMENTS: &[(&str, ReplacementAmounts)] = &[
    ("remaining", ReplacementAmounts::Remaining),
    ("reversed", ReplacementAmounts::Reversed),
];
const STDOUTS: &[(&str, LogStdout)] = &[("json", LogStdout::Json), ("off", LogStdout::Off)];
const LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
];

/// Parses the file and applies the command line.
///
/// Also returns the keys the file left out: the test of the sample file demands that there be none.
///
/// # Errors
/// Not TOML, or mistakes: all of them.
pub(super) fn parse(
    text: &str,
    overrides: &Overrides,
) -> Result<(Config, Vec<String>), ConfigError> {
    let table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| ConfigError::NotToml(error.to_string()))?;
    let mut notes = Notes {
        mistakes: Vec::new(),
        absent: Vec::new(),
    };
    let standard = Config::standard();
    let mut top = Section::new(String::new(), table);

    let mut config = Config {
        data_dir: top.path("data_dir", standard.data_dir, &mut notes),
        programmes_dir: top.path_optional("programmes_dir", &mut notes),
        dialects_dir: top.path_optional("dialects_dir", &mut notes),
        pin_keys: top.path_optional("pin_keys", &mut notes),
        key_file: top.path_optional("key_file", &mut notes),
        sealing_key_file: top.path_optional("sealing_key_file", &mut notes),
        hsm: hsm(&mut top, &mut notes),
        card_checks: config_card_check::card_checks(&mut top, &mut notes),
        rates: top.path_optional("rates", &mut notes),
        backups_dir: top.path_optional("backups_dir", &mut notes),
        io_threads: top.number(&knob::IO_THREADS, &mut notes),
        cpus: config_cpus::cpus(top.section("cpus", &mut notes), &mut notes),
        admin: top.address("admin", Some(standard.admin), &mut notes),
        admin_allow: config_door::allow(&mut top, "admin_allow", &mut notes),
        admin_tls: config_door::admin_tls(&mut top, &mut notes),
        webhooks: config_webhook::webhooks(&mut top, &mut notes),
        listeners: listeners(&mut top, standard.listeners, &mut notes),
        sequencer: sequencer(top.section("sequencer", &mut notes), &mut notes),
        journal: journal(
            top.section("journal", &mut notes),
            standard.journal,
            &mut notes,
        ),
        checkpoint: checkpoint(top.section("checkpoint", &mut notes), &mut notes),
        retention: retention(top.section("retention", &mut notes), &mut notes),
        log: log(top.section("log", &mut notes), standard.log, &mut notes),
    };
    top.finish(&mut notes);

    if let Some(data_dir) = &overrides.data_dir {
        config.data_dir.clone_from(data_dir);
    }
    if let Some(admin) = overrides.admin {
        config.admin = admin;
    }
    if !overrides.listeners.is_empty() {
        config.listeners.clone_from(&overrides.listeners);
    }
    check_whole(&config, &mut notes);

    if notes.mistakes.is_empty() {
        Ok((config, notes.absent))
    } else {
        Err(ConfigError::Mistakes(notes.mistakes))
    }
}

/// What holds between knobs, wherever each came from.
fn check_whole(config: &Config, notes: &mut Notes) {
    if let (Some(hsm), true) = (
        &config.hsm,
        config.pin_keys.is_some() || config.key_file.is_some(),
    ) {
        let expected = "either this or pin_keys or key_file";
        let mistake = ConfigMistake::new("hsm", expected, hsm.keys.display());
        notes.mistakes.push(mistake);
    }
    if let (Some(pin_keys), Some(_)) = (&config.pin_keys, &config.key_file) {
        let expected = "either this or key_file";
        let mistake = ConfigMistake::new("pin_keys", expected, pin_keys.display());
        notes.mistakes.push(mistake);
    }
    if !config.admin.ip().is_loopback() && config.admin_tls.is_none() {
        let expected = "a loopback address such as 127.0.0.1:8580, or [admin_tls]";
        notes
            .mistakes
            .push(ConfigMistake::new("admin", expected, config.admin));
    }
    if config.data_dir.as_os_str().is_empty() {
        notes
            .mistakes
            .push(ConfigMistake::new("data_dir", "a directory", "nothing"));
    }
    if config.listeners.is_empty() {
        notes.mistakes.push(ConfigMistake::new(
            "listener",
            "at least one [[listener]]",
            "none",
        ));
    }
    let mut names = BTreeSet::new();
    let mut addresses = BTreeSet::from([config.admin]);
    for (index, listener) in config.listeners.iter().enumerate() {
        if !names.insert(&listener.name) {
            let key = format!("listener[{index}].name");
            notes
                .mistakes
                .push(ConfigMistake::new(&key, "a unique name", &listener.name));
        }
        if listener.address.port() != 0 && !addresses.insert(listener.address) {
            let key = format!("listener[{index}].address");
            notes
                .mistakes
                .push(ConfigMistake::new(&key, "a free address", listener.address));
        }
    }
}

fn listeners(top: &mut Section, standard: Vec<Listener>, notes: &mut Notes) -> Vec<Listener> {
    let rows = match top.take("listener", notes) {
        None => return standard,
        Some(Value::Array(rows)) => rows,
        Some(other) => {
            notes.mistake("listener", "[[listener]] sections", &other);
            return standard;
        }
    };
    let mut listeners = Vec::with_capacity(rows.len());
    for (index, row) in rows.into_iter().enumerate() {
        let key = format!("listener[{index}]");
        match row {
            Value::Table(table) => listeners.push(listener(Section::new(key, table), notes)),
            other => notes.mistake(&key, "a [[listener]] section", &other),
        }
    }
    listeners
}

fn listener(mut section: Section, notes: &mut Notes) -> Listener {
    let address = section.address("address", None, notes);
    let framing_own = section.framing_table(notes);
    let framing = match &framing_own {
        Some(framing) => Some(framing.name().to_owned()),
        None => section.text("framing", notes),
    };
    let is_preset = |name: &str| framing_own.is_some() || framing_exists(name);
    if let Some(name) = framing.as_deref().filter(|name| !is_preset(name)) {
        let key = section.key_of("framing");
        let mistake = ConfigMistake::new(&key, framings_expected(), name);
        notes.mistakes.push(mistake);
    }
    let spec = section.text("spec", notes);
    if let Some(name) = spec.as_deref().filter(|name| !spec_source::may_exist(name)) {
        let key = section.key_of("spec");
        let mistake = ConfigMistake::new(&key, spec_source::expected(), name);
        notes.mistakes.push(mistake);
    }
    let standard = Listener::standard(
        address,
        framing.as_deref().unwrap_or_default(),
        spec.as_deref().unwrap_or_default(),
    );
    let listener = Listener {
        framing_own,
        name: section.text("name", notes).unwrap_or(standard.name),
        dialect: section
            .text_optional("dialect", notes)
            .unwrap_or(standard.dialect),
        sign_on_required: section.switch("sign_on_required", standard.sign_on_required, notes),
        replacement_amounts: section
            .word(
                "replacement_amounts",
                Some(standard.replacement_amounts),
                REPLACEMENTS,
                notes,
            )
            .unwrap_or(standard.replacement_amounts),
        connections_max: section.number(&knob::CONNECTIONS_MAX, notes),
        in_flight_max: section.number(&knob::IN_FLIGHT_MAX, notes),
        when_full: section
            .word("when_full", Some(standard.when_full), WHEN_FULL, notes)
            .unwrap_or(standard.when_full),
        frame_bytes_max: section.number(&knob::FRAME_BYTES_MAX, notes),
        read_timeout_ms: section.number(&knob::READ_TIMEOUT_MS, notes),
        idle_timeout_ms: section.number(&knob::IDLE_TIMEOUT_MS, notes),
        write_timeout_ms: section.number(&knob::WRITE_TIMEOUT_MS, notes),
        allow: config_door::allow(&mut section, "allow", notes),
        may: config_door::may(&mut section, notes),
        tls: config_door::tls(&mut section, notes),
        keys: config_keys::link_keys(&mut section, notes),
        ..standard
    };
    section.finish(notes);
    listener
}

/// Devices that keep the keys; none without the section.
fn hsm(top: &mut Section, notes: &mut Notes) -> Option<HsmConfig> {
    if !top.table.contains_key("hsm") {
        return None;
    }
    let mut section = top.section("hsm", notes);
    let (addresses, keys) = (section.addresses(notes), section.text("keys", notes));
    let standard = HsmConfig::standard(addresses, PathBuf::from(keys.unwrap_or_default()));
    let settings = standard.settings;
    let hsm = HsmConfig {
        connections_max: section.number(&knob::HSM_CONNECTIONS_MAX, notes),
        deadline_ms: section.number(&knob::HSM_DEADLINE_MS, notes),
        retry_ms: section.number(&knob::HSM_RETRY_MS, notes),
        health_every_ms: section.number(&knob::HSM_HEALTH_EVERY_MS, notes),
        header_characters: section.number(&knob::HSM_HEADER_CHARACTERS, notes),
        settings: Settings {
            kw_scheme: section.letter("kw_scheme", settings.kw_scheme, notes),
            kw_has_unpredictable: section.switch(
                "kw_has_unpredictable",
                settings.kw_has_unpredictable,
                notes,
            ),
            kw_device_fills: section.switch("kw_device_fills", settings.kw_device_fills, notes),
            cmac_algorithm: section.letter("cmac_algorithm", settings.cmac_algorithm, notes),
            block_scheme: section.letter("block_scheme", settings.block_scheme, notes),
            account_end: section.letter("account_end", settings.account_end, notes),
            device_judges_choice: section.switch(
                "device_judges_choice",
                settings.device_judges_choice,
                notes,
            ),
        },
        ..standard
    };
    section.finish(notes);
    Some(hsm)
}

fn sequencer(mut section: Section, notes: &mut Notes) -> SequencerConfig {
    let sequencer = SequencerConfig {
        queue_batches_max: section.number(&knob::QUEUE_BATCHES_MAX, notes),
        batch_records_max: section.number(&knob::BATCH_RECORDS_MAX, notes),
        batch_bytes_max: section.number(&knob::BATCH_BYTES_MAX, notes),
        wait_ms_max: section.number(&knob::WAIT_MS_MAX, notes),
    };
    section.finish(notes);
    sequencer
}

fn journal(mut section: Section, standard: JournalConfig, notes: &mut Notes) -> JournalConfig {
    let journal = JournalConfig {
        rotate_mib: section.number(&knob::ROTATE_MIB, notes),
        cache_mib: section.number(&knob::CACHE_MIB, notes),
        watermark: section
            .word("watermark", Some(standard.watermark), WATERMARKS, notes)
            .unwrap_or(standard.watermark),
        ring_mib: section.number(&knob::RING_MIB, notes),
        keep_free_mib: section.number(&knob::KEEP_FREE_MIB, notes),
    };
    section.finish(notes);
    journal
}

fn checkpoint(mut section: Section, notes: &mut Notes) -> CheckpointConfig {
    let checkpoint = CheckpointConfig {
        every_records: section.number(&knob::EVERY_RECORDS, notes),
        every_minutes: section.number(&knob::EVERY_MINUTES, notes),
        at_stop_records: section.number(&knob::AT_STOP_RECORDS, notes),
        keep_history_days: section.number(&knob::KEEP_HISTORY_DAYS, notes),
    };
    section.finish(notes);
    checkpoint
}

fn retention(mut section: Section, notes: &mut Notes) -> RetentionConfig {
    let retention = RetentionConfig {
        answers_retention_hours: section.number(&knob::ANSWERS_RETENTION_HOURS, notes),
        holds_retention_days: section.number(&knob::HOLDS_RETENTION_DAYS, notes),
        tombstone_retention_hours: section.number(&knob::TOMBSTONE_RETENTION_HOURS, notes),
        expire_every_seconds: section.number(&knob::EXPIRE_EVERY_SECONDS, notes),
    };
    section.finish(notes);
    retention
}

fn log(mut section: Section, standard: LogConfig, notes: &mut Notes) -> LogConfig {
    let file = match section.take("file", notes) {
        None => standard.file,
        Some(Value::Boolean(true)) => LogFile::InDataDir,
        Some(Value::Boolean(false)) => LogFile::Off,
        Some(Value::String(directory)) if !directory.is_empty() => {
            LogFile::Directory(PathBuf::from(directory))
        }
        Some(other) => {
            notes.mistake("log.file", "true, false or a directory", &other);
            standard.file
        }
    };
    let log = LogConfig {
        file,
        file_mib_max: section.number(&knob::LOG_FILE_MIB_MAX, notes),
        files_max: section.number(&knob::LOG_FILES_MAX, notes),
        stdout: section
            .word("stdout", Some(standard.stdout), STDOUTS, notes)
            .unwrap_or(standard.stdout),
        level: section
            .word("level", Some(standard.level), LEVELS, notes)
            .unwrap_or(standard.level),
    };
    section.finish(notes);
    log
}

/// What was noticed while reading.
pub(super) struct Notes {
    pub(super) mistakes: Vec<ConfigMistake>,
    absent: Vec<String>,
}

impl Notes {
    pub(super) fn mistake(&mut self, key: &str, expected: impl Into<String>, got: &Value) {
        let got: String = got.to_string().chars().take(GOT_CHARACTERS_MAX).collect();
        self.mistakes.push(ConfigMistake::new(key, expected, got));
    }
}

/// One table of the file; what is left in it at the end nobody asked for.
pub(super) struct Section {
    key: String,
    table: Table,
}

impl Section {
    pub(super) fn new(key: String, table: Table) -> Section {
        Section { key, table }
    }

    pub(super) fn key_of(&self, key: &str) -> String {
        if self.key.is_empty() {
            key.to_string()
        } else {
            format!("{}.{key}", self.key)
        }
    }

    /// Whether the file has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn take(&mut self, key: &str, notes: &mut Notes) -> Option<Value> {
        let value = self.table.remove(key);
        if value.is_none() {
            notes.absent.push(self.key_of(key));
        }
        value
    }

    pub(super) fn section(&mut self, key: &str, notes: &mut Notes) -> Section {
        let table = match self.take(key, notes) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => {
                notes.mistake(&self.key_of(key), format!("a [{key}] section"), &other);
                Table::new()
            }
        };
        Section::new(self.key_of(key), table)
    }

    pub(super) fn number<T>(&mut self, knob: &Knob<T>, notes: &mut Notes) -> T
    where
        T: Copy + PartialOrd + Display + TryFrom<i64>,
    {
        let Some(value) = self.take(knob.key, notes) else {
            return knob.standard;
        };
        let number = value
            .as_integer()
            .and_then(|integer| T::try_from(integer).ok());
        match number {
            Some(number) if knob.min <= number && number <= knob.max => number,
            _ => {
                let expected = format!("a whole number from {} to {}", knob.min, knob.max);
                notes.mistake(&self.key_of(knob.key), expected, &value);
                knob.standard
            }
        }
    }

    pub(super) fn switch(&mut self, key: &str, standard: bool, notes: &mut Notes) -> bool {
        match self.take(key, notes) {
            None => standard,
            Some(Value::Boolean(value)) => value,
            Some(other) => {
                notes.mistake(&self.key_of(key), "true or false", &other);
                standard
            }
        }
    }

    /// One character.
    fn letter(&mut self, key: &str, standard: u8, notes: &mut Notes) -> u8 {
        let Some(value) = self.take(key, notes) else {
            return standard;
        };
        match value.as_str().map(str::as_bytes) {
            Some([letter]) if letter.is_ascii_graphic() => *letter,
            _ => {
                notes.mistake(&self.key_of(key), "one character", &value);
                standard
            }
        }
    }

    /// The addresses of devices; at least one.
    fn addresses(&mut self, notes: &mut Notes) -> Vec<SocketAddr> {
        let value = self.take("addresses", notes);
        let value = value.unwrap_or_else(|| Value::Array(Vec::new()));
        let rows = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let read = |row: &Value| row.as_str().and_then(|text| text.parse().ok());
        match rows.iter().map(read).collect::<Option<Vec<SocketAddr>>>() {
            Some(addresses) if !addresses.is_empty() => addresses,
            _ => {
                let expected = "addresses such as [\"127.0.0.1:1500\"]";
                notes.mistake(&self.key_of("addresses"), expected, &value);
                Vec::new()
            }
        }
    }

    /// A framing that is described by its parts; `None` when the key holds something else.
    fn framing_table(&mut self, notes: &mut Notes) -> Option<Framing> {
        if !self.table.get("framing")?.is_table() {
            return None;
        }
        let value = self.take("framing", notes)?;
        let read = value.clone().try_into::<Framing>();
        if let Err(error) = &read {
            let why = error.message();
            notes.mistake(
                &self.key_of("framing"),
                format!("a framing ({why})"),
                &value,
            );
        }
        // What is wrong with it has been said: the words for presets need not be.
        read.ok().or_else(|| Framing::preset("be2").ok())
    }

    pub(super) fn text(&mut self, key: &str, notes: &mut Notes) -> Option<String> {
        match self.take(key, notes) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            Some(other) => {
                notes.mistake(&self.key_of(key), "a text", &other);
                None
            }
            None => {
                let key = self.key_of(key);
                notes
                    .mistakes
                    .push(ConfigMistake::new(&key, "a text", "nothing"));
                None
            }
        }
    }

    /// One of a closed list of words; without a standard the key must be there.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &str,
        standard: Option<T>,
        words: &[(&str, T)],
        notes: &mut Notes,
    ) -> Option<T> {
        let expected = || {
            let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
            format!("one of {}", names.join(", "))
        };
        match (self.take(key, notes), standard) {
            (Some(value), _) => {
                let text = value.as_str();
                let found = words.iter().find(|(name, _)| Some(*name) == text);
                if found.is_none() {
                    notes.mistake(&self.key_of(key), expected(), &value);
                }
                found.map(|(_, word)| *word)
            }
            (None, Some(standard)) => Some(standard),
            (None, None) => {
                let key = self.key_of(key);
                notes
                    .mistakes
                    .push(ConfigMistake::new(&key, expected(), "nothing"));
                None
            }
        }
    }

    /// An address; without a standard the key must be there.
    fn address(
        &mut self,
        key: &str,
        standard: Option<SocketAddr>,
        notes: &mut Notes,
    ) -> SocketAddr {
        const EXPECTED: &str = "an address such as 127.0.0.1:8583";
        const NOWHERE: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(
            std::net::Ipv4Addr::LOCALHOST,
            0,
        ));
        let value = match (self.take(key, notes), standard) {
            (Some(value), _) => value,
            (None, Some(standard)) => return standard,
            (None, None) => {
                let key = self.key_of(key);
                notes
                    .mistakes
                    .push(ConfigMistake::new(&key, EXPECTED, "nothing"));
                return NOWHERE;
            }
        };
        match value.as_str().and_then(|text| text.parse().ok()) {
            Some(address) => address,
            None => {
                notes.mistake(&self.key_of(key), EXPECTED, &value);
                NOWHERE
            }
        }
    }

    fn path(&mut self, key: &str, standard: PathBuf, notes: &mut Notes) -> PathBuf {
        if self.table.contains_key(key) {
            self.text(key, notes).map_or(standard, PathBuf::from)
        } else {
            notes.absent.push(self.key_of(key));
            standard
        }
    }

    pub(super) fn path_optional(&mut self, key: &str, notes: &mut Notes) -> Option<PathBuf> {
        self.text_optional(key, notes).map(PathBuf::from)
    }

    pub(super) fn text_optional(&mut self, key: &str, notes: &mut Notes) -> Option<String> {
        self.has(key).then(|| self.text(key, notes)).flatten()
    }

    pub(super) fn finish(self, notes: &mut Notes) {
        for (key, value) in &self.table {
            notes.mistake(&self.key_of(key), "no such key", value);
        }
    }
}
