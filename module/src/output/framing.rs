//! Encodes messages as frames.

use super::frame::Frame;
use super::queue::Closed;
use crate::compression::{CompressedOnce, Compression, Pieces};
use crate::meter::Meter;
use crate::protocol::{Closer, FrameHeader, Opcode, Rsv, Traffic};

/// Encodes messages as frames, compressed where the opening handshake agreed on it.
pub struct Framing {
    /// With context takeover it has a lock, which is taken before those of the output.
    compression: Option<Box<Compression>>,
    /// The counters that the connection adds to.
    meter: Meter,
}

impl Framing {
    /// Compresses if there is a `compression`. The connection counts in `meter`.
    #[must_use]
    pub fn new(compression: Option<Compression>, meter: Meter) -> Self {
        Self {
            compression: compression.map(Box::new),
            meter,
        }
    }

    /// The counters that the connection adds to.
    pub(super) fn meter(&self) -> Meter {
        self.meter
    }

    /// Encodes a message and has `offer` take the frame. Returns whether `offer` took it. Does not
    /// compress a message if `takes_messages` says that the queue has no room.
    ///
    /// # Errors
    ///
    /// Those of `offer` and `takes_messages`.
    #[inline]
    pub(super) fn encode(
        &self,
        opcode: Opcode,
        message: &[u8],
        takes_messages: impl FnOnce() -> Result<bool, Closed>,
        offer: impl FnOnce(Frame<'_>) -> Result<bool, Closed>,
    ) -> Result<bool, Closed> {
        match self.compression_of(opcode, message) {
            Some(compression) => {
                let meter = self.meter;
                Ok(takes_messages()? && compressed(compression, opcode, message, meter, offer)?)
            }
            None => plain(opcode, message, offer),
        }
    }

    /// As [`encode`](Self::encode), for a message to many connections: compresses it once for all
    /// connections with the same settings.
    pub(super) fn encode_once(
        &self,
        (opcode, message): (Opcode, &[u8]),
        forms: &mut CompressedOnce,
        takes_messages: impl FnOnce() -> Result<bool, Closed>,
        offer: impl FnOnce(Frame<'_>) -> Result<bool, Closed>,
    ) -> Result<bool, Closed> {
        match self.compression_of(opcode, message) {
            Some(compression) if compression.is_shared() => {
                let form = compression.compress_once(message, forms);
                offer_form(opcode, message, form, self.meter, offer)
            }
            _ => self.encode(opcode, message, takes_messages, offer),
        }
    }

    /// A compressor for a message that begins like this and is sent piece by piece, if it is to be
    /// compressed.
    pub(super) fn pieces(&self, opcode: Opcode, beginning: &[u8]) -> Option<Pieces> {
        self.compression_of(opcode, beginning)?.pieces()
    }

    /// See [`Compression::forgetting`].
    pub(super) fn forgetting<T>(&self, body: impl FnOnce() -> T) -> T {
        match &self.compression {
            Some(compression) => compression.forgetting(body),
            None => body(),
        }
    }

    /// Whether this message is compressed.
    pub(super) fn compresses(&self, opcode: Opcode, message: &[u8]) -> bool {
        self.compression_of(opcode, message).is_some()
    }

    fn compression_of(&self, opcode: Opcode, message: &[u8]) -> Option<&Compression> {
        let compression = self.compression.as_deref()?;
        compression.concerns(opcode, message).then_some(compression)
    }
}

fn compressed(
    compression: &Compression,
    opcode: Opcode,
    message: &[u8],
    meter: Meter,
    offer: impl FnOnce(Frame<'_>) -> Result<bool, Closed>,
) -> Result<bool, Closed> {
    compression.compress(message, |form| {
        offer_form(opcode, message, form, meter, offer)
    })
}

/// Has `offer` take the frame of a message, in its compressed form if there is one.
fn offer_form(
    opcode: Opcode,
    message: &[u8],
    form: Option<&[u8]>,
    meter: Meter,
    offer: impl FnOnce(Frame<'_>) -> Result<bool, Closed>,
) -> Result<bool, Closed> {
    let (payload, rsv) = form.map_or((message, Rsv::NONE), |form| (form, Rsv::RSV1));
    let traffic = Traffic::message(message.len());
    let offered = with_frame(opcode, payload, rsv, |frame| {
        offer(Frame { traffic, ..frame })
    })?;
    if offered {
        meter.deflated(message.len(), payload.len());
    }
    Ok(offered)
}

/// Runs `body` with the frame of a whole message or a control frame, uncompressed. A close frame
/// counts as the plugin's.
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
        closes: (opcode == Opcode::Close).then_some(Closer::Plugin),
        traffic: if opcode.is_control() {
            Traffic::default()
        } else {
            Traffic::message(payload.len())
        },
        shared: None,
    })
}
