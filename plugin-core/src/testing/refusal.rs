//! [`Refusal`].

use crate::abi;
use crate::header;
use std::ffi::{CStr, c_char};
use std::slice;

/// The response of `mod_websocket` to a client that the plugin refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Refusal {
    pub(super) const fn with_status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: None,
        }
    }

    /// Copies the refusal that a plugin passed. Panics if it violates the rules.
    ///
    /// # Safety
    ///
    /// `refusal` points to a refusal with valid texts.
    pub(super) unsafe fn from_abi(refusal: *const abi::Refusal) -> Self {
        // SAFETY: the caller guarantees the refusal and its texts.
        unsafe {
            let refusal = &*refusal;
            assert!((300..=599).contains(&refusal.status), "no refusal");
            let headers = slice::from_raw_parts(refusal.headers, refusal.header_count)
                .iter()
                .map(|header| (text(header.name), text(header.value)))
                .inspect(|(name, _)| assert!(header::fits_refusal(name.as_bytes(), b""), "{name}"));
            Self {
                status: u16::try_from(refusal.status).expect("a status is small"),
                headers: headers.collect(),
                body: (!refusal.body.is_null())
                    .then(|| slice::from_raw_parts(refusal.body, refusal.body_length).to_vec()),
            }
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The first header of this name that the plugin added. The case of the name does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Names and values of the headers that the plugin added.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The body, or `None` if the client gets httpd's page.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }
}

/// # Safety
///
/// `text` is a C string.
unsafe fn text(text: *const c_char) -> String {
    // SAFETY: the caller guarantees a C string.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str()
        .expect("texts of Rust plugins are UTF-8")
        .to_owned()
}
