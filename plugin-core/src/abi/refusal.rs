//! How a plugin refuses a client.

use super::{WORD, WebSocketServer};
use std::ffi::{c_char, c_int, c_uint};
use std::mem::offset_of;

/// The answer to a client when `on_connect` then returns null. Everything is copied. For `on_connect`;
/// the last call counts, and of [`Reject`](super::Reject) and this the one that came last.
pub type Refuse = unsafe extern "system" fn(*const WebSocketServer, *const Refusal);

/// An answer that refuses a client. It grows only at the end.
#[repr(C)]
pub struct Refusal {
    /// Size of the struct in bytes; nobody reads a field beyond it.
    pub size: c_uint,
    /// The HTTP status, 300 to 599; with any other the call does nothing.
    pub status: c_int,
    /// Headers to add. Those that are not valid, and those that say where the response ends, are left out.
    pub headers: *const ResponseHeader,
    /// How many these are.
    pub header_count: usize,
    /// The body, of the media type the header `Content-Type` names, or `text/plain; charset=utf-8`.
    /// Null: httpd's page for the status.
    pub body: *const u8,
    /// How long it is.
    pub body_length: usize,
}

/// A header of a response: C strings, the value in any encoding.
#[repr(C)]
pub struct ResponseHeader {
    /// Its name.
    pub name: *const c_char,
    /// Its value.
    pub value: *const c_char,
}

// The offsets plugins are built with.
const _: () = {
    let head = size_of::<c_uint>() + size_of::<c_int>();
    assert!(offset_of!(Refusal, status) == size_of::<c_uint>());
    assert!(offset_of!(Refusal, headers) == head);
    assert!(offset_of!(Refusal, body) == head + 2 * WORD);
    assert!(size_of::<Refusal>() == head + 4 * WORD);
    assert!(offset_of!(ResponseHeader, value) == WORD);
};
