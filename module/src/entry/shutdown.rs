//! Finds out that the child process is about to end.
//!
//! Since 2.4.49 httpd calls the hook `child_stopping`. The function that registers the hook is
//! looked up at run time, so that the module also loads into older versions. In those, a thread
//! checks the state of the MPM every [`LOOK_INTERVAL`] while connections are open.

#![allow(unsafe_code)]

mod cause;
mod deadline;
mod draining;
mod ender;
mod termination;
mod watch;

pub(super) use deadline::Deadline;
pub(super) use draining::leave;
pub(super) use ender::{end_from_handler, end_now, leave_threads, prepare, prepare_for};

use std::ffi::{c_char, c_int};
use std::io;
use std::mem;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::httpd::guard::guard;
use crate::httpd::log::{Level, log_server};
use crate::httpd::{generation, mpm, quota, served, sys};
use crate::plugin;
use crate::registry;
use cause::{code, code_at_once};
use watch::{Over, Watch};

/// How often the thread checks the state of the MPM.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

type ChildStopping = unsafe extern "C" fn(*mut sys::apr_pool_t, c_int);

/// `ap_hook_child_stopping` of `http_core.h`.
type HookChildStopping =
    unsafe extern "C" fn(Option<ChildStopping>, *const *const c_char, *const *const c_char, c_int);

/// How long after changing its state the MPM has done everything else that its stop consists of.
const SETTLED_AFTER: Duration = Duration::from_millis(50);

static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

/// Registers the hook `child_stopping`, if httpd has it.
///
/// # Safety
///
/// Called in the hook that registers hooks.
pub(super) unsafe fn hook() {
    // SAFETY: the name is a constant. The function that httpd exports under this name has this
    // type.
    unsafe {
        let function = libc::dlsym(libc::RTLD_DEFAULT, c"ap_hook_child_stopping".as_ptr());
        served::note_sockets(function.is_null());
        if !function.is_null() {
            let hook = mem::transmute::<*mut libc::c_void, HookChildStopping>(function);
            hook(
                Some(child_stopping),
                ptr::null(),
                ptr::null(),
                sys::APR_HOOK_MIDDLE,
            );
        }
    }
}

unsafe extern "C" fn child_stopping(_pool: *mut sys::apr_pool_t, graceful: c_int) {
    // Without threads this runs in a signal handler, which must not take a lock. The process ends
    // at once, and the kernel closes its only connection.
    if !mpm::is_threaded() {
        return;
    }
    guard("child_stopping", (), || {
        if graceful == 0 {
            stop_at_once();
        } else {
            drain();
        }
    });
}

/// Closes all connections now.
fn stop_at_once() {
    deadline::begin();
    quota::note_leaving();
    generation::note_hard();
    close_all();
}

/// Closes all connections, and refuses those that are not open yet.
fn close_all() {
    registry::shut_down(code_at_once());
    plugin::end_handshakes();
}

/// Keeps connections open until they are due, or until httpd's parent process sends another signal.
fn drain() {
    quota::note_leaving();
    let told_again = || {
        deadline::begin_late();
        close_all();
    };
    let drained = termination::watch(told_again).and_then(|()| draining::begin());
    if let Err(error) = drained {
        let text = format!("the WebSockets of this process end with it, now: {error}");
        log_server(Level::Warning, &text);
        registry::shut_down(code());
        plugin::end_handshakes();
    }
}

/// Called when a connection is opened. Starts the thread that looks for the end of the child
/// process, if httpd has no hook for it.
pub fn expect() {
    if !served::are_sockets_noted() || !mpm::is_threaded() {
        return;
    }
    if let Err(error) = watch() {
        let text = format!("this process may take long to stop: {error}");
        log_server(Level::Warning, &text);
    }
}

fn watch() -> io::Result<()> {
    let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
    if watch.is_some() {
        return Ok(());
    }
    *watch = Some(Watch::start("ws-watch", look)?);
    Ok(())
}

/// Returns when the child process stops, or has no connections.
fn look(over: &Over) {
    while !over.wait(LOOK_INTERVAL) {
        if mpm::is_stopping() {
            // Only on a hard stop, the MPM closes the sockets that its threads use.
            if !over.wait(SETTLED_AFTER) && served::is_any_socket_closed() {
                stop_at_once();
            } else {
                drain();
            }
            return;
        }
        let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
        // A connection is registered before `watch` is called, so this misses none.
        if registry::is_empty() {
            *watch = None;
            return;
        }
    }
}

/// Keeps the child process until the connections of its loops have ended. Then closes all that are
/// left. The MPM's threads have ended: they do not wait for detached connections, nor for a
/// connection that was accepted at the last moment, which the MPM counts too late (event.c,
/// `process_socket`).
pub(super) fn wait_for_loops() {
    stop_looking();
    // The thread that looks has not noticed the stop in time. If it is a hard stop, SIGTERM will
    // come.
    if served::are_sockets_noted() && registry::is_any_detached() && !draining::is_running() {
        drain();
    }
    if draining::is_running() {
        registry::wait_until_drained();
    }
    let code = if draining::is_running() {
        code()
    } else {
        code_at_once()
    };
    registry::shut_down(code);
    plugin::end_handshakes();
}

/// Ends the threads that watch for the end of the child process, and waits for them. The end has
/// come.
pub(super) fn finish() {
    termination::stop();
    draining::stop();
}

fn stop_looking() {
    let watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(watch) = watch {
        watch.end();
    }
}
