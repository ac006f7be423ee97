//! The connection behind a plugin's table: its request, its client and its output.

use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use websocket_plugin::abi;

use super::access::TopicAccess;
use super::mailbox::{Event, Mailbox, Refused};
use crate::httpd::gate;
use crate::httpd::log::{Client, Level};
use crate::httpd::refusal::Refusal;
use crate::httpd::request::Request;
use crate::httpd::section::Section;
use crate::output::{Caller, Output};
use crate::protocol::{Account, Closer, Closing, Milliseconds};
use crate::topics::{Subscriber, TopicError};

/// The connection that a [`Server`](super::server::Server) stands for at the moment.
pub struct Attachment {
    output: Arc<Output>,
    /// The request or the client. Sending does not need it.
    origin: RwLock<Origin>,
    /// Set when the 101 response has been sent, and headers can no longer be changed.
    is_open: AtomicBool,
    /// The response to the client that the plugin has named, in case it refuses the connection.
    refusal: Mutex<Option<Refusal>>,
    /// The section of the configuration that names the plugin.
    section: Option<Arc<Section>>,
    topics: TopicAccess,
    /// How the connection has ended.
    ending: OnceLock<Box<abi::Ending>>,
    /// What the plugin wants called when there is room in a queue again.
    on_drain: Mutex<Option<abi::OnDrain>>,
    /// What gets the client's messages, if the plugin wants them in parts.
    on_part: Mutex<OnPart>,
    /// Made for the first event. `None` means that the connection has ended.
    mailbox: OnceLock<Option<Box<Mailbox>>>,
    /// Whether each frame is logged.
    traces_frames: bool,
}

/// What gets the client's messages in parts.
#[derive(Default)]
struct OnPart {
    callback: Option<abi::OnPart>,
    /// It cannot be changed any more.
    is_fixed: bool,
}

/// Where a connection comes from.
enum Origin {
    /// A request that is still there.
    Request(Opening),
    /// A request that has ended.
    Client(Client),
}

/// A request and the subprotocols that it offers. The texts are in the request's pool.
pub(super) struct Opening {
    pub(super) request: Request,
    pub(super) subprotocols: Vec<*const c_char>,
}

// SAFETY: the pointers lead to texts that do not change for as long as the request lives.
unsafe impl Send for Opening {}
// SAFETY: as above.
unsafe impl Sync for Opening {}

impl Attachment {
    /// A connection whose plugin is set in `section`.
    #[must_use]
    pub fn new(
        request: Request,
        output: Arc<Output>,
        subprotocols: &[&str],
        section: Option<Arc<Section>>,
        topics: TopicAccess,
    ) -> Self {
        request.let_threads_log();
        let subprotocols = subprotocols
            .iter()
            .map(|name| request.keep(name.as_bytes()))
            .collect();
        Self {
            output,
            origin: RwLock::new(Origin::Request(Opening {
                request,
                subprotocols,
            })),
            is_open: AtomicBool::new(false),
            refusal: Mutex::new(None),
            section,
            topics,
            ending: OnceLock::new(),
            on_drain: Mutex::new(None),
            on_part: Mutex::default(),
            mailbox: OnceLock::new(),
            traces_frames: request.is_logged(Level::Trace4),
        }
    }

    /// The part of the path behind the configuration section that names the plugin: empty, or
    /// beginning with a slash. httpd's own `path_info` depends on which files exist. Called only by
    /// the handler's thread.
    pub(super) fn path_info(&self, request: Request) -> *const c_char {
        match &self.section {
            Some(section) => section.path_behind(request),
            None => request.path_info_ptr(),
        }
    }

    /// Whether each frame is to be logged.
    #[inline]
    #[must_use]
    pub const fn traces_frames(&self) -> bool {
        self.traces_frames
    }

