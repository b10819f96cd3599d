//! The decision log: one JSON line per decision, written without ever making a decision wait.
//!
//! Owns the subscriber that writes lines. Does not own the fields of a line
//! (`switch/decision_line.rs`) nor how lines are rendered for people (`cli/tail.rs`). Invariant: a
//! card number that hides in a field is masked and counted.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;

use super::log_file::{ACTIVE_NAME, CountingStdout, RollingFile};
use super::log_layer::{JsonLines, LogCounters};
use crate::domain::time::UnixMs;
use crate::switch::config::{LogConfig, LogLevel, LogStdout};

/// Lines a queue holds before it drops: about 25 MiB, a third of a second at full load.
const QUEUE_LINES_MAX: usize = 32_768;
/// How long a log's thread rests: within the queue at any load, and nobody sees it.
const REST: Duration = Duration::from_millis(5);
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
    if config.stdout == LogStdout::Json && !is_discarded() {
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

/// Whether standard output is the null device: lines that nobody can read are not made.
fn is_discarded() -> bool {
    let device = |path: &str| {
        let metadata = fs::metadata(path).ok()?;
        let is_device = metadata.file_type().is_char_device();
        is_device.then(|| metadata.rdev())
    };
    let standard_output = device("/proc/self/fd/1");
    standard_output.is_some() && standard_output == device("/dev/null")
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
        .finish(Gathering(writer))
}

/// A log whose thread rests after it wrote out all there was: the first line of a quiet time is
/// written at once, those of a busy one together. Else each decision would wake a thread, which
/// costs as much as to decide.
struct Gathering<W>(W);

impl<W: io::Write> io::Write for Gathering<W> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.write(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        thread::sleep(REST);
        flushed
    }
}

pub(super) fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}
