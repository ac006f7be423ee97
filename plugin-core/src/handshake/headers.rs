//! The headers of the request and of the response.

use super::bytes;
use crate::abi::{ExtendedServer, WebSocketServer};
use std::ffi::CString;
use std::fmt;
use std::ptr;

/// Names and values of the request's headers; see [`Handshake::headers`](super::Handshake::headers).
#[derive(Clone)]
pub struct Headers<'h> {
    server: *const WebSocketServer,
    table: &'h ExtendedServer,
    next: usize,
}

impl<'h> Headers<'h> {
    /// Of the handshake `server` stands for, which is `table`.
    pub(super) const fn new(server: *const WebSocketServer, table: &'h ExtendedServer) -> Self {
        Self {
            server,
            table,
            next: 0,
        }
    }

    fn next_bytes(&mut self) -> Option<(&'h [u8], &'h [u8])> {
        let (mut name, mut value) = (ptr::null(), ptr::null());
        // SAFETY: the host keeps the table and the texts valid during `on_connect`, and thus in `'h`.
        unsafe {
            let header = self.table.request_header;
            if header(self.server, self.next, &raw mut name, &raw mut value) == 0 {
                return None;
            }
            self.next += 1;
            Some((bytes(name)?, bytes(value)?))
        }
    }
}

impl<'h> Iterator for Headers<'h> {
    type Item = (&'h str, &'h str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (name, value) = self.next_bytes()?;
            if let (Ok(name), Ok(value)) = (str::from_utf8(name), str::from_utf8(value)) {
                return Some((name, value));
            }
        }
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

/// A name or value that cannot stand in a header of the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHeader {
    name: String,
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "header {:?}: not a valid name or value", self.name)
    }
}

impl std::error::Error for InvalidHeader {}

/// Name and value for C, without anything that would end the header or its value early.
pub(super) fn checked(name: &str, value: &str) -> Result<(CString, CString), InvalidHeader> {
    let valid_name = !name.is_empty() && name.bytes().all(is_token);
    let valid_value = !value.bytes().any(|b| b.is_ascii_control() && b != b'\t');
    match (CString::new(name), CString::new(value)) {
        (Ok(name), Ok(value)) if valid_name && valid_value => Ok((name, value)),
        _ => Err(InvalidHeader {
            name: name.to_owned(),
        }),
    }
}

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::checked;

    #[test]
    fn names_are_tokens_and_values_have_no_control_characters() {
        for (name, value) in [("X-Id", "7"), ("a", ""), ("a", "\t\u{e4}")] {
            assert!(checked(name, value).is_ok(), "{name}: {value}");
        }
        for (name, value) in [
            ("", "7"),
            ("X Id", "7"),
            ("X:", "7"),
            ("a", "7\r\nb: 8"),
            ("a", "\0"),
        ] {
            assert!(checked(name, value).is_err(), "{name}: {value}");
        }
    }
}
