//! The configuration of the switch.
//!
//! Owns the typed configuration and the standard set. Does not own the numeric knobs
//! (`config_knob.rs`), the reading of the file (`config_file.rs`) nor what a framing or a message
//! specification is. The page for operators is `spec/config.toml`: a test parses it and demands
//! exactly [`Config::standard`].

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub use super::config_card_check::CardCheck;
pub use super::config_cpus::CpusConfig;
pub use super::config_door::{ClientConfig, ListenerTls};
pub use super::config_hsm::HsmConfig;
pub use super::config_keys::{ExchangeConfig, LinkKeys, MacConfig};
pub use super::config_knob::{Knob, knob};
pub use super::config_webhook::{Tells, WebhookConfig};
use super::networks::AllowList;
use super::permits::Permits;
use super::tls::TlsFiles;
use super::{config_file, spec_source};
use crate::journal::{CommitPoint, SledOptions, WatermarkPolicy};
use crate::transport::{Framing, FramingError, PRESETS};

/// The whole configuration, read once at start and never changed while the switch runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Directory of the store and, unless told otherwise, of the logs.
    pub data_dir: PathBuf,
    /// Folder of programme files; `None` takes the files built into the binary.
    pub programmes_dir: Option<PathBuf>,
    /// Folder of dialect tables beside the ones built into the binary; a file there replaces the
    /// built-in table of the same name.
    pub dialects_dir: Option<PathBuf>,
    /// File of the keys that PIN blocks are judged with; `None`: no block can be judged.
    pub pin_keys: Option<PathBuf>,
    /// The sealed key file, instead of `pin_keys`; `None`: there is none.
    pub key_file: Option<PathBuf>,
    /// File of the key that opens it; `None`: the environment has it.
    pub sealing_key_file: Option<PathBuf>,
    /// Devices that keep the keys, instead of `pin_keys` and `key_file`; `None`: there are none.
    pub hsm: Option<HsmConfig>,
    /// What is checked of which cards, besides PINs.
    pub card_checks: Vec<CardCheck>,
    /// File of exchange rates, taken in at start; `None`: those that the journal has.
    pub rates: Option<PathBuf>,
    /// Folder in which the operators' API may have copies of the store made; `None`: nowhere.
    pub backups_dir: Option<PathBuf>,
    /// Threads that serve connections of peers; 0 takes one per core, or one for each processor
    /// that is set apart for them. See [`knob::IO_THREADS`].
    pub io_threads: usize,
    /// Processors that threads stay on.
    pub cpus: CpusConfig,
    /// Address of the operators' API; without TLS loopback only.
    pub admin: SocketAddr,
    /// From where it may be asked.
    pub admin_allow: AllowList,
    /// Its TLS; `None`: it speaks in the clear.
    pub admin_tls: Option<TlsFiles>,
    /// Who is told over HTTP of what happens.
    pub webhooks: Vec<WebhookConfig>,
    /// Doors for acquirers and networks, each with its own framing and message specification.
    pub listeners: Vec<Listener>,
    /// Queue in front of the single writer and the size of its group commit.
    pub sequencer: SequencerConfig,
    /// The durable log of decisions.
    pub journal: JournalConfig,
    /// When checkpoints of the state are made, and what of the journal is kept behind them.
    pub checkpoint: CheckpointConfig,
    /// How long answers, holds and tombstones are kept.
    pub retention: RetentionConfig,
    /// The decision log.
    pub log: LogConfig,
}

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Name of the door in logs and metrics; unique.
    pub name: String,
    /// Address and port to listen on; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Framing preset, such as `be2` or `nac+tpdu`, or the name of the file's own framing.
    pub framing: String,
    /// A framing that the file describes by its parts, in place of a preset.
    pub framing_own: Option<Framing>,
    /// Message specification: a built-in one such as `iso87-ascii`, or a file of ours, of jPOS
    /// (`.xml`) or of moov (`.json`, `.yaml`).
    pub spec: String,
    /// Translation between message and business: `iso87`, or a table of `dialects_dir`.
    pub dialect: String,
    /// Whether a peer must sign on (0800, 001) before it may send financial messages.
    pub sign_on_required: bool,
    /// What a peer puts into DE 95 of a partial reversal.
    pub replacement_amounts: ReplacementAmounts,
    /// Connections open at once. See [`knob::CONNECTIONS_MAX`].
    pub connections_max: usize,
    /// Requests of one connection awaiting their answer. See [`knob::IN_FLIGHT_MAX`].
    pub in_flight_max: usize,
    /// What becomes of a request beyond them.
    pub when_full: WhenFull,
    /// Longest frame body accepted, bytes. See [`knob::FRAME_BYTES_MAX`].
    pub frame_bytes_max: usize,
    /// Time a started frame has to arrive whole. See [`knob::READ_TIMEOUT_MS`].
    pub read_timeout_ms: u64,
    /// Silence after which a connection is closed; 0 never. See [`knob::IDLE_TIMEOUT_MS`].
    pub idle_timeout_ms: u64,
    /// Time a peer has to take an answer. See [`knob::WRITE_TIMEOUT_MS`].
    pub write_timeout_ms: u64,
    /// From where connections are taken; asked before anything is read.
    pub allow: AllowList,
    /// What its link may send.
    pub may: Permits,
    /// Its TLS; `None`: it speaks in the clear.
    pub tls: Option<ListenerTls>,
    /// Keys of its link.
    pub keys: LinkKeys,
}

