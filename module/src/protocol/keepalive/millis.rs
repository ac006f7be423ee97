//! Times in few bytes, as every connection has several.

use std::time::{Duration, Instant};

/// A time in milliseconds; 0 stands for a rule that is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Millis(u32);

impl Millis {
    /// At least a millisecond, and at most 49 days.
    pub(super) fn of(time: Option<Duration>) -> Self {
        Self(time.map_or(0, |time| {
            u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1)
        }))
    }

    pub(super) fn is_off(self) -> bool {
        self.0 == 0
    }

    /// So many times shorter.
    pub(super) fn part(self, divisor: u32) -> Self {
        Self(self.0.div_ceil(divisor))
    }

    /// The moment so long after `start`, unless it is off.
    pub(super) fn after(self, start: Instant) -> Option<Instant> {
        (!self.is_off()).then(|| start + Duration::from_millis(self.0.into()))
    }
}
