//! Events and timers: what the module appends to the server table behind flow control.

use super::server::has_size;
use super::{FlowServer, WebSocketServer};
use std::ffi::{c_int, c_uint, c_void};
use std::mem::offset_of;

/// [`Post`] has taken the event.
pub const POST_ACCEPTED: c_int = 0;
/// [`Post`] has refused the event, because the connection is gone.
pub const POST_CLOSED: c_int = 1;
/// [`Post`] has refused the event, because too many wait.
pub const POST_FULL: c_int = 2;

/// `WS_OnEvent`: handles an event of a connection. The first argument is what `on_connect`
/// returned, the last what was posted. The module calls it like the other callbacks of the
/// connection, never beside one of them.
pub type OnEvent = unsafe extern "system" fn(*mut c_void, *const WebSocketServer, *mut c_void);

/// `WS_Discard`: frees an event that is not handled, because the connection has ended before.
pub type Discard = unsafe extern "system" fn(*mut c_void);

/// `WS_Post`: has the event, which is the last argument, handled after so many milliseconds; 0:
/// soon. Returns a `POST_*`. An event that is accepted is either handled or discarded, once. Any
/// thread may call it, from `on_connect` on until `on_disconnect` returns.
pub type Post = unsafe extern "system" fn(
    *const WebSocketServer,
    u64,
    OnEvent,
    Option<Discard>,
    *mut c_void,
) -> c_int;

/// The server table with events.
///
/// Check `size` before reading a field, with [`current`](Self::current).
#[repr(C)]
pub struct EventServer {
    /// The fields that older modules have, too.
    pub flow: FlowServer,
    /// See [`Post`].
    pub post: Post,
}

impl EventServer {
    /// The value of `size`: 208 on 64-bit systems.
    #[allow(clippy::cast_possible_truncation, reason = "a few hundred bytes")]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;

    /// The table behind `server`, if its size covers all fields.
    ///
    /// # Safety
    ///
    /// As for [`ExtendedServer::extended`](super::ExtendedServer::extended).
    #[must_use]
    pub unsafe fn current<'a>(server: *const WebSocketServer) -> Option<&'a Self> {
        // SAFETY: the caller guarantees `size`, and so the fields that it covers.
        unsafe { has_size(server, Self::SIZE).then(|| &*server.cast()) }
    }
}

// The offsets that plugins are built with. Moving a field requires a new major version.
const _: () = {
    assert!(offset_of!(EventServer, post) == size_of::<FlowServer>());
    assert!(size_of::<EventServer>() == size_of::<FlowServer>() + super::WORD);
};