    /// Writes to the error log how the connection has ended. Sets notes for the access log, if its
    /// line is not written yet. Called by the one thread that uses the connection, when the plugin
    /// no longer uses the request.
    pub fn note_end(&self, account: &Account) {
        let section = self.section.as_ref();
        let place = section.map_or_else(String::new, |section| format!("; {section}"));
        self.log(
            Level::Info,
            &format!("the WebSocket has ended: {account}{place}"),
        );
        self.with_request(|opening| {
            note_end(opening.request, account);
            Some(())
        });
    }

    /// Notes how the connection has ended. The plugin may ask for it.
    pub fn set_ended(&self, closing: &Closing, is_clean: bool) {
        let closed_by = match closing.by {
            Closer::Client => abi::CLOSED_BY_CLIENT,
            Closer::Plugin => abi::CLOSED_BY_PLUGIN,
            Closer::Error => abi::CLOSED_BY_ERROR,
            Closer::Timeout => abi::CLOSED_BY_TIMEOUT,
            Closer::Drain => abi::CLOSED_BY_DRAIN,
            Closer::Limit => abi::CLOSED_BY_LIMIT,
            Closer::Shutdown => abi::CLOSED_BY_SHUTDOWN,
            Closer::Lost => abi::CLOSED_BY_NOBODY,
        };
        let ending = abi::Ending::told(closed_by, closing.code, &closing.reason, is_clean);
        let _ = self.ending.set(Box::new(ending));
    }

    /// How the connection has ended, if it has.
    pub(super) fn ending(&self) -> Option<&abi::Ending> {
        self.ending.get().map(|ending| &**ending)
    }

    /// Takes an event that is due after so many milliseconds, and arranges that the session handles
    /// it. A refused event stays the caller's.
    pub(super) fn post(
        &self,
        event: Event,
        milliseconds: u64,
        caller: Caller,
    ) -> Result<(), Refused> {
        let mailbox = self.mailbox.get_or_init(|| Some(Box::default()));
        let posted = match mailbox {
            Some(mailbox) => mailbox.post(event, due_after(milliseconds)),
            None => Err((Refused::Closed, event)),
        };
        posted.map_err(|(refused, event)| {
            event.leave();
            refused
        })?;
        if caller == Caller::Own {
            // The session looks at the end of its turn.
            self.output.set_due();
        } else {
            self.output.make_due();
        }
        Ok(())
    }

    /// Takes the next event that is due.
    #[must_use]
    pub fn take_event(&self, now: Instant) -> Option<Event> {
        self.mailbox.get()?.as_ref()?.take(now)
    }

