//! Compressed messages: the extension permessage-deflate (RFC 7692, section 7).
//!
//! * [`DeflateParameters::negotiate`] answers the client's offers.
//! * [`Receiver::with_deflate`](super::Receiver::with_deflate) inflates what the client sends. No more
//!   is ever inflated than the longest message may have, whatever the compressed data says, and until
//!   the message has come to its end, little more than what has come of it.
//! * [`Deflater`] compresses what is sent.
//!
//! # Context takeover
//!
//! A message may refer to the last 32 KiB of those before it, if both ends keep them. That makes
//! messages much shorter that resemble each other, and costs every connection about 330 KiB, however
//! idle it is, most of it to compress. [`DeflateContext`] is the choice. Without context, a
//! [`Deflater`] serves any number of connections one after the other, and an inflater is only needed
//! while a message arrives.
//!
//! A client need not offer to go without context itself, and some that do not offer it cannot. For these
//! the end of what they sent is kept, without an inflater: no more than they have sent, and at most 4 KiB
//! where they can be told to use a smaller window, else 32 KiB.

mod deflater;
mod held;
mod inflater;
mod negotiation;
mod window;

pub use deflater::{DeflateLevel, Deflater};
pub(super) use inflater::Inflater;
pub use negotiation::{DeflateContext, DeflateParameters};

/// What ends every flush of a compressor: the rest of an empty block. It is left out of messages
/// (section 7.2.1), and an inflater has to be given it (section 7.2.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// More than an inflater takes of memory, in bytes, and more than a compressor does.
const INFLATER_SIZE: usize = 64 * 1024;
const DEFLATER_SIZE: usize = 512 * 1024;
