//! The only code that talks to httpd and APR.
//!
//! Everything here hides raw pointers behind types whose methods are safe to call; what makes them
//! safe is said where they are made. No panic leaves this layer towards C ([`guard`]).

#![allow(unsafe_code)]

mod answer;
pub mod config;
mod departure;
pub mod descriptors;
pub mod detached;
mod directives;
mod error;
mod filters;
pub mod guard;
pub mod holding;
pub mod http2;
mod library;
pub mod log;
pub mod memory;
mod module;
pub mod mpm;
pub mod named;
pub mod pool;
mod redirects;
pub mod request;
pub mod scoreboard;
pub mod section;
mod slot;
pub mod socket;
mod startup;
mod status;
pub mod stopping;
pub mod stream;
pub mod suspend;
mod symbol;
pub mod sys;
mod termination;
pub mod thread;
pub mod transport;

pub use answer::Answer;
pub use module::websocket_module;
