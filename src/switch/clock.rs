//! The only place that asks what time it is.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::UnixMs;

/// How far ahead of the wall clock this process lives, in milliseconds.
static AHEAD_MS: OnceLock<i64> = OnceLock::new();

/// Has this process live ahead of the wall clock, once and before anything asks for the time: what
/// days bring can be seen in seconds. Who starts the process says so; no message and no operator
/// can, and a process that has begun keeps its clock.
///
/// Whether it was the first time.
pub fn live_ahead(by: Duration) -> bool {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    AHEAD_MS.set(by).is_ok()
}

/// Now, by the wall clock, or as far ahead of it as the process was started with.
#[expect(clippy::disallowed_methods, reason = "this is the one permitted call")]
pub fn now() -> UnixMs {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let wall = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    UnixMs(wall.saturating_add(AHEAD_MS.get().copied().unwrap_or_default()))
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
