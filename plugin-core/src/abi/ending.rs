//! How a connection ended, and how much waits for its client: functions that the module appends to
//! the server table behind those for topics.

use super::server::has_size;
use super::{TopicServer, WebSocketServer};
use std::ffi::{c_int, c_uint};
use std::mem::offset_of;

use crate::close::MAX_REASON;

/// [`Ending::closed_by`]: the client, with a close frame.
pub const CLOSED_BY_CLIENT: c_int = 0;
/// [`Ending::closed_by`]: the plugin.
pub const CLOSED_BY_PLUGIN: c_int = 1;
/// [`Ending::closed_by`]: the server, because the client broke a rule or something failed.
pub const CLOSED_BY_ERROR: c_int = 2;
/// [`Ending::closed_by`]: the server, because the client took too long.
pub const CLOSED_BY_TIMEOUT: c_int = 3;
/// [`Ending::closed_by`]: the server, because its process is being replaced.
pub const CLOSED_BY_DRAIN: c_int = 4;
/// [`Ending::closed_by`]: the server, because the client exceeded a limit.
pub const CLOSED_BY_LIMIT: c_int = 5;
/// [`Ending::closed_by`]: the server, because it stops.
pub const CLOSED_BY_SHUTDOWN: c_int = 6;
/// [`Ending::closed_by`]: nobody. The network connection ended without a close frame.
pub const CLOSED_BY_NOBODY: c_int = 7;

/// How a connection ended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Size of the struct in bytes, which its maker sets.
    pub size: c_uint,
    /// Set by the module: `CLOSED_BY_*`.
    pub closed_by: c_int,
    /// Set by the module: the status code of the close frame; 1005 if the frame had none, 1006 if
    /// there was no close frame (RFC 6455, section 7.4.1).
    pub code: c_int,
    /// Set by the module: not 0 if both sides sent a close frame (RFC 6455, section 7.1.4).
    pub is_clean: c_int,
    /// Set by the module: the length of `reason`, without the NUL at its end.
    pub reason_length: c_uint,
    /// Set by the module: the reason in the close frame, in UTF-8; empty if there was none.
    pub reason: [u8; MAX_REASON + 1],
}

impl Ending {
    /// The value of `size`.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "less than two hundred bytes"
    )]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;

    /// An answer. Of `reason`, as much as there is room for.
    #[must_use]
    pub fn told(closed_by: c_int, code: u16, reason: &str, is_clean: bool) -> Self {
        let mut ending = Self::new();
        ending.closed_by = closed_by;
        ending.code = c_int::from(code);
        ending.is_clean = c_int::from(is_clean);
        let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
        ending.reason[..reason.len()].copy_from_slice(reason.as_bytes());
        ending.reason_length = c_uint::try_from(reason.len()).unwrap_or(0);
        ending
    }

    /// Nothing is known yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            size: Self::SIZE,
            closed_by: CLOSED_BY_NOBODY,
            code: 0,
            is_clean: 0,
            reason_length: 0,
            reason: [0; MAX_REASON + 1],
        }
    }
}

impl Default for Ending {
    fn default() -> Self {
        Self::new()
    }
}

/// `WS_Ending`: tells in `on_disconnect` how the connection ended. Returns 0, and changes nothing,
/// if the connection has not ended or the struct is too small; otherwise 1.
pub type EndingOf = unsafe extern "system" fn(*const WebSocketServer, *mut Ending) -> c_int;

/// `WS_Buffered`: the bytes that wait to be sent to the client. Any thread may call it until
/// `on_disconnect` returns.
pub type Buffered = unsafe extern "system" fn(*const WebSocketServer) -> usize;

/// The server table with these functions.
///
/// Check `size` before reading a field, with [`current`](Self::current). One release appended all
/// fields after `topics`.
#[repr(C)]
pub struct EndingServer {
    /// The fields that older modules have, too.
    pub topics: TopicServer,
    /// See [`EndingOf`].
    pub ending: EndingOf,
    /// See [`Buffered`].
    pub buffered: Buffered,
}

impl EndingServer {
    /// The value of `size`: 184 on 64-bit systems.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "less than two hundred bytes"
    )]
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
    assert!(offset_of!(EndingServer, ending) == size_of::<TopicServer>());
    assert!(offset_of!(EndingServer, buffered) == size_of::<TopicServer>() + super::WORD);
    assert!(size_of::<EndingServer>() == size_of::<TopicServer>() + 2 * super::WORD);
    assert!(size_of::<Ending>() == 5 * 4 + 124);
};
