//! The module's side of a Rust plugin: recognise it, check its compatibility, configure it.
//!
//! Not for plugin authors; not covered by semantic versioning.

mod layout;
mod metric;

pub use crate::topics::filter::{Filter, InvalidTopic, check_topic};

pub use crate::header::fits_refusal;
pub use metric::{DeclaredMetric, MetricKind};

use crate::abi::{
    ExtendedPlugin, ExtensionRef, InstancePtr, MAGIC, ServerPtr, WebSocketPlugin, WebSocketServer,
};
use abi_stable::StableAbi;
use abi_stable::library::AbiHeader;
use abi_stable::std_types::{RResult, RStr, Tuple2};
use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::time::Duration;

/// A Rust plugin whose extension table is compatible.
#[derive(Clone, Copy)]
pub struct RustPlugin {
    extension: ExtensionRef,
}

/// Inspects the table that an init function returned. Returns `None` for a C plugin.
///
/// # Safety
///
/// `table` is the result of an init function: a plugin table of `size` bytes. While the result and
/// everything made from it live, the library stays loaded, and nobody calls `destroy`.
///
/// # Errors
///
/// The plugin was built against an incompatible `websocket-plugin`.
pub unsafe fn rust_plugin(
    table: *mut WebSocketPlugin,
) -> Result<Option<RustPlugin>, IncompatibleError> {
    let table: *const ExtendedPlugin = table.cast_const().cast();
    // SAFETY: the caller guarantees `size`, and `size` covers the fields of `ExtendedPlugin`. The
    // code reads each field only after the previous ones have proved its meaning: the C size, the
    // magic value, abi_stable's version, the layout.
    unsafe {
        let base = ptr::addr_of!((*table).base);
        if (*base).size < ExtendedPlugin::SIZE || (*table).magic != MAGIC {
            return Ok(None);
        }
        check_abi_stable((*table).abi_stable)?;
        layout::check(ExtensionRef::LAYOUT, ((*table).layout)())?;
        Ok(Some(RustPlugin {
            extension: (*table).extension,
        }))
    }
}

fn check_abi_stable(plugin: &AbiHeader) -> Result<(), IncompatibleError> {
    if plugin.is_valid() {
        return Ok(());
    }
    let module = AbiHeader::VALUE;
    Err(IncompatibleError(format!(
        "the plugin uses abi_stable {}.{}, the module {}.{}",
        plugin.abi_major, plugin.abi_minor, module.abi_major, module.abi_minor
    )))
}

impl RustPlugin {
    /// The plugin's name, for messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.extension.name().as_str()
    }

    /// Whether the plugin has threads that [`end`](Self::end) ends.
    #[must_use]
    pub fn has_threads(&self) -> bool {
        self.extension.end().is_some()
    }

    /// Ends the plugin's own threads, because the process is about to end. That takes `patience` at
    /// most, as far as the plugin can tell. Returns how many threads did not end.
    ///
    /// # Safety
    ///
    /// The process serves nothing with the plugin any more.
    #[must_use]
    pub unsafe fn end(&self, patience: Duration) -> u32 {
        let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        // SAFETY: the layouts are compatible (`rust_plugin`), and the caller vouches for the rest.
        self.extension
            .end()
            .map_or(0, |end| unsafe { end(milliseconds) })
    }

    /// Has every [`connect`](Instance::connect) that waits refuse its connection as soon as it can,
    /// and every later one at once, because the process is about to end. Some plugins cannot do
    /// that. Any thread may call this.
    pub fn end_handshakes(&self) {
        if let Some(end_handshakes) = self.extension.end_handshakes() {
            // SAFETY: the layouts are compatible, and the library stays loaded (`rust_plugin`).
            unsafe { end_handshakes() }
        }
    }

    /// How many bytes of messages of a connection the plugin keeps by itself.
    ///
    /// # Safety
    ///
    /// `private` is what [`Instance::connect`] returned for a connection that has not ended, and no
    /// callback of the connection runs.
    #[must_use]
    pub unsafe fn kept(&self, private: *mut c_void) -> usize {
        // SAFETY: the layouts are compatible (`rust_plugin`), and the caller vouches for the rest.
        self.extension
            .kept()
            .map_or(0, |kept| unsafe { kept(private) })
    }

    /// Makes an instance of the plugin with these options.
    ///
    /// # Safety
    ///
    /// `unattached` is a server table that belongs to no connection. It stays valid until the last
    /// `destroy` of the library has returned.
    ///
    /// # Errors
    ///
    /// The plugin's error text about its options.
    pub unsafe fn configure(
        &self,
        unattached: *const WebSocketServer,
        options: &[(&str, &str)],
    ) -> Result<Instance, String> {
        let options: Vec<_> = options
            .iter()
            .map(|&(name, value)| Tuple2(RStr::from_str(name), RStr::from_str(value)))
            .collect();
        // SAFETY: the layouts are compatible (`rust_plugin`). The caller keeps the library loaded
        // and guarantees the table.
        let made =
            unsafe { (self.extension.configure())(ServerPtr(unattached), options[..].into()) };
        match made {
            RResult::ROk(instance) => Ok(Instance {
                extension: self.extension,
                instance,
            }),
            RResult::RErr(text) => Err(text.into_string()),
        }
    }
}

