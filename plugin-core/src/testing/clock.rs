//! The clock of a test host, which only the test moves.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The time since the host was made.
#[derive(Default)]
pub(super) struct Clock(Mutex<Duration>);

impl Clock {
    pub(super) fn now(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn advance(&self, time: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.saturating_add(time);
    }
}
