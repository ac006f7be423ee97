//! Limits the WebSockets over HTTP/2.
//!
//! Each WebSocket holds a thread of mod_http2. A connection with WebSockets also holds a thread of
//! the MPM. Ordinary requests need both kinds of threads, and would wait for ever if WebSockets
//! held all of them. So there is a limit for each connection, and there are limits for the child
//! process.

pub mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The open WebSockets over HTTP/2 of this child process.
static OPEN: Mutex<Open> = Mutex::new(Open {
    connections: BTreeMap::new(),
    sockets: 0,
});

struct Open {
    /// The number of WebSockets of each connection that has any.
    connections: BTreeMap<usize, usize>,
    /// The number of all WebSockets.
    sockets: usize,
}

/// How many WebSockets a child process may have open over HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections with WebSockets. Each holds a thread of the MPM.
    pub connections: usize,
    /// The most WebSockets. Each holds a thread of mod_http2.
    pub sockets: usize,
}

impl Limits {
    /// All threads of the MPM and of mod_http2 except a tenth of each. The tenth is rounded up, so
    /// that at least one thread of each kind is left.
    #[must_use]
    pub const fn leaving_a_tenth(threads: usize, workers: usize) -> Self {
        Self {
            connections: threads.saturating_sub(threads.div_ceil(10)),
            sockets: workers.saturating_sub(workers.div_ceil(10)),
        }
    }
}

/// The limit that is reached, so that there is no room for another WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The WebSockets of one connection.
    Connection(usize),
    /// The connections with WebSockets in this child process.
    Connections(usize),
    /// The WebSockets over HTTP/2 in this child process.
    Sockets(usize),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(most) => write!(
                f,
                "the HTTP/2 connection has {most} WebSockets already (WebSocketH2MaxStreams)"
            ),
            Self::Connections(most) => write!(
                f,
                "this process has {most} HTTP/2 connections with WebSockets already, each of which \
                 holds a thread (ThreadsPerChild)"
            ),
            Self::Sockets(most) => write!(
                f,
                "this process has {most} WebSockets over HTTP/2 already, each of which holds a \
                 thread of mod_http2 (H2MaxWorkers)"
            ),
        }
    }
}

/// The place of one WebSocket on its connection. Dropping it frees the place for another.
#[derive(Debug)]
pub struct Place {
    connection: usize,
}

impl Place {
    /// Takes a place on `connection`, which may have `most` WebSockets, within the limits of the
    /// child process.
    ///
    /// # Errors
    ///
    /// The limit that is reached.
    pub fn take(connection: usize, most: usize, limits: Limits) -> Result<Self, Full> {
        open().add(connection, most, limits)?;
        Ok(Self { connection })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        open().remove(self.connection);
    }
}

impl Open {
    fn add(&mut self, connection: usize, most: usize, limits: Limits) -> Result<(), Full> {
        let count = self.connections.get(&connection).copied().unwrap_or(0);
        if count >= most {
            return Err(Full::Connection(most));
        }
        if count == 0 && self.connections.len() >= limits.connections {
            return Err(Full::Connections(limits.connections));
        }
        if self.sockets >= limits.sockets {
            return Err(Full::Sockets(limits.sockets));
        }
        self.connections.insert(connection, count + 1);
        self.sockets += 1;
        Ok(())
    }

    fn remove(&mut self, connection: usize) {
        self.sockets -= 1;
        match self.connections.get_mut(&connection) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.connections.remove(&connection)),
        }
    }
}

fn open() -> MutexGuard<'static, Open> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{Full, Limits, Open};
    use std::collections::BTreeMap;

    const PLENTY: Limits = Limits {
        connections: 100,
        sockets: 100,
    };

    fn nothing_open() -> Open {
        Open {
            connections: BTreeMap::new(),
            sockets: 0,
        }
    }

    #[test]
    fn a_connection_has_no_more_places_than_it_may() {
        let mut open = nothing_open();
        assert_eq!([1, 2].map(|_| open.add(7, 2, PLENTY)), [Ok(()), Ok(())]);
        assert_eq!(open.add(7, 2, PLENTY), Err(Full::Connection(2)));
        assert_eq!(open.add(7, 3, PLENTY), Ok(()));
        assert_eq!(open.add(8, 1, PLENTY), Ok(()));
    }

    #[test]
    fn a_place_is_free_again_when_its_websocket_is_gone() {
        let mut open = nothing_open();
        for _ in 0..2 {
            assert_eq!(open.add(7, 1, PLENTY), Ok(()));
            assert_eq!(open.add(7, 1, PLENTY), Err(Full::Connection(1)));
            open.remove(7);
        }
        assert!(open.connections.is_empty() && open.sockets == 0);
    }

    #[test]
    fn a_child_has_no_more_connections_with_websockets_than_it_may() {
        let limits = Limits {
            connections: 1,
            ..PLENTY
        };
        let mut open = nothing_open();
        assert_eq!(open.add(7, 2, limits), Ok(()));
        assert_eq!(open.add(8, 2, limits), Err(Full::Connections(1)));
        assert_eq!(open.add(7, 2, limits), Ok(()));
        open.remove(7);
        assert_eq!(open.add(8, 2, limits), Err(Full::Connections(1)));
        open.remove(7);
        assert_eq!(open.add(8, 2, limits), Ok(()));
    }

    #[test]
    fn a_child_has_no_more_websockets_than_it_may() {
        let limits = Limits {
            sockets: 2,
            ..PLENTY
        };
        let mut open = nothing_open();
        assert_eq!([7, 8].map(|on| open.add(on, 5, limits)), [Ok(()), Ok(())]);
        assert_eq!(open.add(7, 5, limits), Err(Full::Sockets(2)));
        open.remove(8);
        assert_eq!(open.add(7, 5, limits), Ok(()));
    }

    #[test]
    fn the_last_tenth_is_rounded_up() {
        for (threads, connections) in [(0, 0), (1, 0), (2, 1), (10, 9), (11, 9), (25, 22)] {
            let limits = Limits::leaving_a_tenth(threads, 64);
            assert_eq!((limits.connections, limits.sockets), (connections, 57));
        }
    }
}
