//! [`Message`].

mod as_message;

pub use as_message::AsMessage;

use crate::MessageKind;
use crate::abi::{MESSAGE_TYPE_BINARY, MESSAGE_TYPE_TEXT};
use std::ffi::c_int;

/// A text or a binary message, from the client or to it (RFC 6455, section 5.6).
///
/// It borrows its payload. [`Sender::send`](crate::Sender::send) takes messages, and whatever is
/// one [`AsMessage`]: `"text"`, `string`, `b"bytes"`, `&vec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// A text message, which is always UTF-8.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The payload, of a text or a binary message.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Whether it is text.
    #[must_use]
    pub const fn kind(self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// The message's `MESSAGE_TYPE_*` and its payload.
    pub(crate) const fn into_parts(self) -> (c_int, &'a [u8]) {
        let kind = match self {
            Self::Text(_) => MESSAGE_TYPE_TEXT,
            Self::Binary(_) => MESSAGE_TYPE_BINARY,
        };
        (kind, self.as_bytes())
    }

    /// The text, or `None` for a binary message.
    #[must_use]
    pub const fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The length of the payload in bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty. An empty message is valid.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Parses the payload of a text or a binary message as JSON.
    ///
    /// # Errors
    ///
    /// The message is not JSON, or the JSON does not describe a `T`. With `?` the error closes the
    /// connection with 1007, and the client is told what is wrong. To choose another code,
    /// `map_err` it to a [`Close`](crate::Close).
    #[cfg(feature = "json")]
    pub fn json<T: serde::Deserialize<'a>>(self) -> Result<T, crate::InvalidJson> {
        match self {
            Self::Text(text) => Ok(serde_json::from_str(text)?),
            Self::Binary(bytes) => Ok(serde_json::from_slice(bytes)?),
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Message<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Message<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn text_and_bytes_convert_to_their_type_of_message() {
        let (string, vec) = (String::from("a"), vec![b'a']);
        for message in ["a".into(), Message::from(&string)] {
            assert_eq!(message, Message::Text("a"));
            assert_eq!(message.as_text(), Some("a"));
        }
        for message in [b"a".into(), Message::from(&vec), Message::from(&vec[..])] {
            assert_eq!(message, Message::Binary(b"a"));
            assert_eq!((message.as_text(), message.as_bytes()), (None, &b"a"[..]));
        }
        assert!(Message::from("").is_empty());
    }
}
