//! Turns tracing events into JSON lines in one pass and hands them to the log's writer threads.
//!
//! Ours because the general formatter costs several times as much for a decision's thirty fields
//! (`benches/emit.rs` measures both). Never blocks: a full queue drops the line and counts it.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking};
use tracing_subscriber::layer::{Context, Layer};

use crate::domain::masking;
use crate::domain::time::UnixMs;
use crate::switch::decision_line::DECISION_TARGET;
use crate::switch::json_text::{escape, open_time, push_number, push_signed};

/// A decision line is about 800 bytes; one reallocation at most.
const LINE_BYTES: usize = 1_024;

thread_local! {
    /// Reused line buffer of this thread.
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Counts of what the log lost or had to mask; both must stay 0. Clones share the counts.
#[derive(Debug, Clone)]
pub struct LogCounters {
    queues: Vec<ErrorCounter>,
    lost: Arc<AtomicU64>,
    masked: Arc<AtomicU64>,
}

impl LogCounters {
    /// Lines that a full queue dropped or that could not be written.
    pub fn dropped_lines(&self) -> u64 {
        let queued: usize = self.queues.iter().map(ErrorCounter::dropped_lines).sum();
        u64::try_from(queued)
            .unwrap_or(u64::MAX)
            .saturating_add(self.lost.load(Ordering::Relaxed))
    }

    /// Lines in which something that looked like a card number was masked.
    pub fn masked_lines(&self) -> u64 {
        self.masked.load(Ordering::Relaxed)
    }
}

/// The subscriber layer that writes JSON lines.
pub struct JsonLines {
    queues: Vec<NonBlocking>,
    level: LevelFilter,
    now: fn() -> UnixMs,
    counters: LogCounters,
    reported: AtomicU64,
}

impl JsonLines {
    /// A layer over these queues; `lost` is shared with the writers behind them.
    pub fn new(
        queues: Vec<NonBlocking>,
        level: LevelFilter,
        now: fn() -> UnixMs,
        lost: Arc<AtomicU64>,
    ) -> JsonLines {
        let counters = LogCounters {
            queues: queues.iter().map(NonBlocking::error_counter).collect(),
            lost,
            masked: Arc::default(),
        };
        JsonLines {
            queues,
            level,
            now,
            counters,
            reported: AtomicU64::new(0),
        }
    }

    /// The counts this layer keeps.
    pub fn counters(&self) -> LogCounters {
        self.counters.clone()
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && (metadata.target() == DECISION_TARGET || *metadata.level() <= self.level)
    }

    fn send(&self, line: &[u8]) {
        for queue in &self.queues {
            // The queue's writer never fails: it drops and counts.
            let _counted = queue.clone().write_all(line);
        }
    }

    /// Says how many lines were dropped, once there is room in the queue again.
    fn report_drops(&self, dropped_before: u64) {
        let dropped = self.counters.dropped_lines();
        if dropped != dropped_before || self.reported.swap(dropped, Ordering::Relaxed) == dropped {
            return;
        }
        let mut line = Vec::with_capacity(LINE_BYTES);
        open_time(&mut line, (self.now)());
        // Writing to a vector cannot fail.
        let _infallible = writeln!(
            line,
            ",\"level\":\"WARN\",\"target\":\"log\",\"message\":\"dropped lines\",\
             \"dropped_lines\":{dropped}}}"
        );
        self.send(&line);
    }
}

impl<S: Subscriber> Layer<S> for JsonLines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.max(LevelFilter::INFO)) // decisions are INFO and always written
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let dropped_before = self.counters.dropped_lines();
        let metadata = event.metadata();
        if metadata.target() == DECISION_TARGET {
            event.record(&mut FinishedLines(self));
            self.report_drops(dropped_before);
            return;
        }
        // Taken out of its cell, so that a field that logs while it is formatted gets its own.
        let mut line = LINE.take();
        line.clear();
        line.reserve(LINE_BYTES);
        open_time(&mut line, (self.now)());
        line.extend_from_slice(b",\"level\":\"");
        line.extend_from_slice(metadata.level().as_str().as_bytes());
        line.extend_from_slice(b"\"");
        let mut writer = LineWriter {
            line,
            masked: false,
        };
        writer.text("target", metadata.target());
        event.record(&mut writer);
        let LineWriter { mut line, masked } = writer;
        line.extend_from_slice(b"}\n");
        if masked {
            self.counters.masked.fetch_add(1, Ordering::Relaxed);
        }
        self.send(&line);
        LINE.set(line);
        self.report_drops(dropped_before);
    }
}

/// Sends on the finished lines of decisions.
struct FinishedLines<'a>(&'a JsonLines);

impl Visit for FinishedLines<'_> {
    fn record_bytes(&mut self, _lines: &Field, value: &[u8]) {
        let dropped_before = self.0.counters.dropped_lines();
        self.0.send(value);
        // The queue counts a whole run of lines as one.
        if self.0.counters.dropped_lines() > dropped_before {
            let lines = value.iter().filter(|byte| **byte == b'\n').count();
            let uncounted = u64::try_from(lines.saturating_sub(1)).unwrap_or(u64::MAX);
            self.0.counters.lost.fetch_add(uncounted, Ordering::Relaxed);
        }
    }

    fn record_u64(&mut self, _masked: &Field, value: u64) {
        self.0.counters.masked.fetch_add(value, Ordering::Relaxed);
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {
        // `decision_line::emit` has two fields, and neither comes here.
    }
}

/// Writes the fields of one event behind what the line already holds.
struct LineWriter {
    line: Vec<u8>,
    masked: bool,
}

impl LineWriter {
    fn key(&mut self, name: &str) {
        let opening = if self.line.is_empty() { b"{\"" } else { b",\"" };
        self.line.extend_from_slice(opening);
        self.line.extend_from_slice(name.as_bytes());
        self.line.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        let masked = masking::masked(value);
        self.masked |= masked.is_some();
        escape(
            &mut self.line,
            masked.as_deref().unwrap_or(value).as_bytes(),
        );
    }
}

impl Visit for LineWriter {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match masking::masked_number(value) {
            Some(masked) => {
                self.key(field.name());
                self.masked = true;
                escape(&mut self.line, masked.as_bytes());
            }
            None => {
                self.key(field.name());
                push_number(&mut self.line, value);
            }
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if let Ok(value) = u64::try_from(value) {
            self.record_u64(field, value);
        } else {
            self.key(field.name());
            push_signed(&mut self.line, value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.key(field.name());
        self.line
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a string cannot fail; a Debug that fails itself leaves what it wrote.
        let _infallible = write!(text, "{value:?}");
        self.text(field.name(), &text);
    }
}
