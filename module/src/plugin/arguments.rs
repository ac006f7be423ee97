//! What plugins pass to the functions of tables.

use std::ffi::{CStr, c_char};

/// The longest message a plugin may send, in bytes. Longer ones are mistakes: what was a negative
/// number before it became a length, of 32 bits or of 64.
pub(super) const MAX_SENT: usize = i32::MAX as usize;

pub(super) unsafe fn c_str<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: a plugin passes null or a terminated string that stays valid during the call.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// The bytes a plugin passes; NULL stands for none. `None` if there cannot be so many.
#[inline]
pub(super) unsafe fn bytes<'a>(bytes: *const u8, length: usize) -> Option<&'a [u8]> {
    if length == 0 {
        return Some(&[]);
    }
    if bytes.is_null() || length > MAX_SENT {
        return None;
    }
    // SAFETY: the plugin vouches for `length` readable bytes during the call; that they are no more
    // than a slice may have was checked.
    Some(unsafe { std::slice::from_raw_parts(bytes, length) })
}

/// A text a plugin passes; `None` if it is none.
///
/// # Safety
///
/// `text` is null, or has `length` bytes that are valid as long as the result.
pub(super) unsafe fn text<'t>(text: *const u8, length: usize) -> Option<&'t str> {
    // SAFETY: the caller vouches for it.
    let text = unsafe { bytes(text, length) }?;
    str::from_utf8(text).ok()
}
