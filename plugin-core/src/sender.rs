//! [`Sender`] and [`SendError`].
//!
//! A sender outlives its connection, but the server table does not. So all clones share the table
//! through a [`Gate`]. The end of the connection closes the gate: it waits for sends in progress
//! and only then tells the host that it may free the table. Callbacks borrow a sender that does not
//! use the gate, because the host keeps the table valid during the callback.

#![allow(unsafe_code)]

mod error;
mod events;
mod flow;
mod gate;
mod peer;
mod topics;
#[cfg(feature = "tokio")]
mod waiting;
mod writing;

pub use error::SendError;
pub use events::PostError;
pub use writing::MessageWriter;

use crate::AsMessage;
use crate::abi::{
    EndingServer, ExtendedServer, MESSAGE_TYPE_CLOSE, MESSAGE_TYPE_PING, SEND_ACCEPTED, SEND_FULL,
    SendMessage, ServerTable, TrySendMessage, WebSocketServer,
};
use crate::close::{IntoClose, MAX_CONTROL_PAYLOAD};
use crate::handshake::Facts;
use flow::Pauses;
use gate::Gate;
use peer::Peer;
use std::any::TypeId;
use std::ffi::c_int;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

/// Sends messages to one client.
///
/// You may keep a clone as long as you like, and use it from any thread. Once the connection is
/// gone, all methods return [`SendError::Closed`].
///
/// Messages of one thread arrive in the order in which it sent them. Messages that are sent in
/// `on_connect` follow the response that opens the connection.
///
/// `send` copies the message into a queue and returns. If megabytes are queued because the client
/// does not keep up, `send` waits until there is room, or until httpd drops the client. Do not hold
/// a lock over a `send` if a callback of another connection needs the lock. To send to many clients
/// without waiting for a slow one, use [`try_send`](Self::try_send). In an [async
/// plugin](crate#async-plugins), `send` would block a thread of the runtime: use `send_async`.
pub struct Sender {
    shared: Arc<Shared>,
    /// Set only in the sender that callbacks borrow. They cannot keep it.
    lent: Option<Server>,
}

/// What all senders of a connection share.
struct Shared {
    gate: Gate<Server>,
    pauses: Mutex<Pauses>,
    #[cfg(feature = "tokio")]
    waiting: waiting::Waiting,
    peer: Peer,
    /// The type of the plugin that the connection belongs to.
    plugin: TypeId,
}

impl Sender {
    /// The sender of a new connection of the plugin with this type, which its callbacks borrow.
    ///
    /// # Safety
    ///
    /// The caller is `on_connect`. `server` is valid until [`shut`](Self::shut) has returned, and
    /// this value is not used after that. (Its clones may be.)
    pub(crate) unsafe fn open(server: *const WebSocketServer, plugin: TypeId) -> Self {
        // SAFETY: the caller guarantees a valid table.
        let (extended, current) = unsafe {
            (
                ExtendedServer::extended(server),
                ServerTable::current(server),
            )
        };
        // SAFETY: this is `on_connect`, and the facts do not leave this function.
        let facts = unsafe { Facts::new(server) };
        let server = Server {
            table: server,
            send_message: extended.map(|table| table.send_message),
            try_send_message: current.map(|table| table.try_send_message),
        };
        Self {
            shared: Arc::new(Shared {
                gate: Gate::new(server),
                pauses: Mutex::default(),
                #[cfg(feature = "tokio")]
                waiting: waiting::Waiting::default(),
                peer: Peer::of(&facts),
                plugin,
            }),
            lent: Some(server),
        }
    }

    /// Waits until no clone uses the table, and keeps all clones from using it again.
    pub(crate) fn shut(&mut self) {
        self.lent = None;
        self.shared.gate.shut();
        #[cfg(feature = "tokio")]
        self.wake_waiting();
    }

    /// Sends a text or a binary message.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`]: the connection is closing or gone.
    pub fn send(&self, message: impl AsMessage) -> Result<(), SendError> {
        let (kind, payload) = message.as_message().into_parts();
        self.transmit(kind, payload)
    }

