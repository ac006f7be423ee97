//! The headers of the request.

use super::bytes;
use crate::abi::{ExtendedServer, WebSocketServer};
use std::fmt;
use std::ptr;

/// Iterates over the names and values of the request's headers; see
/// [`Handshake::headers`](super::Handshake::headers).
#[derive(Clone)]
pub struct Headers<'h> {
    server: *const WebSocketServer,
    table: &'h ExtendedServer,
    next: usize,
}

impl<'h> Headers<'h> {
    /// The headers of the handshake of `server`, whose extended table is `table`.
    pub(super) const fn new(server: *const WebSocketServer, table: &'h ExtendedServer) -> Self {
        Self {
            server,
            table,
            next: 0,
        }
    }

    fn next_bytes(&mut self) -> Option<(&'h [u8], &'h [u8])> {
        let (mut name, mut value) = (ptr::null(), ptr::null());
        // SAFETY: the host keeps the table and the texts valid during `on_connect`, and so during
        // `'h`.
        unsafe {
            let header = self.table.request_header;
            if header(self.server, self.next, &raw mut name, &raw mut value) == 0 {
                return None;
            }
            self.next += 1;
            Some((bytes(name)?, bytes(value)?))
        }
    }
}

impl<'h> Iterator for Headers<'h> {
    type Item = (&'h str, &'h str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (name, value) = self.next_bytes()?;
            if let (Ok(name), Ok(value)) = (str::from_utf8(name), str::from_utf8(value)) {
                return Some((name, value));
            }
        }
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}
