//! `log` records on their way to httpd's error log, or to stderr if there is none.

use super::guard::Scope;
use crate::abi::{
    ExtendedServer, LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_TRACE, LOG_WARNING, WebSocketServer,
};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::ffi::c_int;
use std::io::{self, Write};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A plugin, as the log sees it.
pub(super) struct Source {
    name: &'static str,
    unattached: Mutex<Unattached>,
}

/// A table that stands for no connection; null until the module gives one.
struct Unattached(*const WebSocketServer);

// SAFETY: the host lets any thread call `log`, and nothing else is done with the table.
unsafe impl Send for Unattached {}

impl Source {
    pub(super) const fn new(name: &'static str) -> Self {
        Self {
            name,
            unattached: Mutex::new(Unattached(ptr::null())),
        }
    }

    /// Lines about no connection go to this table from now on; null is stderr.
    ///
    /// # Safety
    ///
    /// The table is valid until it is replaced by another.
    pub(super) unsafe fn attach(&self, table: *const WebSocketServer) {
        lock(&self.unattached).0 = table;
    }

    /// Writes a line about no connection.
    pub(super) fn write(&self, level: c_int, text: &str) {
        let table = lock(&self.unattached);
        // SAFETY: `attach` vouches for the table, and cannot replace it while it is locked.
        unsafe { self.write_to(table.0, level, text) }
    }

    /// Writes a line about the connection of a table.
    ///
    /// # Safety
    ///
    /// The table is valid during the call, or null.
    pub(super) unsafe fn write_to(&self, table: *const WebSocketServer, level: c_int, text: &str) {
        // SAFETY: as the caller vouches for.
        unsafe { write(table, level, &format!("[{}] {text}", self.name)) }
    }
}

/// # Safety
///
/// The table is valid during the call, or null.
unsafe fn write(table: *const WebSocketServer, level: c_int, line: &str) {
    // SAFETY: as the caller vouches for; the host copies the line.
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
    // Where stderr is closed, there is nowhere left to complain.
    let _ = writeln!(io::stderr(), "{level}: {line}");
}

/// The loaded plugins of this library, for lines that are written in no callback.
static LOADED: Mutex<Vec<&'static Source>> = Mutex::new(Vec::new());

/// Adds a plugin.
pub(super) fn register(source: &'static Source) {
    lock(&LOADED).push(source);
}

/// Removes a plugin, whose table is not used any more.
pub(super) fn forget(source: &'static Source) {
    lock(&LOADED).retain(|loaded| !ptr::eq(*loaded, source));
    // SAFETY: null is always valid.
    unsafe { source.attach(ptr::null()) }
}

/// Makes this library's `log` macros write to httpd's log, unless the plugin has a logger of its own.
///
/// Nobody says which levels httpd is configured for, which may differ by location: it decides.
pub(super) fn install() {
    if log::set_logger(&HttpdLog).is_ok() {
        log::set_max_level(LevelFilter::Trace);
    }
}

struct HttpdLog;

impl Log for HttpdLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = match record.level() {
            Level::Error => LOG_ERROR,
            Level::Warn => LOG_WARNING,
            Level::Info => LOG_INFO,
            Level::Debug => LOG_DEBUG,
            Level::Trace => LOG_TRACE,
        };
        // Made before anything is locked: an argument's `Display` may log, too.
        let text = record.args().to_string();
        Scope::with_current(|scope| match scope {
            Some(scope) => scope.write(level, &text),
            None => write_outside(level, record.target(), &text),
        });
    }

    fn flush(&self) {}
}

/// A thread of the plugin's own writes. If the library holds several plugins, it is not known whose it
/// is, but the target says where the line comes from.
fn write_outside(level: c_int, target: &str, text: &str) {
    match lock(&LOADED).as_slice() {
        [source] => source.write(level, text),
        [source, ..] => {
            let table = lock(&source.unattached);
            // SAFETY: `attach` vouches for the table, and cannot replace it while it is locked.
            unsafe { write(table.0, level, &format!("[{target}] {text}")) }
        }
        // SAFETY: null is always valid.
        [] => unsafe { write(ptr::null(), level, &format!("[{target}] {text}")) },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
