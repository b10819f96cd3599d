//! The simulator's clocks: the calendar for messages, the monotonic one for latencies.

use std::time::{Duration, Instant};

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

/// The calendar of somebody who lives so far ahead, in UTC.
pub(super) fn utc_ahead(by: Duration) -> Zoned {
    let now = utc();
    // A year that the calendar does not have is further than any step goes.
    now.checked_add(by).unwrap_or(now)
}

/// DE 7 of this moment: month, day, hour, minute, second.
pub(super) fn mmddhhmmss(now: &Zoned) -> String {
    now.strftime("%m%d%H%M%S").to_string()
}
