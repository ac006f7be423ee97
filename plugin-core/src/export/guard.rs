//! The only way from the C functions to an author's code. It catches panics, and gives log lines of
//! the author's code the connection that they belong to.

use super::source::Source;
#[cfg(feature = "tokio")]
use crate::Sender;
#[cfg(feature = "tokio")]
use crate::abi::LOG_WARNING;
use crate::abi::{LOG_ERROR, WebSocketServer};
use std::any::Any;
use std::cell::Cell;
use std::ffi::c_int;
use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::ptr;
use std::sync::Once;

/// One call of an author's code, and the connection that it is for.
pub(super) struct Scope<'c> {
    source: &'static Source,
    connection: Connection<'c>,
    /// The location and message of a panic, which the panic hook stores here.
    panic: Cell<Option<String>>,
}

/// The connection that a call is for.
enum Connection<'c> {
    /// None.
    None,
    /// That of this table, which is valid as long as the scope lives.
    Table(*const WebSocketServer, PhantomData<&'c WebSocketServer>),
    /// That of this sender, which may end meanwhile.
    #[cfg(feature = "tokio")]
    Sender(&'c Sender),
}

thread_local! {
    /// The current scope of this thread. It is a pointer, because a thread-local value with a
    /// destructor keeps the library from being unloaded. The scope may live shorter than that.
    static CURRENT: Cell<*const Scope<'static>> = const { Cell::new(ptr::null()) };
}

impl<'c> Scope<'c> {
    /// The scope of a call for the connection of `server`.
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
            connection: Connection::Table(server, PhantomData),
            panic: Cell::new(None),
        }
    }

    /// The scope of a call for no connection.
    pub(super) const fn detached(source: &'static Source) -> Self {
        Self {
            source,
            connection: Connection::None,
            panic: Cell::new(None),
        }
    }

    /// The scope of a call for the connection of `sender`, which may end meanwhile or have ended.
    #[cfg(feature = "tokio")]
    pub(super) const fn sender(source: &'static Source, sender: &'c Sender) -> Self {
        Self {
            source,
            connection: Connection::Sender(sender),
            panic: Cell::new(None),
        }
    }

    /// Calls `code`. If it panics, returns the location and message of the panic.
    ///
    /// After a panic, the plugin sees whatever state the panicking code left behind, as with a
    /// mutex that it unpoisons. That is why this may use `AssertUnwindSafe`.
    #[inline]
    pub(super) fn run<R>(&self, code: impl FnOnce() -> R) -> Result<R, Panic> {
        // Access the thread-local once for both ends: in a shared library each access is a function
        // call.
        let result = CURRENT.with(|current| {
            let outer = current.replace(ptr::from_ref(self).cast());
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
        // The payload's type, and so its destructor, is the author's and may panic, too.
        if let Err(worse) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(worse);
        }
        Panic(text)
    }

    /// Calls `code`. If it panics, logs that `callback` panicked and returns `None`.
    pub(super) fn run_logged<R>(&self, callback: &str, code: impl FnOnce() -> R) -> Option<R> {
        self.run(code)
            .map_err(|panic| self.error(&panic.describe(callback)))
            .ok()
    }

    /// Writes an error to the log.
    pub(super) fn error(&self, text: &str) {
        self.write(LOG_ERROR, text);
    }

    /// Writes a warning to the log.
    #[cfg(feature = "tokio")]
    pub(super) fn warn(&self, text: &str) {
        self.write(LOG_WARNING, text);
    }

    /// Writes to the log, with the connection if there is one.
    pub(super) fn write(&self, level: c_int, text: &str) {
        match self.connection {
            Connection::None => self.source.write(level, text),
            // SAFETY: the table is valid as long as the scope (`connection`).
            Connection::Table(server, _) => unsafe { self.source.write_to(server, level, text) },
            #[cfg(feature = "tokio")]
            Connection::Sender(sender) => {
                // SAFETY: the sender keeps the table valid during the call.
                let write = |server| unsafe { self.source.write_to(server, level, text) };
                if sender.with_table(write).is_none() {
                    let client = sender.client_address().unwrap_or("unknown");
                    self.source
                        .write(level, &format!("[client {client}] {text}"));
                }
            }
        }
    }

    /// Calls `code` with the current scope of this thread.
    pub(super) fn with_current<R>(code: impl FnOnce(Option<&Scope<'_>>) -> R) -> R {
        // SAFETY: `run` sets the pointer and resets it before it returns to the owner of the scope.
        // `code` runs in between, because it runs on the same thread.
        code(unsafe { CURRENT.get().as_ref() })
    }
}

/// The location and message of a panic in an author's code.
pub(super) struct Panic(String);

impl Panic {
    pub(super) fn describe(&self, callback: &str) -> String {
        format!("{callback} panicked{}", self.0)
    }
}

/// Installs a panic hook that stores the location of a panic in the current scope; only a hook
/// knows the location. Panics outside of a scope go to the previous hook.
///
/// A shared library has its own copy of the standard library, and so its own panic hook.
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
