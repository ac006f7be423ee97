//! Limits how fast the messages of one client are read.

use std::time::{Duration, Instant};

use crate::protocol::{Excess, MessageRate};

/// The fewest bytes of a read, even if less is left of the rate: a frame and its header may need
/// that many.
const LEAST: usize = 128;

/// The shortest frame of a client: two bytes and the masking key (RFC 6455, section 5.2).
const SHORTEST_FRAME: usize = 6;

/// A session whose driver has waited for so long before the client sent something is not late.
const ATTENTIVE: Duration = Duration::from_millis(10);

/// Says how many messages may be handled. Reads no clock: callers pass when the turn began.
///
/// What the client has sent while the session did not read arrives at once later: the plugin had
/// paused the client or was busy in a callback, or the client had to take output first. It counts
/// as if it had come in time. So the client has its burst at the moment at which all had been read,
/// and saves up more from then on.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: MessageRate,
    /// When the client has its whole burst again. Each message moves this time by one interval.
    due: Instant,
    /// When all had been read that the client had sent.
    read_up_to: Instant,
    /// The driver waits for more.
    is_all_read: bool,
}

impl Limiter {
    pub(super) const fn new(limit: MessageRate, now: Instant) -> Self {
        Self {
            limit,
            due: now,
            read_up_to: now,
            is_all_read: false,
        }
    }

    /// A turn begins. `ended` is when the last one did.
    pub(super) fn begin(&mut self, now: Instant, ended: Instant) {
        if self.is_all_read && now.saturating_duration_since(ended) > ATTENTIVE {
            self.read_up_to = now;
        }
    }

    /// A turn that has begun `now` ends. Says whether it has read all that was there.
    pub(super) fn end(&mut self, is_all_read: bool, now: Instant) {
        self.is_all_read = is_all_read;
        if is_all_read {
            self.read_up_to = now;
        }
    }

    /// When the client has, or had, its whole burst.
    fn due(&self) -> Instant {
        self.due.max(self.read_up_to)
    }

    /// How many messages may be handled now.
    fn allowance(&self, now: Instant) -> u64 {
        let (rate, due) = (self.limit.rate, self.due());
        let in_time = |time: Duration| time.as_nanos() / rate.interval().as_nanos();
        let burst = u128::from(rate.burst());
        let allowed = match due.checked_duration_since(now) {
            Some(ahead) => {
                let used = ahead.as_nanos().div_ceil(rate.interval().as_nanos());
                burst.saturating_sub(used)
            }
            None => burst + in_time(now.saturating_duration_since(due)),
        };
        u64::try_from(allowed).unwrap_or(u64::MAX)
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
    pub(super) fn count(&mut self, messages: u64) {
        let steps = u32::try_from(messages).unwrap_or(u32::MAX);
        let time = self.limit.rate.interval().saturating_mul(steps);
        self.due = self.due().checked_add(time).unwrap_or(self.due);
    }

    /// When the session may read from the client again, if it may not now.
    pub(super) fn resumes(&self, now: Instant) -> Option<Instant> {
        if self.limit.excess == Excess::Closes || self.allowance(now) > 0 {
            return None;
        }
        let burst: Duration = self.limit.rate.interval() * (self.limit.rate.burst() - 1);
        let due = self.due();
        Some(due.checked_sub(burst).map_or(due, |at| at.max(now)))
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
        limiter.count(4);
        assert_eq!(limiter.resumes(now), None);
        limiter.count(1);
        assert_eq!(limiter.resumes(now), Some(now + step));
        assert_eq!(limiter.resumes(now + step), None);
        // The client waits longer for messages beyond the rate.
        limiter.count(3);
        assert_eq!(limiter.resumes(now), Some(now + 4 * step));
        assert_eq!(limiter.resumes(now + 3 * step), Some(now + 4 * step));
        // A client that sends nothing saves up no more than the burst.
        limiter.end(true, now + 4 * step);
        limiter.begin(now + 100 * step, now + 4 * step);
        limiter.count(5);
        assert_eq!(limiter.resumes(now + 100 * step), Some(now + 101 * step));
    }

    #[test]
    fn reads_become_short_when_little_is_left() {
        let now = Instant::now();
        let rate = Rate::new(1000, Duration::from_secs(1), 1000).unwrap();
        let excess = Excess::Waits;
        let mut limiter = Limiter::new(MessageRate { rate, excess }, now);
        assert_eq!(limiter.most_bytes(now), 6000);
        limiter.count(500);
        assert_eq!(limiter.most_bytes(now), 3000);
        limiter.count(499);
        assert_eq!(limiter.most_bytes(now), 128);
    }

    #[test]
    fn a_client_that_is_closed_for_it_may_send_exactly_the_burst() {
        let now = Instant::now();
        let mut limiter = limiter(Excess::Closes, now);
        assert_eq!(limiter.most(now), 5);
        assert_eq!(limiter.most_bytes(now), usize::MAX);
        limiter.count(5);
        assert_eq!((limiter.most(now), limiter.resumes(now)), (0, None));
        assert_eq!(limiter.most(now + Duration::from_millis(250)), 2);
    }

    #[test]
    fn what_a_client_has_sent_while_nobody_read_came_in_time() {
        let now = Instant::now();
        let step = Duration::from_millis(100);
        let mut limiter = limiter(Excess::Closes, now);
        limiter.count(5);
        limiter.end(true, now);
        // The turn after it begins late: a callback has blocked.
        let ended = now + 20 * step;
        limiter.begin(ended, ended);
        assert_eq!(limiter.most(ended), 20);
        limiter.count(20);
        assert_eq!(limiter.most(ended), 0);
        // A pause of two seconds, in which a turn looks now and then.
        limiter.end(false, ended);
        limiter.begin(ended + 10 * step, ended);
        limiter.end(false, ended + 10 * step);
        let resumed = ended + 20 * step;
        limiter.begin(resumed, ended + 10 * step);
        assert_eq!(limiter.most(resumed), 20);
        limiter.count(12);
        // All is read: what was not used up does not last, but for the burst.
        limiter.end(true, resumed);
        assert_eq!(limiter.most(resumed), 5);
        limiter.begin(resumed + 50 * step, resumed);
        assert_eq!(limiter.most(resumed + 50 * step), 5);
    }

    #[test]
    fn a_client_that_never_stops_gets_the_rate() {
        let now = Instant::now();
        let mut limiter = limiter(Excess::Closes, now);
        let mut sum = 0;
        for milliseconds in 0..=10_000 {
            let now = now + Duration::from_millis(milliseconds);
            limiter.begin(now, now);
            let most = limiter.most(now);
            limiter.count(most);
            limiter.end(milliseconds % 3 == 0, now);
            sum += most;
        }
        assert_eq!(sum, 5 + 100);
    }
}
