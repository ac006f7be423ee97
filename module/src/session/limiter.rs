//! Limits how fast the messages of one client are read.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::protocol::{Excess, MessageRate};

/// The fewest bytes of a read, even if less is left of the rate: a frame and its header may need
/// that many.
const LEAST: usize = 128;

/// The shortest frame of a client: two bytes and the masking key (RFC 6455, section 5.2).
const SHORTEST_FRAME: usize = 6;

/// A session whose driver has waited for so long before the client sent something is not late.
///
/// Nothing tells when bytes have arrived. But a loop leaves no connection waiting for longer, as
/// another thread goes on with it then (`reactor/monitor.rs`), and a thread that has a single
/// connection waits for nothing else. A driver may be later where other processes keep the
/// processors busy. That is like a delay on the client's way to the server, and the burst is there
/// for both. A longer time here would let clients save up more than the burst between messages.
const ATTENTIVE: Duration = Duration::from_millis(10);

/// So much of the time counts in which a client is not read from because it takes no output.
/// Otherwise it could save up messages for as long as it likes. One that takes what it gets, with
/// pauses of its network, is held back for less.
const MOST_HELD: Duration = Duration::from_secs(60);

/// Says how many messages may be handled. Reads no clock: callers pass when the turn began.
///
/// What the client has sent while the session did not read arrives at once later: the plugin had
/// paused the client or was busy in a callback, or the client had to take output first. It counts
/// as if it had come in time. So the client has its burst at the moment at which all had been read,
/// and saves up more from then on, but not without end by taking no output.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: MessageRate,
    /// When the client has its whole burst again. Each message moves this time by one interval.
    due: Instant,
    /// When all had been read that the client had sent.
    read_up_to: Instant,
    /// The driver waits for more.
    is_all_read: bool,
    /// Since then something was left to read, and the client took no output.
    held_since: Option<Instant>,
    /// How long it has saved up messages so, since all had been read.
    held: Duration,
}

impl Limiter {
    pub(super) const fn new(limit: MessageRate, now: Instant) -> Self {
        Self {
            limit,
            due: now,
            read_up_to: now,
            is_all_read: false,
            held_since: None,
            held: Duration::ZERO,
        }
    }

    /// A turn begins. `ended` is when the last one did.
    pub(super) fn begin(&mut self, now: Instant, ended: Instant) {
        if self.is_all_read && now.saturating_duration_since(ended) > ATTENTIVE {
            self.read_up_to = now;
        }
        if let Some(since) = self.held_since.take() {
            self.note_held(since, now);
        }
    }

    /// A turn that has begun `now` ends. Says whether it has read all that was there, and whether
    /// the client has taken all output.
    pub(super) fn end(&mut self, is_all_read: bool, is_all_taken: bool, now: Instant) {
        self.is_all_read = is_all_read;
        if is_all_read {
            self.read_up_to = now;
            self.held = Duration::ZERO;
        } else if !is_all_taken {
            self.held_since = Some(now);
        }
    }

    /// The client was not read from because it took no output. What exceeds the limit of the time in
    /// which it has saved up messages does not count.
    fn note_held(&mut self, since: Instant, now: Instant) {
        let excess = |held: Duration| held.saturating_sub(MOST_HELD);
        let before = excess(self.held);
        self.held += now.saturating_duration_since(since.max(self.due()));
        self.due = self.due() + (excess(self.held) - before);
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
