//! How often a listener's log may hear the doctor: a few at once, then one now and then.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Diagnoses in a row before the first is kept back: enough to see several misconfigured peers.
const BURST: u32 = 5;
/// After that, one more in so long.
const INTERVAL: Duration = Duration::from_secs(10);

/// The desk of one listener.
#[derive(Debug, Default)]
pub struct Desk {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    spent: u32,
    since: Option<Instant>,
    kept_back: u64,
}

/// Leave to say one diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Diagnoses kept back since the last one.
    pub kept_back: u64,
}

impl Desk {
    /// Whether a diagnosis may be said now; otherwise it is counted and not even made.
    pub fn admit(&self, now: Instant) -> Option<Admission> {
        // A panic cannot leave these numbers half changed.
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let since = *state.since.get_or_insert(now);
        let whole = now.saturating_duration_since(since).as_secs() / INTERVAL.as_secs();
        if whole > 0 {
            let regained = u32::try_from(whole).unwrap_or(u32::MAX);
            state.spent = state.spent.saturating_sub(regained);
            state.since = Some(now);
        }
        if state.spent >= BURST {
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
