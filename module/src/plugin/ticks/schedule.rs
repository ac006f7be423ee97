//! When the next tick is due: at multiples of the interval, by a clock that somebody may set.

use std::time::Duration;

/// A process that only looks whether it has to go on with ticks looks at most so often.
const SHORTEST_LOOK: u64 = 100_000_000;

/// All times are in nanoseconds since 1970.
pub(super) struct Schedule {
    interval: u64,
    last: u64,
}

impl Schedule {
    /// Ticks so often; at most once in a millisecond.
    pub(super) fn new(interval: Duration) -> Self {
        let interval = interval.max(Duration::from_millis(1)).as_nanos();
        Self {
            interval: u64::try_from(interval).unwrap_or(u64::MAX),
            last: 0,
        }
    }

    /// The next multiple of the interval. If the process is idle, some may be left out. Ticks that
    /// were missed are not made up for.
    pub(super) fn next(&mut self, now: u64, is_idle: bool) -> u64 {
        let step = if is_idle {
            let looks = SHORTEST_LOOK.div_ceil(self.interval);
            self.interval.saturating_mul(looks)
        } else {
            self.interval
        };
        let mut next = (now / step).saturating_add(1).saturating_mul(step);
        // The last wait may have ended a little early by this clock.
        if next == self.last {
            next = next.saturating_add(step);
        }
        self.last = next;
        next
    }

    /// Whether another process has ticked for this time, if its last tick was for `last`. One that
    /// is far ahead shows that the clock was set back.
    pub(super) fn is_done(&self, due: u64, last: u64) -> bool {
        due <= last && last - due <= self.interval
    }

    /// How long to wait for a tick. `None`: for ever. If the clock was set back, the tick comes
    /// now.
    pub(super) fn left(&self, now: u64, due: u64) -> Option<u64> {
        let left = due.saturating_sub(now);
        let is_set_back = left > self.interval.max(SHORTEST_LOOK).saturating_mul(4);
        (due < u64::MAX).then_some(if is_set_back { 0 } else { left })
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Schedule};

    const MS: u64 = 1_000_000;

    fn schedule(milliseconds: u64) -> Schedule {
        Schedule::new(Duration::from_millis(milliseconds))
    }

    #[test]
    fn ticks_are_at_multiples_of_the_interval_without_drift() {
        let mut schedule = schedule(250);
        for (now, due) in [
            (10, 250),
            (250, 500),
            (501, 750),
            (749, 1000),
            (3_001, 3_250),
        ] {
            assert_eq!(schedule.next(now * MS, false), due * MS, "{now}");
        }
    }

    #[test]
    fn an_idle_process_looks_less_often_and_only_when_a_tick_is_due() {
        for (interval, step) in [(30, 120), (100, 100), (250, 250), (1, 100)] {
            let mut schedule = schedule(interval);
            assert_eq!(schedule.next(1, true), step * MS);
            assert_eq!(schedule.next(step * MS, false), (step + interval) * MS);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_stops_no_ticks() {
        let mut schedule = schedule(1000);
        let due = schedule.next(10_000 * MS, false);
        assert_eq!(schedule.left(10_000 * MS, due), Some(1000 * MS));
        assert_eq!(schedule.left(12_000 * MS, due), Some(0));
        assert_eq!(schedule.left(2_000 * MS, due), Some(0));
        assert_eq!(schedule.next(2_000 * MS, false), 3_000 * MS);
    }

    #[test]
    fn a_process_that_goes_on_repeats_no_tick() {
        let schedule = schedule(250);
        for (last, is_done) in [(500, false), (750, true), (1000, true), (60_000, false)] {
            assert_eq!(schedule.is_done(750 * MS, last * MS), is_done, "{last}");
        }
    }

    #[test]
    fn the_interval_has_bounds() {
        assert_eq!(schedule(0).next(1, false), MS);
        let mut longest = Schedule::new(Duration::MAX);
        let due = longest.next(7, false);
        assert_eq!(longest.left(7, due), None);
        let mut idle = Schedule::new(Duration::MAX);
        assert_eq!(idle.next(7, true), u64::MAX);
    }
}
