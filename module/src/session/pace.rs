//! How much of a client's input a turn handles.
//!
//! A turn takes about [`TURN`], however many messages arrive and however long callbacks take. The
//! session looks at the clock after each read, and seldom between the messages of a read. If
//! handling a read takes too long, the next reads are shorter.

use std::time::{Duration, Instant};

/// How long a turn takes while there is more to do.
const TURN: Duration = Duration::from_micros(250);

/// The most bytes of the first read. As one-byte messages, whose echo costs 100 ns each, they take
/// half a millisecond.
const FIRST: usize = 32 * 1024;

/// The lowest limit for the bytes of a read.
const MIN: usize = 128;

/// The highest limit for the bytes of a read. Only a read into a long message has room for as many.
const MAX: usize = 512 * 1024;

/// The limit for the reads of a connection, and the times at which its turn and its read began.
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

    /// Begins a turn. `was_long` says that the turn before took too long.
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

    /// Whether there is time for more in this turn.
    pub(super) fn has_time(&self) -> bool {
        self.turn_began.elapsed() < TURN
    }

    /// Begins a read, after something else that says nothing of how long reads should be.
    /// Returns the time.
    pub(super) fn begin_read(&mut self) -> Instant {
        self.read_began = Instant::now();
        self.read_began
    }

    /// Notes that a read has been handled. Returns whether there is time for another one.
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

/// Whether a turn of this length has kept other connections waiting for too long.
#[must_use]
pub fn is_long(turn: Duration) -> bool {
    turn > 2 * TURN
}

/// Whether a driver should look for other waiting clients after turns of this length.
#[must_use]
pub fn is_heavy(turns: Duration) -> bool {
    turns > TURN / 2
}

#[cfg(test)]
mod tests {
    use super::{FIRST, MAX, MIN, Pace, TURN};
    use std::time::{Duration, Instant};

    /// Handles reads that take `nanoseconds` for each byte, until the turn is over. Returns how
    /// long it took.
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
