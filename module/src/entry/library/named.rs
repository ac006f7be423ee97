//! Which plugins an `.htaccess` file may load.
//!
//! A library is code that runs in httpd's processes. People who may write an `.htaccess` file are
//! usually trusted with one folder, not with that. So by default such a file can only choose among
//! the plugins that the server's own configuration names (`WebSocketHtaccessPlugins`).

use std::ffi::{CStr, CString};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::files::{file, is_same_file};
use crate::entry::config::{HtaccessPlugins, htaccess_plugins};
use crate::httpd::pool::Pool;

/// A library and its init function, as a `WebSocketHandler` of the server's configuration names
/// them.
#[derive(PartialEq, Eq)]
struct Named {
    library: CString,
    symbol: Box<[u8]>,
}

/// The plugins of the configuration being read or in use, until its pool is destroyed.
static NAMED: Mutex<Vec<Named>> = Mutex::new(Vec::new());

/// Remembers a plugin that a `WebSocketHandler` of the server's configuration names.
pub(super) fn remember(pool: Pool, library: &CStr, symbol: &[u8]) {
    let mut named = lock();
    if named.is_empty() {
        pool.on_destroy(|| lock().clear());
    }
    let new = Named {
        library: library.to_owned(),
        symbol: symbol.into(),
    };
    if !named.contains(&new) {
        named.push(new);
    }
}

/// The path under which to load the library that an `.htaccess` file names. If the server's
/// configuration must name the library too, this is the path there, because a link in the other
/// path may change between this check and the loading.
///
/// # Errors
///
/// Why the file may not load it, and what the administrator can do.
pub(super) fn allowed(library: &CStr, symbol: &[u8]) -> Result<CString, String> {
    let reason = match htaccess_plugins() {
        HtaccessPlugins::Any => return Ok(library.to_owned()),
        HtaccessPlugins::None => "'WebSocketHtaccessPlugins None' is set",
        HtaccessPlugins::Named => {
            let named = lock();
            let known = named.iter().find(|named| {
                *named.symbol == *symbol && is_same_file(file(&named.library), file(library))
            });
            if let Some(known) = known {
                return Ok(known.library.clone());
            }
            "no WebSocketHandler of the server's own configuration names that library and function"
        }
    };
    Err(format!(
        "WebSocketHandler: {} in {} may not be loaded for an .htaccess file: {reason} (see \
         WebSocketHtaccessPlugins)",
        String::from_utf8_lossy(symbol),
        library.to_string_lossy(),
    ))
}

fn lock() -> MutexGuard<'static, Vec<Named>> {
    NAMED.lock().unwrap_or_else(PoisonError::into_inner)
}
