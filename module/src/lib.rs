//! `mod_websocket`: WebSockets (RFC 6455) for Apache httpd 2.4.
//!
//! The modules, from the top to the ground. Each uses only those below it (`tests/layout.rs`).
//!
//! * `entry`: what httpd calls: module record, directives, the opening handshake, the end of a
//!   child.
//! * `blocking`: drives a session with the thread of its request (all MPMs, HTTP/2).
//! * `reactor`: drives sessions without a thread for each (event MPM).
//! * `session`: one connection's life after the handshake: read, decode, callback, encode, write.
//! * `plugin`: the C tables and the way into a plugin's callbacks.
//! * `topics`: who has subscribed to what, and the way of a message to all of them.
//! * `registry`: the open connections of this child process.
//! * `flusher`: writes what a callback that takes long has queued.
//! * `batch`: what the callbacks of a thread have sent to connections that other threads drive.
//! * `output`: what any thread may do with a connection: send, close.
//! * `trimming`: when free memory is given back to the system.
//! * `compression`: compresses what is sent.
//! * `transport`: a connection's bytes, and who closes it.
//! * `meter`: what connections add to the counters of the child.
//! * `httpd`: the code that talks to httpd and APR: requests, bytes, memory, threads.
//! * [`protocol`]: RFC 6455 itself, without I/O.
//! * `buffers`: memory that connections have only while there are bytes in it.
//! * `budget`: the memory that clients hold.
//! * `sync`: mutexes and atomics, which models replace.

#![deny(unsafe_code)]
#![allow(
    unreachable_pub,
    reason = "what is `pub` is for the other modules of the crate, all of which but one are private"
)]

#[cfg(panic = "abort")]
compile_error!("a panic would end httpd instead of a connection: build with `panic = \"unwind\"`");

mod batch;
mod blocking;
mod budget;
mod buffers;
mod compression;
mod entry;
mod flusher;
mod httpd;
mod meter;
mod output;
mod plugin;
pub mod protocol;
mod reactor;
mod registry;
mod session;
mod sync;
mod topics;
mod transport;
mod trimming;
