//! The module's side of a Rust plugin: recognise it, check that it fits, configure it.
//!
//! Not for plugin authors; not covered by semantic versioning.

mod layout;

pub use crate::header::fits_refusal;

use crate::abi::{
    ExtendedPlugin, ExtensionRef, InstancePtr, MAGIC, ServerPtr, WebSocketPlugin, WebSocketServer,
};
use abi_stable::StableAbi;
use abi_stable::library::AbiHeader;
use abi_stable::std_types::{RResult, RStr, Tuple2};
use std::ffi::c_void;
use std::fmt;
use std::ptr;

/// A Rust plugin whose extension table was found to be compatible.
#[derive(Clone, Copy)]
pub struct RustPlugin {
    extension: ExtensionRef,
}

/// Looks at the table an init function returned: `None` for a C plugin.
///
/// # Safety
///
/// `table` is what an init function returned: a plugin table as long as its `size` says. The library
/// stays loaded, and `destroy` is not called, as long as the result and what is made with it live.
///
/// # Errors
///
/// The plugin was built against an incompatible `websocket-plugin`.
pub unsafe fn rust_plugin(
    table: *mut WebSocketPlugin,
) -> Result<Option<RustPlugin>, IncompatibleError> {
    let table: *const ExtendedPlugin = table.cast_const().cast();
    // SAFETY: the caller vouches for `size`, and `size` for the fields of `ExtendedPlugin`, which
    // are read only as far as the ones before have proved that they mean what we think: the C size,
    // the magic value, abi_stable's version, the layout.
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
    /// The name of the plugin, for messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.extension.name().as_str()
    }

    /// Makes an instance of the plugin with these options.
    ///
    /// # Safety
    ///
    /// `unattached` is a server table that stands for no connection and stays valid until the last
    /// `destroy` of the library has returned.
    ///
    /// # Errors
    ///
    /// What the plugin says is wrong with its options.
    pub unsafe fn configure(
        &self,
        unattached: *const WebSocketServer,
        options: &[(&str, &str)],
    ) -> Result<Instance, String> {
        let options: Vec<_> = options
            .iter()
            .map(|&(name, value)| Tuple2(RStr::from_str(name), RStr::from_str(value)))
            .collect();
        // SAFETY: the layouts are compatible (`rust_plugin`); the caller keeps the library loaded and
        // vouches for the table.
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

/// A plugin configured with one set of options. Dropping it releases it; its connections live on.
pub struct Instance {
    extension: ExtensionRef,
    instance: InstancePtr,
}

// SAFETY: the plugin only offers instances of types that are `Send + Sync`, and its functions may be
// called from any thread.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    /// Stands in for `on_connect` of the C table: null refuses the connection, anything else goes to
    /// the other callbacks of that table.
    ///
    /// # Safety
    ///
    /// As for `on_connect`: `server` is the table of a new connection and valid until `on_disconnect`
    /// has returned, or until this returns null. The text messages the connection is given are UTF-8.
    #[must_use]
    pub unsafe fn connect(&self, server: *const WebSocketServer) -> *mut c_void {
        // SAFETY: the instance came from the same plugin and is released only by `drop`; the caller
        // vouches for the table.
        unsafe { (self.extension.connect())(self.instance, ServerPtr(server)) }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: the instance is ours and not used again; whoever called `rust_plugin` keeps the
        // library loaded.
        unsafe { (self.extension.release())(self.instance) }
    }
}

/// A Rust plugin that was built against another, incompatible `websocket-plugin`.
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
