//! Messages in parts: what the module appends to the server table behind variables.

use super::server::has_size;
use super::{VariableServer, WebSocketServer};
use std::ffi::{c_int, c_uint, c_void};
use std::mem::offset_of;

/// `WS_OnPart`: receives the next part of a message. The arguments are those of
/// [`OnMessage`](super::OnMessage), and whether this is the last part of its message. Only the last
/// part may be empty. A part of a text ends between two characters. The module calls it like the
/// other callbacks of the connection, never beside one of them.
pub type OnPart =
    unsafe extern "system" fn(*mut c_void, *const WebSocketServer, c_int, *mut u8, usize, c_int);

/// `WS_Set_OnPart`: from now on the connection gets its messages in parts, and no
/// [`OnMessage`](super::OnMessage); null: it gets them whole. Returns 1, or 0 after `on_connect`,
/// when nothing changes any more.
pub type SetOnPart = unsafe extern "system" fn(*const WebSocketServer, Option<OnPart>) -> c_int;

/// The server table with messages in parts.
///
/// Check `size` before reading a field, with [`current`](Self::current).
#[repr(C)]
pub struct PartServer {
    /// The fields that older modules have, too.
    pub variables: VariableServer,
    /// See [`SetOnPart`].
    pub on_part: SetOnPart,
}

impl PartServer {
    /// The value of `size`: 224 on 64-bit systems.
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
    assert!(offset_of!(PartServer, on_part) == size_of::<VariableServer>());
    assert!(size_of::<PartServer>() == size_of::<VariableServer>() + super::WORD);
};
