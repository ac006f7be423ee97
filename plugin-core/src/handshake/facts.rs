//! The texts of a request.

use crate::abi::{ExtendedServer, VariableServer, WebSocketServer};
use std::ffi::{CStr, c_char, c_int};
use std::marker::PhantomData;

/// The texts of a request that newer modules tell.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'h> {
    server: *const WebSocketServer,
    request: PhantomData<&'h str>,
}

impl<'h> Facts<'h> {
    /// Those of the connection to which `server` belongs.
    ///
    /// # Safety
    ///
    /// The caller is `on_connect` for `server` and does not return during `'h`.
    pub(crate) unsafe fn new(server: *const WebSocketServer) -> Self {
        Self {
            server,
            request: PhantomData,
        }
    }

    /// One of the `REQUEST_*` texts, if it is UTF-8.
    pub(crate) fn text(self, item: c_int) -> Option<&'h str> {
        let table = self.table()?;
        // SAFETY: the host keeps the table valid during `'h` (`new`), and the text that it returns.
        let value = unsafe { bytes((table.request_info)(self.server, item)) };
        str::from_utf8(value?).ok()
    }

    /// One of httpd's variables, if it is UTF-8 and not empty.
    pub(super) fn variable(self, name: &CStr) -> Option<&'h str> {
        // SAFETY: the host keeps the table valid during `'h` (`new`), and the text that it returns.
        let value = unsafe {
            let table = VariableServer::current(self.server)?;
            bytes((table.variable)(self.server, name.as_ptr()))
        };
        let value = str::from_utf8(value?).ok()?;
        (!value.is_empty()).then_some(value)
    }

    /// The table with the functions for them.
    pub(super) fn table(self) -> Option<&'h ExtendedServer> {
        // SAFETY: the host keeps the table valid during `'h` (`new`).
        unsafe { ExtendedServer::extended(self.server) }
    }
}

/// # Safety
///
/// `text` is null, or a C string that stays valid and unchanged during `'a`.
pub(super) unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller guarantees a valid C string.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}
