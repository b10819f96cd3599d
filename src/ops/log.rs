//! The decision log: one JSON line per decision, written without ever making a decision wait.
//!
//! Owns the fields of a line, the only way to emit one, and the subscriber that writes them. Does
//! not own how lines are rendered for people (`cli/tail.rs`). Invariant: the card is a
//! [`MaskedPan`], so a clear number does not compile; one hiding elsewhere is masked and counted.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;

use super::log_file::{ACTIVE_NAME, CountingStdout, RollingFile};
use super::log_layer::{self, JsonLines, LogCounters};
use crate::domain::account::{AccountId, Purse};
use crate::domain::money::{Amount, Currency};
use crate::domain::pan::{CardToken, MaskedPan};
use crate::domain::time::UnixMs;
use crate::switch::config::{LogConfig, LogLevel, LogStdout};

/// Everything the log says about one decision. `None` where the message did not carry it.
#[derive(Debug, Clone, Copy)]
pub struct DecisionLine<'a> {
    /// When the request arrived.
    pub at: UnixMs,
    /// Name of the listener or peer link.
    pub link: &'a str,
    /// Message type as on the wire, `0100`.
    pub mti: &'a str,
    /// System trace audit number, DE 11.
    pub stan: Option<&'a str>,
    /// Retrieval reference number, DE 37.
    pub rrn: Option<&'a str>,
    /// Card number, masked.
    pub card: Option<MaskedPan>,
    /// Keyed token of the card: the same card has the same token, nobody can turn it back.
    pub card_token: Option<CardToken>,
    /// Account the card belongs to.
    pub account: Option<AccountId>,
    /// Amount asked for.
    pub amount: Option<Amount>,
    /// Merchant category code, DE 18.
    pub mcc: Option<&'a str>,
    /// Card acceptor, DE 42 or DE 43.
    pub merchant: Option<&'a str>,
    /// Terminal, DE 41.
    pub terminal: Option<&'a str>,
    /// What the request is for, such as `purchase`.
    pub purpose: &'a str,
    /// What became of it.
    pub decision: DecisionWord,
    /// Why it was declined or rejected.
    pub reason: Option<&'a str>,
    /// What in the message made the reason true.
    pub evidence: Option<&'a str>,
    /// Response code sent, DE 39.
    pub code: &'a str,
    /// Approval code sent, DE 38.
    pub approval: Option<&'a str>,
    /// Whether the answer was the stored one of an earlier request.
    pub repeat: bool,
    /// Purses of the account after the decision.
    pub balances: &'a [PurseLine<'a>],
    /// Sequence of the journal record, if one was written.
    pub sequence: Option<u64>,
    /// Time each step of the corridor took.
    pub latency: CorridorLatency,
}

/// The four outcomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionWord {
    /// A request that may go ahead.
    Approved,
    /// A request refused for a business reason.
    Declined,
    /// An advice or reversal taken note of.
    Accepted,
    /// A message that will not be processed.
    Rejected,
}

impl DecisionWord {
    /// The word in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            DecisionWord::Approved => "approved",
            DecisionWord::Declined => "declined",
            DecisionWord::Accepted => "accepted",
            DecisionWord::Rejected => "rejected",
        }
    }
}

/// One purse after a decision.
#[derive(Debug, Clone, Copy)]
pub struct PurseLine<'a> {
    /// Name of the purse.
    pub purse: &'a str,
    /// Its currency and money, of which part may be held.
    pub money: Purse,
}

/// Nanoseconds spent in each step of the corridor; decode and render take less than a microsecond.
#[derive(Debug, Clone, Copy)]
pub struct CorridorLatency {
    /// Frame to message.
    pub decode_ns: u64,
    /// Message to command.
    pub parse_request_ns: u64,
    /// Waiting for the single writer.
    pub sequence_ns: u64,
    /// Deciding and applying.
    pub decide_ns: u64,
    /// Until the journal said durable.
    pub append_ns: u64,
    /// Decision to message.
    pub render_response_ns: u64,
    /// Message to socket.
    pub write_frame_ns: u64,
    /// Last byte in to last byte out.
    pub total_ns: u64,
}

/// Emits one decision as a tracing event with target `decision`.
pub fn emit(line: &DecisionLine<'_>) {
    let token = line.card_token.map(|token| hexadecimal(&token.0));
    let balances = balances_json(line.balances);
    let currency = line.amount.map(|amount| currency_name(amount.currency));
    // Target and field names are known to log_layer.rs.
    tracing::info!(
        target: "decision",
        at_ms = line.at.0,
        link = line.link,
        mti = line.mti,
        stan = line.stan,
        rrn = line.rrn,
        card = line.card.as_ref().map(MaskedPan::as_str),
        card_token = token.as_deref(),
        account = line.account.map(|account| account.0),
        amount_minor = line.amount.map(|amount| amount.minor),
        currency = currency.as_deref(),
        mcc = line.mcc,
        merchant = line.merchant,
        terminal = line.terminal,
        purpose = line.purpose,
        decision = line.decision.as_str(),
        reason = line.reason,
        evidence = line.evidence,
        code = line.code,
        approval = line.approval,
        repeat = line.repeat,
        balances = balances.as_str(),
        sequence = line.sequence,
        decode_ns = line.latency.decode_ns,
        parse_request_ns = line.latency.parse_request_ns,
        sequence_ns = line.latency.sequence_ns,
        decide_ns = line.latency.decide_ns,
        append_ns = line.latency.append_ns,
        render_response_ns = line.latency.render_response_ns,
        write_frame_ns = line.latency.write_frame_ns,
        total_ns = line.latency.total_ns,
    );
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?');
    let mut text = Vec::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        text.extend_from_slice(&[digit(byte >> 4), digit(byte & 0x0f)]);
    }
    String::from_utf8(text).unwrap_or_default()
}

