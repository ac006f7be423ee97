//! Shared code of the fuzz targets. Each target is a program in `targets`; `cargo xtask fuzz`
//! builds and runs them.
//!
//! * [`head`]: the part of an input that is an HTTP request.
//! * [`receive`]: feeds a [`Receiver`](mod_websocket::protocol::Receiver) in pieces, and checks
//!   limits of memory and work.
//! * [`peer`]: another implementation of the protocol, to compare with.
//!
//! The first inputs of a target are in `seeds`: requests as a client sends them, and frames after a
//! byte that chooses the settings ([`receive::Settings`]).

pub mod head;
pub mod peer;
pub mod receive;
