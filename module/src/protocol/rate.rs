//! How often something may happen.

use std::time::Duration;

/// So often in the long run, and so many times at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    interval: Duration,
    burst: u32,
}

impl Rate {
    /// `count` times in `period`, of which `burst` may come at once. `None` if one of them is 0.
    #[must_use]
    pub fn new(count: u32, period: Duration, burst: u32) -> Option<Self> {
        let interval = period.checked_div(count)?;
        (!interval.is_zero() && burst > 0).then_some(Self { interval, burst })
    }

    /// The time between two of them, in the long run.
    #[must_use]
    pub const fn interval(self) -> Duration {
        self.interval
    }

    /// How many may come at once; at least 1.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }
}

/// What becomes of messages beyond a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// They are read later.
    Waits,
    /// They end the connection.
    Closes,
}

/// How often a client may send messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRate {
    /// So often.
    pub rate: Rate,
    /// And if more come.
    pub excess: Excess,
}

#[cfg(test)]
mod tests {
    use super::Rate;
    use std::time::Duration;

    #[test]
    fn a_rate_is_more_than_nothing() {
        let second = Duration::from_secs(1);
        let rate = Rate::new(50, second, 10).unwrap();
        assert_eq!((rate.interval(), rate.burst()), (second / 50, 10));
        for (count, burst) in [(0, 1), (1, 0)] {
            assert_eq!(Rate::new(count, second, burst), None);
        }
    }
}
