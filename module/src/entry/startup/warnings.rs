//! Warnings about the configuration, kept until httpd can log them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::httpd::log::{Level, server_line};
use crate::httpd::pool::Pool;
use crate::httpd::{state, sys};

struct Warning {
    server: *const sys::server_rec,
    text: String,
}

// SAFETY: only the one thread that reads the configuration adds and logs warnings.
unsafe impl Send for Warning {}

/// The warnings about the configuration being read, until its pool is destroyed.
static WARNINGS: Mutex<Vec<Warning>> = Mutex::new(Vec::new());

/// Warns of something in the configuration of `server`, which lives in `pool`. The warning is
/// logged once for each start, or at once if it concerns an `.htaccess` file.
pub(in crate::entry) fn warn(pool: Pool, server: *const sys::server_rec, text: String) {
    if state::is_serving() {
        // SAFETY: this is the server of the request that the file is read for.
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
