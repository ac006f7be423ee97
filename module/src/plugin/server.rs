//! The table through which a plugin talks to one of its connections.

use std::cell::Cell;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use websocket_plugin::abi;

use super::attachment::Attachment;
use super::sequence::Successor;
use crate::batch;
use crate::budget;
use crate::httpd::guard::guard;
use crate::output::{Caller, Closed, Output, Queued};
use crate::protocol::Opcode;
use crate::topics::Publisher;

/// A server, and what is attached to it.
type Callee = (*const Server, *const Attachment);

thread_local! {
    /// The server whose callbacks this thread is running. Null pointers if it runs none.
    static CALLEE: Cell<Callee> = const { Cell::new((ptr::null(), ptr::null())) };
}

/// A `WebSocketServer` and the connection behind it.
///
/// It never moves, and is never freed while a plugin may hold a pointer to it: plugins keep the
/// pointer of one connection and use it on a later one of the same thread. With no connection
/// attached, every function answers as for a connection that is gone.
// In this order of fields a sender touches two cache lines.
#[repr(C)]
pub struct Server {
    attached: Mutex<Option<Attached>>,
    table: abi::WriteServer,
    successor: Successor,
}

/// A connection, and what senders need of it.
struct Attached {
    output: Arc<Output>,
    attachment: Arc<Attachment>,
    traces_frames: bool,
}

/// What is left to do after [`Server::queue`].
enum Rest {
    Nothing,
    /// Tell the connection's home that something waits.
    Tell(Arc<Output>),
    /// Send the message, which is not in the queue.
    Send(Arc<Attachment>),
}

// SAFETY: the table does not change after `create`. The rest is behind a lock or atomic.
unsafe impl Send for Server {}
// SAFETY: as above.
unsafe impl Sync for Server {}

impl Server {
    /// A server with the functions of `table` and no connection yet.
    #[must_use]
    pub(super) fn create(mut table: abi::WriteServer) -> Arc<Self> {
        Arc::new_cyclic(|server: &Weak<Self>| {
            let variables = &mut table.metrics.parts.variables;
            let topics = &mut variables.events.flow.ending.topics;
            topics.table.extended.base.state = server.as_ptr().cast_mut().cast();
            Self {
                table,
                attached: Mutex::new(None),
                successor: Successor::default(),
            }
        })
    }

    /// The pointer that the plugin gets.
    #[must_use]
    pub fn as_abi(&self) -> *const abi::WebSocketServer {
        (&raw const self.table).cast()
    }

    /// Makes the table stand for this connection.
    pub fn attach(&self, attachment: Arc<Attachment>) {
        *self.lock() = Some(Attached {
            output: Arc::clone(attachment.output()),
            traces_frames: attachment.traces_frames(),
            attachment,
        });
    }

    /// Makes the table stand for no connection. The connection that it stood for leaves all topics.
    pub fn detach(&self) {
        let attached = self.lock().take();
        if let Some(attached) = attached {
            attached.attachment.topics().end();
            attached.attachment.discard_events();
        }
    }

    /// Runs callbacks of `attached`, the connection that the table stands for. Functions of the
    /// table that they call need no lock to find the connection.
    pub fn in_callbacks<T>(&self, attached: &Attachment, body: impl FnOnce() -> T) -> T {
        /// Puts back the outer callee, also after a panic.
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
            let sent = attached
                .output()
                .send(Opcode::Text, text.as_bytes(), caller);
            sent.ok()
        });
    }

    /// Calls `body` with the connection that the table stands for, if there is one.
    #[inline]
    pub(super) fn with_attached<T>(
        &self,
        body: impl FnOnce(&Attachment, Caller) -> Option<T>,
    ) -> Option<T> {
        let (server, attachment) = CALLEE.get();
        if ptr::eq(server, self) {
            // SAFETY: this thread is in `in_callbacks`, whose caller holds the attachment.
            let attachment = unsafe { attachment.as_ref() }?;
            return body(attachment, Caller::Own);
        }
        let attached = self.lock();
        let attachment = Arc::clone(&attached.as_ref()?.attachment);
        drop(attached);
        body(&attachment, caller_of(server))
    }

    /// Sends a message to the connection that the table stands for. Calls `send` if the message
    /// cannot simply be queued. Returns whether the message was accepted.
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
            // SAFETY: this thread is in `in_callbacks`, whose caller holds the attachment.
            let attachment = unsafe { attachment.as_ref() }.ok_or(Closed)?;
            return send(attachment, Caller::Own);
        }
        let caller = caller_of(server);
        match self.queue(opcode, payload, caller)? {
            Rest::Nothing => budget::relieve(),
            Rest::Tell(output) => {
                budget::relieve();
                output.tell_home(caller);
            }
            Rest::Send(attachment) => return send(&attachment, caller),
        }
        Ok(true)
    }

    /// Queues a message if nothing else has to be done for it. The cost of a message to many
    /// connections is the memory that it touches. So this changes no reference count without need,
    /// and touches nothing of the connection but its output. The lock keeps the output alive.
    /// Nothing is done under the lock that takes another lock than the queue's.
    #[inline]
    fn queue(&self, opcode: Opcode, payload: &[u8], caller: Caller) -> Result<Rest, Closed> {
        let attached = self.lock();
        let attached = attached.as_ref().ok_or(Closed)?;
        let this = ptr::from_ref(self).addr();
        // SAFETY: only `ServerLease` creates servers, and it never frees one.
        unsafe { self.successor.follow(this, &attached.output) };
        let queued = if attached.traces_frames {
            Queued::No
        } else {
            attached.output.queue(opcode, payload, caller)?
        };
        Ok(match queued {
            Queued::Accepted => Rest::Nothing,
            Queued::Due => Rest::Tell(Arc::clone(&attached.output)),
            Queued::No => Rest::Send(Arc::clone(&attached.attachment)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Attached>> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls `body` with the identity under which this thread publishes.
pub(super) fn as_publisher<T>(body: impl FnOnce(Publisher<'_>) -> T) -> T {
    let (server, attachment) = CALLEE.get();
    // SAFETY: this thread is in `in_callbacks`, whose caller holds the attachment.
    let attachment = unsafe { attachment.as_ref() };
    body(Publisher {
        caller: caller_of(server),
        own: attachment.map(|attachment| &**attachment.output()),
    })
}

/// What a thread counts as if it runs callbacks of `server` and calls a function of another server.
fn caller_of(server: *const Server) -> Caller {
    if server.is_null() {
        Caller::Thread
    } else {
        Caller::Callback
    }
}

/// Runs the body of a table function with the connection that the table stands for.
///
/// # Safety
///
/// `server` is null, or a table that a [`Server`] has made, or a copy of one.
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

/// Runs the body of a table function with its server.
///
/// # Safety
///
/// `server` is null, or a table that a [`Server`] has made, or a copy of one.
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
        // SAFETY: the `state` of such a table points to its `Server`, which is never freed while
        // plugins may use it.
        let server = unsafe {
            server
                .as_ref()
                .and_then(|table| table.state.cast::<Server>().as_ref())
        };
        server.and_then(body).unwrap_or(absent)
    })
}
