//! How many WebSockets one HTTP/2 connection may have.
//!
//! Each keeps a thread of mod_http2, which gives a connection six at first, fewer to one whose streams
//! are often reset: the rest of them is what serves ordinary requests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The open WebSockets of each connection that has any.
static OPEN: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

/// The place of one WebSocket on its connection, free for another when dropped.
#[derive(Debug)]
pub struct Place {
    connection: usize,
}

impl Place {
    /// A place on `connection`, unless it has `most` WebSockets already.
    #[must_use]
    pub fn take(connection: usize, most: usize) -> Option<Self> {
        let mut open = open();
        let count = open.get(&connection).copied().unwrap_or(0);
        (count < most).then(|| {
            open.insert(connection, count + 1);
            Self { connection }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = open();
        match open.get_mut(&self.connection) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.connection)),
        }
    }
}

fn open() -> MutexGuard<'static, BTreeMap<usize, usize>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{Place, open};

    #[test]
    fn a_connection_has_no_more_places_than_it_may() {
        let [first, second] = [1, 2].map(|_| Place::take(1001, 2));
        assert!(first.is_some() && second.is_some());
        assert!(Place::take(1001, 2).is_none());
        assert!(Place::take(1001, 3).is_some());
    }

    #[test]
    fn a_place_is_free_again_when_its_websocket_is_gone() {
        let first = Place::take(1002, 1);
        drop(first);
        let again = Place::take(1002, 1);
        assert!(again.is_some() && Place::take(1002, 1).is_none());
    }

    #[test]
    fn connections_do_not_share_places() {
        let [one, other] = [1003, 1004].map(|connection| Place::take(connection, 1));
        assert!(one.is_some() && other.is_some());
    }

    #[test]
    fn nothing_is_kept_of_a_connection_without_websockets() {
        drop([1, 2].map(|_| Place::take(1005, 2)));
        assert!(!open().contains_key(&1005));
    }
}