/// What a peer puts into the replacement amounts (DE 95) of a partial reversal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplacementAmounts {
    /// What shall remain of the original, as the standard says.
    Remaining,
    /// What is reversed, as some acquirers do (lifecycle D.3).
    Reversed,
}

/// What becomes of a request of a peer that has its maximum in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It stays in the socket until there is room.
    Wait,
    /// It is declined at once, so that what is in flight is answered in time. Advices and reversals
    /// wait, and what is behind them.
    Decline,
}

/// Knobs of the single writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequencerConfig {
    /// Batches of commands waiting for the writer. See [`knob::QUEUE_BATCHES_MAX`].
    pub queue_batches_max: usize,
    /// Records in one group commit. See [`knob::BATCH_RECORDS_MAX`].
    pub batch_records_max: usize,
    /// Bytes in one group commit. See [`knob::BATCH_BYTES_MAX`].
    pub batch_bytes_max: usize,
    /// Wait after which a request is declined instead of decided. See [`knob::WAIT_MS_MAX`].
    pub wait_ms_max: u64,
}

/// Knobs of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalConfig {
    /// Size at which a generation is sealed and the next begins. See [`knob::ROTATE_MIB`].
    pub rotate_mib: u64,
    /// Page cache of the store. See [`knob::CACHE_MIB`].
    pub cache_mib: u64,
    /// When the watermark that proves a lost tail is written.
    pub watermark: WatermarkPolicy,
    /// Size of the commit ring in front of the store; 0: none. See [`knob::RING_MIB`].
    pub ring_mib: u64,
    /// Room on the disk that only advices and reversals may use. See [`knob::KEEP_FREE_MIB`].
    pub keep_free_mib: u64,
}

/// Knobs of the checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointConfig {
    /// Records after which one is made. See [`knob::EVERY_RECORDS`].
    pub every_records: u64,
    /// Time after which one is made if there is any record. See [`knob::EVERY_MINUTES`].
    pub every_minutes: u64,
    /// Records for which one is made when the switch stops. See [`knob::AT_STOP_RECORDS`].
    pub at_stop_records: u64,
    /// Age at which history behind two checkpoints goes. See [`knob::KEEP_HISTORY_DAYS`].
    pub keep_history_days: u64,
}

/// How long the state keeps what only repeats and reversals still need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Stored answers for repeats. See [`knob::ANSWERS_RETENTION_HOURS`].
    pub answers_retention_hours: u64,
    /// Closed holds, for late completions and reversals. See [`knob::HOLDS_RETENTION_DAYS`].
    pub holds_retention_days: u64,
    /// Reversals that came before their original. See [`knob::TOMBSTONE_RETENTION_HOURS`].
    pub tombstone_retention_hours: u64,
    /// Interval between sweeps of what is over. See [`knob::EXPIRE_EVERY_SECONDS`].
    pub expire_every_seconds: u64,
}

/// Knobs of the decision log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Whether and where the log file is written.
    pub file: LogFile,
    /// Size at which the file is rotated. See [`knob::LOG_FILE_MIB_MAX`].
    pub file_mib_max: u64,
    /// Files kept, the active one included. See [`knob::LOG_FILES_MAX`].
    pub files_max: u64,
    /// What goes to standard output.
    pub stdout: LogStdout,
    /// Least severe level written; decisions are always written.
    pub level: LogLevel,
}

/// Where the decision log file lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFile {
    /// No file.
    Off,
    /// `log` inside the data directory.
    InDataDir,
    /// This directory.
    Directory(PathBuf),
}

/// What the decision log writes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStdout {
    /// The same JSON lines as the file.
    Json,
    /// Nothing.
    Off,
}

