//! The only place that asks what time it is.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::UnixMs;

/// Now, by the wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the one permitted call")]
pub fn now() -> UnixMs {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMs(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// A moment of the steady clock, nanoseconds since the first one that was asked for: half the size
/// of an [`Instant`], and the time between two is one subtraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u64);

impl Tick {
    /// Nanoseconds from an earlier tick to this one; 0 when that one is the later.
    pub fn since(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Now, for measuring the steps of a message.
pub fn tick() -> Tick {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let first = FIRST.get_or_init(instant);
    let since = instant().saturating_duration_since(*first);
    let seconds = since.as_secs().saturating_mul(1_000_000_000);
    Tick(seconds.saturating_add(u64::from(since.subsec_nanos())))
}

/// Now, for measuring how long something takes.
#[expect(clippy::disallowed_methods, reason = "this is the one permitted call")]
pub fn instant() -> Instant {
    Instant::now()
}
