//! The response with which a plugin refuses a client.

use super::{WORD, WebSocketServer};
use std::ffi::{c_char, c_int, c_uint};
use std::mem::offset_of;

/// `WS_Refuse`: sets the response that the client gets if `on_connect` then returns null. The
/// module copies everything. It has an effect only in `on_connect`, where the last call of this or
/// [`Reject`](super::Reject) counts.
pub type Refuse = unsafe extern "system" fn(*const WebSocketServer, *const Refusal);

/// A response that refuses a client. The struct grows only at its end.
#[repr(C)]
pub struct Refusal {
    /// Size of the struct in bytes. The module reads no field beyond it.
    pub size: c_uint,
    /// The HTTP status, 300 to 599. With any other status the call has no effect.
    pub status: c_int,
    /// Headers to add. The module skips those that are invalid and those that say where the
    /// response ends.
    pub headers: *const ResponseHeader,
    /// The number of headers.
    pub header_count: usize,
    /// The body. The header `Content-Type` gives its media type; the default is `text/plain;
    /// charset=utf-8`. Null stands for httpd's page for the status.
    pub body: *const u8,
    /// The length of the body in bytes.
    pub body_length: usize,
}

/// A header of a response, as C strings. The value may have any encoding.
#[repr(C)]
pub struct ResponseHeader {
    /// The name.
    pub name: *const c_char,
    /// The value.
    pub value: *const c_char,
}

// The offsets that plugins are built with.
const _: () = {
    let head = size_of::<c_uint>() + size_of::<c_int>();
    assert!(offset_of!(Refusal, status) == size_of::<c_uint>());
    assert!(offset_of!(Refusal, headers) == head);
    assert!(offset_of!(Refusal, body) == head + 2 * WORD);
    assert!(size_of::<Refusal>() == head + 4 * WORD);
    assert!(offset_of!(ResponseHeader, value) == WORD);
};
