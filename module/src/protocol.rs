//! The server's side of the WebSocket protocol (RFC 6455): bytes in, events out.
//!
//! This module reads no socket and no clock and does not know httpd, so tests can check every rule
//! with plain bytes.
//!
//! * Opening handshake: [`ClientHandshake::parse`] checks a [`RequestHead`], [`AcceptKey`] is the
//!   server's proof in the response, and [`OriginPolicy`] decides which origins may connect.
//! * Receiving: [`Receiver`] turns the client's bytes into [`Event`]s or a [`ProtocolError`].
//! * The life of a connection: [`Connection`] says what the client's bytes ask for, when the
//!   connection closes and what it waits for.
//! * Sending: [`FrameHeader::encode`] makes the header of a frame, and [`ClosePayload`] the payload
//!   of a close frame.
//! * What is told of a connection when it has ended: [`Account`].
//! * Compression, the only extension (permessage-deflate, RFC 7692): [`ClientHandshake::deflate`]
//!   negotiates it, [`Receiver::with_deflate`] inflates, and [`Deflater`] compresses.

#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

mod account;
mod close;
mod connection;
mod deflate;
mod error;
mod extension;
mod fields;
mod frame;
mod handshake;
mod input;
mod keepalive;
mod limits;
mod mask;
mod memory;
mod message;
mod origin;
mod output_state;
mod rate;
mod receiver;
mod recycling;
mod utf8;
mod version;

pub use account::{Account, Closer, Closing, Milliseconds, Traffic};
pub use close::{CloseFrame, ClosePayload};
pub use connection::{Action, Await, Connection, End};
pub use deflate::{DeflateContext, DeflateLevel, DeflateParameters, Deflater};
pub use error::ProtocolError;
pub use frame::{EncodedHeader, FrameHeader, Opcode, Rsv};
pub use handshake::{AcceptKey, ClientHandshake, HandshakeError, RequestHead};
pub use input::{Input, Payload};
pub use keepalive::{Due, Ending, Lifespan, Outgoing, Unread};
pub use limits::Limits;
pub use mask::MaskingKey;
pub use memory::look_for_memory_with;
pub use message::MessageKind;
pub use origin::{OriginPolicy, Site, form_to_use};
pub use output_state::OutputState;
pub use rate::{Excess, MessageRate, Rate};
pub use receiver::{Event, Receiver};
pub use recycling::free_buffers;
pub use version::{SUPPORTED_VERSIONS, Version};
