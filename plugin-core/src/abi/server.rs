//! The fields that our module appends to the server table.

use super::{Refuse, WEBSOCKET_SERVER_VERSION_1, WORD, WebSocketServer};
use std::ffi::{c_char, c_int, c_uint};
use std::mem::offset_of;

/// [`SendMessage`] or [`TrySendMessage`] accepted the message.
pub const SEND_ACCEPTED: c_int = 0;
/// [`SendMessage`] or [`TrySendMessage`] refused the message, because the connection is closing or
/// gone.
pub const SEND_CLOSED: c_int = 1;
/// [`TrySendMessage`] refused the message, because `send` would have to wait for the client.
pub const SEND_FULL: c_int = 2;

/// [`RequestInfo`]: the method of the request line.
pub const REQUEST_METHOD: c_int = 0;
/// [`RequestInfo`]: the request target as the client sent it.
pub const REQUEST_URI: c_int = 1;
/// [`RequestInfo`]: the part of the path after the configured location.
pub const REQUEST_PATH_INFO: c_int = 2;
/// [`RequestInfo`]: the query string, without the question mark.
pub const REQUEST_QUERY: c_int = 3;
/// [`RequestInfo`]: the user that httpd authenticated.
pub const REQUEST_USER: c_int = 4;
/// [`RequestInfo`]: the client's IP address.
pub const REQUEST_CLIENT_ADDRESS: c_int = 5;
/// [`RequestInfo`]: `http` or `https`.
pub const REQUEST_SCHEME: c_int = 6;
/// [`RequestInfo`]: the client's TCP port, in decimal digits.
pub const REQUEST_CLIENT_PORT: c_int = 7;

/// [`Log`]: httpd's level `error` (`APLOG_ERR`).
pub const LOG_ERROR: c_int = 3;
/// [`Log`]: httpd's level `warn` (`APLOG_WARNING`).
pub const LOG_WARNING: c_int = 4;
/// [`Log`]: httpd's level `info` (`APLOG_INFO`).
pub const LOG_INFO: c_int = 6;
/// [`Log`]: httpd's level `debug` (`APLOG_DEBUG`).
pub const LOG_DEBUG: c_int = 7;
/// [`Log`]: httpd's level `trace1` (`APLOG_TRACE1`).
pub const LOG_TRACE: c_int = 8;

/// Sends one message of a `MESSAGE_TYPE_*`. The module copies the payload. Returns
/// [`SEND_ACCEPTED`] or [`SEND_CLOSED`]. [`Send`](super::Send) cannot tell an accepted empty
/// message from a failure; this function can. Like `send`, any thread may call it until
/// `on_disconnect` returns.
pub type SendMessage =
    unsafe extern "system" fn(*const WebSocketServer, c_int, *const u8, usize) -> c_int;
/// Returns one of the `REQUEST_*` texts, or null if there is none. It may be called, and the text
/// is valid, during `on_connect`.
pub type RequestInfo = unsafe extern "system" fn(*const WebSocketServer, c_int) -> *const c_char;
/// Gets the name and the value of the request header with this index, from 0. Returns 0 and leaves
/// both pointers unchanged if the index is out of range. It may be called, and the texts are valid,
/// during `on_connect`.
pub type RequestHeader = unsafe extern "system" fn(
    *const WebSocketServer,
    usize,
    *mut *const c_char,
    *mut *const c_char,
) -> c_int;
/// Sets the HTTP status, 300 to 599, that the client gets if `on_connect` then returns null. The
/// default is 403. See [`Refuse`], too.
pub type Reject = unsafe extern "system" fn(*const WebSocketServer, c_int);
/// Writes a UTF-8 text to httpd's error log at a `LOG_*` level, with the client's address if the
/// table belongs to a connection. Any thread may call it while the table is valid.
pub type Log = unsafe extern "system" fn(*const WebSocketServer, c_int, *const u8, usize);

