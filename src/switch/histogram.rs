//! A histogram that one thread fills without locks and everybody may read: four buckets an octave.
//!
//! Invariant: one writer at a time. Adding is a load and a store, no locked instruction; a reader
//! sees each bucket as it was a moment ago.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A count with one writer at a time.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds; only its one writer may.
    pub fn add(&self, many: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(many), Relaxed);
    }

    /// What it came to.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Buckets an octave.
const PARTS: usize = 4;
/// Octaves above the least bound.
const OCTAVES: usize = 27;
/// All buckets: what is at most the least bound, the parts of the octaves, what is above them.
const BUCKETS: usize = OCTAVES * PARTS + 2;

/// Values counted by size. The first bucket takes what is at most two to the power of `LEAST`.
#[derive(Debug)]
pub struct Histogram<const LEAST: u32> {
    buckets: [Count; BUCKETS],
    sum: Count,
}

/// Times in nanoseconds, from 256 ns to 34 s.
pub type Times = Histogram<8>;
/// Sizes, from 1 to 134 million.
pub type Sizes = Histogram<0>;

impl<const LEAST: u32> Default for Histogram<LEAST> {
    fn default() -> Self {
        Histogram {
            buckets: std::array::from_fn(|_| Count::default()),
            sum: Count::default(),
        }
    }
}

impl<const LEAST: u32> Histogram<LEAST> {
    /// Counts a value; only its one writer may.
    pub fn note(&self, value: u64) {
        if let Some(bucket) = self.buckets.get(place::<LEAST>(value)) {
            bucket.add(1);
        }
        self.sum.add(value);
    }

    /// Adds what is in it to a reading.
    pub fn read(&self, into: &mut Reading) {
        into.least = LEAST;
        into.buckets.resize(BUCKETS, 0);
        for (sum, bucket) in into.buckets.iter_mut().zip(&self.buckets) {
            *sum = sum.saturating_add(bucket.get());
        }
        into.sum = into.sum.saturating_add(self.sum.get());
    }
}

/// The bucket of a value.
fn place<const LEAST: u32>(value: u64) -> usize {
    // A bucket includes its upper bound.
    let below = value.saturating_sub(1) >> LEAST;
    if below == 0 {
        return 0;
    }
    let below = value.saturating_sub(1);
    let octave = below.ilog2();
    let part = usize::try_from((u128::from(below) << 2) >> octave).unwrap_or(0) % PARTS;
    let octaves = usize::try_from(octave - LEAST).unwrap_or(OCTAVES);
    (1 + octaves * PARTS + part).min(BUCKETS - 1)
}

/// Histograms of several writers, added up.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    least: u32,
    buckets: Vec<u64>,
    sum: u64,
}

impl Reading {
    /// How many values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All values added up.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The upper bounds of whole octaves, each with how many values are at most that.
    pub fn octaves(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        (0..=OCTAVES).map(|octave| {
            let through = self.buckets.iter().take(1 + octave * PARTS);
            let bound = 1_u64 << (self.least as usize + octave);
            (bound, through.sum())
        })
    }

    /// The buckets that are not empty: upper bound and count.
    pub fn filled(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let buckets = self.buckets.iter().enumerate();
        let filled = buckets.filter(|(_, count)| **count > 0);
        filled.map(|(place, count)| (bound(self.least, place), *count))
    }

    /// A value that the given part of all values does not exceed, a quarter octave too large at
    /// most; 0 when there is none.
    pub fn quantile(&self, part: f64) -> u64 {
        let rank = (part * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0_u64;
        for (place, count) in self.buckets.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if *count > 0 && seen >= rank {
                return bound(self.least, place);
            }
        }
        0
    }
}

/// The upper bound of a bucket; that of the last is only where it begins.
fn bound(least: u32, place: usize) -> u64 {
    let parts = u64::try_from(place % PARTS + PARTS).unwrap_or(0);
    (parts << (least as usize + place.min(BUCKETS - 2) / PARTS)).div_ceil(PARTS as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_between_the_bounds_of_its_bucket() {
        for value in (0..60).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]) {
            for (least, place) in [(8, place::<8>(value)), (0, place::<0>(value))] {
                if place + 1 < BUCKETS {
                    assert!(value <= bound(least, place), "{value} in {place}");
                }
                if place > 0 {
                    let above = value > bound(least, place - 1);
                    assert!(above || least == 0 && value < 5, "{value} in {place}");
                }
            }
        }
    }

    #[test]
    fn octaves_add_up_and_quantiles_are_at_most_a_quarter_octave_off() {
        let times = Times::default();
        for value in 1..=1_000_000_u64 {
            times.note(value);
        }
        let mut reading = Reading::default();
        times.read(&mut reading);
        assert_eq!(reading.count(), 1_000_000);
        assert_eq!(reading.sum(), 500_000_500_000);
        for (bound, count) in reading.octaves() {
            assert_eq!(count, bound.min(1_000_000), "{bound}");
        }
        for part in [0.5, 0.9, 0.99, 0.999] {
            let (said, right) = (reading.quantile(part), (part * 1e6) as u64);
            assert!(said >= right && said <= right * 5 / 4, "{part}: {said}");
        }
        times.read(&mut reading);
        assert_eq!(reading.count(), 2_000_000);
        assert_eq!(Reading::default().quantile(0.5), 0);
    }
}
