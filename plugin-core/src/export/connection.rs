//! The callbacks of one connection, from `on_connect` to `on_disconnect`.

use super::guard::{Panic, Scope};
use super::{EventOf, Exported};
use crate::abi::{
    Ending, EndingServer, ExtendedServer, FlowServer, MESSAGE_TYPE_BINARY, MESSAGE_TYPE_TEXT,
    PartServer, ServerTable, WebSocketServer,
};
use crate::{
    Close, CloseCode, Disconnect, Handshake, Message, MessageKind, Part, Plugin, Rejection, Sender,
};
use std::any::TypeId;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

/// The state of a connection. `on_connect` returns a pointer to it.
pub(super) struct Connection<P: Exported> {
    plugin: Arc<P::Runs>,
    server: *const WebSocketServer,
    sender: Sender,
    state: <P::Runs as Plugin>::Connection,
    /// Whether the host guarantees that text messages are UTF-8.
    text_is_utf8: bool,
    /// The plugin has ended the connection and gets no more messages.
    ended: bool,
}

impl<P: Exported> Connection<P> {
    /// Calls the plugin's `on_connect`. Returns a pointer to the connection, or null if the plugin
    /// refuses it.
    ///
    /// # Safety
    ///
    /// `server` is valid until [`on_disconnect`] returns, or until this returns null. If
    /// `text_is_utf8` is set, all text messages passed to [`on_message`] are UTF-8.
    pub(super) unsafe fn open(
        plugin: Arc<P::Runs>,
        server: *const WebSocketServer,
        text_is_utf8: bool,
    ) -> *mut c_void {
        // SAFETY: the caller guarantees the table during this call and until `on_disconnect`. A
        // connection ends either below or in `on_disconnect`, and both shut the sender.
        let (scope, mut sender) = unsafe {
            (
                Scope::connection(&P::slot().source, server),
                Sender::open(server, TypeId::of::<P>()),
            )
        };
        // SAFETY: this is `on_connect`, and the handshake does not leave the closure.
        let answer = scope.run(|| unsafe {
            let mut handshake = Handshake::new(server, &sender);
            handshake.negotiate_subprotocol(P::SUBPROTOCOLS);
            plugin.on_connect(&mut handshake)
        });
        match answer {
            Ok(Ok(state)) => {
                #[cfg(feature = "tokio")]
                sender.set_open();
                // SAFETY: the caller guarantees the table.
                if let Some(table) = unsafe { FlowServer::current(server) } {
                    // SAFETY: as above. The callback is for connections of this type.
                    unsafe { (table.on_drain)(server, Some(on_drain::<P>)) }
                }
                if <P::Runs as Plugin>::IN_PARTS
                    // SAFETY: as above.
                    && let Some(table) = unsafe { PartServer::current(server) }
                {
                    // SAFETY: as above. The callback is for connections of this type.
                    unsafe { (table.on_part)(server, Some(on_part::<P>)) };
                }
                let connection = Self {
                    plugin,
                    server,
                    sender,
                    state,
                    text_is_utf8,
                    ended: false,
                };
                Box::into_raw(Box::new(connection)).cast()
            }
            refused => {
                sender.shut();
                let rejection = rejection(&scope, refused.map(Result::err));
                scope.run_logged("drop", || drop(plugin));
                // SAFETY: the caller guarantees the table.
                unsafe { reject(server, &rejection) };
                ptr::null_mut()
            }
        }
    }

    /// The bytes of messages that the plugin keeps.
    pub(super) fn kept(&self) -> usize {
        P::kept(&self.state)
    }

    #[inline]
    fn deliver(&mut self, message: Message<'_>) {
        self.call("on_message", |plugin, state, sender| {
            plugin.on_message(state, sender, message)
        });
    }

