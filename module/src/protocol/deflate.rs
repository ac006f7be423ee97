//! Compressed messages: the extension permessage-deflate (RFC 7692, section 7).
//!
//! * [`DeflateParameters::negotiate`] answers the client's offers.
//! * [`Receiver::with_deflate`](super::Receiver::with_deflate) inflates the client's messages. It
//!   never inflates more than the longest allowed message. Before the end of a message has arrived,
//!   it inflates only as much as is usual for the compressed bytes that have arrived.
//! * [`Deflater`] compresses the server's messages.
//!
//! # Context takeover
//!
//! A message may refer to the last 32 KiB of earlier messages, if both ends keep them. This makes
//! messages that resemble each other much shorter. It costs about 330 KiB per connection, even if
//! the connection is idle, most of it for the compressor. [`DeflateContext`] is the choice. Without
//! context takeover, one [`Deflater`] serves any number of connections in turn, and a connection
//! needs an inflater only while a message arrives.
//!
//! A client does not have to offer `client_no_context_takeover`, and some clients that do not offer
//! it cannot do without their context. For such a client the connection keeps the end of what it
//! has sent, but no inflater. This takes at most 4 KiB if the client lets the server choose its
//! window, and otherwise at most 32 KiB.

mod deflater;
mod held;
mod inflater;
mod negotiation;
mod window;

pub use deflater::{DeflateLevel, Deflater};
pub(super) use inflater::Inflater;
pub use negotiation::{DeflateContext, DeflateParameters};

/// The end of every flush of a compressor: an empty stored block without its first bits. The sender
/// removes it from a message (section 7.2.1), and the receiver appends it again (section 7.2.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Upper bounds of the memory that an inflater and a compressor take, in bytes.
const INFLATER_SIZE: usize = 64 * 1024;
const DEFLATER_SIZE: usize = 512 * 1024;
