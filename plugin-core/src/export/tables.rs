//! The plugin's table, init and destroy, and the extension table.

use super::connection::{Connection, on_disconnect, on_message};
use super::guard::{self, Scope};
use super::{Exported, Loaded, Slot, logging, source, ticking};
use crate::abi::{
    ExtendedPlugin, Extension, ExtensionRef, InstancePtr, MAGIC, ServerPtr,
    WEBSOCKET_PLUGIN_VERSION_0, WebSocketPlugin, WebSocketServer,
};
use crate::{Options, Plugin};
use abi_stable::abi_stability::stable_abi_trait::get_type_layout;
use abi_stable::library::AbiHeader;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::staticref;
use abi_stable::std_types::{RResult, RSlice, RStr, RString, Tuple2};
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

/// The exported init function. Returns the plugin's table, or null if the plugin panicked.
///
/// A plugin whose `configure` returns an error without options still gets a table, because the
/// module may have options for it. The C module has no options; such a plugin then refuses every
/// connection and writes the reason to stderr.
#[must_use]
pub fn init<P: Exported>() -> *mut WebSocketPlugin {
    guard::install();
    logging::install();
    let slot = P::slot();
    let mut loaded = slot.loaded();
    if loaded.inits == 0 {
        source::register(&slot.source);
        let plain = Scope::detached(&slot.source)
            .run_logged("configure", || configure(&Options::default()));
        let Some(plain) = plain else {
            source::forget(&slot.source);
            return ptr::null_mut();
        };
        loaded.plain = plain;
    }
    loaded.inits += 1;
    ptr::from_ref(Tables::<P>::PLUGIN).cast_mut().cast()
}

fn configure<P: Plugin>(options: &Options) -> Result<Arc<P>, String> {
    match P::configure(options) {
        Ok(plugin) => Ok(Arc::new(plugin)),
        Err(error) => Err(crate::close::chain(error.into().as_ref())),
    }
}

unsafe extern "system" fn destroy<P: Exported>(_: *mut WebSocketPlugin) {
    let slot = P::slot();
    let mut loaded = slot.loaded();
    loaded.inits = loaded.inits.saturating_sub(1);
    if loaded.inits == 0 {
        let plain = std::mem::replace(&mut loaded.plain, Err(String::new()));
        Scope::detached(&slot.source).run_logged("drop", || drop(plain));
        P::unload();
        source::forget(&slot.source);
    }
}

/// `on_connect` of the C table. It uses the instance without options.
unsafe extern "system" fn on_connect<P: Exported>(server: *const WebSocketServer) -> *mut c_void {
    let slot = P::slot();
    let plain = match &slot.loaded().plain {
        Ok(plugin) => Ok(Arc::clone(plugin)),
        Err(why) => Err(why.clone()),
    };
    match plain {
        // SAFETY: the host keeps the table valid until `on_disconnect` returns. It does not
        // guarantee that texts are UTF-8.
        Ok(plugin) => unsafe { Connection::<P>::open(plugin, server, false) },
        Err(why) => {
            // SAFETY: the host keeps the table valid during this call.
            let scope = unsafe { Scope::connection(&slot.source, server) };
            scope.error(&format!("not configured: {why}"));
            ptr::null_mut()
        }
    }
}

struct Tables<P>(P);

