//! The table through which a plugin talks to one of its connections.

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use websocket_plugin::abi;

use crate::batch;
use crate::httpd::guard::guard;
use crate::httpd::log::{Client, Level};
use crate::httpd::refusal::Refusal;
use crate::httpd::request::Request;
use crate::httpd::section::Section;
use crate::output::{Caller, Closed, Output, Queued};
use crate::protocol::{Account, Milliseconds, Opcode};

/// The connection a [`Server`] stands for at the moment.
pub struct Attachment {
    output: Arc<Output>,
    /// Not needed to send.
    origin: RwLock<Origin>,
    /// Set when the 101 response has been sent and headers can no longer be changed.
    is_open: AtomicBool,
    /// The answer to the client, if the plugin has named one and refuses.
    refusal: Mutex<Option<Refusal>>,
    /// Where the plugin was set.
    section: Option<Arc<Section>>,
    /// Whether each frame is logged.
    traces_frames: bool,
}

/// Where a connection comes from.
enum Origin {
    /// A request that is still there.
    Request(Opening),
    /// A request that has ended.
    Client(Client),
}

/// A request, and the subprotocols it offers: texts in its pool.
pub(super) struct Opening {
    pub(super) request: Request,
    pub(super) subprotocols: Vec<*const c_char>,
}

// SAFETY: the pointers lead to texts that stay as they are for as long as the request lives.
unsafe impl Send for Opening {}
// SAFETY: as above.
unsafe impl Sync for Opening {}

