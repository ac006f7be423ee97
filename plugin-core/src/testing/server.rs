//! The server table of the test host.

mod callbacks;
mod events;
mod topics;

use super::clock::Clock;

use super::topics::functions::host_table;
use super::topics::{Receive, Space};
use super::{LogLine, Received, Refusal, Request, lock};
use crate::abi::{
    CLOSED_BY_PLUGIN, Ending, OnDrain, OnPart, REQUEST_USER, TopicTable, WebSocketServer,
    WriteServer,
};
use events::{Event, Events};
use std::collections::VecDeque;
use std::ffi::{c_int, c_uint};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{mem, ptr};

/// The size of the C module's table.
#[allow(clippy::cast_possible_truncation, reason = "less than a hundred bytes")]
pub(super) const C_SIZE: c_uint = size_of::<WebSocketServer>() as c_uint;

/// The host's side of a connection. The table is the first field, so that a pointer to the table is
/// one to the whole struct.
#[repr(C)]
pub(super) struct Server {
    table: WriteServer,
    /// Itself.
    own: Weak<Self>,
    id: u64,
    /// `None`: it belongs to no connection.
    space: Option<&'static Space>,
    request: Request,
    response: Mutex<Response>,
    sent: Mutex<Sent>,
    arrived: Condvar,
    /// Set when the connection has ended.
    ending: OnceLock<Ending>,
    log: Arc<Log>,
    clock: Arc<Clock>,
    events: Mutex<Option<Events>>,
}

// SAFETY: the table holds functions and a null pointer. All other fields are behind locks or never
// change.
unsafe impl Send for Server {}
// SAFETY: as above.
unsafe impl Sync for Server {}

struct Response {
    refusal: Refusal,
    subprotocol: Option<String>,
    headers: Vec<(String, String)>,
}

/// A message that a plugin has begun to write: its type and bytes, and the messages behind it.
struct Written {
    kind: c_int,
    bytes: Vec<u8>,
    behind: Vec<Received>,
}

#[derive(Default)]
struct Sent {
    queue: VecDeque<Received>,
    closed: bool,
    /// The plugin has closed the connection in this way.
    closing: Option<Ending>,
    /// The client does not read.
    full: bool,
    /// A message was refused since the client read the last time.
    has_refused: bool,
    on_drain: Option<OnDrain>,
    on_part: Option<OnPart>,
    /// A message that the plugin is writing.
    written: Option<Written>,
    /// The plugin does not read.
    is_paused: bool,
    /// Callbacks may have become due since the last wait.
    is_due: bool,
}

