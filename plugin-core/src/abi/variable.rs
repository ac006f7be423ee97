//! Variables of a request: what the module appends to the server table behind events.

use super::server::has_size;
use super::{EventServer, WebSocketServer};
use std::ffi::{c_char, c_uint};
use std::mem::offset_of;

/// `WS_Variable`: one of httpd's variables for the request, by its name; null if there is none. It
/// may be called, and the text is valid, during `on_connect`. Later it returns null.
pub type Variable =
    unsafe extern "system" fn(*const WebSocketServer, *const c_char) -> *const c_char;

/// The server table with variables.
///
/// Check `size` before reading a field, with [`current`](Self::current).
#[repr(C)]
pub struct VariableServer {
    /// The fields that older modules have, too.
    pub events: EventServer,
    /// See [`Variable`].
    pub variable: Variable,
}

impl VariableServer {
    /// The value of `size`: 216 on 64-bit systems.
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
    assert!(offset_of!(VariableServer, variable) == size_of::<EventServer>());
    assert!(size_of::<VariableServer>() == size_of::<EventServer>() + super::WORD);
};
