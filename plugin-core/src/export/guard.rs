//! The only way from the C functions to an author's code: panics stop here, and log lines written in
//! there learn whom they are about.

use super::logging::Source;
use crate::abi::{LOG_ERROR, WebSocketServer};
use std::any::Any;
use std::cell::Cell;
use std::ffi::c_int;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::ptr;
use std::sync::Once;

/// One call of an author's code, and what it is about.
pub(super) struct Scope {
    source: &'static Source,
    /// The connection's table, null if the call is about none.
    server: *const WebSocketServer,
    /// Where and why the code panicked, as the hook saw it.
    panic: Cell<Option<String>>,
}

thread_local! {
    /// The scope this thread is in. (A pointer rather than something with a destructor: those keep a
    /// library from being unloaded.)
    static CURRENT: Cell<*const Scope> = const { Cell::new(ptr::null()) };
}

impl Scope {
    /// A call for the connection of `server`.
    ///
    /// # Safety
    ///
    /// `server` is valid as long as the scope lives.
    pub(super) const unsafe fn connection(
        source: &'static Source,
        server: *const WebSocketServer,
    ) -> Self {
        Self {
            source,
            server,
            panic: Cell::new(None),
        }
    }

    /// A call that is about no connection.
    pub(super) const fn detached(source: &'static Source) -> Self {
        Self {
            source,
            server: ptr::null(),
            panic: Cell::new(None),
        }
    }

    /// Calls `code`, and says where and why if it panics.
    ///
    /// A plugin that goes on after a panic sees what the panicking code left behind, as it would with
    /// any mutex it chooses to unpoison; hence `AssertUnwindSafe`.
    #[inline]
    pub(super) fn run<R>(&self, code: impl FnOnce() -> R) -> Result<R, Panic> {
        // One look-up for both ends: in a shared library it is a function call.
        let result = CURRENT.with(|current| {
            let outer = current.replace(self);
            let result = panic::catch_unwind(AssertUnwindSafe(code));
            current.set(outer);
            result
        });
        result.map_err(|payload| self.caught(payload))
    }

    #[cold]
    fn caught(&self, payload: Box<dyn Any + Send>) -> Panic {
        let seen = self.panic.take();
        let text = seen.unwrap_or_else(|| format!(": {}", message(payload.as_ref())));
        // The payload is the author's, and so is its destructor.
        if let Err(worse) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(worse);
        }
        Panic(text)
    }

    /// Runs `code` and logs a panic in `callback`.
    pub(super) fn run_logged<R>(&self, callback: &str, code: impl FnOnce() -> R) -> Option<R> {
        self.run(code)
            .map_err(|panic| self.error(&panic.describe(callback)))
            .ok()
    }

    /// Writes an error to the log.
    pub(super) fn error(&self, text: &str) {
        self.write(LOG_ERROR, text);
    }

    /// Writes to the log, about the connection if there is one.
    pub(super) fn write(&self, level: c_int, text: &str) {
        if self.server.is_null() {
            self.source.write(level, text);
        } else {
            // SAFETY: the table is valid as long as the scope (`connection`).
            unsafe { self.source.write_to(self.server, level, text) }
        }
    }

    /// Calls `code` with the scope this thread is in.
    pub(super) fn with_current<R>(code: impl FnOnce(Option<&Self>) -> R) -> R {
        // SAFETY: `run` has put the pointer there, and takes it away before it returns to the owner of
        // the scope; `code` runs in between, as it runs on the same thread.
        code(unsafe { CURRENT.get().as_ref() })
    }
}

/// Where and why an author's code panicked.
pub(super) struct Panic(String);

impl Panic {
    pub(super) fn describe(&self, callback: &str) -> String {
        format!("{callback} panicked{}", self.0)
    }
}

/// Makes the panic hook, which alone knows the place of a panic, leave that to the scope the panic
/// happens in. All other panics are shown as before.
///
/// A shared library has a standard library of its own, and with it a hook of its own.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let seen =
                Scope::with_current(|scope| scope.map(|s| s.panic.set(Some(describe(info)))));
            if seen.is_none() {
                previous(info);
            }
        }));
    });
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = message(info.payload());
    match info.location() {
        Some(location) => format!(" at {location}: {message}"),
        None => format!(": {message}"),
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
