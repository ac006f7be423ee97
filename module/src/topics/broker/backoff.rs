//! How long to wait before the next attempt to connect.

use std::time::Duration;

use crate::topics::random::random;

const FIRST: Duration = Duration::from_millis(100);

const LONGEST: Duration = Duration::from_secs(5);

/// Waits longer after each failure. Half of each time is chance, so that hosts that were cut off
/// together do not come back together.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(FIRST)
    }

    /// The time to wait after another failure.
    pub(super) fn next(&mut self) -> Duration {
        let half = self.0 / 2;
        self.0 = (self.0 * 2).min(LONGEST);
        half + half.mul_f64(chance())
    }
}

/// From 0 to 1.
fn chance() -> f64 {
    f64::from(u32::try_from(random() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Backoff, Duration, LONGEST};

    #[test]
    fn times_get_longer_up_to_a_limit_and_half_of_each_is_chance() {
        let mut backoff = Backoff::new();
        let times: Vec<_> = (0..20).map(|_| backoff.next()).collect();
        assert!((Duration::from_millis(50)..=Duration::from_millis(100)).contains(&times[0]));
        assert!(
            times[10..]
                .iter()
                .all(|time| (LONGEST / 2..=LONGEST).contains(time))
        );
        let first = times[10];
        assert!(times[11..].iter().any(|time| *time != first));
    }
}
