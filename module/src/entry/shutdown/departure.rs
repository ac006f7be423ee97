//! The end of a child that a stuck callback would keep for ever.
//!
//! A child that stops gracefully waits until the last of its connections is gone (event.c,
//! `listener_thread`), and a connection in whose callback a plugin hangs never is.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::watch::{Over, Watch};
use crate::httpd::log::{Level, log_server};
use crate::httpd::mpm;
use crate::registry;

/// How long connections may take to end.
const PATIENCE: Duration = Duration::from_secs(4);

/// How often to look again while the child still serves requests.
const INTERVAL: Duration = Duration::from_millis(250);

static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

/// Ends the process when event-driven connections are left after [`PATIENCE`] and its threads have
/// no requests to serve any more.
///
/// # Errors
///
/// When the process can have no more threads.
pub(super) fn watch() -> io::Result<()> {
    let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
    if watch.is_some() {
        return Ok(());
    }
    *watch = Some(Watch::start("ws-departure", leave_if_stuck)?);
    Ok(())
}

fn leave_if_stuck(over: &Over) {
    if over.wait(PATIENCE) {
        return;
    }
    while registry::is_any_without_mpm_thread() && !mpm::is_child_idle() {
        if over.wait(INTERVAL) {
            return;
        }
    }
    if registry::is_any_without_mpm_thread() {
        leave();
    }
}

/// Ends the thread and waits for it.
pub(super) fn stop() {
    let watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(watch) = watch {
        watch.end();
    }
}

/// Ends the process although a callback is stuck.
pub(in crate::entry) fn leave() -> ! {
    log_server(
        Level::Warning,
        "a callback of a plugin is stuck; the process ends without it",
    );
    // SAFETY: ends the process without running anything that the stuck callback might then find
    // gone.
    unsafe { libc::_exit(0) }
}