/// A plugin with one set of options. Dropping it releases the instance; its connections live on.
pub struct Instance {
    extension: ExtensionRef,
    instance: InstancePtr,
}

// SAFETY: a plugin only offers instances of types that are `Send + Sync`, and any thread may call
// its functions.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    /// Replaces `on_connect` of the C table: null refuses the connection, and any other pointer is
    /// for the other callbacks of that table.
    ///
    /// # Safety
    ///
    /// As for `on_connect`: `server` is the table of a new connection and valid until
    /// `on_disconnect` has returned, or until this returns null. All text messages that the
    /// connection gets are UTF-8.
    #[must_use]
    pub unsafe fn connect(&self, server: *const WebSocketServer) -> *mut c_void {
        // SAFETY: the instance came from the same plugin, and only `drop` releases it. The caller
        // guarantees the table.
        unsafe { (self.extension.connect())(self.instance, ServerPtr(server)) }
    }
}

/// The ticks that an instance wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticks {
    /// At least a millisecond.
    pub interval: Duration,
    /// In one process of httpd at a time; otherwise in each.
    pub is_in_one_process: bool,
}

impl Instance {
    /// The plugin's name, for messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.extension.name().as_str()
    }

    /// The ticks that the instance wants. `None`: none. Plugins that were built before there were
    /// ticks want none.
    #[must_use]
    pub fn ticks(&self) -> Option<Ticks> {
        self.extension.on_tick()?;
        // SAFETY: the instance came from the same plugin, and only `drop` releases it.
        let plan = unsafe { (self.extension.ticks()?)(self.instance) };
        (plan.nanoseconds > 0).then(|| Ticks {
            interval: Duration::from_nanos(plan.nanoseconds),
            is_in_one_process: plan.is_in_one_process != 0,
        })
    }

    /// Calls the instance because of a tick, which was due so many nanoseconds after the beginning
    /// of 1970. Returns when the plugin does. Not to be called twice at once.
    pub fn on_tick(&self, nanoseconds: u64) {
        if let Some(on_tick) = self.extension.on_tick() {
            // SAFETY: as above.
            unsafe { on_tick(self.instance, nanoseconds) }
        }
    }

    /// Has a tick that is under way return as soon as it can, and every later one at once. Some
    /// plugins cannot do that. Any thread may call this.
    pub fn end_ticks(&self) {
        if let Some(end_ticks) = self.extension.end_ticks() {
            // SAFETY: as above.
            unsafe { end_ticks(self.instance) }
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: the instance belongs to this value and is not used again. The caller of
        // `rust_plugin` keeps the library loaded.
        unsafe { (self.extension.release())(self.instance) }
    }
}

/// A Rust plugin was built against an incompatible version of `websocket-plugin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncompatibleError(String);

impl fmt::Display for IncompatibleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the plugin was built against an incompatible websocket-plugin: {}",
            self.0
        )
    }
}

impl std::error::Error for IncompatibleError {}

#[cfg(test)]
mod tests;
