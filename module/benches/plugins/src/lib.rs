//! The Rust plugins of `cargo xtask bench`: an async echo, and those of `--fanout`, where every
//! message goes to all connections, the sender's included, as with `fanout.c` beside them.
#![forbid(unsafe_code)]

mod asynchronous;
mod callback;
mod members;
mod thread;
mod topics;
