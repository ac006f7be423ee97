//! What administrators and programs are told of WebSockets: in the page of mod_status, and in pages
//! of this module's own.

#![allow(unsafe_code)]

mod broker;
mod escaped;
mod handler;
mod hook;
mod json;
mod live;
mod metrics;
mod openmetrics;
mod page;
mod table;
mod topics;
mod words;

pub(super) use handler::{HANDLER, handle};
pub(super) use hook::hook;
pub(super) use live::config_for;