    /// Sends a text or a binary message, unless it would have to wait for the client.
    ///
    /// Use it where a slow client must not delay others. If it returns [`SendError::Full`], the
    /// plugin decides what to do: skip the message, send a newer one later, or close the
    /// connection, as here:
    ///
    /// ```
    /// # use websocket_plugin::{Close, CloseCode, SendError, Sender};
    /// fn tell(members: &[Sender], text: &str) {
    ///     for member in members {
    ///         if let Err(SendError::Full) = member.try_send(text) {
    ///             let too_slow = Close::new(CloseCode::TRY_AGAIN_LATER, "you do not keep up");
    ///             let _ = member.close(too_slow);
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// There is always room for a close frame. It follows the messages that are already queued,
    /// which a slow client still gets.
    ///
    /// In `on_connect` the queue cannot drain before the callback has returned: it takes megabytes,
    /// and then it is full.
    ///
    /// If the host does not offer this function (the C module, and older versions of
    /// `mod_websocket`), it does the same as [`send`](Self::send), which may wait.
    ///
    /// # Errors
    ///
    /// * [`SendError::Full`]: no part of the message has been queued or sent.
    /// * [`SendError::Closed`]: the connection is closing or gone.
    pub fn try_send(&self, message: impl AsMessage) -> Result<(), SendError> {
        let (kind, payload) = message.as_message().into_parts();
        // SAFETY: `with_server` keeps the table valid during the call.
        self.with_server(|server| unsafe { server.try_transmit(kind, payload) })
    }

    /// Sends a value as a text message that contains JSON.
    ///
    /// # Errors
    ///
    /// [`SendJsonError::Json`](crate::SendJsonError::Json) if the value cannot be written as JSON,
    /// and the errors of [`send`](Self::send).
    #[cfg(feature = "json")]
    pub fn send_json<T: serde::Serialize + ?Sized>(
        &self,
        value: &T,
    ) -> Result<(), crate::SendJsonError> {
        let json = serde_json::to_string(value)?;
        Ok(self.send(&json)?)
    }

    /// Sends a value as a text message that contains JSON, unless it would have to wait for the
    /// client; see [`try_send`](Self::try_send).
    ///
    /// # Errors
    ///
    /// [`SendJsonError::Json`](crate::SendJsonError::Json) if the value cannot be written as JSON,
    /// and the errors of [`try_send`](Self::try_send).
    #[cfg(feature = "json")]
    pub fn try_send_json<T: serde::Serialize + ?Sized>(
        &self,
        value: &T,
    ) -> Result<(), crate::SendJsonError> {
        let json = serde_json::to_string(value)?;
        Ok(self.try_send(&json)?)
    }

