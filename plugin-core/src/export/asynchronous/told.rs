//! Keeps the log from being filled.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long nothing is logged after a line.
const PAUSE: Duration = Duration::from_secs(60);

/// A complaint, which is logged once a minute.
pub(super) struct Told(Mutex<Option<Instant>>);

impl Told {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether to log it now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told.is_none_or(|told| now.saturating_duration_since(told) >= PAUSE);
        if is_due {
            *told = Some(now);
        }
        is_due
    }
}
