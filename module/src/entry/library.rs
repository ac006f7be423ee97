//! Loads plugin libraries with APR, as httpd loads its own modules.
//!
//! A plugin may also be loaded as an httpd module (`LoadModule`). Both must get the same handle, so
//! the library is opened under its own path and with the same flags.

#![allow(unsafe_code)]

mod files;
mod named;
mod symbol;

use std::ffi::{CStr, c_char, c_void};
use std::fmt::Display;
use std::mem;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use websocket_plugin::abi;

use crate::httpd::error::status_text;
use crate::httpd::pool::{Pool, bytes, c_string};
use crate::httpd::{state, sys};
use crate::plugin::{LoadedPlugin, Source};
use files::file;

/// Loads the library at `path` (relative to `ServerRoot`) and calls its init function. When `pool`
/// is destroyed, the plugin is destroyed and the library unloaded.
///
/// # Errors
///
/// A message for the administrator that names the path, the symbol and the reason.
pub(super) fn load(pool: Pool, path: &[u8], symbol: &[u8]) -> Result<Arc<LoadedPlugin>, String> {
    let path = server_path("WebSocketHandler", pool, path)?;
    let is_of_request = state::is_serving();
    if is_of_request {
        let path = named::allowed(path, symbol)?;
        return open_plugin(pool, &path, symbol, is_of_request);
    }
    let plugin = open_plugin(pool, path, symbol, is_of_request)?;
    named::remember(pool, path, symbol);
    Ok(plugin)
}

fn open_plugin(
    pool: Pool,
    path: &CStr,
    symbol: &[u8],
    is_of_request: bool,
) -> Result<Arc<LoadedPlugin>, String> {
    let name = String::from_utf8_lossy(symbol);
    let shown_path = path.to_string_lossy();
    let handle = open(pool, path)
        .map_err(|reason| format!("WebSocketHandler: could not load {shown_path}: {reason}"))?;
    let address = find(handle, symbol).map_err(|reason| {
        format!("WebSocketHandler: could not find {name} in {shown_path}: {reason}")
    })?;
    let file_name = shown_path.rsplit('/').next().unwrap_or_default();
    let label = format!("{name} in {file_name}");
    let name = format!("{name} in {shown_path}");
    let refused = |reason: &dyn Display| format!("WebSocketHandler: {name} {reason}");
    let helper = symbol::check(address, file(path)).map_err(|reason| refused(&reason.text()))?;
    // SAFETY: `check` found that it is a function. The administrator guarantees that it takes no
    // arguments, which cannot be checked.
    let init = unsafe { mem::transmute::<*mut c_void, abi::Init>(address) };
    let source = Source {
        name: helper.map_or_else(|| name.clone(), |helper| of_helper(&name, &helper)),
        label,
        is_of_request,
    };
    // SAFETY: as above. APR registered its own clean-up, which unloads the library, before the
    // clean-up below. So the library stays loaded until the clean-up below has run.
    let plugin =
        unsafe { LoadedPlugin::from_init(source, init) }.map_err(|error| refused(&error))?;
    let plugin = Arc::new(plugin);
    let destroyed = Arc::clone(&plugin);
    pool.on_destroy(move || destroyed.destroy());
    Ok(plugin)
}

/// The name of a plugin whose init function is in a library that the plugin's library depends on.
fn of_helper(name: &str, helper: &Path) -> String {
    format!("{name} (from {})", helper.display())
}

pub(super) fn server_path<'a>(
    directive: &str,
    pool: Pool,
    path: &[u8],
) -> Result<&'a CStr, String> {
    // SAFETY: httpd joins the two paths in the pool, which outlives the directive.
    unsafe {
        let full = sys::ap_server_root_relative(pool.as_ptr(), pool.copy(path));
        match bytes(full) {
            Some(_) => Ok(CStr::from_ptr(full)),
            None => Err(format!(
                "{directive}: '{}' is not a valid path",
                String::from_utf8_lossy(path)
            )),
        }
    }
}

fn open(pool: Pool, path: &CStr) -> Result<*mut sys::apr_dso_handle_t, String> {
    let mut handle = ptr::null_mut();
    // SAFETY: `handle` and `path` are valid for the call, the pool outlives the handle.
    let status = unsafe { sys::apr_dso_load(&raw mut handle, path.as_ptr(), pool.as_ptr()) };
    if status == sys::APR_SUCCESS {
        Ok(handle)
    } else {
        Err(linker_error(handle, status))
    }
}

fn find(handle: *mut sys::apr_dso_handle_t, symbol: &[u8]) -> Result<*mut c_void, String> {
    let mut address = ptr::null_mut();
    let symbol = c_string(symbol);
    // SAFETY: `open` returned the handle; the other pointers are valid for the call.
    let status = unsafe { sys::apr_dso_sym(&raw mut address, handle, symbol.as_ptr()) };
    if status == sys::APR_SUCCESS {
        Ok(address)
    } else {
        Err(linker_error(handle, status))
    }
}

/// The last error message of the dynamic linker about a library.
fn linker_error(handle: *mut sys::apr_dso_handle_t, status: sys::apr_status_t) -> String {
    if handle.is_null() {
        return status_text(status);
    }
    let mut buffer = [0 as c_char; 512];
    // SAFETY: APR fills the handle even when loading fails, writes at most the given number of
    // bytes and terminates them.
    let text = unsafe {
        CStr::from_ptr(sys::apr_dso_error(
            handle,
            buffer.as_mut_ptr(),
            buffer.len(),
        ))
    };
    text.to_string_lossy().into_owned()
}
