//! How much of what a client has sent is handled at a time.
//!
//! A turn takes about [`TURN`], however many messages arrive and however long callbacks take.
//! Between two messages of one read no clock is asked; instead the reads become as short as it
//! takes.

use std::time::{Duration, Instant};

/// How long a turn takes, while there is more to do.
const TURN: Duration = Duration::from_micros(250);

/// The bytes of the first read: as one-byte messages, whose echo costs 100 ns each, half a
/// millisecond.
const FIRST: usize = 32 * 1024;

/// The fewest bytes of a read that may take all there is.
const MIN: usize = 128;

/// The most, of a message that is longer than the buffer for all connections: 512 KiB.
const MAX: usize = 512 * 1024;

/// How long the reads of a connection are, and how long its turn has taken.
#[derive(Debug)]
pub(super) struct Pace {
    /// The most bytes of a read.
    piece: usize,
    turn_began: Instant,
    read_began: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            piece: FIRST,
            turn_began: now,
            read_began: now,
        }
    }

    /// A turn begins. The one before took long if `was_long`.
    pub(super) fn begin(&mut self, now: Instant, was_long: bool) {
        self.turn_began = now;
        self.read_began = now;
        if was_long {
            self.shorten();
        }
    }

    /// The front of `space` that a read may fill.
    pub(super) fn limit<'a>(&self, space: &'a mut [u8]) -> &'a mut [u8] {
        let length = space.len().min(self.piece);
        &mut space[..length]
    }

    /// A read has been handled, and there may be more. Returns whether there is time for it.
    pub(super) fn goes_on(&mut self) -> bool {
        self.note(Instant::now())
    }

    fn note(&mut self, now: Instant) -> bool {
        let took = now.saturating_duration_since(self.read_began);
        self.read_began = now;
        if took > TURN {
            self.shorten();
        } else if took < TURN / 4 {
            self.piece = (self.piece * 2).min(MAX);
        }
        now.saturating_duration_since(self.turn_began) < TURN
    }

    fn shorten(&mut self) {
        self.piece = (self.piece / 2).max(MIN);
    }
}

/// Whether a turn that took so long has kept others waiting for too long.
#[must_use]
pub fn is_long(turn: Duration) -> bool {
    turn > 2 * TURN
}

/// Whether a turn that took so long is to be followed by a look for clients that have waited
/// meanwhile.
#[must_use]
pub fn is_heavy(turns: Duration) -> bool {
    turns > TURN / 2
}

#[cfg(test)]
mod tests {
    use super::{FIRST, MAX, MIN, Pace, TURN};
    use std::time::{Duration, Instant};

    /// Handles reads that take so long for each byte, until the turn is over. Gives the time it
    /// took.
    fn turn(pace: &mut Pace, nanoseconds: u64) -> Duration {
        let began = Instant::now();
        let mut now = began;
        pace.begin(now, false);
        loop {
            let read = pace.limit(&mut vec![0; MAX]).len() as u64;
            now += Duration::from_nanos((read * nanoseconds).max(1000));
            if !pace.note(now) {
                return now - began;
            }
        }
    }

    #[test]
    fn turns_take_as_long_as_they_may_whatever_a_message_costs() {
        // Large messages, one-byte echoes, and callbacks that compute.
        for nanoseconds in [1, 15, 200] {
            let mut pace = Pace::new();
            let mut last = Duration::ZERO;
            for _ in 0..10 {
                last = turn(&mut pace, nanoseconds);
            }
            assert!((TURN..2 * TURN).contains(&last), "{nanoseconds}: {last:?}");
        }
    }

    #[test]
    fn the_first_turn_of_a_greedy_client_is_short_too() {
        assert!(turn(&mut Pace::new(), 15) < 3 * TURN);
    }

    #[test]
    fn reads_are_bounded() {
        let mut pace = Pace::new();
        assert_eq!(pace.limit(&mut vec![0; MAX]).len(), FIRST);
        for _ in 0..100 {
            turn(&mut pace, 100_000);
        }
        assert_eq!(pace.limit(&mut vec![0; MAX]).len(), MIN);
        assert_eq!(pace.limit(&mut [0; 3]).len(), 3);
        for _ in 0..100 {
            turn(&mut pace, 0);
        }
        assert_eq!(pace.limit(&mut vec![0; MAX]).len(), MAX);
    }
}
