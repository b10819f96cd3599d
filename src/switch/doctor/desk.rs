//! How often a listener's log may hear of what peers do: some at once, then one now and then.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Diagnoses in a row before the first is kept back: enough to see several misconfigured peers.
const BURST: u32 = 5;
/// After that, one more in so long.
const INTERVAL: Duration = Duration::from_secs(10);
/// Lines about single connections and echoes in a row: more than a day's trouble of honest peers.
const BURST_OF_LINES: u32 = 200;
/// After that, one more in so long: a log that can be read, and a disk that is not kept busy.
const INTERVAL_OF_LINES: Duration = Duration::from_millis(100);

/// The desk of one listener.
#[derive(Debug)]
pub struct Desk {
    burst: u32,
    interval: Duration,
    state: Mutex<State>,
}

impl Default for Desk {
    /// For diagnoses, which are long: a few.
    fn default() -> Desk {
        Desk {
            burst: BURST,
            interval: INTERVAL,
            state: Mutex::default(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    spent: u32,
    since: Option<Instant>,
    kept_back: u64,
}

/// Leave to say one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// How many were kept back since the last one.
    pub kept_back: u64,
}

impl Desk {
    /// For lines about single connections and echoes: many, but not as many as somebody likes.
    pub fn of_lines() -> Desk {
        Desk {
            burst: BURST_OF_LINES,
            interval: INTERVAL_OF_LINES,
            state: Mutex::default(),
        }
    }

    /// Whether something may be said now; otherwise it is counted and not even made.
    pub fn admit(&self, now: Instant) -> Option<Admission> {
        // A panic cannot leave these numbers half changed.
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let since = *state.since.get_or_insert(now);
        let waited = now.saturating_duration_since(since).as_millis();
        let whole = waited / self.interval.as_millis().max(1);
        if whole > 0 {
            let regained = u32::try_from(whole).unwrap_or(u32::MAX);
            state.spent = state.spent.saturating_sub(regained);
            state.since = Some(now);
        }
        if state.spent >= self.burst {
            state.kept_back += 1;
            return None;
        }
        state.spent += 1;
        Some(Admission {
            kept_back: std::mem::take(&mut state.kept_back),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::clock;

    #[test]
    fn a_flood_of_lines_gives_two_hundred_and_then_ten_a_second() {
        let desk = Desk::of_lines();
        let began = clock::instant();
        let second = |number: u32| began + Duration::from_secs(number.into());
        let said = |number| {
            (0..10_000)
                .filter(|_| desk.admit(second(number)).is_some())
                .count()
        };
        assert_eq!([said(0), said(1), said(2)], [200, 10, 10]);
        assert_eq!(said(100), 200);
    }

    #[test]
    fn a_flood_of_strangers_gives_a_few_lines_and_a_count() {
        let desk = Desk::default();
        let began = clock::instant();
        let said = (0..10_000).filter(|_| desk.admit(began).is_some()).count();
        assert_eq!(said, 5);
        let later = began + INTERVAL;
        assert_eq!(desk.admit(later), Some(Admission { kept_back: 9_995 }));
        assert_eq!(desk.admit(later), None);
        let much_later = later + 100 * INTERVAL;
        assert_eq!(desk.admit(much_later), Some(Admission { kept_back: 1 }));
        let said = (0..100)
            .filter(|_| desk.admit(much_later).is_some())
            .count();
        assert_eq!(said, 4);
    }
}
