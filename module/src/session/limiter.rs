//! Limits how fast the messages of one client are read.

use std::time::{Duration, Instant};

use crate::protocol::{Excess, MessageRate};

/// The fewest bytes of a read, even if less is left of the rate: a frame and its header may need
/// that many.
const LEAST: usize = 128;

/// The shortest frame of a client: two bytes and the masking key (RFC 6455, section 5.2).
const SHORTEST_FRAME: usize = 6;

/// Says how many messages may be handled. Reads no clock: callers pass when the turn began.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: MessageRate,
    /// When the client has its whole burst again. Each message moves this time by one interval.
    due: Instant,
}

impl Limiter {
    pub(super) const fn new(limit: MessageRate, now: Instant) -> Self {
        Self { limit, due: now }
    }

    /// How many messages may be handled now.
    fn allowance(&self, now: Instant) -> u64 {
        let burst = u64::from(self.limit.rate.burst());
        let ahead = self.due.saturating_duration_since(now).as_nanos();
        let used = ahead.div_ceil(self.limit.rate.interval().as_nanos());
        burst.saturating_sub(u64::try_from(used).unwrap_or(u64::MAX))
    }

    /// The most messages that a read may bring, if more than that ends the connection.
    pub(super) fn most(&self, now: Instant) -> u64 {
        match self.limit.excess {
            Excess::Closes => self.allowance(now),
            Excess::Waits => u64::MAX,
        }
    }

    /// The most bytes of a read, if the messages beyond the rate have to wait. These bytes hold few
    /// more messages than may be handled.
    pub(super) fn most_bytes(&self, now: Instant) -> usize {
        match self.limit.excess {
            Excess::Closes => usize::MAX,
            Excess::Waits => {
                let messages = usize::try_from(self.allowance(now)).unwrap_or(usize::MAX);
                messages.saturating_mul(SHORTEST_FRAME).max(LEAST)
            }
        }
    }

    /// Counts handled messages.
    pub(super) fn count(&mut self, messages: u64, now: Instant) {
        let steps = u32::try_from(messages).unwrap_or(u32::MAX);
        let time = self.limit.rate.interval().saturating_mul(steps);
        self.due = self.due.max(now).checked_add(time).unwrap_or(self.due);
    }

    /// When the session may read from the client again, if it may not now.
    pub(super) fn resumes(&self, now: Instant) -> Option<Instant> {
        if self.limit.excess == Excess::Closes || self.allowance(now) > 0 {
            return None;
        }
        let burst: Duration = self.limit.rate.interval() * (self.limit.rate.burst() - 1);
        Some(
            self.due
                .checked_sub(burst)
                .map_or(self.due, |at| at.max(now)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Excess, Limiter, MessageRate};
    use crate::protocol::Rate;
    use std::time::{Duration, Instant};

    fn limiter(excess: Excess, now: Instant) -> Limiter {
        let rate = Rate::new(10, Duration::from_secs(1), 5).unwrap();
        Limiter::new(MessageRate { rate, excess }, now)
    }

    #[test]
    fn a_client_that_has_to_wait_is_read_from_again_when_there_is_room_for_a_message() {
        let now = Instant::now();
        let step = Duration::from_millis(100);
        let mut limiter = limiter(Excess::Waits, now);
        assert_eq!(limiter.most(now), u64::MAX);
        limiter.count(4, now);
        assert_eq!(limiter.resumes(now), None);
        limiter.count(1, now);
        assert_eq!(limiter.resumes(now), Some(now + step));
        assert_eq!(limiter.resumes(now + step), None);
        // The client waits longer for messages beyond the rate.
        limiter.count(3, now);
        assert_eq!(limiter.resumes(now), Some(now + 4 * step));
        assert_eq!(limiter.resumes(now + 3 * step), Some(now + 4 * step));
        // A client that sends nothing saves up no more than the burst.
        limiter.count(5, now + 100 * step);
        assert_eq!(limiter.resumes(now + 100 * step), Some(now + 101 * step));
    }

    #[test]
    fn reads_become_short_when_little_is_left() {
        let now = Instant::now();
        let rate = Rate::new(1000, Duration::from_secs(1), 1000).unwrap();
        let excess = Excess::Waits;
        let mut limiter = Limiter::new(MessageRate { rate, excess }, now);
        assert_eq!(limiter.most_bytes(now), 6000);
        limiter.count(500, now);
        assert_eq!(limiter.most_bytes(now), 3000);
        limiter.count(499, now);
        assert_eq!(limiter.most_bytes(now), 128);
    }

    #[test]
    fn a_client_that_is_closed_for_it_may_send_exactly_the_burst() {
        let now = Instant::now();
        let mut limiter = limiter(Excess::Closes, now);
        assert_eq!(limiter.most(now), 5);
        assert_eq!(limiter.most_bytes(now), usize::MAX);
        limiter.count(5, now);
        assert_eq!((limiter.most(now), limiter.resumes(now)), (0, None));
        assert_eq!(limiter.most(now + Duration::from_millis(250)), 2);
    }
}
