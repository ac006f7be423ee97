//! What our module appends to the server table.

use super::{Refuse, WEBSOCKET_SERVER_VERSION_1, WORD, WebSocketServer};
use std::ffi::{c_char, c_int, c_uint};
use std::mem::offset_of;

/// [`SendMessage`] or [`TrySendMessage`] took the message.
pub const SEND_ACCEPTED: c_int = 0;
/// [`SendMessage`] or [`TrySendMessage`] refused the message, because the connection is closing or gone.
pub const SEND_CLOSED: c_int = 1;
/// [`TrySendMessage`] refused the message, because `send` would have to wait for the client now.
pub const SEND_FULL: c_int = 2;

/// [`RequestInfo`]: the method of the request line.
pub const REQUEST_METHOD: c_int = 0;
/// [`RequestInfo`]: the request target as the client sent it.
pub const REQUEST_URI: c_int = 1;
/// [`RequestInfo`]: what follows the configured location in the path.
pub const REQUEST_PATH_INFO: c_int = 2;
/// [`RequestInfo`]: the query string, without the question mark.
pub const REQUEST_QUERY: c_int = 3;
/// [`RequestInfo`]: the user httpd authenticated.
pub const REQUEST_USER: c_int = 4;
/// [`RequestInfo`]: the client's IP address.
pub const REQUEST_CLIENT_ADDRESS: c_int = 5;
/// [`RequestInfo`]: `http` or `https`.
pub const REQUEST_SCHEME: c_int = 6;

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

/// Sends one message of a `MESSAGE_TYPE_*`, which is copied. Returns [`SEND_ACCEPTED`] or
/// [`SEND_CLOSED`], and so tells, as [`Send`](super::Send) cannot, an empty message that was taken
/// from a failure. Like `send` it may be called from any thread until `on_disconnect` returns.
pub type SendMessage =
    unsafe extern "system" fn(*const WebSocketServer, c_int, *const u8, usize) -> c_int;
/// One of the `REQUEST_*` facts, null when it is absent. May be called, and the text is valid,
/// during `on_connect`.
pub type RequestInfo = unsafe extern "system" fn(*const WebSocketServer, c_int) -> *const c_char;
/// The name and value of the request header at a position from 0 on. Returns 0, and leaves the two
/// alone, past the last. May be called, and the texts are valid, during `on_connect`.
pub type RequestHeader = unsafe extern "system" fn(
    *const WebSocketServer,
    usize,
    *mut *const c_char,
    *mut *const c_char,
) -> c_int;
/// The HTTP status, 300 to 599, of the refusal when `on_connect` then returns null; 403 without it. See
/// [`Refuse`], too.
pub type Reject = unsafe extern "system" fn(*const WebSocketServer, c_int);
/// Writes a UTF-8 text to httpd's error log at a `LOG_*` level, with the client if the table stands
/// for a connection. May be called from any thread as long as the table is valid.
pub type Log = unsafe extern "system" fn(*const WebSocketServer, c_int, *const u8, usize);

/// `WS_Try_Send`: sends one message of a `MESSAGE_TYPE_*`, which is copied, unless it would have to wait
/// for the client. Returns [`SEND_ACCEPTED`], [`SEND_CLOSED`], or [`SEND_FULL`], after which the message is
/// not queued and nothing of it is sent. Like `send` it may be called from any thread until
/// `on_disconnect` returns, and in `on_connect`. A close frame is never refused for want of room.
pub type TrySendMessage =
    unsafe extern "system" fn(*const WebSocketServer, c_int, *const u8, usize) -> c_int;

/// The C table and what was appended to it at first.
///
/// A reader takes a field from it only after a look at `base.size`, with [`extended`](Self::extended).
#[repr(C)]
pub struct ExtendedServer {
    /// The C table; its `size` is that of all that is there.
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
    /// The least value of `base.size` where these fields are there: 120 on 64-bit systems.
    #[allow(clippy::cast_possible_truncation, reason = "a hundred bytes")]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;

    /// The extended table behind `server`, if its size says that these fields are there.
    ///
    /// They were appended in one release, so there is no table with only some of them.
    ///
    /// # Safety
    ///
    /// `server` points to a table with at least the fields `size` and `version`, and as much more as
    /// `size` says, valid for `'a`.
    #[must_use]
    pub unsafe fn extended<'a>(server: *const WebSocketServer) -> Option<&'a Self> {
        // SAFETY: the caller vouches for `size`, and thus for the fields that it covers.
        unsafe { has_size(server, Self::SIZE).then(|| &*server.cast()) }
    }
}

/// The server table of our module: all of it.
///
/// A reader takes a field from it only after a look at `size`, with [`current`](Self::current). What follows
/// the older fields was appended in one release.
#[repr(C)]
pub struct ServerTable {
    /// What older modules have, too.
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

    /// The table behind `server`, if its size says that all of today's fields are there.
    ///
    /// # Safety
    ///
    /// As for [`ExtendedServer::extended`].
    #[must_use]
    pub unsafe fn current<'a>(server: *const WebSocketServer) -> Option<&'a Self> {
        // SAFETY: the caller vouches for `size`, and thus for the fields that it covers.
        unsafe { has_size(server, Self::SIZE).then(|| &*server.cast()) }
    }
}

/// Whether a table reaches so far.
///
/// # Safety
///
/// `server` points to a table with at least the fields `size` and `version`.
unsafe fn has_size(server: *const WebSocketServer, size: c_uint) -> bool {
    // SAFETY: the caller vouches for these fields. They are read through the raw pointer: a reference to
    // a whole struct could span too much.
    unsafe { (*server).version >= WEBSOCKET_SERVER_VERSION_1 && (*server).size >= size }
}

// The offsets plugins are built with; a field that moves is a new major version.
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
