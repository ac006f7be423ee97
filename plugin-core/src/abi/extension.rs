//! What a Rust plugin appends to its C table, and how the module checks it.
//!
//! A C plugin may legally have a table bigger than that of version 0, whose tail nobody reads. So
//! the first appended field is [`MAGIC`], and everything is checked from the outside in: the C
//! fields, the magic value, `abi_stable`'s own version ([`AbiHeader`]), and then, field by field, the
//! layout of [`Extension`] as the plugin was built against that of the module.

use super::WebSocketPlugin;
use abi_stable::StableAbi;
use abi_stable::library::AbiHeader;
use abi_stable::std_types::{RResult, RSlice, RStr, RString, Tuple2};
use abi_stable::type_layout::TypeLayout;
use std::ffi::{c_uint, c_void};
use std::mem::offset_of;

/// Marks the table of a Rust plugin.
pub const MAGIC: [u8; 16] = *b"websocket-plugin";

/// The plugin table of a Rust plugin. Its own fields never change; [`Extension`] is what grows.
#[repr(C)]
pub struct ExtendedPlugin {
    /// The C table; its `size` is that of the whole struct.
    pub base: WebSocketPlugin,
    /// [`MAGIC`].
    pub magic: [u8; 16],
    /// The version of `abi_stable`; the next two fields mean something only if it is compatible.
    pub abi_stable: &'static AbiHeader,
    /// The layout of [`ExtensionRef`] as the plugin knows it.
    pub layout: extern "C" fn() -> &'static TypeLayout,
    /// To be read only once that layout is known to be compatible.
    pub extension: ExtensionRef,
}

impl ExtendedPlugin {
    /// The value of `base.size`: 80 on 64-bit systems.
    #[allow(clippy::cast_possible_truncation, reason = "less than a hundred bytes")]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;
}

const _: () = {
    assert!(offset_of!(ExtendedPlugin, magic) == size_of::<WebSocketPlugin>());
    assert!(offset_of!(ExtendedPlugin, abi_stable) == size_of::<WebSocketPlugin>() + 16);
};

/// The functions a Rust plugin offers beyond the C table. New ones go to the end.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ExtensionRef)))]
#[sabi(missing_field(panic))]
pub struct Extension {
    /// The plugin's name, for people.
    pub name: RStr<'static>,
    /// Makes an instance from names and values of options, or says why not. The server table stands
    /// for no connection (only its `log` may be called) and is valid until the last `destroy` returns.
    pub configure: unsafe extern "C" fn(
        ServerPtr,
        RSlice<'_, Tuple2<RStr<'_>, RStr<'_>>>,
    ) -> RResult<InstancePtr, RString>,
    /// `on_connect` for a connection of that instance: null refuses it. Text messages of such a
    /// connection must be UTF-8 (RFC 6455, section 8.1): the plugin does not check again.
    pub connect: unsafe extern "C" fn(InstancePtr, ServerPtr) -> *mut c_void,
    /// Gives up an instance. Its connections may live on.
    #[sabi(last_prefix_field)]
    pub release: unsafe extern "C" fn(InstancePtr),
}

/// A [`WebSocketServer`](super::WebSocketServer), which follows the rules of the C tables.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct ServerPtr(#[sabi(unsafe_opaque_field)] pub *const super::WebSocketServer);

/// An instance of the plugin; what is behind it is the plugin's affair.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct InstancePtr(pub *const c_void);
