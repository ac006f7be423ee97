//! [`Client`] and [`Received`].

use super::Host;
use super::server::Server;
use crate::abi::{
    CLOSED_BY_CLIENT, CLOSED_BY_NOBODY, Ending, MESSAGE_TYPE_BINARY, MESSAGE_TYPE_CLOSE,
    MESSAGE_TYPE_PING, MESSAGE_TYPE_TEXT,
};
use crate::{CloseCode, IntoClose, Message};
use std::ffi::{c_int, c_void};
use std::sync::Arc;

/// A connected client. When it is dropped, it is gone without a close frame.
pub struct Client<'h> {
    host: &'h Host,
    server: Arc<Server>,
    private: *mut c_void,
}

// SAFETY: `private` is the plugin's state of the connection, whose callbacks may run on any thread.
// `&mut self` keeps two callbacks from overlapping.
unsafe impl Send for Client<'_> {}

impl<'h> Client<'h> {
    /// # Safety
    ///
    /// `on_connect` has accepted `server` and returned `private`, and neither is used elsewhere.
    pub(super) unsafe fn new(host: &'h Host, server: Arc<Server>, private: *mut c_void) -> Self {
        Self {
            host,
            server,
            private,
        }
    }

    /// Sends a message, and returns after the plugin's callback has returned.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) {
        match message.into() {
            Message::Text(text) => self.deliver(MESSAGE_TYPE_TEXT, text.as_bytes()),
            Message::Binary(bytes) => self.deliver(MESSAGE_TYPE_BINARY, bytes),
        }
    }

    fn deliver(&mut self, kind: c_int, payload: &[u8]) {
        // A plugin may write to the buffer, so give it a copy.
        let mut payload = payload.to_vec();
        let (data, length) = (payload.as_mut_ptr(), payload.len());
        // SAFETY: `on_connect` returned `private`, and `&mut self` keeps callbacks from
        // overlapping.
        unsafe {
            if let Some(on_message) = (*self.host.plugin).on_message {
                on_message(self.private, self.server.table(), kind, data, length);
            }
        }
    }

    /// Everything that the plugin has sent since the last call.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.server.take_sent()
    }

    /// Waits for the next message or frame from the plugin, for plugins that send from their own
    /// threads.
    ///
    /// # Panics
    ///
    /// The plugin sends nothing for ten seconds.
    #[must_use]
    pub fn receive(&self) -> Received {
        self.server.wait_for_sent()
    }

    /// Stops reading: from now on [`try_send`](crate::Sender::try_send) finds the queue full. Other
    /// functions still send, and [`received`](Self::received) still returns what they sent.
    pub fn stop_reading(&self) {
        self.server.set_reading(false);
    }

    /// Starts reading again.
    pub fn resume_reading(&self) {
        self.server.set_reading(true);
    }

    /// The subprotocol that the plugin chose.
    #[must_use]
    pub fn subprotocol(&self) -> Option<String> {
        self.server.subprotocol()
    }

    /// The value of a header that the plugin set on the response.
    #[must_use]
    pub fn response_header(&self, name: &str) -> Option<String> {
        self.server.response_header(name)
    }

    /// Closes the connection with a [`Close`](crate::Close) or a [`CloseCode`], which the server
    /// answers. Senders that the plugin has kept are closed when this returns.
    pub fn close(self, close: impl IntoClose) {
        let close = close.into_close();
        let code = close.code().get();
        self.server
            .hang_up(Ending::told(CLOSED_BY_CLIENT, code, close.reason(), true));
    }

    /// Disconnects without a close frame, unless the plugin has closed the connection. Senders that
    /// the plugin has kept are closed when this returns.
    pub fn disconnect(self) {}
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        self.server
            .hang_up(Ending::told(CLOSED_BY_NOBODY, 1006, "", false));
        // SAFETY: `on_connect` returned `private`, and this is its last use. The server is dropped
        // after `on_disconnect` has returned.
        unsafe {
            if let Some(on_disconnect) = (*self.host.plugin).on_disconnect {
                on_disconnect(self.private, self.server.table());
            }
        }
    }
}

/// A message or frame that a plugin sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping with its payload.
    Ping(Vec<u8>),
    /// A close frame: code and reason.
    Close(CloseCode, String),
}

impl Received {
    /// The bytes of the payload.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Ping(bytes) => bytes.len(),
            Self::Close(_, reason) => size_of::<u16>() + reason.len(),
        }
    }

    /// # Panics
    ///
    /// A Rust plugin cannot send this.
    pub(super) fn from_raw(kind: c_int, payload: &[u8]) -> Self {
        let text = |bytes: &[u8]| str::from_utf8(bytes).expect("texts are UTF-8").to_owned();
        match (kind, payload) {
            (MESSAGE_TYPE_TEXT, text_bytes) => Self::Text(text(text_bytes)),
            (MESSAGE_TYPE_BINARY, bytes) => Self::Binary(bytes.to_vec()),
            (MESSAGE_TYPE_PING, bytes) => Self::Ping(bytes.to_vec()),
            (MESSAGE_TYPE_CLOSE, [high, low, reason @ ..]) => {
                let code = CloseCode::new(u16::from_be_bytes([*high, *low]));
                Self::Close(code.expect("codes are checked"), text(reason))
            }
            _ => panic!("a Rust plugin cannot send a message of type {kind}"),
        }
    }
}
