//! When to give freed memory back to the system.
//!
//! The C library keeps what is freed in small pieces, for allocations to come. After a crowd of
//! connections has ended that can be hundreds of megabytes, which the process then holds for good.

use std::time::{Duration, Instant};

/// So many connections that have ended are a crowd.
const CROWD: u32 = 50;

/// The end of a crowd is not waited for longer than this.
const DELAY: Duration = Duration::from_secs(1);

/// To look through all free memory costs milliseconds: not more often than this.
const INTERVAL: Duration = Duration::from_secs(5);

/// Counts connections that end.
pub struct Trimming {
    ended: u32,
    due: Option<Instant>,
    last: Option<Instant>,
}

impl Trimming {
    /// Nothing has ended yet.
    pub const NONE: Self = Self {
        ended: 0,
        due: None,
        last: None,
    };

    /// A connection has ended. Returns whether that sets [`due`](Self::due).
    pub fn note_end(&mut self, now: Instant) -> bool {
        self.ended = self.ended.saturating_add(1);
        if self.ended < CROWD || self.due.is_some() {
            return false;
        }
        let earliest = self.last.map(|last| last + INTERVAL);
        self.due = earliest.max(Some(now + DELAY));
        true
    }

    /// When memory is to be given back, if it is.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns whether memory is to be given back now, and begins to count anew then.
    pub fn begin(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            *self = Self {
                last: Some(now),
                ..Self::NONE
            };
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::{CROWD, DELAY, INTERVAL, Trimming};
    use std::time::{Duration, Instant};

    fn crowd(trimming: &mut Trimming, now: Instant) -> Vec<bool> {
        (0..CROWD).map(|_| trimming.note_end(now)).collect()
    }

    #[test]
    fn a_crowd_has_memory_given_back_soon_and_fewer_do_not() {
        let start = Instant::now();
        let mut trimming = Trimming::NONE;
        let expected: Vec<_> = (1..=CROWD).map(|ended| ended == CROWD).collect();
        assert_eq!(crowd(&mut trimming, start), expected);
        assert_eq!(trimming.due(), Some(start + DELAY));
        // More of the same crowd.
        assert!(!crowd(&mut trimming, start + DELAY / 2).contains(&true));
        assert!(!trimming.begin(start + DELAY - Duration::from_nanos(1)));
        assert!(trimming.begin(start + DELAY));
        assert_eq!(trimming.due(), None);
        assert!(!trimming.begin(start + DELAY));
    }

    #[test]
    fn one_crowd_after_the_other_has_it_given_back_now_and_then() {
        let start = Instant::now();
        let mut trimming = Trimming::NONE;
        crowd(&mut trimming, start);
        let first = start + DELAY;
        assert!(trimming.begin(first));
        crowd(&mut trimming, first);
        assert_eq!(trimming.due(), Some(first + INTERVAL));
        assert!(trimming.begin(first + INTERVAL));
        let late = first + INTERVAL * 3;
        crowd(&mut trimming, late);
        assert_eq!(trimming.due(), Some(late + DELAY));
    }
}
