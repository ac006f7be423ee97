//! The place that httpd keeps for each module in the configurations of requests, connections and
//! sections: a pointer, at the number httpd gave the module.

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering};

use super::sys;

/// httpd's mark for a module it has not loaded.
const NOT_LOADED: c_int = -1;

static MODULE_INDEX: AtomicI32 = AtomicI32::new(NOT_LOADED);

/// To be called each time httpd loads the module, which may get another number then.
pub fn set_module_index(index: c_int) {
    MODULE_INDEX.store(index, Ordering::Relaxed);
}

/// The number httpd gave the module. It finds the module's log level too.
pub fn module_index() -> c_int {
    MODULE_INDEX.load(Ordering::Relaxed)
}

/// This module's place in a configuration.
///
/// # Safety
///
/// httpd made `configuration`, after it loaded the module, and it lives as long as the result is
/// used.
pub unsafe fn slot<T>(configuration: *mut sys::ap_conf_vector_t) -> *mut *mut T {
    let index = usize::try_from(module_index()).expect("set when the module was loaded");
    // SAFETY: the caller vouches for the configuration, which has a pointer for each module.
    unsafe { configuration.cast::<*mut T>().add(index) }
}
