//! The fields that a Rust plugin appends to its C table, and how the module checks them.
//!
//! A C plugin may legally have a table that is larger than version 0, with contents that only the
//! plugin knows. So the first appended field is [`MAGIC`]. The module checks one thing after the
//! other: the C fields, the magic value, `abi_stable`'s own version ([`AbiHeader`]), and then each
//! field of [`Extension`], comparing the plugin's layout with its own.

use super::WebSocketPlugin;
use abi_stable::StableAbi;
use abi_stable::library::AbiHeader;
use abi_stable::std_types::{RResult, RSlice, RStr, RString, Tuple2};
use abi_stable::type_layout::TypeLayout;
use std::ffi::{c_uint, c_void};
use std::mem::offset_of;
use std::time::Duration;

/// Marks the table of a Rust plugin.
pub const MAGIC: [u8; 16] = *b"websocket-plugin";

/// The plugin table of a Rust plugin. Its fields never change; new functions go into [`Extension`].
#[repr(C)]
pub struct ExtendedPlugin {
    /// The C table. Its `size` is the size of the whole struct.
    pub base: WebSocketPlugin,
    /// [`MAGIC`].
    pub magic: [u8; 16],
    /// The version of `abi_stable`. If it is incompatible, the next two fields are meaningless.
    pub abi_stable: &'static AbiHeader,
    /// The layout of [`ExtensionRef`] that the plugin was built with.
    pub layout: extern "C" fn() -> &'static TypeLayout,
    /// To be read only if that layout is compatible.
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

/// The functions that a Rust plugin offers beyond the C table. New ones go to the end.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ExtensionRef)))]
#[sabi(missing_field(panic))]
pub struct Extension {
    /// The plugin's name, for messages.
    pub name: RStr<'static>,
    /// Makes an instance from the names and values of options, or returns an error text. The server
    /// table belongs to no connection, so the plugin may call only its `log`. It is valid until the
    /// last `destroy` returns.
    pub configure: unsafe extern "C" fn(
        ServerPtr,
        RSlice<'_, Tuple2<RStr<'_>, RStr<'_>>>,
    ) -> RResult<InstancePtr, RString>,
    /// `on_connect` for a connection of that instance. Null refuses the connection. Text messages
    /// of such a connection must be UTF-8 (RFC 6455, section 8.1), because the plugin does not
    /// check them again.
    pub connect: unsafe extern "C" fn(InstancePtr, ServerPtr) -> *mut c_void,
    /// Releases an instance. Its connections may outlive it.
    #[sabi(last_prefix_field)]
    pub release: unsafe extern "C" fn(InstancePtr),
    /// Ends the plugin's own threads, because the process is about to end: callbacks of connections
    /// that have ended may take so many milliseconds, connections that are still open are dropped
    /// without a callback. Returns how many threads did not end; these may still use whatever they
    /// were given. Called by any thread, when the module begins no more calls. Calls that it has
    /// begun may still run. `None`: the plugin has no threads of which it knows.
    #[sabi(missing_field(default))]
    pub end: Option<unsafe extern "C" fn(u64) -> u32>,
    /// How many bytes of messages of a connection the plugin keeps by itself. The argument is what
    /// `connect` returned for it. Called like a callback of the connection, never beside one, after
    /// each turn. `None`: the plugin keeps nothing.
    #[sabi(missing_field(default))]
    pub kept: Option<unsafe extern "C" fn(*mut c_void) -> usize>,
    /// How often the instance wants `on_tick`, and where. `None`: never.
    #[sabi(missing_field(default))]
    pub ticks: Option<unsafe extern "C" fn(InstancePtr) -> TickPlan>,
    /// A tick, which was due so many nanoseconds after the beginning of 1970. The module calls it
    /// in a thread of its own, never twice at once for an instance, and not after `release`.
    /// `None`: there are none.
    #[sabi(missing_field(default))]
    pub on_tick: Option<unsafe extern "C" fn(InstancePtr, u64)>,
    /// Has a tick that is under way return as soon as it can, and every later one at once: the
    /// process or the instance is about to end. Called by another thread than `on_tick`, before
    /// `release`. It returns at once. `None`: a tick takes as long as it takes.
    #[sabi(missing_field(default))]
    pub end_ticks: Option<unsafe extern "C" fn(InstancePtr)>,
    /// Has every `connect` that waits refuse its connection with 503 as soon as it can, and every
    /// later one at once: the process is about to end. Called by any thread. It returns at once.
    /// `None`: `connect` takes as long as it takes.
    #[sabi(missing_field(default))]
    pub end_handshakes: Option<unsafe extern "C" fn()>,
}

/// How often an instance wants ticks.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickPlan {
    /// The interval; 0: the instance wants none.
    pub nanoseconds: u64,
    /// Not 0: in one process of httpd at a time. 0: in each.
    pub is_in_one_process: u32,
}

impl TickPlan {
    /// No ticks.
    pub const NONE: Self = Self {
        nanoseconds: 0,
        is_in_one_process: 0,
    };

    /// Ticks so often.
    #[must_use]
    pub fn new(interval: Duration, is_in_one_process: bool) -> Self {
        let nanoseconds = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Self {
            nanoseconds: nanoseconds.max(1_000_000),
            is_in_one_process: is_in_one_process.into(),
        }
    }
}

/// The rules of the C tables apply to the [`WebSocketServer`](super::WebSocketServer) that it
/// points to.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct ServerPtr(#[sabi(unsafe_opaque_field)] pub *const super::WebSocketServer);

/// An instance of the plugin, opaque to the module.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct InstancePtr(pub *const c_void);
