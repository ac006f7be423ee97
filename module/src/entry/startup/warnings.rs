//! Warnings about the configuration, kept until httpd can log them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::httpd::log::{Level, server_line};
use crate::httpd::pool::Pool;
use crate::httpd::{state, sys};

struct Warning {
    server: *const sys::server_rec,
    text: String,
}

// SAFETY: warnings are given and logged by the one thread that reads the configuration.
unsafe impl Send for Warning {}

/// Those about the configuration being read, until its pool is destroyed.
static WARNINGS: Mutex<Vec<Warning>> = Mutex::new(Vec::new());

/// Warns of something in the configuration of `server`, which lives in `pool`: once for each start,
/// or, if the text stands in an `.htaccess` file, at once.
pub(in crate::entry) fn warn(pool: Pool, server: *const sys::server_rec, text: String) {
    if state::is_serving() {
        // SAFETY: the server of the request that the file is read for.
        return unsafe { server_line(server, Level::Warning, &text) };
    }
    let mut warnings = lock();
    if warnings.is_empty() {
        pool.on_destroy(|| lock().clear());
    }
    warnings.push(Warning { server, text });
}

/// Logs all warnings.
pub(super) fn log() {
    for Warning { server, text } in lock().drain(..) {
        // SAFETY: the server lives in the pool whose clean-up clears the list.
        unsafe { server_line(server, Level::Warning, &text) };
    }
}

fn lock() -> MutexGuard<'static, Vec<Warning>> {
    WARNINGS.lock().unwrap_or_else(PoisonError::into_inner)
}
