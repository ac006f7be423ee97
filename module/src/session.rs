//! One connection's life after the 101 response: read, decode, callback, encode, write.
//!
//! [`protocol::Connection`](crate::protocol::Connection) knows what comes next; a session does it,
//! with the connection's bytes and its plugin. A session never waits. Its driver calls
//! [`Session::turn`] whenever the connection is readable, writable, woken or overdue, one call at a
//! time, and the turn says what to wait for next.

mod application;
mod handler;
mod held;
mod limiter;
mod pace;
mod plugged;
#[cfg(test)]
mod tests;
mod turns;

pub use pace::{is_heavy, is_long};
pub use plugged::Plugged;
pub use turns::{Next, Session};
