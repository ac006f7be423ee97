//! The WebSocket protocol (RFC 6455) as a server speaks it: bytes in, events out.
//!
//! Nothing here reads a socket, looks at a clock or knows httpd, so every rule can be tested with
//! plain bytes.
//!
//! * Opening handshake: [`ClientHandshake::parse`] judges a [`RequestHead`], [`AcceptKey`] answers
//!   it, [`OriginPolicy`] says which pages may connect.
//! * Receiving: [`Receiver`] turns the client's bytes into [`Event`]s or a [`ProtocolError`].
//! * Sending: [`FrameHeader::encode`] makes the header that goes in front of a payload,
//!   [`ClosePayload`] the payload of a close frame.
//! * Compression, the one extension (permessage-deflate, RFC 7692): [`ClientHandshake::deflate`]
//!   answers what the client offers, [`Receiver::with_deflate`] inflates, [`Deflater`] compresses.

#![forbid(unsafe_code)]

mod close;
mod deflate;
mod error;
mod extension;
mod frame;
mod handshake;
mod mask;
mod memory;
mod message;
mod origin;
mod receiver;
mod recycling;
mod utf8;

pub use close::{CloseFrame, ClosePayload};
pub use deflate::{DeflateContext, DeflateLevel, DeflateParameters, Deflater};
pub use error::ProtocolError;
pub use frame::{EncodedHeader, FrameHeader, Opcode, Rsv};
pub use handshake::{
    AcceptKey, ClientHandshake, HandshakeError, RequestHead, SUPPORTED_VERSIONS, Version,
};
pub use mask::MaskingKey;
pub use memory::look_for_memory_with;
pub use message::MessageKind;
pub use origin::{OriginPolicy, Site, form_to_use};
pub use receiver::{Event, Input, Limits, Payload, Receiver};
pub use recycling::free_buffers;
