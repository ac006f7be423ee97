//! Lends servers to connections, each to one connection at a time.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use super::server::Server;
use super::table::TABLE;

/// The use of a [`Server`] for one connection.
pub struct ServerLease {
    server: Arc<Server>,
    /// Whether the end of this lease makes the server available to other connections.
    is_returned: bool,
}

/// Unused servers, the longest unused first. No server is ever freed.
static SPARE: Mutex<VecDeque<Arc<Server>>> = Mutex::new(VecDeque::new());

/// At least this many servers stay unused. A plugin that keeps a pointer for too long then finds no
/// connection behind it, instead of another client's.
const REST: usize = 1024;

impl ServerLease {
    /// A server that no other connection uses.
    #[must_use]
    pub fn take() -> Self {
        let spare = {
            let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() > REST {
                spare.pop_front()
            } else {
                None
            }
        };
        Self {
            server: spare.unwrap_or_else(|| Server::create(TABLE)),
            is_returned: true,
        }
    }

    /// A second lease of this server for the same connection, to be used while this one exists.
    #[must_use]
    pub fn lend(&self) -> Self {
        Self {
            server: Arc::clone(&self.server),
            is_returned: false,
        }
    }
}

impl Deref for ServerLease {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Drop for ServerLease {
    fn drop(&mut self) {
        if self.is_returned {
            SPARE
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_back(Arc::clone(&self.server));
        }
    }
}