    /// Sends a ping (RFC 6455, section 5.5.2). The client's pong does not reach the plugin.
    ///
    /// # Errors
    ///
    /// * [`SendError::PingTooLong`]: the payload has more than 125 bytes.
    /// * [`SendError::Closed`]: the connection is closing or gone.
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(SendError::PingTooLong);
        }
        self.transmit(MESSAGE_TYPE_PING, payload)
    }

    /// Starts the closing handshake (RFC 6455, section 7.1.2) with a [`Close`](crate::Close) or a
    /// [`CloseCode`](crate::CloseCode). Nothing can be sent after that.
    /// [`on_disconnect`](crate::Plugin::on_disconnect) follows when the client has answered, or
    /// when its time to do so is over.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`]: the connection was already closing or is gone.
    pub fn close(&self, close: impl IntoClose) -> Result<(), SendError> {
        let closed = close
            .into_close()
            .with_payload(|payload| self.transmit(MESSAGE_TYPE_CLOSE, payload));
        #[cfg(feature = "tokio")]
        self.wake_waiting();
        closed
    }

    /// Calls `body` with the table, which stays valid during the call, unless the connection is
    /// gone.
    pub(crate) fn with_table<R>(
        &self,
        body: impl FnOnce(*const WebSocketServer) -> R,
    ) -> Option<R> {
        let gate;
        let server = match self.lent {
            // The host keeps the table valid during the callback that borrows this sender.
            Some(server) => server,
            None => {
                gate = self.shared.gate.read();
                // The guard keeps `shut` from returning.
                (*gate)?
            }
        };
        Some(body(server.table))
    }

    /// The bytes that wait to be sent to the client, with the headers of their frames. `None`: the
    /// connection is gone, or the host does not tell (the C module, and older versions of
    /// `mod_websocket`).
    ///
    /// A client that keeps up has few or none. Use it to send a slow client less, before
    /// [`try_send`](Self::try_send) finds the queue full.
    #[must_use]
    pub fn buffered(&self) -> Option<usize> {
        self.with_table(|server| {
            // SAFETY: `with_table` keeps the table valid.
            let table = unsafe { EndingServer::current(server)? };
            // SAFETY: as above.
            Some(unsafe { (table.buffered)(server) })
        })?
    }

    /// A number that no other connection of this plugin has had in this process of httpd. Senders
    /// are equal if they have the same.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.shared.peer.id
    }

    /// The IP address of the client, as [`Handshake::client_address`](crate::Handshake) gave it.
    /// It stays known when the connection is gone.
    #[must_use]
    pub fn client_address(&self) -> Option<&str> {
        self.shared.peer.client_address()
    }

    /// The user that httpd has authenticated, as [`Handshake::user`](crate::Handshake) gave it.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.shared.peer.user()
    }

    /// What follows the plugin's section in the path of the request, as
    /// [`Handshake::path_info`](crate::Handshake) gave it.
    #[must_use]
    pub fn path_info(&self) -> Option<&str> {
        self.shared.peer.path_info()
    }

    /// Whether the connection still exists. It may end right after this returns `true`.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lent.is_some() || self.shared.gate.read().is_some()
    }

    #[inline]
    fn transmit(&self, kind: c_int, payload: &[u8]) -> Result<(), SendError> {
        // SAFETY: `with_server` keeps the table valid during the call.
        self.with_server(|server| unsafe { server.transmit(kind, payload) })
    }

    /// Calls `body` with a table that stays valid during the call.
    #[inline]
    fn with_server(
        &self,
        body: impl FnOnce(Server) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        if let Some(server) = self.lent {
            // The host keeps the table valid during the callback that borrows this sender.
            return body(server);
        }
        let server = self.shared.gate.read();
        // The guard keeps `shut` from returning, and so the table valid, until `body` is done.
        body(server.ok_or(SendError::Closed)?)
    }
}

impl Clone for Sender {
    /// Another sender to the same client, which may be kept.
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            lent: None,
        }
    }
}

/// Senders are equal if they send to the same connection.
impl PartialEq for Sender {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Sender {}

impl Hash for Sender {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("id", &self.id())
            .field("client_address", &self.client_address())
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

// SAFETY: the host lets any thread call `send`, `send_message`, `try_send_message`, `buffered`,
// `pause`, `post`, `begin`, `write` and the functions for topics while the table is valid, and this
// code uses nothing else of it.
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
        // SAFETY: the caller guarantees a valid table, and the table's functions copy the payload.
        let accepted = unsafe {
            match self.send_message {
                Some(send) => send(self.table, kind, data, length) == SEND_ACCEPTED,
                // The C module returns 0 for an empty message in either case, so this counts it as
                // accepted.
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
            // SAFETY: the caller guarantees a valid table.
            return unsafe { self.transmit(kind, payload) };
        };
        // SAFETY: the caller guarantees a valid table, and the table's functions copy the payload.
        match unsafe { try_send(self.table, kind, payload.as_ptr(), payload.len()) } {
            SEND_ACCEPTED => Ok(()),
            SEND_FULL => Err(SendError::Full),
            _ => Err(SendError::Closed),
        }
    }
}
