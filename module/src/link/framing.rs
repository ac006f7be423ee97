//! Makes frames of messages.

use super::outbox::{Closed, Frame};
use super::outlet::Outlet;
use super::writer::Stream;
use crate::compression::Compression;
use crate::protocol::{FrameHeader, Opcode, Rsv};

/// Puts messages into frames, compressed where that was agreed on.
pub(super) struct Framing {
    /// With context it has a lock, which comes before those of the outlet.
    compression: Option<Box<Compression>>,
}

impl Framing {
    /// Compresses if there is `compression`.
    pub(super) fn new(compression: Option<Compression>) -> Self {
        Self {
            compression: compression.map(Box::new),
        }
    }

    /// Writes or queues a message, unless the queue is full. Returns whether it was accepted.
    ///
    /// # Errors
    ///
    /// As for [`Outlet::accept`].
    #[inline]
    pub(super) fn accept<S: Stream>(
        &self,
        outlet: &Outlet<S>,
        opcode: Opcode,
        message: &[u8],
    ) -> Result<bool, Closed> {
        match &self.compression {
            Some(compression) if compression.concerns(opcode, message) => {
                accept_compressed(compression, outlet, opcode, message)
            }
            _ => plain(opcode, message, |frame| outlet.accept(frame)),
        }
    }
}

fn accept_compressed<S: Stream>(
    compression: &Compression,
    outlet: &Outlet<S>,
    opcode: Opcode,
    message: &[u8],
) -> Result<bool, Closed> {
    // In vain if there is no room.
    if !outlet.takes_messages()? {
        return Ok(false);
    }
    compression.compress(message, |compressed| {
        let (payload, rsv) = compressed.map_or((message, Rsv::NONE), |it| (it, Rsv::RSV1));
        with_frame(opcode, payload, rsv, |frame| outlet.accept(frame))
    })
}

/// Runs `body` with a whole message, or a control frame, as it is.
#[inline]
pub(super) fn plain<T>(opcode: Opcode, payload: &[u8], body: impl FnOnce(Frame<'_>) -> T) -> T {
    with_frame(opcode, payload, Rsv::NONE, body)
}

#[inline]
fn with_frame<T>(opcode: Opcode, payload: &[u8], rsv: Rsv, body: impl FnOnce(Frame<'_>) -> T) -> T {
    let header = FrameHeader {
        rsv,
        ..FrameHeader::unmasked(opcode, payload.len() as u64)
    };
    body(Frame {
        header: &header.encode(),
        payload,
        is_close: opcode == Opcode::Close,
    })
}
