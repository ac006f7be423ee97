//! The ground: what the module needs of httpd and APR. Only the hooks and directives of
//! [`entry`](crate::entry) call them, too. It uses no other module but `buffers`.
//!
//! Everything here hides raw pointers behind types whose methods are safe to call; what makes them
//! safe is said where they are made. No panic leaves this layer towards C ([`guard`]).

#![allow(unsafe_code)]

pub mod answer;
pub mod beam;
pub mod body;
pub mod bottom;
pub mod brigades;
pub mod commons;
pub mod conn;
pub mod descriptors;
pub mod detached;
pub mod environment;
pub mod error;
pub mod filtered;
pub mod filters;
pub mod generation;
pub mod guard;
pub mod lines;
pub mod log;
pub mod memory;
pub mod mpm;
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
