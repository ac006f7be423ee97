//! How often clients may do something. It is the generic cell rate algorithm (ITU-T I.371, ATM
//! Forum), with one number for each client.
//!
//! The number is the time at which the client's next act would be due if it acted in even steps. It
//! may lie in the future by as much as the client may do at once. A number in the past says
//! nothing, so its cell is free for another client.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clients::ClientKey;
use crate::protocol::Rate;

/// A time, and in the upper bits a part of the key of the client that it belongs to.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(super) struct Cell(AtomicU64);

/// The unit of times. 44 bits of it are 34 years.
const UNIT: Duration = Duration::from_nanos(62_500);

const TIME_BITS: u32 = 44;

const TIME: u64 = (1 << TIME_BITS) - 1;

/// How many cells are searched for a client. If other clients use all of them, it is not limited.
const PROBES: usize = 8;

/// Counts one act of a client at the time `now`, if the client may act. Each rate is counted by
/// itself: what uses up a strict rate says nothing about a generous one.
///
/// # Errors
///
/// How long the client must wait, if it may not act now.
pub(super) fn count(
    cells: &[Cell],
    client: ClientKey,
    rate: Rate,
    now: Duration,
) -> Result<(), Duration> {
    let now = units(now);
    let client = client.about(rate);
    let (front, back) = cells.split_at(client.home(cells.len()));
    loop {
        let near = || back.iter().chain(front).take(PROBES);
        let known = near().find(|cell| cell.is_of(client, now));
        let Some(cell) = known.or_else(|| near().find(|cell| cell.is_free(now))) else {
            return Ok(());
        };
        let before = cell.0.load(Ordering::Relaxed);
        let due = (before & TIME).max(now);
        if before >> TIME_BITS != client.tag() && before & TIME > now {
            // Another client has just taken this cell.
            continue;
        }
        let step = units(rate.interval()).max(1);
        let most = now + step.saturating_mul(u64::from(rate.burst()) - 1);
        if due > most {
            return Err(UNIT.saturating_mul(u32::try_from(due - most).unwrap_or(u32::MAX)));
        }
        let after = client.tag() << TIME_BITS | (due + step) & TIME;
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        let changed = cell.0.compare_exchange(before, after, success, failure);
        if changed.is_ok() {
            return Ok(());
        }
    }
}

fn units(time: Duration) -> u64 {
    u64::try_from(time.as_nanos() / UNIT.as_nanos()).unwrap_or(u64::MAX) & TIME
}

impl Cell {
    fn is_of(&self, client: ClientKey, now: u64) -> bool {
        let value = self.0.load(Ordering::Relaxed);
        value >> TIME_BITS == client.tag() && value & TIME > now
    }

    fn is_free(&self, now: u64) -> bool {
        self.0.load(Ordering::Relaxed) & TIME <= now
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, ClientKey, Rate, count};
    use std::time::Duration;

    fn cells(count: usize) -> Vec<Cell> {
        std::iter::repeat_with(Cell::default).take(count).collect()
    }

    fn key(number: u32) -> ClientKey {
        ClientKey::new(std::net::Ipv4Addr::from(number).to_string().as_bytes(), 7)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_client_may_do_so_much_at_once_and_then_only_at_its_rate() {
        let cells = cells(64);
        let rate = Rate::new(10, SECOND, 5).unwrap();
        let act = |at: Duration| count(&cells, key(1), rate, at);
        let start = Duration::from_secs(1000);
        for _ in 0..5 {
            assert_eq!(act(start), Ok(()));
        }
        assert_eq!(act(start), Err(SECOND / 10));
        assert_eq!(act(start + SECOND / 20), Err(SECOND / 20));
        assert_eq!(act(start + SECOND / 10), Ok(()));
        assert!(act(start + SECOND / 10).is_err());
        // The client saves up no more than this, however long it waits.
        for _ in 0..5 {
            assert_eq!(act(start + SECOND * 100), Ok(()));
        }
        assert!(act(start + SECOND * 100).is_err());
    }

    #[test]
    fn clients_do_not_use_up_what_others_may_do() {
        let cells = cells(64);
        let rate = Rate::new(1, SECOND, 1).unwrap();
        for client in 0..20 {
            assert_eq!(count(&cells, key(client), rate, SECOND), Ok(()), "{client}");
            assert!(count(&cells, key(client), rate, SECOND).is_err());
        }
    }

    #[test]
    fn a_strict_rate_does_not_use_up_a_generous_one() {
        let cells = cells(64);
        let strict = Rate::new(1, SECOND * 3600, 1).unwrap();
        let generous = Rate::new(10, SECOND, 2).unwrap();
        for rate in [strict, generous] {
            assert_eq!(count(&cells, key(1), rate, SECOND), Ok(()));
        }
        assert!(count(&cells, key(1), strict, SECOND).is_err());
        assert_eq!(count(&cells, key(1), generous, SECOND), Ok(()));
        assert!(count(&cells, key(1), generous, SECOND).is_err());
    }

    #[test]
    fn with_more_clients_than_places_some_are_not_limited_for_a_while() {
        let cells = cells(2);
        let rate = Rate::new(1, SECOND, 1).unwrap();
        for client in 0..5 {
            assert_eq!(count(&cells, key(client), rate, SECOND), Ok(()));
        }
        assert_eq!(count(&[], key(1), rate, SECOND), Ok(()));
    }
}
