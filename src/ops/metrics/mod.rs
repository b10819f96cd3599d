//! The metrics of the switch: their names, kinds and meanings, which `spec/metrics.md` repeats.

pub mod text;

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counted by size.
    Histogram,
}

impl MetricKind {
    /// The word of the exposition.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

/// Declares metrics as constants, and the list of all of them.
macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name,
                kind: MetricKind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*

        /// Every metric, in the order of the exposition.
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    BUILD_INFO = Gauge "cardswitch_build_info" ["version"]
        "Always 1; the version that runs.";
    MESSAGES = Counter "cardswitch_messages_total" ["link", "mti", "decision", "reason", "code"]
        "Messages answered, by type, outcome, reason and DE 39.";
    REPEATS = Counter "cardswitch_repeats_total" ["link"]
        "Answers that were the stored ones of an earlier message.";
    STEP_SECONDS = Histogram "cardswitch_step_seconds" ["link", "step"]
        "Time that a decided message spent in each step of the corridor, and in total.";
    IN_FLIGHT = Gauge "cardswitch_requests_in_flight" ["link"]
        "Requests that wait for their answer.";
    CONNECTIONS_OPEN = Gauge "cardswitch_connections_open" ["link"]
        "Connections that are open.";
    CONNECTIONS_MAX = Gauge "cardswitch_connections_max" ["link"]
        "Connections that the link takes at once.";
    SIGNED_ON = Gauge "cardswitch_connections_signed_on" ["link"]
        "Open connections whose peer has signed on.";
    CONNECTIONS_ACCEPTED = Counter "cardswitch_connections_accepted_total" []
        "Connections accepted.";
    CONNECTIONS_REFUSED = Counter "cardswitch_connections_refused_total" []
        "Connections closed at once because their link had its maximum, or was drained.";
    CONNECTIONS_DENIED = Counter "cardswitch_connections_denied_total" []
        "Connections closed at once because their address is on no list of the listener.";
    HANDSHAKES_FAILED = Counter "cardswitch_handshakes_failed_total" []
        "TLS handshakes that failed, or brought nobody whom the listener knows.";
    CONNECTIONS_TIMED_OUT = Counter "cardswitch_connections_timed_out_total" []
        "Connections closed because a frame or an answer took too long, or nothing came.";
    FRAMES_RECEIVED = Counter "cardswitch_frames_received_total" []
        "Frames received.";
    FRAMES_BROKEN = Counter "cardswitch_frames_broken_total" []
        "Connections closed because their bytes are not frames.";
    UNDECODABLE = Counter "cardswitch_messages_undecodable_total" []
        "Messages that could not be decoded.";
    UNANSWERABLE = Counter "cardswitch_messages_unanswerable_total" []
        "Messages that could not even be answered.";
    ANSWERS_WRITTEN = Counter "cardswitch_answers_written_total" []
        "Answers written to their peer.";
    ANSWERS_UNDELIVERED = Counter "cardswitch_answers_undelivered_total" []
        "Answers whose peer had gone; a repeat gets them.";
    TURNED_AWAY = Counter "cardswitch_requests_turned_away_total" []
        "Requests answered undecided, because too much waited or the disk was nearly full.";
    NOT_PERMITTED = Counter "cardswitch_requests_not_permitted_total" []
        "Requests refused because their link may not send them.";
    MACS_REFUSED = Counter "cardswitch_macs_refused_total" []
        "Messages refused because their authentication code was wrong, missing, or not judged.";
    LINK_KEYS_TAKEN = Counter "cardswitch_link_keys_taken_total" []
        "New keys of links that were taken over the network.";
    SESSIONS_SIGNED_OFF = Counter "cardswitch_sessions_signed_off_total" []
        "Sessions that an operator signed off.";
    SESSIONS_DRAINED = Counter "cardswitch_sessions_drained_total" []
        "Sessions that an operator drained.";
    QUEUE_JOBS = Gauge "cardswitch_queue_jobs" []
        "Jobs that wait for the single writer.";
    QUEUE_JOBS_MAX = Gauge "cardswitch_queue_jobs_max" []
        "Jobs that may wait for it.";
    COMMIT_SECONDS = Histogram "cardswitch_commit_seconds" []
        "Time that a group commit took to be durable.";
    COMMIT_RECORDS = Histogram "cardswitch_commit_records" []
        "Records of a group commit.";
    JOURNAL_SEQUENCE = Gauge "cardswitch_journal_sequence" []
        "The last durable record.";
    CHECKPOINTS_MADE = Counter "cardswitch_checkpoints_made_total" []
        "Checkpoints made.";
    CHECKPOINTS_FAILED = Counter "cardswitch_checkpoints_failed_total" []
        "Checkpoints that could not be made.";
    CHECKPOINT_SEQUENCE = Gauge "cardswitch_checkpoint_sequence" []
        "The record of the newest checkpoint; 0 before the first.";
    ACCOUNTS = Gauge "cardswitch_accounts" []
        "Accounts.";
    CARDS = Gauge "cardswitch_cards" []
        "Cards.";
    ENTRIES = Gauge "cardswitch_entries" []
        "Entries that are not forgotten: authorizations, postings, loads.";
    HOLD_RELEASES_AHEAD = Gauge "cardswitch_hold_releases_ahead" []
        "Release dates of holds that lie ahead, of those captured or undone before it too.";
    PURSES_NEGATIVE = Gauge "cardswitch_purses_negative" []
        "Purses below zero.";
    EXCEPTIONS_OPEN = Gauge "cardswitch_exceptions_open" []
        "Exceptions that nobody has resolved.";
    EXCEPTIONS_RAISED = Gauge "cardswitch_exceptions_raised" []
        "Exceptions that the journal ever raised.";
    WEBHOOK_FAILURES = Counter "cardswitch_webhook_failures_total" []
        "Attempts to tell a webhook that failed.";
    WEBHOOK_DEAD = Gauge "cardswitch_webhook_dead_ranges" []
        "Ranges of records that a webhook could not be told of and that were put aside.";
    WEBHOOK_BEHIND = Gauge "cardswitch_webhook_behind_records" []
        "Records that the webhook furthest behind was not told of yet.";
    SHADOW_DECISIONS = Gauge "cardswitch_shadow_decisions" []
        "Decisions that were judged again under the programme file in shadow.";
    SHADOW_DIFFERENCES = Gauge "cardswitch_shadow_differences" []
        "Of these, those that the file in shadow would have answered otherwise.";
    SHADOW_BEHIND = Gauge "cardswitch_shadow_behind_records" []
        "Records that the programme in shadow was not judged on yet.";
    SHADOW_STOPPED = Gauge "cardswitch_shadow_stopped" []
        "1 when the programme in shadow cannot be judged on.";
    STORE_BYTES = Gauge "cardswitch_store_bytes" ["part"]
        "Bytes on the disk: journal, checkpoints, ring, log.";
    STORE_SHORT = Gauge "cardswitch_store_short" []
        "1 while the store's disk has less room than is kept for advices and reversals.";
    LOG_DROPPED = Counter "cardswitch_log_dropped_lines_total" []
        "Lines of the decision log that were dropped; must stay 0.";
    LOG_MASKED = Counter "cardswitch_log_masked_lines_total" []
        "Lines in which something like a card number was masked; must stay 0.";
    RESIDENT_BYTES = Gauge "process_resident_memory_bytes" []
        "Memory of the process that is in use.";
    OPEN_FILES = Gauge "process_open_fds" []
        "Open files and sockets of the process.";
    THREADS = Gauge "process_threads" []
        "Threads of the process.";
}
