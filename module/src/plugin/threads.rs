//! The plugins of this process that have threads of their own, which have to end before it does.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use websocket_plugin::abi::host::RustPlugin;

use crate::httpd::guard::guard;
use crate::httpd::thread::spawn;

/// The plugins that have been asked for a connection, each with a number.
static PLUGINS: Mutex<Vec<(usize, RustPlugin)>> = Mutex::new(Vec::new());

/// Keeps a plugin among those whose threads [`end_threads`] ends.
pub(super) struct Running(usize);

impl Running {
    pub(super) fn new(plugin: RustPlugin) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        plugins().push((number, plugin));
        Self(number)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        plugins().retain(|(number, _)| *number != self.0);
    }
}

/// Has plugins refuse all connections that they have not accepted yet, because the process is about
/// to end. Those that cannot do that take as long as they take.
pub fn end_handshakes() {
    // None of them is unloaded meanwhile. This runs no callback, and returns at once.
    for (_, plugin) in plugins().iter() {
        plugin.end_handshakes();
    }
}

/// Ends the threads of all plugins, for the process is about to end: nothing calls the plugins any
/// more. They end at the same time, and all of them have `patience` together. Returns whether no
/// thread is left.
pub fn end_threads(patience: Duration) -> bool {
    let until = Instant::now() + patience;
    let mut plugins = mem::take(&mut *plugins());
    let last = plugins.pop();
    let mut others = Vec::new();
    let mut left = Vec::from_iter(last);
    for (number, plugin) in plugins {
        let name = Builder::new().name("ws-end".into());
        match spawn(name, move || end(plugin, until)) {
            Ok(thread) => others.push(thread),
            // Without threads they end one after the other.
            Err(_) => left.push((number, plugin)),
        }
    }
    let here = left
        .into_iter()
        .filter(|(_, plugin)| !end(*plugin, until))
        .count();
    // `end` never panics.
    let there = others
        .into_iter()
        .filter_map(|thread| thread.join().ok())
        .filter(|has_ended| !has_ended)
        .count();
    here + there == 0
}

fn end(plugin: RustPlugin, until: Instant) -> bool {
    guard("the end of a plugin's threads", false, || {
        let patience = until.saturating_duration_since(Instant::now());
        // SAFETY: the caller of `end_threads` guarantees that nothing calls the plugin any more.
        unsafe { plugin.end(patience) == 0 }
    })
}

fn plugins() -> MutexGuard<'static, Vec<(usize, RustPlugin)>> {
    PLUGINS.lock().unwrap_or_else(PoisonError::into_inner)
}
