//! Frame headers (RFC 6455, section 5.2).

use std::ops::Deref;

use super::{MaskingKey, ProtocolError};

#[cfg(test)]
mod tests;

pub(super) const FIN: u8 = 0x80;
const RSV: u8 = 0x70;
pub(super) const OPCODE: u8 = 0x0f;
pub(super) const MASK: u8 = 0x80;
pub(super) const LENGTH: u8 = 0x7f;

/// Values of the 7-bit length that announce a longer length field.
pub(super) const LENGTH_16: u8 = 126;
pub(super) const LENGTH_64: u8 = 127;

/// The longest payload of a control frame (section 5.5). It is also the longest payload whose
/// length fits into the second byte of the header.
pub(super) const MAX_CONTROL_PAYLOAD: u8 = 125;

/// The type of a frame (section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// Continues the message that an earlier frame began.
    Continuation = 0x0,
    /// Begins a text message.
    Text = 0x1,
    /// Begins a binary message.
    Binary = 0x2,
    /// Begins or answers the closing handshake.
    Close = 0x8,
    /// Asks for a pong.
    Ping = 0x9,
    /// Answers a ping, or is an unsolicited heartbeat.
    Pong = 0xa,
}

impl Opcode {
    /// Whether frames with this opcode may occur between the fragments of a message, and must not
    /// be fragmented themselves (section 5.5).
    #[must_use]
    #[inline]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

impl TryFrom<u8> for Opcode {
    type Error = ProtocolError;

    #[inline]
    fn try_from(opcode: u8) -> Result<Self, ProtocolError> {
        Ok(match opcode {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return Err(ProtocolError::UnknownOpcode(opcode)),
        })
    }
}

/// The three bits that are reserved for extensions (section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rsv(u8);

impl Rsv {
    /// No bit set, as required without an extension.
    pub const NONE: Self = Self(0);
    /// Only the first bit, which marks a compressed message (RFC 7692, section 6).
    pub const RSV1: Self = Self(0x40);

    /// The bits of a frame's first byte.
    #[inline]
    pub(super) const fn of(first_byte: u8) -> Self {
        Self(first_byte & RSV)
    }
}

/// A frame without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether the frame is the last of its message.
    pub fin: bool,
    /// The bits reserved for extensions.
    pub rsv: Rsv,
    /// The type of the frame.
    pub opcode: Opcode,
    /// The key that masks the payload. Frames from clients have one, frames from servers do not.
    pub mask: Option<MaskingKey>,
    /// Length of the payload in bytes.
    pub payload_len: u64,
}

impl FrameHeader {
    /// Length in bytes of the longest header.
    pub const MAX_LEN: usize = 14;

    /// The header of a server's frame that contains a whole message or is a control frame.
    #[must_use]
    #[inline]
    pub const fn unmasked(opcode: Opcode, payload_len: u64) -> Self {
        Self {
            fin: true,
            rsv: Rsv::NONE,
            opcode,
            mask: None,
            payload_len,
        }
    }

    /// Encodes the header, with the length in the fewest bytes. It checks nothing: for example, the
    /// payload of a control frame may be too long.
    #[must_use]
    #[inline]
    pub fn encode(&self) -> EncodedHeader {
        let mut encoded = EncodedHeader {
            bytes: [0; Self::MAX_LEN],
            len: 0,
        };
        let fin = if self.fin { FIN } else { 0 };
        let mask = if self.mask.is_some() { MASK } else { 0 };
        encoded.push([fin | self.rsv.0 | self.opcode as u8]);
        match (
            u8::try_from(self.payload_len),
            u16::try_from(self.payload_len),
        ) {
            (Ok(len @ ..=MAX_CONTROL_PAYLOAD), _) => encoded.push([mask | len]),
            (_, Ok(len)) => {
                encoded.push([mask | LENGTH_16]);
                encoded.push(len.to_be_bytes());
            }
            _ => {
                encoded.push([mask | LENGTH_64]);
                encoded.push(self.payload_len.to_be_bytes());
            }
        }
        if let Some(MaskingKey(key)) = self.mask {
            encoded.push(key);
        }
        encoded
    }
}

/// The bytes of a [`FrameHeader`], at most [`FrameHeader::MAX_LEN`] (10 without a masking key).
#[derive(Clone, Copy, Debug)]
pub struct EncodedHeader {
    bytes: [u8; FrameHeader::MAX_LEN],
    len: usize,
}

impl EncodedHeader {
    #[inline]
    fn push<const N: usize>(&mut self, part: [u8; N]) {
        self.bytes[self.len..][..N].copy_from_slice(&part);
        self.len += N;
    }
}

impl Deref for EncodedHeader {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