/// `WS_Try_Send`: sends one message of a `MESSAGE_TYPE_*`, unless it would have to wait for the
/// client. The module copies the payload. Returns [`SEND_ACCEPTED`], [`SEND_CLOSED`] or
/// [`SEND_FULL`]; in the latter case no part of the message has been queued or sent. Like `send`,
/// it may be called in `on_connect`, and by any thread until `on_disconnect` returns. There is
/// always room for a close frame.
pub type TrySendMessage =
    unsafe extern "system" fn(*const WebSocketServer, c_int, *const u8, usize) -> c_int;

/// The C table and the fields that were appended first.
///
/// Check `base.size` before reading a field, with [`extended`](Self::extended).
#[repr(C)]
pub struct ExtendedServer {
    /// The C table. Its `size` is the size of the whole table, with all appended fields.
    pub base: WebSocketServer,
    /// See [`SendMessage`].
    pub send_message: SendMessage,
    /// See [`RequestInfo`].
    pub request_info: RequestInfo,
    /// See [`RequestHeader`].
    pub request_header: RequestHeader,
    /// See [`Reject`].
    pub reject: Reject,
    /// See [`Log`].
    pub log: Log,
}

impl ExtendedServer {
    /// The smallest `base.size` of a table with these fields: 120 on 64-bit systems.
    #[allow(clippy::cast_possible_truncation, reason = "a hundred bytes")]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;

    /// The extended table behind `server`, if its size covers these fields.
    ///
    /// One release appended all of them, so no table has only some of them.
    ///
    /// # Safety
    ///
    /// `server` points to a table of `size` bytes, at least with the fields `size` and `version`.
    /// It is valid for `'a`.
    #[must_use]
    pub unsafe fn extended<'a>(server: *const WebSocketServer) -> Option<&'a Self> {
        // SAFETY: the caller guarantees `size`, and so the fields that it covers.
        unsafe { has_size(server, Self::SIZE).then(|| &*server.cast()) }
    }
}

/// The server table with `try_send_message` and `refuse`.
///
/// Check `size` before reading a field, with [`current`](Self::current). One release appended all
/// fields after `extended`.
#[repr(C)]
pub struct ServerTable {
    /// The fields that older modules have, too.
    pub extended: ExtendedServer,
    /// See [`TrySendMessage`].
    pub try_send_message: TrySendMessage,
    /// See [`Refuse`].
    pub refuse: Refuse,
}

impl ServerTable {
    /// The value of `size`: 136 on 64-bit systems.
    #[allow(clippy::cast_possible_truncation, reason = "a hundred bytes")]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;

    /// The table behind `server`, if its size covers all fields.
    ///
    /// # Safety
    ///
    /// As for [`ExtendedServer::extended`].
    #[must_use]
    pub unsafe fn current<'a>(server: *const WebSocketServer) -> Option<&'a Self> {
        // SAFETY: the caller guarantees `size`, and so the fields that it covers.
        unsafe { has_size(server, Self::SIZE).then(|| &*server.cast()) }
    }
}

/// Whether a table has at least `size` bytes.
///
/// # Safety
///
/// `server` points to a table with at least the fields `size` and `version`.
pub(super) unsafe fn has_size(server: *const WebSocketServer, size: c_uint) -> bool {
    // SAFETY: the caller guarantees these fields. They are read through the raw pointer, because a
    // reference to the whole struct could cover more than the table has.
    unsafe { (*server).version >= WEBSOCKET_SERVER_VERSION_1 && (*server).size >= size }
}

// The offsets that plugins are built with. Moving a field requires a new major version.
const _: () = {
    let base = size_of::<WebSocketServer>();
    assert!(offset_of!(ExtendedServer, send_message) == base);
    assert!(offset_of!(ExtendedServer, request_info) == base + WORD);
    assert!(offset_of!(ExtendedServer, request_header) == base + 2 * WORD);
    assert!(offset_of!(ExtendedServer, reject) == base + 3 * WORD);
    assert!(offset_of!(ExtendedServer, log) == base + 4 * WORD);
    assert!(size_of::<ExtendedServer>() == base + 5 * WORD);
    assert!(offset_of!(ServerTable, try_send_message) == base + 5 * WORD);
    assert!(offset_of!(ServerTable, refuse) == base + 6 * WORD);
    assert!(size_of::<ServerTable>() == base + 7 * WORD);
};
