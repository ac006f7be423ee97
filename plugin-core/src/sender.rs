//! [`Sender`] and [`SendError`].
//!
//! A sender outlives its connection, the server table does not. So the table is behind a [`Gate`]
//! that every clone shares and that is closed, once no send is under way any more, before the host is
//! told that it may forget the table. The sender a callback is lent need not look at the gate: the
//! host keeps the table valid during the callback.

#![allow(unsafe_code)]

mod gate;

use crate::Message;
use crate::abi::{
    ExtendedServer, MESSAGE_TYPE_BINARY, MESSAGE_TYPE_CLOSE, MESSAGE_TYPE_PING, MESSAGE_TYPE_TEXT,
    SEND_ACCEPTED, SendMessage, WebSocketServer,
};
use crate::close::{IntoClose, MAX_CONTROL_PAYLOAD};
use std::ffi::c_int;
use std::fmt;
use std::sync::Arc;

use gate::Gate;

/// The way to one client.
///
/// A clone may be kept as long as you like and used from any thread: once the connection is gone,
/// everything is answered with [`SendError::Closed`].
///
/// Messages of one thread arrive in the order in which they were sent. What is sent in `on_connect`
/// goes out behind the response that opens the connection. `send` copies the message into a queue and
/// returns; only with megabytes queued, because the client does not keep up, does it wait, until there
/// is room again or httpd gives the client up. Do not hold a lock over a `send` that a callback of
/// another connection needs.
pub struct Sender {
    gate: Arc<Gate<Server>>,
    /// Set in the sender callbacks are lent, which they cannot keep.
    lent: Option<Server>,
}

impl Sender {
    /// The sender of a new connection, to be lent to its callbacks.
    ///
    /// # Safety
    ///
    /// `server` is valid until [`shut`](Self::shut) has returned, and this value is used no longer.
    /// (Its clones may be.)
    pub(crate) unsafe fn open(server: *const WebSocketServer) -> Self {
        // SAFETY: the caller vouches for the table.
        let send_message =
            unsafe { ExtendedServer::extended(server) }.map(|table| table.send_message);
        let server = Server {
            table: server,
            send_message,
        };
        Self {
            gate: Arc::new(Gate::new(server)),
            lent: Some(server),
        }
    }

    /// Waits until no clone uses the table any more and sees to it that none will.
    pub(crate) fn shut(&mut self) {
        self.lent = None;
        self.gate.shut();
    }

    /// Sends a text or a binary message.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`].
    pub fn send<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        match message.into() {
            Message::Text(text) => self.transmit(MESSAGE_TYPE_TEXT, text.as_bytes()),
            Message::Binary(bytes) => self.transmit(MESSAGE_TYPE_BINARY, bytes),
        }
    }

    /// Sends a value as a text message with JSON in it.
    ///
    /// # Errors
    ///
    /// [`SendJsonError::Json`](crate::SendJsonError::Json) if the value cannot be written as JSON, and
    /// those of [`send`](Self::send).
    #[cfg(feature = "json")]
    pub fn send_json<T: serde::Serialize + ?Sized>(
        &self,
        value: &T,
    ) -> Result<(), crate::SendJsonError> {
        let json = serde_json::to_string(value)?;
        Ok(self.send(&json)?)
    }

    /// Sends a ping (RFC 6455, section 5.5.2). The answer does not reach the plugin; a client that
    /// gives none is httpd's affair.
    ///
    /// # Errors
    ///
    /// [`SendError::PingTooLong`] if the payload has more than 125 bytes, and [`SendError::Closed`].
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(SendError::PingTooLong);
        }
        self.transmit(MESSAGE_TYPE_PING, payload)
    }

    /// Starts the closing handshake (RFC 6455, section 7.1.2): a [`Close`](crate::Close), or
    /// just a [`CloseCode`](crate::CloseCode). Nothing is sent after that; the connection's last callback
    /// follows when the client has answered, or has not for too long.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the connection was closing already.
    pub fn close(&self, close: impl IntoClose) -> Result<(), SendError> {
        close
            .into_close()
            .with_payload(|payload| self.transmit(MESSAGE_TYPE_CLOSE, payload))
    }

    /// Whether the connection still exists. The next moment it may not.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lent.is_some() || self.gate.read().is_some()
    }

    #[inline]
    fn transmit(&self, kind: c_int, payload: &[u8]) -> Result<(), SendError> {
        if let Some(server) = self.lent {
            // SAFETY: a lent sender is used only while the host keeps the table valid for a callback.
            return unsafe { server.transmit(kind, payload) };
        }
        let server = self.gate.read();
        // SAFETY: `shut` waits for the lock before the table goes.
        unsafe { server.ok_or(SendError::Closed)?.transmit(kind, payload) }
    }
}

impl Clone for Sender {
    /// Another way to the same client, to be kept.
    fn clone(&self) -> Self {
        Self {
            gate: Arc::clone(&self.gate),
            lent: None,
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
struct Server {
    table: *const WebSocketServer,
    send_message: Option<SendMessage>,
}

// SAFETY: the host lets any thread call `send` and `send_message` as long as the table is valid, and
// nothing else is done with it here.
unsafe impl Send for Server {}
// SAFETY: as above; the value itself never changes.
unsafe impl Sync for Server {}

impl Server {
    /// # Safety
    ///
    /// The table is valid during the call.
    #[inline]
    unsafe fn transmit(self, kind: c_int, payload: &[u8]) -> Result<(), SendError> {
        let (data, length) = (payload.as_ptr(), payload.len());
        // SAFETY: the caller vouches for the table, whose functions copy the payload.
        let accepted = unsafe {
            match self.send_message {
                Some(send) => send(self.table, kind, data, length) == SEND_ACCEPTED,
                // Of an empty message it cannot be told; a client that is gone shows soon enough.
                None => ((*self.table).send)(self.table, kind, data, length) == length,
            }
        };
        if accepted {
            Ok(())
        } else {
            Err(SendError::Closed)
        }
    }
}

/// Why something was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closing or gone.
    Closed,
    /// The payload of a ping has more than 125 bytes (RFC 6455, section 5.5).
    PingTooLong,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection is closed",
            Self::PingTooLong => "the payload of a ping must not exceed 125 bytes",
        })
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Closed => Some(&Gone),
            Self::PingTooLong => None,
        }
    }
}

/// The source of [`SendError::Closed`], by which that is known again behind whatever wraps it.
#[derive(Debug)]
pub(crate) struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it takes no more messages")
    }
}

impl std::error::Error for Gone {}
