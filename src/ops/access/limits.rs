//! How often a token may ask, and how many wrong tokens an address may show.
//!
//! Whole numbers only: a token's allowance is counted in thousandths of a request.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Requests of one token in a second. People and consoles need tens; a loop that has run away
/// would otherwise take the single writer's time from card holders.
pub(super) const REQUESTS_PER_SECOND: u64 = 1_000;
/// What a token may save up, requests.
const SAVED_MAX: u64 = 2 * REQUESTS_PER_SECOND;
/// Wrong tokens that an address may show within [`LOCKED_FOR`].
pub(super) const FAILURES_MAX: u32 = 10;
/// How long an address is locked out for tokens that are not proven yet.
pub(super) const LOCKED_FOR: Duration = Duration::from_secs(60);
/// Addresses remembered at once; beyond, the one whose time is over first is forgotten.
const ADDRESSES_MAX: usize = 4_096;

const THOUSANDTHS: u64 = 1_000;

/// What a token may still ask.
pub(super) struct Allowance {
    thousandths: u64,
    at: Instant,
}

impl Allowance {
    pub(super) fn full(now: Instant) -> Allowance {
        Allowance {
            thousandths: SAVED_MAX * THOUSANDTHS,
            at: now,
        }
    }

    /// Takes one request; how long to wait where there is none left.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.at).as_micros();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        let earned = passed.saturating_mul(REQUESTS_PER_SECOND) / 1_000;
        // What is less than a thousandth of a request is earned the next time.
        if earned > 0 {
            self.at = now;
            let saved = self.thousandths.saturating_add(earned);
            self.thousandths = saved.min(SAVED_MAX * THOUSANDTHS);
        }
        match self.thousandths.checked_sub(THOUSANDTHS) {
            Some(left) => {
                self.thousandths = left;
                Ok(())
            }
            None => Err(Duration::from_secs(1)),
        }
    }
}

/// Wrong tokens by address.
#[derive(Default)]
pub(super) struct Failures {
    by_address: BTreeMap<IpAddr, Failed>,
}

struct Failed {
    count: u32,
    /// When they are forgotten; until then the address is locked, once there are too many.
    over_at: Instant,
}

impl Failures {
    /// How long an address is still locked out.
    pub(super) fn locked(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let failed = self.by_address.get(&address)?;
        let left = failed.over_at.saturating_duration_since(now);
        (failed.count >= FAILURES_MAX && !left.is_zero()).then_some(left)
    }

    /// Counts one; whether the address is locked from here on.
    pub(super) fn add(&mut self, address: IpAddr, now: Instant) -> bool {
        let is_over = |failed: &Failed| failed.over_at <= now;
        if self.by_address.len() >= ADDRESSES_MAX && !self.by_address.contains_key(&address) {
            self.by_address.retain(|_, failed| !is_over(failed));
            let first = self.by_address.iter().min_by_key(|row| row.1.over_at);
            if let (true, Some(first)) = (
                self.by_address.len() >= ADDRESSES_MAX,
                first.map(|row| *row.0),
            ) {
                self.by_address.remove(&first);
            }
        }
        let over_at = now + LOCKED_FOR;
        let failed = self
            .by_address
            .entry(address)
            .or_insert(Failed { count: 0, over_at });
        if is_over(failed) {
            *failed = Failed { count: 0, over_at };
        }
        failed.count = failed.count.saturating_add(1);
        if failed.count == FAILURES_MAX {
            failed.over_at = over_at;
        }
        failed.count == FAILURES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::clock;

    #[test]
    fn a_token_asks_as_often_as_it_has_saved_up_and_then_at_its_rate() {
        let start = clock::instant();
        let mut allowance = Allowance::full(start);
        for n in 0..SAVED_MAX {
            assert_eq!(allowance.take(start), Ok(()), "{n}");
        }
        assert!(allowance.take(start).is_err());
        let second = start + Duration::from_secs(1);
        for n in 0..REQUESTS_PER_SECOND {
            assert_eq!(allowance.take(second), Ok(()), "{n}");
        }
        assert!(allowance.take(second).is_err());
        // However often it is asked in between, nothing of what time brings is lost.
        let mut asked = 0;
        for micros in (0..1_000_000).step_by(100) {
            let now = second + Duration::from_micros(micros);
            asked += u64::from(allowance.take(now).is_ok());
        }
        assert!(
            (REQUESTS_PER_SECOND - 1..=REQUESTS_PER_SECOND).contains(&asked),
            "{asked}"
        );
    }

    #[test]
    fn an_address_is_locked_after_too_many_wrong_tokens_and_for_a_minute() {
        let start = clock::instant();
        let (bad, good) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut failures = Failures::default();
        for n in 1..FAILURES_MAX {
            assert!(!failures.add(bad, start), "{n}");
            assert_eq!(failures.locked(bad, start), None);
        }
        assert!(failures.add(bad, start));
        assert_eq!(failures.locked(bad, start), Some(LOCKED_FOR));
        assert_eq!(failures.locked(good, start), None);
        let later = start + LOCKED_FOR;
        assert_eq!(failures.locked(bad, later), None);
        assert!(!failures.add(bad, later), "it begins anew");
        assert_eq!(failures.locked(bad, later), None);
    }

    #[test]
    fn addresses_remembered_are_bounded_whoever_asks() {
        let start = clock::instant();
        let mut failures = Failures::default();
        for n in 0..u32::try_from(ADDRESSES_MAX).unwrap() + 100 {
            let now = start + Duration::from_millis(n.into());
            failures.add(IpAddr::from(n.to_be_bytes()), now);
        }
        assert_eq!(failures.by_address.len(), ADDRESSES_MAX);
    }
}
