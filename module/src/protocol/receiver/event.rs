//! What the receiver hands out.

use super::Payload;
use crate::protocol::{CloseFrame, MessageKind, Opcode, ProtocolError};

/// Something complete that the client sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message, unmasked; checked to be UTF-8 if it is a text. The receiver has no more use for
    /// the bytes, so they may be changed.
    Message {
        /// Whether it is text.
        kind: MessageKind,
        /// All its fragments.
        payload: Payload<'a>,
    },
    /// A ping, to be answered with a pong of the same payload (section 5.5.2).
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The client closes the connection, with or without a status. Nothing follows.
    Close(Option<CloseFrame<'a>>),
}

impl<'a> Event<'a> {
    /// What a whole control frame says. `opcode` is one of the three for which
    /// [`Opcode::is_control`] holds.
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
