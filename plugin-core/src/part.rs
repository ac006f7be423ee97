//! [`Part`] and [`MessageKind`].

use crate::Message;

/// The type of a message (RFC 6455, section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

/// A part of a message from the client, for [`Plugin::on_part`](crate::Plugin::on_part).
///
/// The parts of a message come in order, and no part of another message comes between them. The
/// client does not decide where a part ends: parts are not fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part<'a> {
    /// Whether the message is text. It is the same in all parts of a message.
    pub kind: MessageKind,
    /// The bytes that follow those of the part before: at most 128 KiB. Only the last part may be
    /// empty. Those of a text are UTF-8: a part ends between two characters.
    pub bytes: &'a [u8],
    /// Whether the message ends here. The next part then begins another message.
    pub is_last: bool,
}

impl<'a> Part<'a> {
    /// The text of this part. `None` if the message is binary.
    #[must_use]
    pub fn as_text(self) -> Option<&'a str> {
        match self.kind {
            MessageKind::Text => str::from_utf8(self.bytes).ok(),
            MessageKind::Binary => None,
        }
    }
}

/// The only part of a whole message.
impl<'a> From<Message<'a>> for Part<'a> {
    fn from(message: Message<'a>) -> Self {
        Self {
            kind: message.kind(),
            bytes: message.as_bytes(),
            is_last: true,
        }
    }
}