impl Server {
    /// A server with a table of `size` bytes. Calling a function beyond that size aborts.
    pub(super) fn new(
        size: c_uint,
        request: Request,
        log: Arc<Log>,
        space: Option<&'static Space>,
        clock: Arc<Clock>,
    ) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new_cyclic(|own| Self {
            table: callbacks::table(size),
            own: Weak::clone(own),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            space,
            request,
            response: Mutex::new(Response {
                refusal: Refusal::with_status(403),
                subprotocol: None,
                headers: Vec::new(),
            }),
            sent: Mutex::default(),
            arrived: Condvar::new(),
            ending: OnceLock::new(),
            log,
            clock,
            events: Mutex::new(Some(Events::default())),
        })
    }

    /// The pointer for the plugin. It must be valid for the whole server, not only for the table.
    pub(super) fn table(&self) -> *const WebSocketServer {
        ptr::from_ref(self).cast()
    }

    /// The topics of the connection's host.
    ///
    /// # Panics
    ///
    /// The server belongs to no connection.
    pub(super) fn space(&self) -> &'static Space {
        self.space.expect("the table belongs to a connection")
    }

    /// The table of the topics; of all hosts if the server belongs to no connection.
    pub(super) fn topics(&self) -> *const TopicTable {
        self.space.map_or_else(host_table, Space::table)
    }

    /// The user that httpd has authenticated.
    pub(super) fn user(&self) -> Option<String> {
        let user = self.request.find_info(REQUEST_USER)?;
        Some(user.to_string_lossy().into_owned())
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

    /// Waits a little for something that the plugin sends, and not beyond `deadline`. `None`:
    /// callbacks may have become due; for those of timers nobody is woken.
    pub(super) fn wait_for_sent(&self, deadline: Instant) -> Option<Received> {
        const SLICE: Duration = Duration::from_millis(5);
        let left = deadline.saturating_duration_since(Instant::now());
        let nothing = |sent: &mut Sent| sent.queue.is_empty() && !sent.is_due;
        let waited = self
            .arrived
            .wait_timeout_while(lock(&self.sent), left.min(SLICE), nothing);
        let (mut sent, _) = waited.unwrap_or_else(PoisonError::into_inner);
        sent.is_due = false;
        sent.queue.pop_front()
    }

    /// Pauses or resumes the client. Returns `false` if the connection is closed.
    fn set_paused(&self, is_paused: bool) -> bool {
        let mut sent = lock(&self.sent);
        sent.is_paused = is_paused;
        sent.is_due |= !is_paused;
        self.arrived.notify_all();
        !sent.closed
    }

    pub(super) fn is_paused(&self) -> bool {
        lock(&self.sent).is_paused
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.sent).closed
    }

    /// Refuses all messages from now on. The connection has ended in this way, unless the plugin
    /// has closed it.
    pub(super) fn hang_up(&self, ending: Ending) {
        let mut sent = lock(&self.sent);
        sent.closed = true;
        let _ = self.ending.set(sent.closing.unwrap_or(ending));
        drop(sent);
        if let Some(space) = &self.space {
            space.leave(self.id);
        }
    }

    /// How the connection has ended, if it has.
    pub(super) fn ending(&self) -> Option<Ending> {
        self.ending.get().copied()
    }

    /// The bytes that a client which does not read has not taken.
    pub(super) fn waiting(&self) -> usize {
        let sent = lock(&self.sent);
        let taken = sent.queue.iter().filter(|_| sent.full);
        taken.map(Received::length).sum()
    }

    /// Whether the client reads from now on.
    pub(super) fn set_reading(&self, is_reading: bool) {
        let mut sent = lock(&self.sent);
        sent.full = !is_reading;
        sent.is_due |= is_reading;
        self.arrived.notify_all();
    }

    fn set_on_drain(&self, on_drain: Option<OnDrain>) {
        lock(&self.sent).on_drain = on_drain;
    }

    fn set_on_part(&self, on_part: Option<OnPart>) {
        lock(&self.sent).on_part = on_part;
    }

    /// Begins a message. `Some(false)`: another one has begun; `None`: the connection is closed.
    fn begin(&self, kind: c_int) -> Option<bool> {
        let mut sent = lock(&self.sent);
        if sent.closed {
            return None;
        }
        let is_free = sent.written.is_none();
        if is_free {
            let (bytes, behind) = Default::default();
            sent.written = Some(Written {
                kind,
                bytes,
                behind,
            });
        }
        Some(is_free)
    }

    /// Adds to the message that was begun. Returns whether that was possible.
    fn write(&self, bytes: &[u8], is_last: bool) -> bool {
        let mut sent = lock(&self.sent);
        let Some(mut written) = sent.written.take().filter(|_| !sent.closed) else {
            return false;
        };
        written.bytes.extend_from_slice(bytes);
        if is_last {
            let message = Received::from_raw(written.kind, &written.bytes);
            sent.queue.push_back(message);
            sent.queue.extend(written.behind);
            self.arrived.notify_all();
        } else {
            sent.written = Some(written);
        }
        true
    }

    /// The callback for messages in parts, if the plugin wants parts.
    pub(super) fn on_part(&self) -> Option<OnPart> {
        lock(&self.sent).on_part
    }

    /// Takes an event that is due after so many milliseconds of the host's clock. Gives it back if
    /// the connection is gone (`true`) or too many wait.
    fn post(&self, event: Event, milliseconds: u64) -> Result<(), (bool, Event)> {
        let due = (milliseconds > 0).then(|| {
            self.clock
                .now()
                .saturating_add(Duration::from_millis(milliseconds))
        });
        match &mut *lock(&self.events) {
            Some(events) => events.post(event, due).map_err(|event| (false, event))?,
            None => return Err((true, event)),
        }
        lock(&self.sent).is_due = true;
        self.arrived.notify_all();
        Ok(())
    }

    /// The next event that is due.
    pub(super) fn take_event(&self) -> Option<Event> {
        lock(&self.events).as_mut()?.take(self.clock.now())
    }

    /// Takes no more events, and discards those that wait.
    pub(super) fn discard_events(&self) {
        let events = lock(&self.events).take();
        // Discarding runs code of the plugin.
        drop(events);
    }

    /// The callback to run because the client reads again after a message was refused.
    pub(super) fn take_drain(&self) -> Option<OnDrain> {
        let mut sent = lock(&self.sent);
        let is_due = !sent.full && !sent.closed && mem::take(&mut sent.has_refused);
        sent.on_drain.filter(|_| is_due)
    }

    /// Whether the message was accepted; `None` if it would have to wait.
    fn try_send(&self, message: Received) -> Option<bool> {
        let mut sent = lock(&self.sent);
        let waits = sent.full && !sent.closed;
        sent.has_refused |= waits;
        drop(sent);
        (!waits).then(|| self.send(message))
    }

    /// Whether the message was accepted.
    fn send(&self, message: Received) -> bool {
        let mut sent = lock(&self.sent);
        if sent.closed {
            return false;
        }
        if let Received::Close(code, reason) = &message {
            sent.closed = true;
            sent.closing = Some(Ending::told(CLOSED_BY_PLUGIN, code.get(), reason, true));
        }
        if let Some(written) = &mut sent.written
            && matches!(message, Received::Text(_) | Received::Binary(_))
        {
            written.behind.push(message);
            return true;
        }
        sent.queue.push_back(message);
        self.arrived.notify_all();
        true
    }
}

impl Receive for Server {
    fn receive(&self, message: Received) {
        self.send(message);
    }
}

/// The lines of a log.
#[derive(Default)]
pub(super) struct Log(pub(super) Mutex<Vec<LogLine>>);

impl Log {
    pub(super) fn lines(&self) -> Vec<LogLine> {
        lock(&self.0).clone()
    }
}
