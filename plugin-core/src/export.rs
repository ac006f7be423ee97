//! The code between the C tables and a [`Plugin`], which `#[websocket_plugin]` refers to.
//!
//! Not for plugin authors and not covered by semantic versioning. This module contains all code
//! between a raw pointer and an author's code: `tables` has the functions that the host calls
//! before and after all connections, `connection` has the callbacks of one connection,
//! `asynchronous` those of an `AsyncPlugin`, `guard` stops panics, `logging` passes log lines on,
//! and `metric` asks for the numbers of metrics. `ticking` has the functions for ticks.

#![allow(unsafe_code)]

#[cfg(feature = "tokio")]
mod asynchronous;
mod connection;
mod guard;
mod logging;
mod metric;
mod source;
mod tables;
mod ticking;

pub use crate::abi::WebSocketPlugin;
#[cfg(feature = "tokio")]
pub use asynchronous::{
    Async, AsyncAttributed, AsyncExported, Runtime, Served, end, end_handshakes, stop,
};
pub(crate) use connection::{discard, on_event};
pub(crate) use metric::{Cells, Declaration, cells};
pub use tables::init;

/// The events of a plugin.
pub type EventOf<P> = <<P as Exported>::Runs as Plugin>::Event;

use crate::Plugin;
use source::Source;
pub(crate) use source::with_unattached;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A type whose `impl Plugin` has the attribute. The attribute below sets rustc's message for an
/// `impl` that lacks it.
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
pub trait Exported: Sized + 'static {
    /// The plugin that the host calls: this type, or what calls this type's async callbacks.
    type Runs: Plugin;

    /// The name of the type, for the log.
    const NAME: &'static str;
    /// The subprotocols to negotiate before `on_connect`.
    const SUBPROTOCOLS: &'static [&'static str];

    /// The place that keeps the plugin while it is loaded.
    fn slot() -> &'static Slot<Self::Runs>;

    /// Whether the plugin has a runtime, which has to end before the process does.
    const HAS_RUNTIME: bool = false;

    /// Called when the last instance is gone, before the library may be unloaded.
    fn unload() {}

    /// Ends the runtime, as the process is about to end. That may take as long as this. Returns how
    /// many of its threads did not end.
    fn end(_: Duration) -> usize {
        0
    }

    /// Has the tick that is under way end where it waits, and all later ones at once: the process
    /// is about to end.
    fn end_ticks(_: &Self::Runs) {}

    /// Has every `on_connect` end where it waits, and later ones at once: the process is about to
    /// end.
    fn end_handshakes() {}

    /// How many bytes of messages of a connection wait for its callbacks.
    fn kept(_: &<Self::Runs as Plugin>::Connection) -> usize {
        0
    }
}

/// The state of a plugin between its first init and its last destroy.
///
/// A host calls init once per directive, possibly on the same mapped library. The C table's
/// `on_connect` gets no argument that tells these calls apart. So all of them share one instance,
/// and the calls are counted.
pub struct Slot<P> {
    source: Source,
    loaded: Mutex<Loaded<P>>,
    /// The addresses of the instances whose last tick has failed.
    failing: Mutex<Vec<usize>>,
}

// SAFETY: only functions for `Exported` types reach `loaded`, which is behind a lock. What they run
// is `Send` and `Sync`, as `Plugin` requires. A bound here would repeat the compiler's error for a
// plugin that is not, in terms of this struct.
unsafe impl<P> Sync for Slot<P> {}

struct Loaded<P> {
    inits: usize,
    /// The instance without options, or the reason why there is none.
    plain: Result<Arc<P>, String>,
}

impl<P> Slot<P> {
    /// An empty slot for the plugin with this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        let loaded = Loaded {
            inits: 0,
            plain: Err(String::new()),
        };
        Self {
            source: Source::new(name),
            loaded: Mutex::new(loaded),
            failing: Mutex::new(Vec::new()),
        }
    }
}
