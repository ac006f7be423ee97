//! Decides when to return free memory to the system.
//!
//! The C library keeps small freed blocks for later allocations. After many connections have ended,
//! these can be hundreds of megabytes, which the process would otherwise keep for ever.

use std::time::{Duration, Instant};

/// The number of ended connections that makes trimming worthwhile.
const CROWD: u32 = 50;

/// The delay before a trim, during which more connections can end.
const DELAY: Duration = Duration::from_secs(1);

/// The shortest time between two trims. A trim searches all free memory, which takes milliseconds.
const INTERVAL: Duration = Duration::from_secs(5);

/// Counts connections that end, and schedules the next trim.
pub struct Trimming {
    ended: u32,
    due: Option<Instant>,
    last: Option<Instant>,
}

impl Trimming {
    /// The state before any connection has ended.
    pub const NONE: Self = Self {
        ended: 0,
        due: None,
        last: None,
    };

    /// Counts an ended connection. Returns whether this sets [`due`](Self::due).
    pub fn note_end(&mut self, now: Instant) -> bool {
        self.ended = self.ended.saturating_add(1);
        if self.ended < CROWD || self.due.is_some() {
            return false;
        }
        let earliest = self.last.map(|last| last + INTERVAL);
        self.due = earliest.max(Some(now + DELAY));
        true
    }

    /// Schedules a trim although few connections have ended, because they held much memory.
    pub fn schedule(&mut self, now: Instant) {
        let earliest = self.last.map(|last| last + INTERVAL);
        self.due = self.due.or(earliest.max(Some(now + DELAY)));
    }

    /// The time of the next trim, if one is due.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns whether to trim now. If so, it resets the count.
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
    fn many_ended_connections_cause_a_trim_and_few_do_not() {
        let start = Instant::now();
        let mut trimming = Trimming::NONE;
        let expected: Vec<_> = (1..=CROWD).map(|ended| ended == CROWD).collect();
        assert_eq!(crowd(&mut trimming, start), expected);
        assert_eq!(trimming.due(), Some(start + DELAY));
        // More connections end before the trim.
        assert!(!crowd(&mut trimming, start + DELAY / 2).contains(&true));
        assert!(!trimming.begin(start + DELAY - Duration::from_nanos(1)));
        assert!(trimming.begin(start + DELAY));
        assert_eq!(trimming.due(), None);
        assert!(!trimming.begin(start + DELAY));
    }

    #[test]
    fn a_trim_can_be_asked_for() {
        let start = Instant::now();
        let mut trimming = Trimming::NONE;
        trimming.schedule(start);
        trimming.schedule(start + DELAY / 2);
        assert_eq!(trimming.due(), Some(start + DELAY));
        assert!(trimming.begin(start + DELAY));
        trimming.schedule(start + DELAY);
        assert_eq!(trimming.due(), Some(start + DELAY + INTERVAL));
    }

    #[test]
    fn trims_have_a_minimum_interval() {
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