    /// When the next event is due that is to come later.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        self.mailbox.get()?.as_ref()?.next_timer()
    }

    /// Takes no more events, and discards those that wait. Called while the plugin is loaded.
    pub fn discard_events(&self) {
        if let Some(mailbox) = self.mailbox.get_or_init(|| None) {
            mailbox.close();
        }
    }

    /// Sets what is called when a queue that had refused a message has room again.
    pub(super) fn set_on_drain(&self, on_drain: Option<abi::OnDrain>) {
        *self.on_drain.lock().unwrap_or_else(PoisonError::into_inner) = on_drain;
    }

    /// What is called when a queue that had refused a message has room again.
    #[must_use]
    pub fn on_drain(&self) -> Option<abi::OnDrain> {
        *self.on_drain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what gets the client's messages in parts; `None`: they come whole. Returns `false` if
    /// `on_connect` has returned, and this changes nothing any more.
    pub(super) fn set_on_part(&self, callback: Option<abi::OnPart>) -> bool {
        let mut on_part = self.on_part.lock().unwrap_or_else(PoisonError::into_inner);
        if !on_part.is_fixed {
            on_part.callback = callback;
        }
        !on_part.is_fixed
    }

    /// What gets the client's messages, if the plugin wants them in parts. From now on it cannot
    /// change that, so that what a thread of the plugin is told holds.
    #[must_use]
    pub fn fix_on_part(&self) -> Option<abi::OnPart> {
        let mut on_part = self.on_part.lock().unwrap_or_else(PoisonError::into_inner);
        on_part.is_fixed = true;
        on_part.callback
    }

    /// Whether `on_connect` is over, and the plugin has accepted the connection.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// From now on, setting a response header changes nothing.
    pub fn set_open(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    /// Sets the response to the client, in case `on_connect` refuses the connection.
    pub(super) fn reject(&self, refusal: Refusal) {
        *self.refusal() = Some(refusal);
    }

    /// Takes the response that the plugin has named.
    #[must_use]
    pub fn take_refusal(&self) -> Option<Refusal> {
        self.refusal().take()
    }

    fn refusal(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called when the request is about to end. Waits until no thread uses the request, and lets
    /// none use it any more.
    pub fn outlive_request(&self) {
        let mut origin = self.origin.write().unwrap_or_else(PoisonError::into_inner);
        if let Origin::Request(Opening { request, .. }) = &*origin {
            *origin = Origin::Client(request.client());
        }
    }

    /// Runs `body` with the request, unless it has ended. The request cannot end meanwhile.
    pub(super) fn with_request<T>(&self, body: impl FnOnce(&Opening) -> Option<T>) -> Option<T> {
        let origin = self.origin.read().unwrap_or_else(PoisonError::into_inner);
        match &*origin {
            Origin::Request(opening) => {
                let _entered = gate::enter().ok()?;
                body(opening)
            }
            Origin::Client(_) => None,
        }
    }

    /// Writes a line about the connection to the error log, unless the process is ending and the
    /// request is about to be freed.
    pub fn log(&self, level: Level, message: &str) {
        let origin = self.origin.read().unwrap_or_else(PoisonError::into_inner);
        match &*origin {
            Origin::Request(opening) => {
                if let Ok(_entered) = gate::enter() {
                    opening.request.log(level, message);
                }
            }
            Origin::Client(client) => client.log(level, message),
        }
    }

    /// What the connection may do with topics.
    pub(super) fn topics(&self) -> &TopicAccess {
        &self.topics
    }

    /// The connection as a subscriber of topics.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub(super) fn subscriber(&self) -> Result<&Subscriber, TopicError> {
        self.topics.subscriber(|space, most| {
            let user = self.with_request(|opening| opening.request.user());
            Subscriber::new(Arc::clone(&self.output), space, most, user)
        })
    }

    pub(super) fn output(&self) -> &Arc<Output> {
        &self.output
    }

    /// Sets a response header, unless the 101 response has been sent.
    pub(super) fn set_header(&self, name: &CStr, value: &[u8]) {
        self.with_request(|opening| {
            let is_early = !self.is_open.load(Ordering::Acquire);
            is_early.then(|| opening.request.set_response_header(name, value))
        });
    }
}

/// The time after so many milliseconds. `None`: now. A time that no clock can show never comes.
fn due_after(milliseconds: u64) -> Option<Instant> {
    /// A hundred years.
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    (milliseconds > 0).then(|| {
        let delay = Duration::from_millis(milliseconds).min(LONGEST);
        Instant::now() + delay
    })
}

/// Sets the notes for the access log.
fn note_end(request: Request, account: &Account) {
    let Account {
        closing,
        received,
        sent,
        ping,
        ..
    } = account;
    request.set_note(c"websocket-closed-by", closing.by.word());
    for (name, number) in [
        (c"websocket-close-code", closing.code.into()),
        (c"websocket-messages-in", received.messages),
        (c"websocket-bytes-in", received.bytes),
        (c"websocket-messages-out", sent.messages),
        (c"websocket-bytes-out", sent.bytes),
    ] {
        request.set_note(name, &number.to_string());
    }
    if let Some(ping) = ping {
        request.set_note(c"websocket-ping-ms", &Milliseconds(*ping).to_string());
    }
}
