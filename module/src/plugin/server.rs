//! The table through which a plugin talks to one of its connections.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::c_char;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use websocket_plugin::abi;

use super::table;
use crate::httpd::request::Request;
use crate::link::{Caller, Link};

/// The connection a [`Server`] stands for at the moment.
pub struct Attachment {
    request: Request,
    link: Arc<Link>,
    /// Texts in the request's pool.
    subprotocols: Vec<*const c_char>,
    /// Set when the 101 response has been sent and headers can no longer be changed.
    is_open: AtomicBool,
    /// The status of a refusal, if the plugin named one.
    rejection: AtomicU16,
}

// SAFETY: the pointers lead to texts that stay as they are for as long as the request lives, which is
// longer than the attachment.
unsafe impl Send for Attachment {}
// SAFETY: as above.
unsafe impl Sync for Attachment {}

impl Attachment {
    /// Describes a connection to its plugin.
    #[must_use]
    pub fn new(request: Request, link: Arc<Link>, subprotocols: &[&str]) -> Self {
        let subprotocols = subprotocols
            .iter()
            .map(|name| request.keep(name.as_bytes()))
            .collect();
        Self {
            request,
            link,
            subprotocols,
            is_open: AtomicBool::new(false),
            rejection: AtomicU16::new(0),
        }
    }

    /// Response headers set from now on change nothing.
    pub fn set_open(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    /// Names the status of the refusal, if `on_connect` is to refuse.
    pub(super) fn reject(&self, status: u16) {
        self.rejection.store(status, Ordering::Relaxed);
    }

    /// The status the plugin gave for its refusal.
    #[must_use]
    pub fn rejection(&self) -> Option<u16> {
        Some(self.rejection.load(Ordering::Relaxed)).filter(|&status| status != 0)
    }

    pub(super) fn request(&self) -> Request {
        self.request
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    pub(super) fn subprotocols(&self) -> &[*const c_char] {
        &self.subprotocols
    }

    /// The request whose response headers may still be changed.
    pub(super) fn opening(&self) -> Option<Request> {
        (!self.is_open.load(Ordering::Acquire)).then_some(self.request)
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
/// It never moves and is never freed while a plugin may hold a pointer to it: plugins keep the pointer
/// of one connection and use it on a later one of the same thread. With no connection attached every
/// function answers as for a connection that is gone.
pub struct Server {
    table: abi::ExtendedServer,
    attached: Mutex<Option<Arc<Attachment>>>,
}

// SAFETY: the table does not change after `new`; the rest is behind a lock.
unsafe impl Send for Server {}
// SAFETY: as above.
unsafe impl Sync for Server {}

impl Server {
    /// A table that stands for no connection yet.
    #[must_use]
    fn create() -> Arc<Self> {
        Arc::new_cyclic(|server: &Weak<Self>| {
            let mut table = table::TABLE;
            table.base.state = server.as_ptr().cast_mut().cast();
            Self {
                table,
                attached: Mutex::new(None),
            }
        })
    }

    /// The pointer the plugin gets.
    #[must_use]
    pub fn as_abi(&self) -> *const abi::WebSocketServer {
        &raw const self.table.base
    }

    /// A table that stands for no connection and is valid as long as the module is loaded.
    #[must_use]
    pub(super) fn unattached() -> *const abi::WebSocketServer {
        &raw const table::UNATTACHED.0.base
    }

    /// From now on the table stands for this connection.
    pub fn attach(&self, attachment: Arc<Attachment>) {
        *self.lock() = Some(attachment);
    }

    /// From now on the table stands for no connection.
    pub fn detach(&self) {
        *self.lock() = None;
    }

    /// Runs callbacks of the connection the table stands for. What they call needs no lock to find it.
    pub fn in_callbacks<T>(&self, body: impl FnOnce() -> T) -> T {
        /// Puts back what was there before, also after a panic.
        struct Outer(Callee);
        impl Drop for Outer {
            fn drop(&mut self) {
                CALLEE.set(self.0);
            }
        }
        let attached = self.lock().clone();
        let attachment = attached.as_deref().map_or(ptr::null(), ptr::from_ref);
        let _outer = Outer(CALLEE.replace((self, attachment)));
        body()
    }

    /// Calls `body` with the connection the table stands for, if any.
    #[inline]
    pub(super) fn with_attached<T>(
        &self,
        body: impl FnOnce(&Attachment, Caller) -> Option<T>,
    ) -> Option<T> {
        let (server, attachment) = CALLEE.get();
        if ptr::eq(server, self) {
            // SAFETY: `in_callbacks`, which this thread is in, holds the attachment.
            let attachment = unsafe { attachment.as_ref() }?;
            return body(attachment, Caller::Callback);
        }
        let attached = self.lock().clone()?;
        body(&attached, Caller::Other)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Attachment>>> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
            server: spare.unwrap_or_else(Server::create),
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
