//! Flow control: what the module appends to the server table behind the functions for the end of a
//! connection.

use super::server::has_size;
use super::{EndingServer, WebSocketServer};
use std::ffi::{c_int, c_uint, c_void};
use std::mem::offset_of;

/// `WS_Pause`: keeps the client's messages from the plugin if the last argument is not 0; lets them
/// come again if it is 0. Returns 1, or 0 if the connection is closing or gone. Any thread may call
/// it, from `on_connect` on until `on_disconnect` returns.
pub type Pause = unsafe extern "system" fn(*const WebSocketServer, c_int) -> c_int;

/// `WS_OnDrain`: a message was refused or had to wait because the queue was full, and now half of
/// it is free again. The module calls it like the other callbacks of the connection, never beside
/// one of them.
pub type OnDrain = unsafe extern "system" fn(*mut c_void, *const WebSocketServer);

/// `WS_Set_OnDrain`: sets the callback for this connection; null: none. Any thread may call it,
/// from `on_connect` on until `on_disconnect` returns.
pub type SetOnDrain = unsafe extern "system" fn(*const WebSocketServer, Option<OnDrain>);

/// The server table with flow control.
///
/// Check `size` before reading a field, with [`current`](Self::current). One release appended all
/// fields after `ending`.
#[repr(C)]
pub struct FlowServer {
    /// The fields that older modules have, too.
    pub ending: EndingServer,
    /// See [`Pause`].
    pub pause: Pause,
    /// See [`SetOnDrain`].
    pub on_drain: SetOnDrain,
}

impl FlowServer {
    /// The value of `size`: 200 on 64-bit systems.
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
    assert!(offset_of!(FlowServer, pause) == size_of::<EndingServer>());
    assert!(offset_of!(FlowServer, on_drain) == size_of::<EndingServer>() + super::WORD);
    assert!(size_of::<FlowServer>() == size_of::<EndingServer>() + 2 * super::WORD);
};
