//! Between the C tables and a [`Plugin`]: what `#[websocket_plugin]` points at.
//!
//! Not for plugin authors; not covered by semantic versioning. All that stands between a raw pointer
//! and an author's code is here: `tables` holds what the host calls before and after all connections,
//! `connection` the callbacks of one, `guard` stops panics, `logging` passes log lines on.

#![allow(unsafe_code)]

mod connection;
mod guard;
mod logging;
mod tables;

pub use crate::abi::WebSocketPlugin;
pub use tables::init;

use crate::Plugin;
use logging::Source;
use std::sync::{Arc, Mutex};

/// A type whose `impl Plugin` has the attribute. What rustc says when it is missing is written here.
#[diagnostic::on_unimplemented(
    message = "`impl Plugin for {Self}` lacks the attribute `#[websocket_plugin]`",
    label = "put `#[websocket_plugin]` on this `impl`",
    note = "it exports the plugin, and supplies the items the `impl` leaves out"
)]
pub trait Attributed {}

/// A plugin with an exported init function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not exported as a plugin",
    note = "put `#[websocket_plugin]` on `impl Plugin for {Self}`"
)]
pub trait Exported: Plugin {
    /// The name of the type, for the log.
    const NAME: &'static str;
    /// What is negotiated before `on_connect`.
    const SUBPROTOCOLS: &'static [&'static str];

    /// Where the plugin lives while it is loaded.
    fn slot() -> &'static Slot<Self>;
}

/// What a plugin keeps between its first init and its last destroy.
///
/// A host calls init once per directive, possibly on the same mapped library, and `on_connect` of the C
/// table is not told which it is for. So the calls are counted, and they all share one instance.
pub struct Slot<P> {
    source: Source,
    loaded: Mutex<Loaded<P>>,
}

struct Loaded<P> {
    inits: usize,
    /// The instance without options, or why there is none.
    plain: Result<Arc<P>, String>,
}

impl<P> Slot<P> {
    /// Nothing is loaded yet; the name is that of the plugin.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        let loaded = Loaded {
            inits: 0,
            plain: Err(String::new()),
        };
        Self {
            source: Source::new(name),
            loaded: Mutex::new(loaded),
        }
    }
}
