//! Counters that the shell fills and the admin API shows.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::histogram::{Sizes, Times};
use super::meter::LinkMeter;

/// Counts since start, except where a name says `open`.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// Connections that are open now.
    pub connections_open: AtomicU64,
    /// Connections accepted.
    pub connections_accepted: AtomicU64,
    /// Connections closed at once because the listener had its maximum, or its link was drained.
    pub connections_refused: AtomicU64,
    /// Connections closed at once because their address is on no list of the listener.
    pub connections_denied: AtomicU64,
    /// TLS handshakes that failed, or brought nobody whom the listener knows.
    pub handshakes_failed: AtomicU64,
    /// Connections closed because a frame or answer took too long or nothing came for too long.
    pub connections_timed_out: AtomicU64,
    /// Connections closed because their bytes are not frames.
    pub frames_broken: AtomicU64,
    /// Frames received.
    pub frames_received: AtomicU64,
    /// Messages that could not be decoded.
    pub messages_undecodable: AtomicU64,
    /// Messages that could not even be answered.
    pub messages_unanswerable: AtomicU64,
    /// Answers written.
    pub answers_written: AtomicU64,
    /// Answers whose peer had gone; a repeat gets them.
    pub answers_undelivered: AtomicU64,
    /// Requests answered undecided, because too much waited or the disk was nearly full.
    pub requests_turned_away: AtomicU64,
    /// Requests refused because their link may not send them.
    pub requests_not_permitted: AtomicU64,
    /// Messages refused because their authentication code was wrong, missing, or not judged.
    pub macs_refused: AtomicU64,
    /// New keys of links that were taken.
    pub link_keys_taken: AtomicU64,
    /// Sessions that an operator signed off.
    pub sessions_signed_off: AtomicU64,
    /// Sessions that an operator drained.
    pub sessions_drained: AtomicU64,
    /// Group commits.
    pub commits: AtomicU64,
    /// Records in them.
    pub records: AtomicU64,
    /// The last durable record; not a count.
    pub durable: AtomicU64,
    /// Checkpoints made.
    pub checkpoints_made: AtomicU64,
    /// Checkpoints that could not be made.
    pub checkpoints_failed: AtomicU64,
    /// Sequence of the newest checkpoint; not a count.
    pub checkpoint_sequence: AtomicU64,
    /// Records of each group commit; filled by whoever has the journal.
    pub commit_records: Sizes,
    /// How long each took to be durable; filled by whoever has the journal.
    pub commit_ns: Times,
    links: Mutex<Vec<Arc<LinkMeter>>>,
}

/// One counter with its name.
pub type Count = (&'static str, u64);

impl Telemetry {
    /// The meter of a link; doors and clients that are one link share it.
    pub fn link(&self, name: &str, connections_max: usize) -> Arc<LinkMeter> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = links.iter().find(|meter| meter.name() == name) {
            return Arc::clone(known);
        }
        let meter = Arc::new(LinkMeter::new(name, connections_max));
        links.push(Arc::clone(&meter));
        meter
    }

    /// The meters of all links, in the order in which they were opened.
    pub fn links(&self) -> Vec<Arc<LinkMeter>> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.clone()
    }

    /// Takes one off.
    pub fn take(counter: &AtomicU64) {
        counter.fetch_sub(1, Relaxed);
    }

    /// Adds one.
    pub fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    /// Adds many at once: connections of several threads share the counters.
    pub fn add_many(counter: &AtomicU64, many: usize) {
        counter.fetch_add(u64::try_from(many).unwrap_or(u64::MAX), Relaxed);
    }

    /// Every counter by name.
    pub fn counts(&self) -> [Count; 23] {
        [
            ("connections_open", self.connections_open.load(Relaxed)),
            (
                "connections_accepted",
                self.connections_accepted.load(Relaxed),
            ),
            (
                "connections_refused",
                self.connections_refused.load(Relaxed),
            ),
            ("connections_denied", self.connections_denied.load(Relaxed)),
            ("handshakes_failed", self.handshakes_failed.load(Relaxed)),
            (
                "connections_timed_out",
                self.connections_timed_out.load(Relaxed),
            ),
            ("frames_broken", self.frames_broken.load(Relaxed)),
            ("frames_received", self.frames_received.load(Relaxed)),
            (
                "messages_undecodable",
                self.messages_undecodable.load(Relaxed),
            ),
            (
                "messages_unanswerable",
                self.messages_unanswerable.load(Relaxed),
            ),
            ("answers_written", self.answers_written.load(Relaxed)),
            (
                "answers_undelivered",
                self.answers_undelivered.load(Relaxed),
            ),
            (
                "requests_turned_away",
                self.requests_turned_away.load(Relaxed),
            ),
            (
                "requests_not_permitted",
                self.requests_not_permitted.load(Relaxed),
            ),
            ("macs_refused", self.macs_refused.load(Relaxed)),
            ("link_keys_taken", self.link_keys_taken.load(Relaxed)),
            (
                "sessions_signed_off",
                self.sessions_signed_off.load(Relaxed),
            ),
            ("sessions_drained", self.sessions_drained.load(Relaxed)),
            ("commits", self.commits.load(Relaxed)),
            ("records", self.records.load(Relaxed)),
            ("checkpoints_made", self.checkpoints_made.load(Relaxed)),
            ("checkpoints_failed", self.checkpoints_failed.load(Relaxed)),
            (
                "checkpoint_sequence",
                self.checkpoint_sequence.load(Relaxed),
            ),
        ]
    }
}
