//! The lowest layer: everything the module needs from httpd and APR. Outside of it only the hooks
//! and directives of [`entry`](crate::entry) call httpd and APR. Of the crate's other modules it
//! uses only `buffers` and [`protocol`](crate::protocol).
//!
//! The types here hide raw pointers, and their methods are safe to call. The constructors say what
//! makes them safe. No panic passes from this layer into C ([`guard`]).

#![allow(unsafe_code)]

pub mod answer;
pub mod beam;
pub mod body;
pub mod bottom;
pub mod brigades;
pub mod commons;
pub mod conn;
mod current_thread;
pub mod descriptors;
pub mod detached;
pub mod environment;
pub mod error;
pub mod filtered;
pub mod filters;
pub mod gate;
pub mod generation;
pub mod guard;
pub mod lease;
pub mod lines;
pub mod log;
pub mod memory;
pub mod mpm;
pub mod parked;
pub mod pool;
pub mod prefetch;
pub mod quota;
pub mod refusal;
pub mod request;
pub mod scoreboard;
pub mod section;
pub mod served;
pub mod slot;
pub mod slots;
pub mod socket;
pub mod state;
pub mod suspend;
pub mod sys;
pub mod thread;
