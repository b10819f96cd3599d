//! The simulator's clocks: the calendar for messages, the monotonic one for latencies.

use std::time::Instant;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a client measures; it decides nothing by time"
)]
pub(super) fn instant() -> Instant {
    Instant::now()
}

/// The calendar, in UTC.
pub(super) fn utc() -> Zoned {
    Timestamp::now().to_zoned(TimeZone::UTC)
}

/// DE 7 of this moment: month, day, hour, minute, second.
pub(super) fn mmddhhmmss(now: &Zoned) -> String {
    now.strftime("%m%d%H%M%S").to_string()
}
