//! How often durations were how long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in microseconds. The last bucket has none. From a turn of an
/// event loop to a callback that asks a database, and to a client on the far side of the world.
const BOUNDS: [u64; BUCKETS - 1] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
    500_000, 1_000_000, 2_500_000, 10_000_000,
];

/// How many buckets there are.
const BUCKETS: usize = 19;

/// Counts durations, in shared memory.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    nanoseconds: AtomicU64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    counts: [u64; BUCKETS],
    sum: Duration,
}

impl Histogram {
    pub(super) fn read(&self) -> Distribution {
        Distribution {
            counts: std::array::from_fn(|place| self.buckets[place].load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
        }
    }

    /// One more took so long.
    pub fn note(&self, took: Duration) {
        let mut one = Distribution::default();
        one.note(took);
        self.add(&one);
    }

    /// Counts what was counted elsewhere.
    pub fn add(&self, more: &Distribution) {
        for (bucket, count) in self.buckets.iter().zip(more.counts) {
            if count > 0 {
                bucket.fetch_add(count, Ordering::Relaxed);
            }
        }
        let nanoseconds = u64::try_from(more.sum.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl Distribution {
    /// One more took so long.
    pub fn note(&mut self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // Most are short: a search from the front takes a few steps.
        let place = BOUNDS.iter().position(|bound| nanoseconds <= bound * 1000);
        self.counts[place.unwrap_or(BUCKETS - 1)] += 1;
        self.sum += took;
    }

    /// Adds another one.
    pub fn add(&mut self, more: &Self) {
        for (count, more) in self.counts.iter_mut().zip(more.counts) {
            *count += more;
        }
        self.sum += more.sum;
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all of them took together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The upper bound of each bucket in seconds, and how many are in it and not in one before. The
    /// last bound is infinite.
    #[must_use]
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let seconds = BOUNDS.map(|bound| Duration::from_micros(bound).as_secs_f64());
        let bounds = seconds.into_iter().chain([f64::INFINITY]);
        bounds.zip(self.counts).collect()
    }

    /// A duration that this share of all (0 to 1) did not reach: the bound of a bucket, in seconds.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        #[allow(clippy::cast_precision_loss, reason = "an estimate is wanted")]
        let wanted = share * self.count() as f64;
        let mut seen = 0;
        self.buckets().into_iter().find_map(|(bound, count)| {
            seen += count;
            #[allow(clippy::cast_precision_loss, reason = "as above")]
            (count > 0 && seen as f64 >= wanted).then_some(bound)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS, Distribution, Duration, Histogram};

    #[test]
    fn the_bounds_ascend() {
        assert!(BOUNDS.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn a_duration_is_counted_in_one_bucket_and_in_the_sum() {
        let (histogram, mut noted) = (Histogram::default(), Distribution::default());
        for nanoseconds in [10_000, 10_001, 25_000, 999_999_999, u64::MAX / 4] {
            noted.note(Duration::from_nanos(nanoseconds));
        }
        histogram.add(&noted);
        assert_eq!(histogram.read(), noted);
        let buckets = noted.buckets();
        assert_eq!(buckets[0], (0.000_01, 1));
        assert_eq!(buckets[1], (0.000_025, 2));
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, 1)));
        assert_eq!(noted.count(), 5);
        histogram.add(&noted);
        let mut twice = noted;
        twice.add(&noted);
        assert_eq!(histogram.read(), twice);
        assert_eq!(twice.sum(), 2 * noted.sum());
    }

    #[test]
    fn a_quantile_is_the_bound_of_the_bucket_it_is_in() {
        let mut noted = Distribution::default();
        assert_eq!(noted.quantile(0.5), None);
        for _ in 0..99 {
            noted.note(Duration::from_micros(20));
        }
        noted.note(Duration::from_millis(20));
        assert_eq!(noted.quantile(0.5), Some(0.000_025));
        assert_eq!(noted.quantile(0.99), Some(0.000_025));
        assert_eq!(noted.quantile(1.0), Some(0.025));
    }
}
