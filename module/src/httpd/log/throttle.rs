//! Keeps a log readable when the same thing happens again and again.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A cause is logged once in this time.
const PAUSE: Duration = Duration::from_secs(60);

/// The most causes that are remembered, and logged, in one [`PAUSE`].
const CAUSES: usize = 32;

/// Decides which lines are logged. Its memory does not grow with what happens.
pub struct Throttle(Mutex<Seen>);

/// The causes of the last minute.
struct Seen {
    causes: [Option<(u64, Instant)>; CAUSES],
    /// A random state, so that clients cannot know which causes have the same hash.
    hasher: Option<RandomState>,
}

impl Throttle {
    /// A throttle that has seen no cause yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Seen::NOTHING))
    }

    /// Whether to log a cause. It is logged if it was not in the last minute, and fewer than 32
    /// others were. Any thread may call this.
    pub fn admits(&self, cause: &impl Hash) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.admits(cause, Instant::now())
    }
}

impl Seen {
    const NOTHING: Self = Self {
        causes: [None; CAUSES],
        hasher: None,
    };

    fn admits(&mut self, cause: &impl Hash, now: Instant) -> bool {
        let hasher = self.hasher.get_or_insert_with(RandomState::new);
        let cause = hasher.hash_one(cause);
        let is_recent = |then: Instant| now.saturating_duration_since(then) < PAUSE;
        for place in &mut self.causes {
            *place = place.filter(|(_, then)| is_recent(*then));
        }
        if self
            .causes
            .iter()
            .flatten()
            .any(|(known, _)| *known == cause)
        {
            return false;
        }
        let Some(free) = self.causes.iter_mut().find(|place| place.is_none()) else {
            return false;
        };
        *free = Some((cause, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{CAUSES, PAUSE, Seen};
    use std::time::{Duration, Instant};

    #[test]
    fn a_cause_is_logged_once_a_minute() {
        let mut seen = Seen::NOTHING;
        let start = Instant::now();
        for (seconds, admitted) in [(0, true), (1, false), (59, false), (60, true), (61, false)] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(seen.admits(&"a cause", now), admitted, "{seconds} s");
        }
        assert!(seen.admits(&"another", start + Duration::from_secs(61)));
    }

    #[test]
    fn a_flood_of_causes_is_cut_off_until_a_minute_has_passed() {
        let mut seen = Seen::NOTHING;
        let start = Instant::now();
        let mut admitted = |now| (0..1000).filter(|cause| seen.admits(cause, now)).count();
        assert_eq!(admitted(start), CAUSES);
        assert_eq!(admitted(start + PAUSE / 2), 0);
        assert_eq!(admitted(start + PAUSE), CAUSES);
    }
}
