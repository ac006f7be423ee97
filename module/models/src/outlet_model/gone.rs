//! Takes the place of the descriptor of that name.

use std::io;
use std::sync::Arc;

use loom::sync::{Condvar, Mutex};

use super::outlet::Waited;
use super::parties::Client;

/// Set once, and rung whenever a client takes more.
#[derive(Clone)]
pub(super) struct Gone(Arc<(Mutex<bool>, Condvar)>);

impl Gone {
    #[allow(clippy::unnecessary_wraps, reason = "that of the module may fail")]
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new((Mutex::new(false), Condvar::new()))))
    }

    pub(super) fn set(&self) {
        let (is_set, changed) = &*self.0;
        *is_set.lock().unwrap() = true;
        changed.notify_all();
    }

    /// The client takes more.
    pub(super) fn ring(&self) {
        let (is_set, changed) = &*self.0;
        let _is_set = is_set.lock().unwrap();
        changed.notify_all();
    }

    /// What `poll` does.
    pub(super) fn wait(&self, client: &Client) -> Waited {
        let (is_set, changed) = &*self.0;
        let mut guard = is_set.lock().unwrap();
        loop {
            if *guard {
                return Waited::Gone;
            }
            if client.is_writable() {
                return Waited::Ready;
            }
            guard = changed.wait(guard).unwrap();
        }
    }
}
