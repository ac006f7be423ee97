//! The end of a child that a stuck callback would keep for ever.
//!
//! A child that stops gracefully waits until the last of its connections is gone (event.c,
//! `listener_thread`), and a connection in whose callback a plugin hangs never is.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::httpd::guard::guard;
use crate::httpd::log::{Level, log_server};
use crate::httpd::mpm;
use crate::httpd::thread::spawn;
use crate::registry;

/// How long connections may take to end.
const PATIENCE: Duration = Duration::from_secs(4);

/// How often to look again while the child still serves requests.
const INTERVAL: Duration = Duration::from_millis(250);

/// Set when the child ends by itself.
#[derive(Default)]
struct Over {
    is_set: Mutex<bool>,
    changed: Condvar,
}

struct Watch {
    over: Arc<Over>,
    thread: JoinHandle<()>,
}

static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

/// Ends the process when event-driven connections are left after [`PATIENCE`] and its threads have no
/// requests to serve any more.
///
/// # Errors
///
/// When the process can have no more threads.
pub(super) fn watch() -> io::Result<()> {
    let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
    if watch.is_some() {
        return Ok(());
    }
    let over = Arc::new(Over::default());
    let waited_for = Arc::clone(&over);
    let builder = Builder::new().name("ws-departure".into());
    let thread = spawn(builder, move || {
        guard("the watch of a child that stops", (), || {
            leave_if_stuck(&waited_for);
        });
    })?;
    *watch = Some(Watch { over, thread });
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
    if let Some(Watch { over, thread }) = watch {
        *over.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        over.changed.notify_all();
        // It only fails if the thread panicked, and then it has ended too.
        let _ = thread.join();
    }
}

/// Ends the process although a callback is stuck.
pub(in crate::entry) fn leave() -> ! {
    log_server(
        Level::Warning,
        "a callback of a plugin is stuck; the process ends without it",
    );
    // SAFETY: ends the process without running anything that the stuck callback might then find gone.
    unsafe { libc::_exit(0) }
}

impl Over {
    /// Returns whether it is over, after `limit` at the latest.
    fn wait(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_set {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(is_set, left);
            is_set = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
