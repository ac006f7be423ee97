//! What any thread may do with a connection: send a message, close it, write what waits.
//!
//! ```text
//!   callbacks, threads --> framing --> Queue --> Writer --> Stream
//!                                        |          ^
//!                                        +-> Home --+  writes soon, once for all that waits
//! ```
//!
//! A sender puts its frame into the queue and tells the connection's [`Home`], unless that knows
//! already. The home writes at its convenience: a loop at the end of its pass, for all that was
//! queued meanwhile.
//!
//! There are two locks, taken in this order and never held over a callback or a wait: that of the
//! writer, which covers the stream in both directions, and that of the queue. A sender takes the
//! second one only, so it never waits for a system call, unless the queue is full: then it waits
//! for the client.
//!
//! `module/models` tries how threads may interleave in here.

mod broadcast;
mod caller;
mod chunk;
mod ending;
mod frame;
mod frames;
mod framing;
mod object;
mod policy;
mod queue;
mod sending;
mod sharing;
mod writer;
mod writes;

pub use broadcast::Broadcast;
pub use caller::Caller;
pub use framing::Framing;
pub use object::{Home, Output, Queued, Retry, Wake};
pub use policy::{QueuePolicy, SlowClient};
pub use queue::Closed;
pub use writer::Progress;
