//! What any thread may do with a connection: send a message, close it, write what waits.
//!
//! ```text
//!   callbacks, threads --> framing --> Queue --> Writer --> Stream
//!                                        |          ^
//!                                        +-> Home --+  writes soon, once for all that waits
//! ```
//!
//! A sender puts its frame into the queue. Unless the connection's [`Home`] knows already that
//! something waits, the sender tells it. The home decides when to write: a loop writes at the end
//! of its pass, and then writes everything that was queued meanwhile.
//!
//! Two locks protect an output. A thread takes the writer's before the queue's, and holds neither
//! over a callback or a wait. The writer's lock covers the stream in both directions. A sender
//! takes only the queue's lock, so it never waits for a system call. When the queue is full, it
//! waits for the client.
//!
//! The tests in `module/models` check how threads may interleave here.

mod broadcast;
mod caller;
mod chunk;
mod composer;
mod composing;
mod due;
mod ending;
mod flow;
mod frame;
mod frames;
mod framing;
mod object;
mod pause;
mod policy;
mod queue;
mod sending;
mod sharing;
mod writer;
mod writes;

pub use broadcast::Broadcast;
pub use caller::Caller;
pub use composing::{NotComposed, Rest};
pub use framing::Framing;
pub use object::{Home, Output, Queued, Retry, Wake};
pub use policy::{QueuePolicy, SlowClient};
pub use queue::Closed;
pub use writer::Progress;
