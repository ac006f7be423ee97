//! Who uses which table: one connection at a time.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use super::server::Server;
use super::table::TABLE;

/// The use of a [`Server`], for one connection at a time.
pub struct ServerLease {
    server: Arc<Server>,
    /// Whether the server is free for others when the lease ends.
    is_returned: bool,
}

/// Servers nobody uses, the longest unused first. None is ever freed.
static SPARE: Mutex<VecDeque<Arc<Server>>> = Mutex::new(VecDeque::new());

/// A server is used again only after so many others, so that a plugin which keeps a pointer for too
/// long finds no connection behind it, rather than a stranger's.
const REST: usize = 1024;

impl ServerLease {
    /// A server nobody else uses.
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

    /// The same server for one connection, while this lease goes on.
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
