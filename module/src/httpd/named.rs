//! Which plugins an `.htaccess` file may load.
//!
//! A library is code that runs in httpd's processes. Whoever may write an `.htaccess` file is usually
//! trusted with one folder, not with that. So by default such a file chooses among the plugins that
//! the server's own configuration names (`WebSocketHtaccessPlugins`).

use std::ffi::{CStr, CString};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::library::{file, is_same_file};
use super::pool::Pool;
use super::{config, sys};

/// What `WebSocketHtaccessPlugins` allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HtaccessPlugins {
    /// Plugins that the server's configuration names, anywhere in it.
    #[default]
    Named,
    /// Any library.
    Any,
    /// No plugins.
    None,
}

/// A library and its init function, as a `WebSocketHandler` of the server's configuration names them.
#[derive(PartialEq, Eq)]
struct Named {
    library: CString,
    symbol: Box<[u8]>,
}

/// Those of the configuration being read or in use, until its pool is destroyed.
static NAMED: Mutex<Vec<Named>> = Mutex::new(Vec::new());

/// Remembers what a `WebSocketHandler` of the server's configuration names.
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

/// The path under which to load the library that an `.htaccess` file names. Where the server's
/// configuration must name it too, that is the path there: what the other one leads to may change
/// between this look and the loading.
///
/// # Errors
///
/// Why the file may not load it, and what the administrator can do.
pub(super) fn allowed(library: &CStr, symbol: &[u8]) -> Result<CString, String> {
    let reason = match policy() {
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

/// What the main server sets: a library that one virtual host loads can do anything in all of them.
fn policy() -> HtaccessPlugins {
    // SAFETY: while requests are served, the main server and its configuration stay as they are.
    unsafe {
        sys::ap_server_conf
            .as_ref()
            .map(|server| config::in_vector(server.lookup_defaults).htaccess_plugins())
            .unwrap_or_default()
    }
}

fn lock() -> MutexGuard<'static, Vec<Named>> {
    NAMED.lock().unwrap_or_else(PoisonError::into_inner)
}
