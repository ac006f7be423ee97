//! The pointer that httpd keeps for each module in the configurations of requests, connections and
//! sections. Its position is the number that httpd gave the module.

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering};

use super::sys;

/// The number of a module that httpd has not loaded.
const NOT_LOADED: c_int = -1;

static MODULE_INDEX: AtomicI32 = AtomicI32::new(NOT_LOADED);

/// Must be called each time httpd loads the module, which may then get another number.
pub fn set_module_index(index: c_int) {
    MODULE_INDEX.store(index, Ordering::Relaxed);
}

/// The number that httpd gave the module. It also finds the module's log level.
pub fn module_index() -> c_int {
    MODULE_INDEX.load(Ordering::Relaxed)
}

/// The place of this module's pointer in a configuration.
///
/// # Safety
///
/// httpd made `configuration` after it had loaded the module. It lives as long as the result is
/// used.
pub unsafe fn slot<T>(configuration: *mut sys::ap_conf_vector_t) -> *mut *mut T {
    let index = usize::try_from(module_index()).expect("set when the module was loaded");
    // SAFETY: the caller vouches for the configuration, which has a pointer for each module.
    unsafe { configuration.cast::<*mut T>().add(index) }
}
