//! [`AsMessage`].

use super::Message;
use std::borrow::Cow;

/// What can be sent: a text (`&str`, `String`), bytes (`&[u8]`, `Vec<u8>`, arrays of bytes) or a
/// [`Message`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a message",
    label = "neither a text, nor bytes, nor a `Message`",
    note = "send a `&str` or a `String` as text, a `&[u8]` or a `Vec<u8>` as binary",
    note = "`send_json`, with the feature `json`, sends other values"
)]
pub trait AsMessage {
    /// The message, which borrows the payload.
    fn as_message(&self) -> Message<'_>;
}

impl<T: AsMessage + ?Sized> AsMessage for &T {
    fn as_message(&self) -> Message<'_> {
        (**self).as_message()
    }
}

impl<T: AsMessage + ToOwned + ?Sized> AsMessage for Cow<'_, T> {
    fn as_message(&self) -> Message<'_> {
        (**self).as_message()
    }
}

impl AsMessage for Message<'_> {
    fn as_message(&self) -> Message<'_> {
        *self
    }
}

impl AsMessage for str {
    fn as_message(&self) -> Message<'_> {
        Message::Text(self)
    }
}

impl AsMessage for String {
    fn as_message(&self) -> Message<'_> {
        Message::Text(self)
    }
}

impl AsMessage for [u8] {
    fn as_message(&self) -> Message<'_> {
        Message::Binary(self)
    }
}

impl<const N: usize> AsMessage for [u8; N] {
    fn as_message(&self) -> Message<'_> {
        Message::Binary(self)
    }
}

impl AsMessage for Vec<u8> {
    fn as_message(&self) -> Message<'_> {
        Message::Binary(self)
    }
}
