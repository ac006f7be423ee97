//! Checks that an init function has returned the table of a plugin.

use std::ffi::c_uint;
use std::fmt;

use websocket_plugin::abi::host::IncompatibleError;
use websocket_plugin::abi::{self, ExtendedPlugin, WebSocketPlugin};

use super::probe;

/// What is wrong with a plugin's table. The text is meant to follow the plugin's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginError {
    /// Init returned null.
    Init,
    /// Init returned something other than the address of a table.
    Address(usize),
    /// Init returned the address of one of its local variables.
    OnStack,
    /// This module does not know the version of the table.
    Version(c_uint),
    /// The table is smaller than a table of version 0.
    Size(c_uint),
    /// The memory of the table ends before its `size` does.
    Truncated(c_uint),
    /// A callback is not the address of code.
    Callback(&'static str),
    /// The table has no `on_message`, the one callback that it needs.
    NoOnMessage,
    /// A Rust plugin was built against another `websocket-plugin`.
    Incompatible(IncompatibleError),
    /// The table could not be checked.
    Failed(String),
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init => f.write_str("returned NULL: the plugin cannot be used"),
            Self::Address(address) => write!(
                f,
                "returned {address:#x}, where no plugin's table is: it is not the init function of \
                 a plugin"
            ),
            Self::OnStack => f.write_str(
                "returned the address of a local variable: the table of a plugin must be valid \
                 until destroy, so make it static",
            ),
            Self::Version(version) => write!(
                f,
                "returned a plugin of version {version}; this module knows version {}",
                abi::WEBSOCKET_PLUGIN_VERSION_0
            ),
            Self::Size(size) => write!(
                f,
                "returned a plugin of {size} bytes; version 0 has at least {}",
                size_of::<WebSocketPlugin>()
            ),
            Self::Truncated(size) => write!(
                f,
                "returned a plugin whose memory ends before the {size} bytes it claims to have"
            ),
            Self::Callback(name) => {
                write!(f, "returned a plugin whose {name} is not a function")
            }
            Self::NoOnMessage => f.write_str("returned a plugin without on_message"),
            Self::Incompatible(error) => write!(f, "does not fit this module: {error}"),
            Self::Failed(reason) => write!(f, "could not be checked: {reason}"),
        }
    }
}

/// Checks a table of version 0 without relying on anything in it. Returns `on_message`.
///
/// # Errors
///
/// What is wrong with the table.
pub(super) fn inspect(table: *mut WebSocketPlugin) -> Result<abi::OnMessage, PluginError> {
    let address = table.addr();
    if table.is_null() {
        return Err(PluginError::Init);
    }
    if !table.is_aligned() {
        return Err(PluginError::Address(address));
    }
    if probe::is_on_stack(address) {
        return Err(PluginError::OnStack);
    }
    check_head(address)?;
    let copy = read(address)?.ok_or(PluginError::Address(address))?;
    check_callbacks(&copy)
}

/// Checks the two fields that every version of the table begins with.
fn check_head(address: usize) -> Result<(), PluginError> {
    let [size, version] = read::<{ size_of::<[c_uint; 2]>() }>(address)?
        .map(|bytes| {
            let field = |at: usize| {
                let bytes = bytes[at..].first_chunk().copied();
                bytes.map_or(0, c_uint::from_ne_bytes)
            };
            [field(0), field(size_of::<c_uint>())]
        })
        .ok_or(PluginError::Address(address))?;
    if version != abi::WEBSOCKET_PLUGIN_VERSION_0 {
        return Err(PluginError::Version(version));
    }
    if usize::try_from(size).is_ok_and(|size| size < size_of::<WebSocketPlugin>()) {
        return Err(PluginError::Size(size));
    }
    // The module reads that much of a Rust plugin's table.
    let is_whole =
        size < ExtendedPlugin::SIZE || read::<{ size_of::<ExtendedPlugin>() }>(address)?.is_some();
    is_whole.then_some(()).ok_or(PluginError::Truncated(size))
}

fn check_callbacks(
    table: &[u8; size_of::<WebSocketPlugin>()],
) -> Result<abi::OnMessage, PluginError> {
    // SAFETY: the bytes are those of a table's plain fields. Every bit pattern is a valid `Option`
    // of a function pointer. No pointer is called before it has been checked.
    let table = unsafe { table.as_ptr().cast::<WebSocketPlugin>().read_unaligned() };
    for (name, address) in [
        ("destroy", table.destroy.map_or(0, |f| f as usize)),
        ("on_connect", table.on_connect.map_or(0, |f| f as usize)),
        ("on_message", table.on_message.map_or(0, |f| f as usize)),
        (
            "on_disconnect",
            table.on_disconnect.map_or(0, |f| f as usize),
        ),
    ] {
        if address != 0 && !probe::is_executable(address) {
            return Err(PluginError::Callback(name));
        }
    }
    table.on_message.ok_or(PluginError::NoOnMessage)
}

fn read<const LENGTH: usize>(address: usize) -> Result<Option<[u8; LENGTH]>, PluginError> {
    probe::read(address).map_err(|error| PluginError::Failed(error.to_string()))
}