    /// Runs a callback, unless the plugin has ended the connection.
    #[inline]
    fn call(
        &mut self,
        callback: &str,
        body: impl FnOnce(&P::Runs, &mut <P::Runs as Plugin>::Connection, &Sender) -> Result<(), Close>,
    ) {
        if self.ended {
            return;
        }
        // SAFETY: the host keeps the table valid until `on_disconnect` returns.
        let scope = unsafe { Scope::connection(&P::slot().source, self.server) };
        let (plugin, state, sender) = (&self.plugin, &mut self.state, &self.sender);
        match scope.run(|| body(plugin, state, sender)) {
            Ok(Ok(())) => {}
            Ok(Err(close)) => self.closed(&scope, callback, &close),
            Err(panic) => self.panicked(&scope, callback, &panic),
        }
    }

    #[cold]
    fn closed(&mut self, scope: &Scope<'_>, callback: &str, close: &Close) {
        if let Some(error) = close.error() {
            scope.error(&format!("{callback}: {error}"));
        }
        self.end(close);
    }

    #[cold]
    fn panicked(&mut self, scope: &Scope<'_>, callback: &str, panic: &Panic) {
        scope.error(&panic.describe(callback));
        self.end(&CloseCode::INTERNAL_ERROR.into());
    }

    #[cold]
    fn end(&mut self, close: &Close) {
        self.ended = true;
        // The result only says whether the connection was closing already, which makes no
        // difference.
        let _ = self.sender.close(close.clone());
    }
}

/// The response to the refused client. Logs the cause.
fn rejection(scope: &Scope<'_>, answer: Result<Option<Rejection>, Panic>) -> Rejection {
    match answer {
        Ok(rejection) => {
            let rejection = rejection.unwrap_or(Rejection::FORBIDDEN);
            if let Some(error) = rejection.error() {
                scope.error(&format!("on_connect: {error}"));
            }
            rejection
        }
        Err(panic) => {
            scope.error(&panic.describe("on_connect"));
            Rejection::INTERNAL_SERVER_ERROR
        }
    }
}

/// # Safety
///
/// The table is valid during the call.
unsafe fn disconnect(server: *const WebSocketServer) -> Disconnect {
    let mut ending = Ending::new();
    // SAFETY: the caller guarantees the table, and the host writes as much as `size` says.
    let is_told = unsafe {
        EndingServer::current(server)
            .is_some_and(|table| (table.ending)(server, &raw mut ending) != 0)
    };
    if is_told {
        Disconnect::from_abi(&ending)
    } else {
        Disconnect::unknown()
    }
}

/// # Safety
///
/// The table is valid during the call, and the call comes from `on_connect`.
unsafe fn reject(server: *const WebSocketServer, rejection: &Rejection) {
    // SAFETY: the caller guarantees the table, and the host copies the refusal.
    unsafe {
        if let Some(table) = ServerTable::current(server) {
            rejection.with_abi(|refusal| (table.refuse)(server, refusal));
        } else if let Some(table) = ExtendedServer::extended(server) {
            (table.reject)(server, c_int::from(rejection.status()));
        }
    }
}

/// The connection that a callback is for, and the payload that it brings.
///
/// # Safety
///
/// `private` points to a connection of `P` that nothing else uses for `'a`. For so long `payload`
/// is null, or has `length` bytes.
#[inline]
unsafe fn callee<'a, P: Exported>(
    private: *mut c_void,
    payload: *mut u8,
    length: usize,
) -> (&'a mut Connection<P>, &'a [u8]) {
    // SAFETY: the caller guarantees both.
    unsafe {
        let payload: &[u8] = if payload.is_null() {
            &[]
        } else {
            std::slice::from_raw_parts(payload, length)
        };
        (&mut *private.cast(), payload)
    }
}

