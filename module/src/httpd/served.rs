//! The sockets that threads of the MPM serve. They show how a child stops where httpd does not
//! tell: on a hard stop the MPM closes them.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::sys;

static ARE_NOTED: AtomicBool = AtomicBool::new(false);

/// The sockets of connections that threads of the MPM serve.
static SERVED: Mutex<Vec<Socket>> = Mutex::new(Vec::new());

#[derive(Clone, Copy, PartialEq, Eq)]
struct Socket(*mut sys::apr_socket_t);

// SAFETY: other threads only check whether the socket is open, and only while it is in `SERVED`.
unsafe impl Send for Socket {}

/// Keeps a socket in the list that is checked while the child stops.
pub struct Served(Socket);

/// Sets whether sockets are to be noted.
pub fn note_sockets(are_noted: bool) {
    ARE_NOTED.store(are_noted, Ordering::Relaxed);
}

/// Whether sockets are noted.
pub fn are_sockets_noted() -> bool {
    ARE_NOTED.load(Ordering::Relaxed)
}

impl Served {
    /// Adds a socket to the list. `None` if sockets are not noted, because httpd tells how the
    /// child stops.
    ///
    /// # Safety
    ///
    /// The socket, if there is one, lives longer than the result.
    pub unsafe fn new(socket: *mut sys::apr_socket_t) -> Option<Self> {
        if socket.is_null() || !are_sockets_noted() {
            return None;
        }
        let socket = Socket(socket);
        served().push(socket);
        Some(Self(socket))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        served().retain(|socket| *socket != self.0);
    }
}

fn served() -> MutexGuard<'static, Vec<Socket>> {
    SERVED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the MPM has closed one of the sockets.
pub fn is_any_socket_closed() -> bool {
    served().iter().any(|socket| {
        let mut descriptor: c_int = 0;
        // SAFETY: the socket lives as long as it is in the list (`Served::new`). The MPM may write
        // the number that this reads at the same time.
        unsafe { sys::apr_os_sock_get(&raw mut descriptor, socket.0) };
        descriptor < 0
    })
}
