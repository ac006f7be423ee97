//! `mod_websocket`: WebSockets (RFC 6455) for Apache httpd 2.4.
//!
//! The way of a connection through the code, one step a module:
//!
//! * [`httpd`]: the only code that talks to httpd and APR: module record, directives, request, bytes.
//! * [`upgrade`]: the opening handshake, from the request to the 101 response.
//! * [`plain`]: requests that ask for no WebSocket where there is one.
//! * [`refusal`]: the answer to a handshake that is refused.
//! * [`session`]: one connection's life after it: read, decode, callback, encode, write.
//! * [`reactor`]: drives sessions without a thread for each (event MPM).
//! * [`blocking`]: drives a session with the thread of its request (all MPMs, HTTP/2).
//! * [`protocol`]: RFC 6455 itself, without I/O.
//! * [`plugin`]: the C tables and the way into a plugin's callbacks.
//! * [`link`]: what any thread may do with a connection: send, close.
//! * [`compression`]: compresses what is sent.
//! * [`flusher`]: writes what a callback that takes long has queued.
//! * [`buffers`]: memory that connections have only while there are bytes in it.
//! * [`http2`]: how many streams of an HTTP/2 connection may be WebSockets.
//! * [`registry`]: the open connections of this child process.
//! * [`trimming`]: when free memory is given back to the system.

#![deny(unsafe_code)]

#[cfg(panic = "abort")]
compile_error!("a panic would end httpd instead of a connection: build with `panic = \"unwind\"`");

pub mod blocking;
pub mod buffers;
pub mod compression;
pub mod flusher;
pub mod http2;
pub mod httpd;
pub mod link;
pub mod plain;
pub mod plugin;
pub mod protocol;
pub mod reactor;
pub mod refusal;
pub mod registry;
pub mod session;
mod sync;
pub mod trimming;
pub mod upgrade;
