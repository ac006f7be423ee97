//! Headers of the response: [`InvalidHeader`], and the rules for valid headers.

use std::ffi::CString;
use std::fmt;

/// The name or the value of a response header is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHeader {
    name: String,
    why: &'static str,
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "header {:?}: {}", self.name, self.why)
    }
}

impl std::error::Error for InvalidHeader {}

/// Converts name and value to C strings, if neither can end the header or its value early.
fn checked(name: &str, value: &str) -> Result<(CString, CString), InvalidHeader> {
    match (CString::new(name), CString::new(value)) {
        (Ok(name_for_c), Ok(value_for_c)) if is_valid(name.as_bytes(), value.as_bytes()) => {
            Ok((name_for_c, value_for_c))
        }
        _ => Err(InvalidHeader {
            name: name.to_owned(),
            why: "not a valid name or value",
        }),
    }
}

/// Like [`checked`], for the response that opens a connection.
pub(crate) fn checked_for_opening(
    name: &str,
    value: &str,
) -> Result<(CString, CString), InvalidHeader> {
    const OF_HANDSHAKE: [&str; 3] = [
        "Upgrade",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Extensions",
    ];
    if is_one_of(name.as_bytes(), &OF_HANDSHAKE) {
        return Err(left_to_httpd(name));
    }
    checked_for_refusal(name, value)
}

/// Like [`checked`], for the response to a refused client.
pub(crate) fn checked_for_refusal(
    name: &str,
    value: &str,
) -> Result<(CString, CString), InvalidHeader> {
    if is_framing(name.as_bytes()) {
        return Err(left_to_httpd(name));
    }
    checked(name, value)
}

fn left_to_httpd(name: &str) -> InvalidHeader {
    InvalidHeader {
        name: name.to_owned(),
        why: "httpd sets it",
    }
}

/// Whether a header may be part of the response to a refused client.
#[must_use]
pub fn fits_refusal(name: &[u8], value: &[u8]) -> bool {
    is_valid(name, value) && !is_framing(name)
}

fn is_valid(name: &[u8], value: &[u8]) -> bool {
    let valid_name = !name.is_empty() && name.iter().copied().all(is_token);
    valid_name && !value.iter().any(|b| b.is_ascii_control() && *b != b'\t')
}

/// Whether a header says where a response or its connection ends (RFC 9112, section 6; RFC 9110,
/// section 7.6.1). If it contradicted httpd, the client could take a part of this response for
/// another response.
fn is_framing(name: &[u8]) -> bool {
    const FRAMING: [&str; 5] = [
        "Connection",
        "Content-Length",
        "Keep-Alive",
        "Trailer",
        "Transfer-Encoding",
    ];
    is_one_of(name, &FRAMING)
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{checked, checked_for_opening};

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

    #[test]
    fn headers_that_make_the_handshake_valid_are_left_to_httpd() {
        for name in [
            "connection",
            "Upgrade",
            "sec-websocket-accept",
            "Sec-WebSocket-Extensions",
            "Content-Length",
        ] {
            assert!(checked_for_opening(name, "x").is_err(), "{name}");
        }
        for name in ["Set-Cookie", "Sec-WebSocket-Protocol"] {
            assert!(checked_for_opening(name, "x").is_ok(), "{name}");
        }
    }
}
