//! The events of the receiver.

use crate::protocol::{CloseFrame, MessageKind, Opcode, Payload, ProtocolError};

/// A message, a part of one, or a control frame from the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message, unmasked, and valid UTF-8 if it is text. The receiver does not need the bytes any
    /// more, so they may be changed.
    Message {
        /// Whether it is text.
        kind: MessageKind,
        /// The payload of all fragments.
        payload: Payload<'a>,
    },
    /// A part of a message, like a [`Message`](Self::Message). Only receivers that
    /// [hand out parts](super::Receiver::in_parts) have this, and not for a message that is there
    /// at once.
    Part {
        /// Whether the message is text. The part then ends between two characters.
        kind: MessageKind,
        /// What has arrived since the last part. It is empty only in the last one.
        payload: Payload<'a>,
        /// Whether the message begins with this part.
        is_first: bool,
        /// Whether the message ends with this part.
        is_last: bool,
    },
    /// A ping, which the server must answer with a pong with the same payload (section 5.5.2).
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The client closes the connection, with or without a status code. No event follows.
    Close(Option<CloseFrame<'a>>),
}

impl<'a> Event<'a> {
    /// The event for a complete control frame. [`Opcode::is_control`] must be true for `opcode`.
    pub(super) fn of_control(
        opcode: Opcode,
        payload: &'a [u8],
        allow_reserved: bool,
    ) -> Result<Self, ProtocolError> {
        match opcode {
            Opcode::Close => CloseFrame::parse(payload, allow_reserved).map(Self::Close),
            Opcode::Ping => Ok(Self::Ping(payload)),
            _ => Ok(Self::Pong(payload)),
        }
    }
}