/// Severity threshold of the lines that are not decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Faults only.
    Error,
    /// And what an operator should look at.
    Warn,
    /// And start, stop, links up and down.
    Info,
    /// And details for an investigation.
    Debug,
}

/// Folder of the logs inside the data directory.
pub const LOG_DIRECTORY: &str = "log";

/// The dialect of a listener that names none.
pub(crate) const DIALECT_STANDARD: &str = "iso87";

/// What the command line says in place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrides {
    /// `--data DIR`.
    pub data_dir: Option<PathBuf>,
    /// `--listen ADDR,FRAMING,SPEC`, repeatable; any given replaces every listener of the file.
    pub listeners: Vec<Listener>,
    /// `--admin ADDR`.
    pub admin: Option<SocketAddr>,
}

impl Config {
    /// The documented set: what runs when nothing is configured.
    pub fn standard() -> Config {
        Config {
            data_dir: PathBuf::from("./cardswitch-data"),
            programmes_dir: None,
            dialects_dir: None,
            pin_keys: None,
            key_file: None,
            sealing_key_file: None,
            hsm: None,
            card_checks: Vec::new(),
            rates: None,
            backups_dir: None,
            io_threads: knob::IO_THREADS.standard,
            cpus: CpusConfig::default(),
            admin: SocketAddr::from(([127, 0, 0, 1], 8580)),
            admin_allow: AllowList::default(),
            admin_tls: None,
            webhooks: Vec::new(),
            listeners: vec![
                Listener::standard(([127, 0, 0, 1], 8583).into(), "be2", "iso87-ascii"),
                Listener::standard(([127, 0, 0, 1], 8584).into(), "be2", "iso87-binary"),
            ],
            sequencer: SequencerConfig {
                queue_batches_max: knob::QUEUE_BATCHES_MAX.standard,
                batch_records_max: knob::BATCH_RECORDS_MAX.standard,
                batch_bytes_max: knob::BATCH_BYTES_MAX.standard,
                wait_ms_max: knob::WAIT_MS_MAX.standard,
            },
            journal: JournalConfig {
                rotate_mib: knob::ROTATE_MIB.standard,
                cache_mib: knob::CACHE_MIB.standard,
                watermark: WatermarkPolicy::Lazy,
                ring_mib: knob::RING_MIB.standard,
                keep_free_mib: knob::KEEP_FREE_MIB.standard,
            },
            checkpoint: CheckpointConfig {
                every_records: knob::EVERY_RECORDS.standard,
                every_minutes: knob::EVERY_MINUTES.standard,
                at_stop_records: knob::AT_STOP_RECORDS.standard,
                keep_history_days: knob::KEEP_HISTORY_DAYS.standard,
            },
            retention: RetentionConfig {
                answers_retention_hours: knob::ANSWERS_RETENTION_HOURS.standard,
                holds_retention_days: knob::HOLDS_RETENTION_DAYS.standard,
                tombstone_retention_hours: knob::TOMBSTONE_RETENTION_HOURS.standard,
                expire_every_seconds: knob::EXPIRE_EVERY_SECONDS.standard,
            },
            log: LogConfig {
                file: LogFile::InDataDir,
                file_mib_max: knob::LOG_FILE_MIB_MAX.standard,
                files_max: knob::LOG_FILES_MAX.standard,
                stdout: LogStdout::Json,
                level: LogLevel::Info,
            },
        }
    }

    /// Reads `file` (or takes the standard set), then lets the command line override it.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or holds mistakes: all of them at once.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
        let text = match file {
            Some(path) => {
                std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
                    path: path.to_path_buf(),
                    source,
                })?
            }
            None => String::new(),
        };
        Config::parse(&text, overrides)
    }

    /// Parses the text of a configuration file; what it leaves out is standard.
    ///
    /// # Errors
    /// The text is not TOML or holds mistakes: all of them at once.
    pub fn parse(text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
        config_file::parse(text, overrides).map(|(config, _absent)| config)
    }

    /// Threads to start: the configured number, or one for each processor that is theirs.
    pub fn io_threads_resolved(&self) -> usize {
        match self.io_threads {
            0 if !self.cpus.io.is_empty() => self.cpus.io.len().min(knob::IO_THREADS.max),
            0 => std::thread::available_parallelism()
                .map_or(1, NonZeroUsize::get)
                .min(knob::IO_THREADS.max),
            threads => threads,
        }
    }

    /// Directory of the decision log, if it is written to a file.
    pub fn log_directory(&self) -> Option<PathBuf> {
        match &self.log.file {
            LogFile::Off => None,
            LogFile::InDataDir => Some(self.data_dir.join(LOG_DIRECTORY)),
            LogFile::Directory(directory) => Some(directory.clone()),
        }
    }
}

