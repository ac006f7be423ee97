//! When a child process has to have ended.
//!
//! httpd kills a child nine seconds after it has told it to end at once (mpm_unix.c,
//! `ap_reclaim_child_processes`). Until then the MPM waits for its own threads, then the loops end,
//! then the ticks, then the threads of plugins, and last the topics send what was published. Each of
//! them has a limit of its own, and all of them have this time together.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ender::{PATIENCE as PLUGINS, TICKS};

/// How long the end may take before the topics' turn, from the moment at which the child was told.
const TOTAL: Duration = Duration::from_secs(8);

/// How much later the topics have to have ended. The rest until httpd kills the child is for what
/// needs no limit.
const LAST: Duration = Duration::from_millis(700);

/// How long topics may take. A broker that answers takes less.
const TOPICS: Duration = Duration::from_secs(2);

/// When httpd tells a child a second time that has not ended, by SIGTERM. A child that is ending
/// gracefully notices only that.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(3);

/// How long each part may take even if no time is left: a thread that only waits needs a moment to
/// hear of the end.
const LEAST: Duration = Duration::from_millis(100);

static TOLD: Mutex<Option<Instant>> = Mutex::new(None);

/// httpd has told the child to end at once. The first call counts.
pub(super) fn begin() {
    told_at(Instant::now());
}

/// httpd has told the child again.
pub(super) fn begin_late() {
    let now = Instant::now();
    told_at(now.checked_sub(TOLD_AGAIN_AFTER).unwrap_or(now));
}

fn told_at(time: Instant) {
    told().get_or_insert(time);
}

fn told() -> MutexGuard<'static, Option<Instant>> {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time that is left for the parts of the end, one after the other.
#[derive(Clone, Copy, Debug)]
pub(in crate::entry) struct Deadline(Instant);

impl Deadline {
    /// That of this child. If nobody has told it to end at once, its time begins now.
    pub(in crate::entry) fn current() -> Self {
        Self::after(told().unwrap_or_else(Instant::now))
    }

    fn after(told: Instant) -> Self {
        Self(told + TOTAL)
    }

    /// How long the loops may take, however many connections they have.
    pub(in crate::entry) fn for_loops(self, now: Instant) -> Duration {
        self.left(now).saturating_sub(TICKS + PLUGINS)
    }

    /// How long ticks may take.
    pub(in crate::entry) fn for_ticks(self, now: Instant) -> Duration {
        let left = self.left(now).saturating_sub(PLUGINS);
        left.clamp(LEAST, TICKS)
    }

    /// How long the threads of plugins may take.
    pub(in crate::entry) fn for_plugins(self, now: Instant) -> Duration {
        self.left(now).clamp(LEAST, PLUGINS)
    }

    /// How long topics may take.
    pub(in crate::entry) fn for_topics(self, now: Instant) -> Duration {
        let left = (self.0 + LAST).saturating_duration_since(now);
        left.clamp(LEAST, TOPICS)
    }

    fn left(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::{Deadline, Duration, Instant, LAST, LEAST, PLUGINS, TICKS, TOPICS, TOTAL};

    #[test]
    fn what_comes_first_leaves_time_for_the_rest() {
        let told = Instant::now();
        let deadline = Deadline::after(told);
        let after = |seconds| {
            let now = told + Duration::from_secs(seconds);
            (
                deadline.for_loops(now),
                deadline.for_ticks(now),
                deadline.for_plugins(now),
            )
        };
        let rest = TICKS + PLUGINS;
        assert_eq!(after(0), (TOTAL - rest, TICKS, PLUGINS));
        let four = Duration::from_secs(4);
        assert_eq!(after(4), (TOTAL - four - rest, TICKS, PLUGINS));
        let none = Duration::ZERO;
        assert_eq!(after(7), (none, LEAST, Duration::from_secs(1)));
        assert_eq!(after(100), (none, LEAST, LEAST));
        let topics = |seconds| deadline.for_topics(told + Duration::from_secs(seconds));
        assert_eq!((topics(0), topics(6)), (TOPICS, TOPICS));
        assert_eq!((topics(8), topics(100)), (LAST, LEAST));
    }
}