/// Letters of the currency; a currency without letters here by its number.
fn currency_name(currency: Currency) -> Cow<'static, str> {
    match currency.alpha() {
        Some(letters) => Cow::Borrowed(letters),
        None => Cow::Owned(currency.to_string()),
    }
}

fn balances_json(purses: &[PurseLine<'_>]) -> String {
    let mut json = Vec::with_capacity(256);
    json.push(b'[');
    for (index, purse) in purses.iter().enumerate() {
        json.extend_from_slice(if index == 0 {
            b"{\"purse\":"
        } else {
            b",{\"purse\":"
        });
        log_layer::escape(&mut json, purse.purse);
        json.extend_from_slice(b",\"currency\":");
        log_layer::escape(&mut json, &currency_name(purse.money.currency));
        json.extend_from_slice(b",\"balance_minor\":");
        log_layer::push_signed(&mut json, purse.money.balance);
        json.extend_from_slice(b",\"held_minor\":");
        log_layer::push_signed(&mut json, purse.money.held);
        json.push(b'}');
    }
    json.push(b']');
    String::from_utf8(json).unwrap_or_default()
}

/// Lines a queue holds before it drops: about 25 MiB, a third of a second at full load.
const QUEUE_LINES_MAX: usize = 32_768;
const MIB: u64 = 1_048_576;

/// Keeps the log's threads alive; dropping it writes what is queued, waiting a second at most.
#[must_use = "dropping the guard ends the log"]
#[derive(Debug)]
pub struct LogGuard {
    counters: LogCounters,
    _writers: Vec<WorkerGuard>,
}

impl LogGuard {
    /// Counts of dropped and masked lines, to be shown as metrics.
    pub fn counters(&self) -> LogCounters {
        self.counters.clone()
    }

    /// Lines that a full queue dropped or that could not be written.
    pub fn dropped_lines(&self) -> u64 {
        self.counters.dropped_lines()
    }

    /// Lines in which something that looked like a card number was masked.
    pub fn masked_lines(&self) -> u64 {
        self.counters.masked_lines()
    }
}

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file could not be created.
    #[error("open the decision log in {}: {source}", directory.display())]
    File {
        /// Directory of the log.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// This process has a subscriber already.
    #[error("install the decision log: this process has one already")]
    Installed,
}

/// Path of the file being written in a log directory.
pub fn active_file(directory: &Path) -> PathBuf {
    directory.join(ACTIVE_NAME)
}

/// Installs the log for the whole process; `now` stamps the lines that are not decisions.
///
/// # Errors
/// The file cannot be created, or a subscriber is installed already.
pub fn init(
    config: &LogConfig,
    directory: Option<&Path>,
    now: fn() -> UnixMs,
) -> Result<LogGuard, LogError> {
    let lost = Arc::new(AtomicU64::new(0));
    let mut queues = Vec::new();
    let mut writers = Vec::new();
    if let Some(directory) = directory {
        let bytes_max = config.file_mib_max.saturating_mul(MIB);
        let file = RollingFile::open(directory, bytes_max, config.files_max, Arc::clone(&lost))
            .map_err(|source| LogError::File {
                directory: directory.to_path_buf(),
                source,
            })?;
        push(&mut queues, &mut writers, queue("log-file", file));
    }
    if config.stdout == LogStdout::Json {
        push(
            &mut queues,
            &mut writers,
            queue("log-stdout", CountingStdout::new(Arc::clone(&lost))),
        );
    }
    let layer = JsonLines::new(queues, filter(config.level), now, lost);
    let counters = layer.counters();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
        .map_err(|_| LogError::Installed)?;
    Ok(LogGuard {
        counters,
        _writers: writers,
    })
}

fn push(
    queues: &mut Vec<NonBlocking>,
    writers: &mut Vec<WorkerGuard>,
    (queue, writer): (NonBlocking, WorkerGuard),
) {
    queues.push(queue);
    writers.push(writer);
}

pub(super) fn queue(
    name: &str,
    writer: impl io::Write + Send + 'static,
) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUE_LINES_MAX)
        .lossy(true)
        .thread_name(name)
        .finish(writer)
}

pub(super) fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}
