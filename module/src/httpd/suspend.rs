//! A connection that has left its MPM thread for good (event MPM).
//!
//! The handler returns `SUSPENDED`, and the MPM then runs the hook `suspend_connection`. The
//! connection is handed over only in that hook, because its thread uses it until then (event.c,
//! `process_socket`). httpd 2.4 cannot take a connection back. So this module also closes it, in
//! the same steps as the MPM.

mod remains;
mod thread;

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::pool::Pool;
use super::slot;
use super::socket::Socket;
use super::{conn, filters, sys};
use thread::MpmThread;

pub use thread::note_taken;

/// Takes a connection over. Dropping the adopter gives the connection up.
pub trait Adopter: Send + 'static {
    /// Called once, on the MPM's thread, which is about to let the connection go.
    fn adopt(self: Box<Self>, connection: Suspended);
}

/// The adopter that waits for the hook, in the connection's pool.
type Pending = Option<Box<dyn Adopter>>;

/// Has `adopter` called when the connection of `request` is handed over. If that never happens, the
/// adopter is dropped before the connection's memory is freed.
///
/// # Safety
///
/// The caller is the handler of a live request, whose connection `mpm::can_suspend` allows to
/// suspend. The handler returns `SUSPENDED` next.
pub unsafe fn suspend(request: *mut sys::request_rec, adopter: Box<dyn Adopter>) {
    // SAFETY: the caller vouches for the request; its connection lives at least as long.
    unsafe {
        let connection = (*request).connection;
        let pool = Pool::new((*connection).pool);
        let pending = pool.keep_first::<Pending>(Some(adopter));
        *slot(connection) = pending;
    }
}

/// The hook `suspend_connection`. It also runs for connections that wait for the next request, for
/// a write or for their end. Those are not ours.
pub unsafe fn hand_over(connection: *mut sys::conn_rec, request: *mut sys::request_rec) {
    // SAFETY: the MPM passes a live connection and, for a suspended one, its request; the slot
    // holds null or what `suspend` put there.
    unsafe {
        let state = (*connection).cs;
        if state.is_null() || (*state).state != sys::CONN_STATE_SUSPENDED || request.is_null() {
            return;
        }
        let Some(adopter) = (*slot(connection)).as_mut().and_then(Option::take) else {
            return;
        };
        // The thread that served the connection until now is not the one that will.
        (*connection).current_thread = ptr::null_mut();
        let worker = sys::ap_get_scoreboard_worker((*connection).sbh.cast());
        let Some(descriptor) = conn::descriptor(connection) else {
            // A hard stop has closed it. Dropping the adopter ends the session.
            return;
        };
        remains::free();
        adopter.adopt(Suspended {
            connection,
            request,
            thread: MpmThread::current(worker),
            socket: Socket::borrowed(descriptor),
        });
    }
}

/// The place of this module's pointer in the configuration of a connection.
unsafe fn slot(connection: *mut sys::conn_rec) -> *mut *mut Pending {
    // SAFETY: the caller has a live connection.
    unsafe { slot::slot((*connection).conn_config) }
}

/// A connection that belongs to this module until [`destroy`](Self::destroy).
pub struct Suspended {
    connection: *mut sys::conn_rec,
    request: *mut sys::request_rec,
    thread: MpmThread,
    /// Closed with the connection's pool, in `destroy`.
    socket: Socket,
}

// SAFETY: after the hook only the owner of this value uses the connection, except for the MPM's
// thread. `is_handed_over` and `remains` allow for that thread.
unsafe impl Send for Suspended {}

impl Suspended {
    /// Ends the request: writes the access log line, frees the request, and tells the client that
    /// nothing more comes. Never waits for the client. The request's stream must have been dropped.
    pub fn finish(&mut self) {
        // SAFETY: the connection is ours alone. These are the steps of
        // `ap_process_request_after_handler` and `ap_start_lingering_close` without their flushes,
        // which would wait for the client.
        unsafe {
            let connection = self.connection;
            let socket = sys::ap_get_conn_socket(connection);
            sys::apr_socket_timeout_set(socket, 0);
            let brigade = sys::apr_brigade_create((*connection).pool, (*connection).bucket_alloc);
            let end = sys::ap_bucket_eor_create((*connection).bucket_alloc, self.request);
            filters::append(brigade, end);
            sys::ap_pass_brigade((*connection).output_filters, brigade);
            self.request = ptr::null_mut();
            sys::ap_prep_lingering_close(connection);
            if (*connection).aborted == 0 {
                sys::ap_shutdown_conn(connection, 0);
                filters::flush_core(connection);
                sys::apr_socket_shutdown(socket, sys::APR_SHUTDOWN_WRITE);
            }
        }
    }

    /// The connection's socket.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether the client is known to be gone. Then there is nothing to wait for.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        // SAFETY: the connection is ours alone.
        unsafe { (*self.connection).aborted != 0 }
    }

    /// Whether the MPM has run all hooks of the handover, those of other modules included. Directly
    /// after them it clears `sbh`, which is set until then (event.c, `notify_suspend`).
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        // SAFETY: the connection lives until `destroy`. Another thread may write the pointer at the
        // same time.
        let sbh = unsafe { AtomicPtr::from_ptr(&raw mut (*self.connection).sbh) };
        sbh.load(Ordering::Acquire).is_null()
    }

    /// Closes the connection. Its memory is freed when the MPM's thread has stopped using it.
    pub fn destroy(self) {
        // SAFETY: the connection is ours alone and not used afterwards, but for the last writes of
        // the MPM's thread. The state is what the MPM's own clean-up goes by when it counts
        // connections (event.c, `decrement_connection_count`).
        unsafe {
            (*(*self.connection).cs).state = sys::CONN_STATE_SUSPENDED;
            remains::bury((*self.connection).pool, self.thread);
        }
    }
}
