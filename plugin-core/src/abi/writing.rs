//! Messages that a plugin writes piece by piece: what the module appends to the server table behind
//! metrics.

use super::server::has_size;
use super::{MetricServer, WebSocketServer};
use std::ffi::{c_int, c_uint};
use std::mem::offset_of;

/// [`Begin`] or [`Write`]: another thread, or another part of the plugin, is writing a message.
pub const SEND_BUSY: c_int = 3;

/// [`Write`]: more of the message follows.
pub const WRITE_MORE: c_int = 0;
/// [`Write`]: more follows, and what was written so far is sent now.
pub const WRITE_FLUSH: c_int = 1;
/// [`Write`]: the message ends here.
pub const WRITE_END: c_int = 2;

/// `WS_Begin`: begins a message, `MESSAGE_TYPE_TEXT` or `MESSAGE_TYPE_BINARY`. Other messages to
/// the client wait until it has ended. Returns [`SEND_ACCEPTED`](super::SEND_ACCEPTED),
/// [`SEND_CLOSED`](super::SEND_CLOSED) or [`SEND_BUSY`]. Like `send`, any thread may call it until
/// `on_disconnect` returns.
pub type Begin = unsafe extern "system" fn(*const WebSocketServer, c_int) -> c_int;

/// `WS_Write`: adds bytes to the message that was begun. The last argument is one of the `WRITE_*`.
/// It waits while the queue is full, as `send` does. Returns
/// [`SEND_ACCEPTED`](super::SEND_ACCEPTED), [`SEND_CLOSED`](super::SEND_CLOSED), also if no message
/// was begun, or [`SEND_BUSY`].
pub type Write =
    unsafe extern "system" fn(*const WebSocketServer, *const u8, usize, c_int) -> c_int;

/// The complete server table of our module.
///
/// Check `size` before reading a field, with [`current`](Self::current). One release appended all
/// fields after `metrics`.
#[repr(C)]
pub struct WriteServer {
    /// The fields that older modules have, too.
    pub metrics: MetricServer,
    /// See [`Begin`].
    pub begin: Begin,
    /// See [`Write`].
    pub write: Write,
}

impl WriteServer {
    /// The value of `size`: 248 on 64-bit systems.
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
    assert!(offset_of!(WriteServer, begin) == size_of::<MetricServer>());
    assert!(offset_of!(WriteServer, write) == size_of::<MetricServer>() + super::WORD);
    assert!(size_of::<WriteServer>() == size_of::<MetricServer>() + 2 * super::WORD);
};