impl<P: Exported> Tables<P> {
    const PLUGIN: &'static ExtendedPlugin = &ExtendedPlugin {
        base: WebSocketPlugin {
            size: ExtendedPlugin::SIZE,
            version: WEBSOCKET_PLUGIN_VERSION_0,
            destroy: Some(destroy::<P>),
            on_connect: Some(on_connect::<P>),
            on_message: Some(on_message::<P>),
            on_disconnect: Some(on_disconnect::<P>),
        },
        magic: MAGIC,
        abi_stable: &AbiHeader::VALUE,
        layout: get_type_layout::<ExtensionRef>,
        extension: ExtensionRef(Self::EXTENSION.as_prefix()),
    };

    const END: Option<unsafe extern "C" fn(u64) -> u32> = if P::HAS_RUNTIME {
        Some(extended_end::<P>)
    } else {
        None
    };

    const KEPT: Option<unsafe extern "C" fn(*mut c_void) -> usize> = if P::HAS_RUNTIME {
        Some(extended_kept::<P>)
    } else {
        None
    };

    const END_TICKS: Option<unsafe extern "C" fn(InstancePtr)> = if P::HAS_RUNTIME {
        Some(ticking::end_ticks::<P>)
    } else {
        None
    };

    const END_HANDSHAKES: Option<unsafe extern "C" fn()> = if P::HAS_RUNTIME {
        Some(extended_end_handshakes::<P>)
    } else {
        None
    };

    staticref! {
        const EXTENSION: WithMetadata<Extension> = WithMetadata::new(Extension {
            name: RStr::from_str(P::NAME),
            configure: extended_configure::<P>,
            connect: extended_connect::<P>,
            release: extended_release::<P>,
            end: Self::END,
            kept: Self::KEPT,
            ticks: Some(ticking::ticks::<P>),
            on_tick: Some(ticking::on_tick::<P>),
            end_ticks: Self::END_TICKS,
            end_handshakes: Self::END_HANDSHAKES,
        });
    }
}

/// `Extension::configure`. An instance is an `Arc<P::Runs>`.
unsafe extern "C" fn extended_configure<P: Exported>(
    unattached: ServerPtr,
    options: RSlice<'_, Tuple2<RStr<'_>, RStr<'_>>>,
) -> RResult<InstancePtr, RString> {
    let slot = P::slot();
    // SAFETY: the module keeps the table valid until the last `destroy` returns, and `destroy`
    // resets the pointer to it.
    unsafe { slot.source.attach(unattached.0) }
    let options = options
        .iter()
        .map(|option| (option.0.as_str(), option.1.as_str()))
        .collect();
    let configured = match Scope::detached(&slot.source).run(|| configure::<P::Runs>(&options)) {
        Ok(configured) => configured,
        Err(panic) => Err(panic.describe("configure")),
    };
    match configured {
        Ok(plugin) => RResult::ROk(InstancePtr(Arc::into_raw(plugin).cast())),
        Err(text) => RResult::RErr(text.into()),
    }
}

/// `Extension::connect`. The module guarantees that texts are UTF-8.
unsafe extern "C" fn extended_connect<P: Exported>(
    instance: InstancePtr,
    server: ServerPtr,
) -> *mut c_void {
    let instance: *const P::Runs = instance.0.cast();
    // SAFETY: the module passes an instance that `configure` returned and that is not yet released.
    // It keeps the server table valid until `on_disconnect` returns.
    unsafe {
        Arc::increment_strong_count(instance);
        Connection::<P>::open(Arc::from_raw(instance), server.0, true)
    }
}

/// `Extension::release`.
unsafe extern "C" fn extended_release<P: Exported>(instance: InstancePtr) {
    P::slot().set_failing(instance, false);
    // SAFETY: the module passes an instance that `configure` returned, and only once.
    let instance = unsafe { Arc::from_raw(instance.0.cast::<P::Runs>()) };
    Scope::detached(&P::slot().source).run_logged("drop", || drop(instance));
}

/// `Extension::end`.
unsafe extern "C" fn extended_end<P: Exported>(milliseconds: u64) -> u32 {
    let end = || P::end(Duration::from_millis(milliseconds));
    let left = Scope::detached(&P::slot().source).run_logged("end", end);
    // After a panic nothing is known of the threads.
    left.map_or(1, |left| u32::try_from(left).unwrap_or(u32::MAX))
}

/// `Extension::end_handshakes`. This runs no code of the plugin's author, and does not panic.
unsafe extern "C" fn extended_end_handshakes<P: Exported>() {
    P::end_handshakes();
}

/// `Extension::kept`.
unsafe extern "C" fn extended_kept<P: Exported>(private: *mut c_void) -> usize {
    // SAFETY: the module passes what `connect` returned, before `on_disconnect` and beside no
    // callback. This runs no code of the plugin's author, and does not panic.
    unsafe { (*private.cast::<Connection<P>>()).kept() }
}

impl<P> Slot<P> {
    fn loaded(&self) -> MutexGuard<'_, Loaded<P>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