pub(super) unsafe extern "system" fn on_message<P: Exported>(
    private: *mut c_void,
    _: *const WebSocketServer,
    kind: c_int,
    payload: *mut u8,
    length: usize,
) -> usize {
    // SAFETY: the host passes the pointer that `on_connect` returned, and not after
    // `on_disconnect`. It never calls two callbacks of a connection at once, which permits `&mut`.
    // Its payload is valid during the call.
    let (connection, payload) = unsafe { callee::<P>(private, payload, length) };
    if connection.ended {
        return length;
    }
    let message = match kind {
        MESSAGE_TYPE_BINARY => Message::Binary(payload),
        // SAFETY: the host guarantees UTF-8 (`Connection::open`).
        MESSAGE_TYPE_TEXT if connection.text_is_utf8 => unsafe {
            Message::Text(str::from_utf8_unchecked(payload))
        },
        MESSAGE_TYPE_TEXT => match str::from_utf8(payload) {
            Ok(text) => Message::Text(text),
            Err(_) => {
                connection.end(&CloseCode::INVALID_PAYLOAD.into());
                return length;
            }
        },
        _ => return length,
    };
    connection.deliver(message);
    length
}

unsafe extern "system" fn on_part<P: Exported>(
    private: *mut c_void,
    _: *const WebSocketServer,
    kind: c_int,
    payload: *mut u8,
    length: usize,
    is_last: c_int,
) {
    // SAFETY: as for `on_message`.
    let (connection, bytes) = unsafe { callee::<P>(private, payload, length) };
    let kind = match kind {
        MESSAGE_TYPE_TEXT => MessageKind::Text,
        MESSAGE_TYPE_BINARY => MessageKind::Binary,
        _ => return,
    };
    let is_last = is_last != 0;
    let part = Part {
        kind,
        bytes,
        is_last,
    };
    connection.call("on_part", |plugin, state, sender| {
        plugin.on_part(state, sender, part)
    });
}

unsafe extern "system" fn on_drain<P: Exported>(private: *mut c_void, _: *const WebSocketServer) {
    // SAFETY: as for `on_message`.
    let connection = unsafe { &mut *private.cast::<Connection<P>>() };
    #[cfg(feature = "tokio")]
    connection.sender.wake_waiting();
    connection.call("on_drain", <P::Runs as Plugin>::on_drain);
}

pub(crate) unsafe extern "system" fn on_event<P: Exported>(
    private: *mut c_void,
    _: *const WebSocketServer,
    event: *mut c_void,
) {
    // SAFETY: as for `on_message`. `Sender::post` made the event, for a connection of `P`.
    let (connection, event) = unsafe {
        (
            &mut *private.cast::<Connection<P>>(),
            Box::from_raw(event.cast::<EventOf<P>>()),
        )
    };
    if connection.ended {
        drop_event::<P>(event);
    } else {
        connection.call("on_event", |plugin, state, sender| {
            plugin.on_event(state, sender, *event)
        });
    }
}

/// Drops an event that is not handled.
pub(crate) unsafe extern "system" fn discard<P: Exported>(event: *mut c_void) {
    // SAFETY: `Sender::post` made the event, and the host does not use it again.
    drop_event::<P>(unsafe { Box::from_raw(event.cast::<EventOf<P>>()) });
}

fn drop_event<P: Exported>(event: Box<EventOf<P>>) {
    Scope::detached(&P::slot().source).run_logged("drop", || drop(event));
}

pub(super) unsafe extern "system" fn on_disconnect<P: Exported>(
    private: *mut c_void,
    _: *const WebSocketServer,
) {
    // SAFETY: the host passes the pointer that `on_connect` returned, and does not use it again.
    let connection = *unsafe { Box::from_raw(private.cast::<Connection<P>>()) };
    let Connection {
        plugin,
        server,
        mut sender,
        state,
        ..
    } = connection;
    sender.shut();
    // SAFETY: the host keeps the table valid until this returns.
    let scope = unsafe { Scope::connection(&P::slot().source, server) };
    // SAFETY: as above.
    let disconnect = unsafe { disconnect(server) };
    scope.run_logged("on_disconnect", || plugin.on_disconnect(state, disconnect));
    scope.run_logged("drop", || drop(plugin));
}
