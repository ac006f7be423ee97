//! What plugins pass to the functions of the tables.

use std::ffi::{CStr, c_char};

use super::attachment::Attachment;
use crate::httpd::log::Level;

/// The longest message that a plugin may send, in bytes. A longer one is a mistake: a negative
/// number of 32 or 64 bits was taken for a length.
const MAX_SENT: usize = i32::MAX as usize;

pub(super) unsafe fn c_str<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: a plugin passes null or a terminated string that stays valid during the call.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// The bytes that a plugin passes. NULL is allowed if `length` is 0. `None` if there cannot be so
/// many bytes.
#[inline]
pub(super) unsafe fn bytes<'a>(bytes: *const u8, length: usize) -> Option<&'a [u8]> {
    if length == 0 {
        return Some(&[]);
    }
    if bytes.is_null() || length > MAX_SENT {
        return None;
    }
    // SAFETY: the plugin vouches for `length` readable bytes during the call. It was checked that a
    // slice may have as many.
    Some(unsafe { std::slice::from_raw_parts(bytes, length) })
}

/// The text that a plugin passes. `None` if it is not UTF-8 or there cannot be so many bytes.
///
/// # Safety
///
/// `text` is null, or has `length` bytes that are valid as long as the result.
pub(super) unsafe fn text<'t>(text: *const u8, length: usize) -> Option<&'t str> {
    // SAFETY: the caller vouches for `text` and `length`.
    let text = unsafe { bytes(text, length) }?;
    str::from_utf8(text).ok()
}

/// Logs that a plugin passes bytes that cannot be sent.
#[cold]
pub(super) fn refuse_to_send(attached: &Attachment, is_null: bool, length: usize) {
    let mistake = if is_null { "NULL" } else { "a buffer" };
    let message = format!(
        "the plugin called send with {mistake} of {length} bytes; nothing was sent (the longest \
         message has {MAX_SENT} bytes)"
    );
    attached.log(Level::Error, &message);
}