impl JournalConfig {
    /// The same in the journal's own units.
    pub fn options(&self) -> SledOptions {
        const MIB: u64 = 1 << 20;
        SledOptions {
            rotate_bytes: self.rotate_mib.saturating_mul(MIB),
            cache_bytes: self.cache_mib.saturating_mul(MIB),
            watermark: self.watermark,
            commit: match self.ring_mib {
                0 => CommitPoint::Sled,
                mib => CommitPoint::Ring {
                    bytes: mib.saturating_mul(MIB),
                },
            },
        }
    }
}

impl Overrides {
    /// A command line that overrides nothing.
    pub fn none() -> Overrides {
        Overrides {
            data_dir: None,
            listeners: Vec::new(),
            admin: None,
        }
    }
}

impl Listener {
    /// A listener with the standard limits, named after its specification and port.
    pub fn standard(address: SocketAddr, framing: &str, spec: &str) -> Listener {
        Listener {
            name: format!("{spec}-{}", address.port()),
            address,
            framing: framing.to_string(),
            framing_own: None,
            spec: spec.to_string(),
            dialect: DIALECT_STANDARD.to_string(),
            sign_on_required: false,
            replacement_amounts: ReplacementAmounts::Remaining,
            connections_max: knob::CONNECTIONS_MAX.standard,
            in_flight_max: knob::IN_FLIGHT_MAX.standard,
            when_full: WhenFull::Wait,
            frame_bytes_max: knob::FRAME_BYTES_MAX.standard,
            read_timeout_ms: knob::READ_TIMEOUT_MS.standard,
            idle_timeout_ms: knob::IDLE_TIMEOUT_MS.standard,
            write_timeout_ms: knob::WRITE_TIMEOUT_MS.standard,
            allow: AllowList::default(),
            may: Permits::default(),
            tls: None,
            keys: LinkKeys::default(),
        }
    }

    /// How its frames are cut.
    ///
    /// # Errors
    /// No preset has the name of the framing.
    pub fn cut(&self) -> Result<Framing, FramingError> {
        match &self.framing_own {
            Some(framing) => Ok(framing.clone()),
            None => Framing::preset(&self.framing),
        }
    }

    /// Silence after which a connection is closed, or `None` for never.
    pub fn idle_timeout(&self) -> Option<Duration> {
        (self.idle_timeout_ms > 0).then(|| Duration::from_millis(self.idle_timeout_ms))
    }
}

impl FromStr for Listener {
    type Err = ConfigMistake;

    /// Parses `ADDR,FRAMING,SPEC`, the value of `--listen`.
    fn from_str(text: &str) -> Result<Listener, ConfigMistake> {
        let mistake = |expected: String, got: &str| ConfigMistake::new("--listen", expected, got);
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let &[address, framing, spec] = parts.as_slice() else {
            return Err(mistake("ADDR,FRAMING,SPEC".to_string(), text));
        };
        let address = address
            .parse()
            .map_err(|_| mistake("an address such as 127.0.0.1:8583".to_string(), address))?;
        if !framing_exists(framing) {
            return Err(mistake(framings_expected(), framing));
        }
        if !spec_source::may_exist(spec) {
            return Err(mistake(spec_source::expected(), spec));
        }
        Ok(Listener::standard(address, framing, spec))
    }
}

pub(crate) fn framing_exists(name: &str) -> bool {
    Framing::preset(name).is_ok()
}

pub(crate) fn framings_expected() -> String {
    format!(
        "one of {}, with +tpdu behind it if wanted",
        PRESETS.join(", ")
    )
}

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file named by `--config`.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("parse the configuration as TOML: {0}")]
    NotToml(String),
    /// The file is TOML and these keys are wrong.
    #[error("accept the configuration:{}", lines(.0))]
    Mistakes(Vec<ConfigMistake>),
}

/// One wrong key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: expected {expected}, got {got}")]
pub struct ConfigMistake {
    /// Full path of the key, such as `listener[1].framing`.
    pub key: String,
    /// What would be accepted.
    pub expected: String,
    /// What is there.
    pub got: String,
}

impl ConfigMistake {
    pub(crate) fn new(key: &str, expected: impl Into<String>, got: impl fmt::Display) -> Self {
        ConfigMistake {
            key: key.to_string(),
            expected: expected.into(),
            got: got.to_string(),
        }
    }
}

fn lines(mistakes: &[ConfigMistake]) -> String {
    mistakes
        .iter()
        .map(|mistake| format!("\n  {mistake}"))
        .collect()
}
