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
    ExtendedServer, MESSAGE_TYPE_CLOSE, MESSAGE_TYPE_PING, SEND_ACCEPTED, SEND_FULL, SendMessage,
    ServerTable, TrySendMessage, WebSocketServer,
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
/// another connection needs. Who sends to many clients does not wait for one that is slow, but uses
/// [`try_send`](Self::try_send).
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
        let (extended, current) = unsafe {
            (
                ExtendedServer::extended(server),
                ServerTable::current(server),
            )
        };
        let server = Server {
            table: server,
            send_message: extended.map(|table| table.send_message),
            try_send_message: current.map(|table| table.try_send_message),
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
        let (kind, payload) = message.into().into_parts();
        self.transmit(kind, payload)
    }

    /// Sends a text or a binary message, unless it would have to wait for the client now.
    ///
    /// Nobody else should have to wait for a client that is slow, or does not read at all. What is to become
    /// of it is for the plugin to decide: leave the message out, send a newer one later, or close the
    /// connection, as here:
    ///
    /// ```
    /// # use websocket_plugin::{Close, CloseCode, SendError, Sender};
    /// fn tell(members: &[Sender], text: &str) {
    ///     for member in members {
    ///         if let Err(SendError::Full) = member.try_send(text) {
    ///             let _ = member.close(Close::new(CloseCode::TRY_AGAIN_LATER, "you do not keep up"));
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// A close frame always has room. It follows what waits already, which a slow client still gets.
    ///
    /// In `on_connect` nothing can be sent before the callback has returned: there is room for megabytes, and
    /// then there is none.
    ///
    /// Where the host does not offer this (the C module, and `mod_websocket` before this function), it is
    /// [`send`](Self::send), which waits.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`]: the message is not queued, and nothing of it is sent. [`SendError::Closed`].
    pub fn try_send<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        let (kind, payload) = message.into().into_parts();
        // SAFETY: `with_server` keeps the table valid during the call.
        self.with_server(|server| unsafe { server.try_transmit(kind, payload) })
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

    /// Sends a value as a text message with JSON in it, unless it would have to wait for the client now: see
    /// [`try_send`](Self::try_send).
    ///
    /// # Errors
    ///
    /// [`SendJsonError::Json`](crate::SendJsonError::Json) if the value cannot be written as JSON, and
    /// those of [`try_send`](Self::try_send).
    #[cfg(feature = "json")]
    pub fn try_send_json<T: serde::Serialize + ?Sized>(
        &self,
        value: &T,
    ) -> Result<(), crate::SendJsonError> {
        let json = serde_json::to_string(value)?;
        Ok(self.try_send(&json)?)
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
        // SAFETY: `with_server` keeps the table valid during the call.
        self.with_server(|server| unsafe { server.transmit(kind, payload) })
    }

    /// Calls `body` with a table that stays valid meanwhile.
    #[inline]
    fn with_server(
        &self,
        body: impl FnOnce(Server) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        if let Some(server) = self.lent {
            // A lent sender is used only while the host keeps the table valid for a callback.
            return body(server);
        }
        let server = self.gate.read();
        // `shut` waits for the lock before the table goes.
        body(server.ok_or(SendError::Closed)?)
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
    try_send_message: Option<TrySendMessage>,
}

// SAFETY: the host lets any thread call `send`, `send_message` and `try_send_message` as long as the table
// is valid, and nothing else is done with it here.
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

    /// # Safety
    ///
    /// The table is valid during the call.
    unsafe fn try_transmit(self, kind: c_int, payload: &[u8]) -> Result<(), SendError> {
        let Some(try_send) = self.try_send_message else {
            // SAFETY: as the caller vouches for.
            return unsafe { self.transmit(kind, payload) };
        };
        // SAFETY: the caller vouches for the table, whose functions copy the payload.
        match unsafe { try_send(self.table, kind, payload.as_ptr(), payload.len()) } {
            SEND_ACCEPTED => Ok(()),
            SEND_FULL => Err(SendError::Full),
            _ => Err(SendError::Closed),
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
    /// The client does not keep up: so much waits for it that [`send`](Sender::send) would wait, too.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection is closed",
            Self::PingTooLong => "the payload of a ping must not exceed 125 bytes",
            Self::Full => "the client does not keep up with what it is sent",
        })
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Closed => Some(&Gone),
            Self::PingTooLong | Self::Full => None,
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
