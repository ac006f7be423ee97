//! The Rust plugins of `cargo xtask bench --fanout`: every message goes to all connections, the
//! sender's included. They do what `fanout.c` beside them does.
#![forbid(unsafe_code)]

mod callback;
mod members;
mod thread;
mod topics;
