//! The only place that asks what time it is.

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

/// Now, for measuring how long something takes.
#[expect(clippy::disallowed_methods, reason = "this is the one permitted call")]
pub fn instant() -> Instant {
    Instant::now()
}
