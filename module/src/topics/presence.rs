//! Who has come and gone in this child, and is not written to the log yet.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::log::Listed;
use super::space::SpaceId;

/// A subscriber, as others see it.
#[derive(Clone, Copy)]
pub(super) struct Identity<'i> {
    pub(super) id: u64,
    pub(super) user: Option<&'i str>,
    pub(super) info: Option<&'i str>,
}

/// What is not written yet.
#[derive(Default)]
pub(super) struct Presence(Mutex<Pending>);

#[derive(Default)]
pub(super) struct Pending {
    pub(super) since: Option<Instant>,
    pub(super) topics: HashMap<(SpaceId, Box<str>), Moves>,
}

/// Who has come to a topic and gone from it. Empty where members are not shown.
#[derive(Default)]
pub(super) struct Moves {
    pub(super) joined: HashMap<u64, Listed>,
    pub(super) left: Vec<u64>,
}

impl Presence {
    /// How long until what is not written is due, `delay` after the first of it; `None`: all is
    /// written.
    pub(super) fn due(&self, delay: Duration) -> Option<Duration> {
        let since = self.lock().since?;
        Some(delay.saturating_sub(since.elapsed()))
    }

    /// Returns whether nothing was waiting before.
    pub(super) fn note(&self, space: SpaceId, topic: &str, note: impl FnOnce(&mut Moves)) -> bool {
        let mut pending = self.lock();
        note(pending.topics.entry((space, topic.into())).or_default());
        let is_first = pending.since.is_none();
        pending.since.get_or_insert_with(Instant::now);
        is_first
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
