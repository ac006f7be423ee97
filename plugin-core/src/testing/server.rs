//! The server table of the test host.

mod callbacks;

use super::{LogLine, Received, Refusal, Request};
use crate::abi::{ServerTable, WebSocketServer};
use std::collections::VecDeque;
use std::ffi::c_uint;
use std::ptr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The size of the C module's table.
#[allow(clippy::cast_possible_truncation, reason = "less than a hundred bytes")]
pub(super) const C_SIZE: c_uint = size_of::<WebSocketServer>() as c_uint;

/// How long [`Server::wait_for_sent`] waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection, seen from the host. The table comes first: it is what the plugin has a pointer to.
#[repr(C)]
pub(super) struct Server {
    table: ServerTable,
    request: Request,
    response: Mutex<Response>,
    sent: Mutex<Sent>,
    arrived: Condvar,
    log: Arc<Log>,
}

// SAFETY: the table holds functions, and a null pointer; all else is behind locks or never changes.
unsafe impl Send for Server {}
// SAFETY: as above.
unsafe impl Sync for Server {}

struct Response {
    refusal: Refusal,
    subprotocol: Option<String>,
    headers: Vec<(String, String)>,
}

#[derive(Default)]
struct Sent {
    queue: VecDeque<Received>,
    closed: bool,
    /// The client does not read.
    full: bool,
}

impl Server {
    /// A table of `size` bytes; what goes beyond it aborts when it is called.
    pub(super) fn new(size: c_uint, request: Request, log: Arc<Log>) -> Arc<Self> {
        Arc::new(Self {
            table: callbacks::table(size),
            request,
            response: Mutex::new(Response {
                refusal: Refusal::with_status(403),
                subprotocol: None,
                headers: Vec::new(),
            }),
            sent: Mutex::default(),
            arrived: Condvar::new(),
            log,
        })
    }

    /// What the plugin gets. It has to lead back to all of the server.
    pub(super) fn table(&self) -> *const WebSocketServer {
        ptr::from_ref(self).cast()
    }

    pub(super) fn refusal(&self) -> Refusal {
        lock(&self.response).refusal.clone()
    }

    pub(super) fn subprotocol(&self) -> Option<String> {
        lock(&self.response).subprotocol.clone()
    }

    pub(super) fn response_header(&self, name: &str) -> Option<String> {
        let response = lock(&self.response);
        let header = response
            .headers
            .iter()
            .rfind(|(n, _)| n.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.clone())
    }

    pub(super) fn take_sent(&self) -> Vec<Received> {
        lock(&self.sent).queue.drain(..).collect()
    }

    pub(super) fn wait_for_sent(&self) -> Received {
        let nothing = |sent: &mut Sent| sent.queue.is_empty();
        let waited = self
            .arrived
            .wait_timeout_while(lock(&self.sent), PATIENCE, nothing);
        let (mut sent, _) = waited.unwrap_or_else(PoisonError::into_inner);
        sent.queue
            .pop_front()
            .expect("the plugin sends something within ten seconds")
    }

    /// From now on, nothing is accepted.
    pub(super) fn hang_up(&self) {
        lock(&self.sent).closed = true;
    }

    /// Whether the client reads from now on.
    pub(super) fn set_reading(&self, is_reading: bool) {
        lock(&self.sent).full = !is_reading;
    }

    /// Whether the message was accepted; `None` if it would have to wait.
    fn try_send(&self, message: Received) -> Option<bool> {
        let sent = lock(&self.sent);
        let waits = sent.full && !sent.closed;
        drop(sent);
        (!waits).then(|| self.send(message))
    }

    /// Whether the message was accepted.
    fn send(&self, message: Received) -> bool {
        let mut sent = lock(&self.sent);
        if sent.closed {
            return false;
        }
        sent.closed = matches!(message, Received::Close(..));
        sent.queue.push_back(message);
        self.arrived.notify_all();
        true
    }
}

/// The lines of a log.
#[derive(Default)]
pub(super) struct Log(Mutex<Vec<LogLine>>);

impl Log {
    pub(super) fn lines(&self) -> Vec<LogLine> {
        lock(&self.0).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
