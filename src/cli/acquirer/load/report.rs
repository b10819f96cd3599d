//! What a load measured, as a table for people and as JSON.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};

use super::mix::Kind;

/// What a load measured between its warm-up and its end.
#[derive(Debug, Clone)]
pub struct LoadReport {
    /// Length of the measured part.
    pub duration: Duration,
    /// Messages sent in it.
    pub sent: u64,
    /// Replies received in it.
    pub replies: u64,
    /// Replies received in the whole run, warm-up and end included.
    pub replies_ever: u64,
    /// Latencies of the messages sent in it, in nanoseconds.
    pub latency_ns: Histogram<u64>,
    /// Replies by kind of message and response code (DE 39).
    pub codes: Vec<(Kind, [u8; 2], u64)>,
    /// Messages without a reply within the time-out.
    pub timeouts: u64,
    /// Replies to nothing that is in flight.
    pub unmatched: u64,
    /// Frames that are no reply with DE 11 and DE 39.
    pub unreadable: u64,
    /// Replies without the authentication code that they should have.
    pub unauthenticated: u64,
    /// Repeats whose response code was not the one of the first answer.
    pub repeats_answered_otherwise: u64,
    /// Scheduled messages of an open loop that were never sent, for want of room or connection.
    pub not_sent: u64,
    /// Connections that ended before the run did.
    pub connections_lost: u64,
    /// Processor time of the client in the measured part, where the system tells.
    pub client_cpu: Option<Duration>,
}

/// The percentiles that are reported.
pub(super) const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.50),
    ("p90", 0.90),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("max", 1.0),
];

impl LoadReport {
    /// Replies per second.
    pub fn per_second(&self) -> u64 {
        let nanos = self.duration.as_nanos().max(1);
        u64::try_from(u128::from(self.replies) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
    }

    /// A percentile in microseconds.
    pub fn latency_us(&self, quantile: f64) -> u64 {
        self.latency_ns.value_at_quantile(quantile) / 1_000
    }

    /// Processor time of the client per reply, in nanoseconds.
    pub fn client_ns_per_reply(&self) -> Option<u64> {
        let cpu = self.client_cpu?.as_nanos();
        u64::try_from(cpu / u128::from(self.replies.max(1))).ok()
    }

    /// Whether every message got one reply.
    pub fn is_complete(&self) -> bool {
        self.timeouts == 0
            && self.unmatched == 0
            && self.unreadable == 0
            && self.unauthenticated == 0
            && self.not_sent == 0
            && self.connections_lost == 0
            && self.repeats_answered_otherwise == 0
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Json {
        let codes: Vec<Json> = self
            .codes
            .iter()
            .map(|(kind, code, count)| {
                json!({ "kind": kind.name(), "code": code_text(*code), "count": count })
            })
            .collect();
        let mut latency = serde_json::Map::new();
        for (name, quantile) in QUANTILES {
            latency.insert(name.to_owned(), json!(self.latency_us(quantile)));
        }
        json!({
            "duration_ms": u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX),
            "sent": self.sent,
            "replies": self.replies,
            "per_second": self.per_second(),
            "latency_us": latency,
            "codes": codes,
            "timeouts": self.timeouts,
            "unmatched": self.unmatched,
            "unreadable": self.unreadable,
            "unauthenticated": self.unauthenticated,
            "repeats_answered_otherwise": self.repeats_answered_otherwise,
            "not_sent": self.not_sent,
            "connections_lost": self.connections_lost,
            "client_ns_per_reply": self.client_ns_per_reply(),
        })
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} replies in {:.1} s: {} per second",
            self.replies,
            self.duration.as_secs_f64(),
            self.per_second()
        )?;
        write!(f, "latency us ")?;
        for (name, quantile) in QUANTILES {
            write!(f, "  {name} {}", self.latency_us(quantile))?;
        }
        writeln!(f)?;
        for (kind, code, count) in &self.codes {
            writeln!(f, "{:<10} {:<4} {count:>12}", kind.name(), code_text(*code))?;
        }
        let losses = [
            ("time-outs", self.timeouts),
            ("unmatched replies", self.unmatched),
            ("unreadable frames", self.unreadable),
            ("unauthenticated replies", self.unauthenticated),
            (
                "repeats answered otherwise",
                self.repeats_answered_otherwise,
            ),
            ("scheduled but not sent", self.not_sent),
            ("connections lost", self.connections_lost),
        ];
        for (name, count) in losses {
            writeln!(f, "{name:<27} {count}")?;
        }
        if let Some(cost) = self.client_ns_per_reply() {
            writeln!(f, "client processor time       {cost} ns per reply")?;
        }
        Ok(())
    }
}

fn code_text(code: [u8; 2]) -> String {
    code.iter().map(|byte| char::from(*byte)).collect()
}