impl Attachment {
    /// Describes a connection to its plugin, which is set in `section`.
    #[must_use]
    pub fn new(
        request: Request,
        output: Arc<Output>,
        subprotocols: &[&str],
        section: Option<Arc<Section>>,
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
            traces_frames: request.is_logged(Level::Trace4),
        }
    }

    /// What of the path lies behind the section of the configuration that names the plugin: empty,
    /// or beginning with a slash. httpd's own `path_info` depends on which files there are. For the
    /// handler's thread.
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

    /// Tells the error log how the connection has ended, and the access log, if its line is not
    /// written yet. For the one thread that uses the connection, when the plugin does not use the
    /// request any more.
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

    /// Response headers set from now on change nothing.
    pub fn set_open(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    /// Names the answer to the client, if `on_connect` is to refuse.
    pub(super) fn reject(&self, refusal: Refusal) {
        *self.refusal() = Some(refusal);
    }

    /// The answer the plugin named.
    #[must_use]
    pub fn take_refusal(&self) -> Option<Refusal> {
        self.refusal().take()
    }

    fn refusal(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request is about to end: waits until nobody uses it any more, and sees to it that nobody
    /// will.
    pub fn outlive_request(&self) {
        let mut origin = self.origin.write().unwrap_or_else(PoisonError::into_inner);
        if let Origin::Request(Opening { request, .. }) = &*origin {
            *origin = Origin::Client(request.client());
        }
    }

    /// Runs `body` with the request, which stays there meanwhile, unless it has ended.
    pub(super) fn with_request<T>(&self, body: impl FnOnce(&Opening) -> Option<T>) -> Option<T> {
        let origin = self.origin.read().unwrap_or_else(PoisonError::into_inner);
        match &*origin {
            Origin::Request(opening) => body(opening),
            Origin::Client(_) => None,
        }
    }

    /// Writes a line about the connection to the error log.
    pub fn log(&self, level: Level, message: &str) {
        let origin = self.origin.read().unwrap_or_else(PoisonError::into_inner);
        match &*origin {
            Origin::Request(opening) => opening.request.log(level, message),
            Origin::Client(client) => client.log(level, message),
        }
    }

    pub(super) fn output(&self) -> &Arc<Output> {
        &self.output
    }

    /// Sets a response header, as long as that changes anything.
    pub(super) fn set_header(&self, name: &CStr, value: &[u8]) {
        self.with_request(|opening| {
            let is_early = !self.is_open.load(Ordering::Acquire);
            is_early.then(|| opening.request.set_response_header(name, value))
        });
    }
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

/// A server and what is attached to it.
type Callee = (*const Server, *const Attachment);

thread_local! {
    /// Whose callbacks this thread is running; null pointers if none.
    static CALLEE: Cell<Callee> = const { Cell::new((ptr::null(), ptr::null())) };
}

/// A `WebSocketServer` and the connection behind it.
///
/// It never moves and is never freed while a plugin may hold a pointer to it: plugins keep the
/// pointer of one connection and use it on a later one of the same thread. With no connection
/// attached every function answers as for a connection that is gone.
pub struct Server {
    table: abi::ServerTable,
    attached: Mutex<Option<Attached>>,
}

/// A connection, and what senders need of it.
#[derive(Clone)]
struct Attached {
    output: Arc<Output>,
    attachment: Arc<Attachment>,
    traces_frames: bool,
}

// SAFETY: the table does not change after `new`; the rest is behind a lock.
unsafe impl Send for Server {}
// SAFETY: as above.
unsafe impl Sync for Server {}

impl Server {
    /// A server with the functions of `table` that stands for no connection yet.
    #[must_use]
    pub(super) fn create(mut table: abi::ServerTable) -> Arc<Self> {
        Arc::new_cyclic(|server: &Weak<Self>| {
            table.extended.base.state = server.as_ptr().cast_mut().cast();
            Self {
                table,
                attached: Mutex::new(None),
            }
        })
    }

    /// The pointer the plugin gets.
    #[must_use]
    pub fn as_abi(&self) -> *const abi::WebSocketServer {
        &raw const self.table.extended.base
    }

    /// From now on the table stands for this connection.
    pub fn attach(&self, attachment: Arc<Attachment>) {
        *self.lock() = Some(Attached {
            output: Arc::clone(&attachment.output),
            traces_frames: attachment.traces_frames(),
            attachment,
        });
    }

    /// From now on the table stands for no connection.
    pub fn detach(&self) {
        *self.lock() = None;
    }

    /// Runs callbacks of the connection the table stands for, which is `attached`. What they call
    /// needs no lock to find it.
    pub fn in_callbacks<T>(&self, attached: &Attachment, body: impl FnOnce() -> T) -> T {
        /// Puts back what was there before, also after a panic.
        struct Outer(Callee);
        impl Drop for Outer {
            fn drop(&mut self) {
                CALLEE.set(self.0);
                if self.0.0.is_null() {
                    batch::write();
                }
            }
        }
        let _outer = Outer(CALLEE.replace((self, attached)));
        body()
    }

    /// Sends a text to the client, unless the connection is closing.
    pub(super) fn send_text(&self, text: &str) {
        self.with_attached(|attached, caller| {
            let sent = attached.output.send(Opcode::Text, text.as_bytes(), caller);
            sent.ok()
        });
    }

    /// Calls `body` with the connection the table stands for, if any.
    #[inline]
    pub(super) fn with_attached<T>(
        &self,
        body: impl FnOnce(&Attachment, Caller) -> Option<T>,
    ) -> Option<T> {
        let (server, attachment) = CALLEE.get();
        if ptr::eq(server, self) {
            // SAFETY: the caller of `in_callbacks`, which this thread is in, holds the attachment.
            let attachment = unsafe { attachment.as_ref() }?;
            return body(attachment, Caller::Own);
        }
        let attached = self.lock().clone()?;
        body(&attached.attachment, caller_of(server))
    }

    /// Sends a message to the connection the table stands for, by `send` if that takes more than
    /// to queue it. Returns whether the message was accepted.
    ///
    /// # Errors
    ///
    /// [`Closed`] when there is no connection, and those of `send`.
    #[inline]
    pub(super) fn send(
        &self,
        opcode: Opcode,
        payload: &[u8],
        send: impl FnOnce(&Attachment, Caller) -> Result<bool, Closed>,
    ) -> Result<bool, Closed> {
        let (server, attachment) = CALLEE.get();
        if ptr::eq(server, self) {
            // SAFETY: the caller of `in_callbacks`, which this thread is in, holds the attachment.
            let attachment = unsafe { attachment.as_ref() }.ok_or(Closed)?;
            return send(attachment, Caller::Own);
        }
        let caller = caller_of(server);
        // A message to many connections costs what memory it touches: usually no count of
        // references, and nothing of the connection but its queue.
        let (attached, queued) = {
            let attached = self.lock();
            let attached = attached.as_ref().ok_or(Closed)?;
            let queued = if attached.traces_frames {
                Queued::No
            } else {
                attached.output.queue(opcode, payload, caller)?
            };
            if queued == Queued::Accepted {
                return Ok(true);
            }
            (attached.clone(), queued)
        };
        if queued == Queued::Due {
            attached.output.tell_home(caller);
            return Ok(true);
        }
        send(&attached.attachment, caller)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Attached>> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who calls, where the callbacks of `server` are running and it is not the one that is called.
fn caller_of(server: *const Server) -> Caller {
    if server.is_null() {
        Caller::Thread
    } else {
        Caller::Callback
    }
}

/// Runs the body of a table function on the connection the table stands for.
///
/// # Safety
///
/// `server` is null or a table that a [`Server`] has made, or a copy of one.
pub(super) unsafe fn with_attached<T>(
    server: *const abi::WebSocketServer,
    absent: T,
    body: impl FnOnce(&Attachment, Caller) -> Option<T>,
) -> T
where
    T: Copy,
{
    // SAFETY: as for `with_server`.
    unsafe { with_server(server, absent, |server| server.with_attached(body)) }
}

/// Runs the body of a table function on its server.
///
/// # Safety
///
/// `server` is null or a table that a [`Server`] has made, or a copy of one.
#[inline]
pub(super) unsafe fn with_server<T>(
    server: *const abi::WebSocketServer,
    absent: T,
    body: impl FnOnce(&Server) -> Option<T>,
) -> T
where
    T: Copy,
{
    guard("a function of WebSocketServer", absent, || {
        // SAFETY: `state` of such a table points to its `Server`, which is never freed while
        // plugins may use it.
        let server = unsafe {
            server
                .as_ref()
                .and_then(|table| table.state.cast::<Server>().as_ref())
        };
        server.and_then(body).unwrap_or(absent)
    })
}
