//! Where the log lines of this library's plugins go.

use crate::abi::{ExtendedServer, LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_WARNING, WebSocketServer};
use std::ffi::c_int;
use std::io::{self, Write};
use std::ptr;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A plugin, as a source of log lines.
///
/// The host's functions run under locks for reading, which only keep the table valid: whoever else
/// wants to call the host goes on meanwhile.
pub(super) struct Source {
    name: &'static str,
    unattached: RwLock<Unattached>,
}

/// A table that belongs to no connection; null until the module provides one.
struct Unattached(*const WebSocketServer);

// SAFETY: the host lets any thread call `log`, and this code uses nothing else of the table.
unsafe impl Send for Unattached {}
// SAFETY: as above.
unsafe impl Sync for Unattached {}

impl Source {
    pub(super) const fn new(name: &'static str) -> Self {
        Self {
            name,
            unattached: RwLock::new(Unattached(ptr::null())),
        }
    }

    /// Sets the table for lines that belong to no connection. Null stands for stderr.
    ///
    /// # Safety
    ///
    /// The table is valid until another call replaces it.
    pub(super) unsafe fn attach(&self, table: *const WebSocketServer) {
        write_lock(&self.unattached).0 = table;
    }

    /// Writes a line that belongs to no connection.
    pub(super) fn write(&self, level: c_int, text: &str) {
        let table = read_lock(&self.unattached);
        // SAFETY: the caller of `attach` guarantees the table. The lock keeps `attach` from
        // replacing it.
        unsafe { self.write_to(table.0, level, text) }
    }

    /// Writes a line that belongs to the connection of a table.
    ///
    /// # Safety
    ///
    /// The table is valid during the call, or null.
    pub(super) unsafe fn write_to(&self, table: *const WebSocketServer, level: c_int, text: &str) {
        // SAFETY: the caller guarantees the table.
        unsafe { write(table, level, &format!("[{}] {text}", self.name)) }
    }
}

/// # Safety
///
/// The table is valid during the call, or null.
unsafe fn write(table: *const WebSocketServer, level: c_int, line: &str) {
    // SAFETY: the caller guarantees the table, and the host copies the line.
    unsafe {
        let extended = if table.is_null() {
            None
        } else {
            ExtendedServer::extended(table)
        };
        if let Some(extended) = extended {
            (extended.log)(table, level, line.as_ptr(), line.len());
            return;
        }
    }
    let level = match level {
        LOG_ERROR => "error",
        LOG_WARNING => "warn",
        LOG_INFO => "info",
        LOG_DEBUG => "debug",
        _ => "trace",
    };
    // If stderr is closed, there is no other place to report that.
    let _ = writeln!(io::stderr(), "{level}: {line}");
}

/// The loaded plugins of this library, for lines written outside of all callbacks.
static LOADED: RwLock<Vec<&'static Source>> = RwLock::new(Vec::new());

/// Adds a plugin.
pub(super) fn register(source: &'static Source) {
    write_lock(&LOADED).push(source);
}

/// Removes a plugin, and stops using its table.
pub(super) fn forget(source: &'static Source) {
    write_lock(&LOADED).retain(|loaded| !ptr::eq(*loaded, source));
    // SAFETY: null is always valid.
    unsafe { source.attach(ptr::null()) }
}

/// Calls `body` with a table that belongs to no connection, if the module has provided one.
pub(crate) fn with_unattached<T>(body: impl FnOnce(*const WebSocketServer) -> T) -> Option<T> {
    with_host(|_, table| body(table))
}

/// Calls `body` with the name of the plugin that was loaded first, and with a table that belongs to
/// no connection, if the module has provided one.
pub(super) fn with_host<T>(
    body: impl FnOnce(&'static str, *const WebSocketServer) -> T,
) -> Option<T> {
    let loaded = read_lock(&LOADED);
    let table = loaded.iter().find_map(|source| {
        let table = read_lock(&source.unattached).0;
        (!table.is_null()).then_some(table)
    })?;
    // The lock keeps `forget`, and so the last `destroy`, from returning.
    let result = body(loaded.first()?.name, table);
    drop(loaded);
    Some(result)
}

/// Writes a line from a thread of the plugin's own. If the library holds several plugins, the line
/// could be from any of them, so it has the record's target instead of a plugin's name.
pub(super) fn write_outside(level: c_int, target: &str, text: &str) {
    match read_lock(&LOADED).as_slice() {
        [source] => source.write(level, text),
        [source, ..] => {
            let table = read_lock(&source.unattached);
            // SAFETY: the caller of `attach` guarantees the table. The lock keeps `attach` from
            // replacing it.
            unsafe { write(table.0, level, &format!("[{target}] {text}")) }
        }
        // SAFETY: null is always valid.
        [] => unsafe { write(ptr::null(), level, &format!("[{target}] {text}")) },
    }
}

fn read_lock<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write_lock<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
