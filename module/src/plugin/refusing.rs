//! Reads a plugin's refusal.

use std::ffi::{CStr, c_char, c_int};
use std::slice;

use websocket_plugin::abi;
use websocket_plugin::abi::host::fits_refusal;

use super::server::with_attached;
use crate::httpd::refusal::{Page, Refusal};

/// The status codes that a plugin may answer with.
const STATUSES: std::ops::Range<u16> = 300..600;

/// `ServerTable::refuse`.
pub(super) unsafe extern "system" fn refuse(
    server: *const abi::WebSocketServer,
    refusal: *const abi::Refusal,
) {
    // SAFETY: a plugin passes the table it was given, and a refusal that is valid during the call.
    unsafe {
        with_attached(server, (), |attached, _| {
            attached.reject(read(refusal)?);
            Some(())
        });
    }
}

/// A refusal with this status and nothing else. `None` if a refusal may not have this status.
pub(super) fn with_status(status: c_int) -> Option<Refusal> {
    let status = u16::try_from(status).ok()?;
    STATUSES.contains(&status).then(|| Refusal::new(status))
}

/// Copies a refusal. `None` if it is not valid. Leaves out headers that are not valid.
///
/// # Safety
///
/// `refusal` is null, or points to a refusal that is as long as its `size` says and has as many
/// headers and bytes as it says.
unsafe fn read(refusal: *const abi::Refusal) -> Option<Refusal> {
    if refusal.is_null() {
        return None;
    }
    // SAFETY: every version begins with `size`. The caller vouches for the rest, as far as `size`
    // covers it.
    let refusal = unsafe {
        let size = usize::try_from((*refusal).size).ok()?;
        (size >= size_of::<abi::Refusal>()).then(|| &*refusal)?
    };
    // SAFETY: as above.
    let (headers, body) = unsafe {
        (
            slice_or_empty(refusal.headers, refusal.header_count),
            (!refusal.body.is_null()).then(|| slice_or_empty(refusal.body, refusal.body_length)),
        )
    };
    let mut answer = with_status(refusal.status)?;
    let mut media_type = c"text/plain; charset=utf-8";
    for header in headers {
        // SAFETY: as above.
        let Some((name, value)) = (unsafe { c_str(header.name).zip(c_str(header.value)) }) else {
            continue;
        };
        if !fits_refusal(name.to_bytes(), value.to_bytes()) {
            continue;
        }
        if name.to_bytes().eq_ignore_ascii_case(b"Content-Type") {
            media_type = value;
        } else {
            answer = answer.header(name, value.to_bytes());
        }
    }
    let Some(bytes) = body else {
        return Some(answer);
    };
    Some(answer.own_page(Page {
        media_type: media_type.to_owned(),
        bytes: bytes.to_vec(),
    }))
}

/// # Safety
///
/// `items` is null, or points to `count` of them that stay valid and unchanged for `'a`.
unsafe fn slice_or_empty<'a, T>(items: *const T, count: usize) -> &'a [T] {
    if items.is_null() {
        return &[];
    }
    // SAFETY: the caller vouches for the items.
    unsafe { slice::from_raw_parts(items, count) }
}

/// # Safety
///
/// `text` is null, or a C string that stays valid and unchanged for `'a`.
unsafe fn c_str<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller vouches for the text.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}
