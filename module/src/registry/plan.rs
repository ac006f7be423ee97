//! When a child process that stops closes each of its connections.
//!
//! Connections that may stay for the same time are closed in the last fifth of that time. Each gets
//! an equal part of it and is closed at a random moment of its part, so that the clients do not all
//! come back at once. If the rate does not allow that, the closing begins earlier. If there is no
//! time for that either, the rate has priority, and the last connections are closed later.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

/// The time is divided into this many parts, and closing uses at least the last one.
const LAST_PART: u32 = 5;

/// How much time the closing thread makes up for when it is late.
const CATCH_UP: Duration = Duration::from_millis(50);

/// The most connections that are closed in a second. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub u32);

impl Rate {
    fn interval(self) -> Duration {
        Duration::from_secs(1) / self.0.max(1)
    }
}

/// How long a connection may stay open in a child process that stops gracefully.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainTime {
    /// For this time. Zero means that the connection is closed at once.
    Limited(Duration),
    /// Until it ends by itself.
    Unlimited,
}

/// A connection, and how long it may stay open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) id: u64,
    pub(super) drain_time: DrainTime,
}

/// The connections to close, and when.
pub(super) struct Plan {
    began: Instant,
    due: BTreeSet<(Instant, u64)>,
    /// Connections to close as soon as possible, whatever the rate.
    at_once: Vec<u64>,
    /// The least time between two connections, from the rate.
    interval: Duration,
    /// The rate allows no connection to be closed before this time.
    allowed_from: Instant,
    /// When the last connection has to be closed, if that was set.
    latest: Option<Instant>,
    random: Random,
}

impl Plan {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            began: now,
            due: BTreeSet::new(),
            at_once: Vec::new(),
            interval: rate.interval(),
            allowed_from: now,
            latest: None,
            random: Random::new(),
        }
    }

    /// Plans for connections that may stay open for their own times from `now` on.
    pub(super) fn spread(&mut self, wishes: Vec<Wish>, now: Instant) {
        let mut groups = BTreeMap::<Duration, Vec<u64>>::new();
        for Wish { id, drain_time } in wishes {
            match drain_time {
                DrainTime::Unlimited => {}
                DrainTime::Limited(Duration::ZERO) => self.at_once.push(id),
                DrainTime::Limited(time) => groups.entry(time).or_default().push(id),
            }
        }
        for (time, ids) in groups {
            self.spread_group(ids, time, now);
        }
    }

    fn spread_group(&mut self, mut ids: Vec<u64>, time: Duration, now: Instant) {
        let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let window = (time / LAST_PART).max(self.interval * count);
        let start = now + time.saturating_sub(window);
        let part = window / count.max(1);
        self.random.shuffle(&mut ids);
        for (number, id) in (0_u32..).zip(ids) {
            let due = start + part * number + part.mul_f64(self.random.fraction());
            self.due.insert((due, id));
        }
    }

    /// Plans for a connection that was opened after the others were planned.
    pub(super) fn add(&mut self, wish: Wish, now: Instant) {
        let due = match wish.drain_time {
            DrainTime::Unlimited => None,
            DrainTime::Limited(Duration::ZERO) => return self.at_once.push(wish.id),
            DrainTime::Limited(time) => {
                let last = time / LAST_PART;
                Some(self.began + time - last + last.mul_f64(self.random.fraction()))
            }
        };
        if let Some(due) = due.into_iter().chain(self.latest).min() {
            self.due.insert((due.max(now), wish.id));
        }
    }

    /// Plans anew, so that all connections are closed within `limit` from `now` on. Exceeds the
    /// rate if that takes it.
    pub(super) fn limit(&mut self, wishes: &[Wish], limit: Duration, now: Instant) {
        self.latest = Some(now + limit);
        let count = u32::try_from(wishes.len()).unwrap_or(u32::MAX).max(1);
        self.interval = self.interval.min(limit / count);
        let earlier = std::mem::take(&mut self.due);
        let earlier: BTreeMap<_, _> = earlier.into_iter().map(|(due, id)| (id, due)).collect();
        let ids = wishes.iter().map(|wish| wish.id).collect();
        self.spread_group(ids, limit, now);
        let spread = std::mem::take(&mut self.due);
        let sooner = |(due, id): (Instant, u64)| {
            let before = earlier.get(&id).copied();
            (before.map_or(due, |before| before.min(due)), id)
        };
        self.due = spread.into_iter().map(sooner).collect();
    }

    /// Plans anew, so that all connections are closed from `now` on, as fast as the rate allows.
    pub(super) fn hurry(&mut self, wishes: Vec<Wish>, now: Instant) {
        self.latest = Some(now);
        self.due.clear();
        let ids = wishes.into_iter().map(|wish| wish.id).collect();
        self.spread_group(ids, Duration::ZERO, now);
    }

    /// Takes the connections to close now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<u64> {
        let mut taken = std::mem::take(&mut self.at_once);
        self.allowed_from = self
            .allowed_from
            .max(now.checked_sub(CATCH_UP).unwrap_or(now));
        while self.allowed_from <= now && self.due.first().is_some_and(|(due, _)| *due <= now) {
            taken.extend(self.due.pop_first().map(|(_, id)| id));
            self.allowed_from += self.interval;
        }
        taken
    }

    /// When to take the next ones.
    pub(super) fn next(&self) -> Option<Instant> {
        if !self.at_once.is_empty() {
            return Some(self.began);
        }
        let (due, _) = self.due.first()?;
        Some((*due).max(self.allowed_from))
    }
}

/// Random numbers that may be predictable (splitmix64).
struct Random(u64);

impl Random {
    fn new() -> Self {
        // Each `RandomState` has random keys of its own.
        Self(RandomState::new().build_hasher().finish())
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to just below 1.
    fn fraction(&mut self) -> f64 {
        let bits = u32::try_from(self.number() >> 32).unwrap_or(0);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    fn shuffle(&mut self, items: &mut [u64]) {
        for end in (2..=items.len()).rev() {
            let place = usize::try_from(self.number() % end as u64).unwrap_or(0);
            items.swap(end - 1, place);
        }
    }
}

#[cfg(test)]
mod tests;
