//! How the module learns that its child process is to end.
//!
//! Since 2.4.49 httpd tells with the hook `child_stopping`. The function that hooks it is looked up
//! at run time, so that the module loads into older versions too. There a thread looks at the state
//! of the MPM (`LOOK_INTERVAL`) while connections are open.

#![allow(unsafe_code)]

mod cause;
mod draining;
mod termination;
mod watch;

pub(super) use draining::leave;

use std::ffi::{c_char, c_int};
use std::io;
use std::mem;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::httpd::guard::guard;
use crate::httpd::log::{Level, log_server};
use crate::httpd::{generation, mpm, quota, served, sys};
use crate::registry;
use cause::{code, code_at_once};
use watch::{Over, Watch};

/// How often the state of the MPM is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

type ChildStopping = unsafe extern "C" fn(*mut sys::apr_pool_t, c_int);

/// `ap_hook_child_stopping` of `http_core.h`.
type HookChildStopping =
    unsafe extern "C" fn(Option<ChildStopping>, *const *const c_char, *const *const c_char, c_int);

/// How long after its state the MPM has changed everything else.
const SETTLED_AFTER: Duration = Duration::from_millis(50);

static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

/// Asks to be told when the child stops.
///
/// # Safety
///
/// Called in the hook that registers hooks.
pub(super) unsafe fn hook() {
    // SAFETY: the name is a constant; a function httpd exports by this name is of this type.
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
    // Without threads this runs in a signal handler, where no lock may be taken; the process ends
    // at once and the kernel closes its only connection.
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
    quota::note_leaving();
    generation::note_hard();
    registry::shut_down(code_at_once());
}

/// Lets connections live on until their time has come, or httpd's parent process asks again.
fn drain() {
    quota::note_leaving();
    let drained =
        termination::watch(|| registry::shut_down(code_at_once())).and_then(|()| draining::begin());
    if let Err(error) = drained {
        let text = format!("the WebSockets of this process end with it, now: {error}");
        log_server(Level::Warning, &text);
        registry::shut_down(code());
    }
}

/// To be called when there is a connection more: looks for the end of the child, where nobody tells
/// of it.
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

/// Ends when the child stops, or has no connections.
fn look(over: &Over) {
    while !over.wait(LOOK_INTERVAL) {
        if mpm::is_stopping() {
            // Which of both it is shows in what the MPM does with the sockets.
            if !over.wait(SETTLED_AFTER) && served::is_any_socket_closed() {
                stop_at_once();
            } else {
                drain();
            }
            return;
        }
        let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
        // A connection is registered before `watch` is called, so that none is missed.
        if registry::is_empty() {
            *watch = None;
            return;
        }
    }
}

/// Keeps the child until the connections of its loops have ended, then closes all that are left.
/// The threads of the MPM have ended. They do not wait for detached connections, nor for one that
/// was accepted in the last moment: the MPM counts it too late (event.c, `process_socket`).
pub(super) fn wait_for_loops() {
    stop_looking();
    // Nobody has told of the end, or looked in time. If it is a hard stop, SIGTERM will tell.
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
}

/// Ends the threads that wait for the end of the child, which has come, and waits for them.
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
