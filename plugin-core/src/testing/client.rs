//! [`Client`] and [`Received`].

use super::Host;
use super::server::Server;
use super::unread::{Unread, Waiting};
use crate::abi::{
    CLOSED_BY_CLIENT, CLOSED_BY_NOBODY, Ending, MESSAGE_TYPE_BINARY, MESSAGE_TYPE_CLOSE,
    MESSAGE_TYPE_PING, MESSAGE_TYPE_TEXT,
};
use crate::{AsMessage, CloseCode, IntoClose, MessageKind, Part};
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest time that [`Client::receive`] waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connected client. When it is dropped, it is gone without a close frame.
pub struct Client<'h> {
    host: &'h Host,
    server: Arc<Server>,
    private: *mut c_void,
    /// Messages that the plugin has not got yet.
    unread: RefCell<Unread>,
    /// Callbacks run, and so no other may.
    is_running: Cell<bool>,
}

// SAFETY: `private` is the plugin's state of the connection, whose callbacks may run on any thread.
// `is_running` keeps two callbacks from overlapping.
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
            unread: RefCell::default(),
            is_running: Cell::new(false),
        }
    }

    /// Sends a message, and returns after the plugin's callback has returned.
    ///
    /// While the plugin has [paused](crate::Sender::pause) the client, the message waits. When the
    /// plugin has resumed it, the next call of [`received`](Self::received),
    /// [`receive`](Self::receive) or `send` delivers what waits.
    ///
    /// A plugin that has [`on_part`](crate::Plugin::on_part) gets the message as one part.
    ///
    /// # Panics
    ///
    /// In the middle of a message that [`send_part`](Self::send_part) has begun.
    pub fn send(&mut self, message: impl AsMessage) {
        let mut unread = self.unread.borrow_mut();
        assert!(!unread.is_in_message(), "a message is not complete yet");
        unread.push(message.as_message().into(), true);
        drop(unread);
        self.run();
    }

    /// Sends a part of a message. A plugin that has [`on_part`](crate::Plugin::on_part) gets it at
    /// once, as [`send`](Self::send) describes. Other plugins get the message when its last part is
    /// sent.
    ///
    /// # Panics
    ///
    /// The kind differs from that of the part before, or a part of a text is not UTF-8.
    pub fn send_part(&mut self, part: Part<'_>) {
        let in_parts = self.server.on_part().is_some();
        self.unread.borrow_mut().push(part, in_parts);
        self.run();
    }

    /// Runs the callbacks that are due.
    fn run(&self) {
        if self.is_running.replace(true) {
            return;
        }
        loop {
            if let Some(on_drain) = self.server.take_drain() {
                // SAFETY: the plugin has set this callback, `on_connect` returned `private`, and
                // `is_running` keeps callbacks from overlapping.
                unsafe { on_drain(self.private, self.server.table()) };
            } else if let Some(event) = self.server.take_event() {
                let on_event = event.on_event;
                // SAFETY: the plugin has posted this event to this connection, `on_connect`
                // returned `private`, and `is_running` keeps callbacks from overlapping.
                unsafe { on_event(self.private, self.server.table(), event.into_data()) };
            } else if let Some(waiting) = self.next_message() {
                self.deliver(waiting);
            } else {
                break;
            }
        }
        self.is_running.set(false);
    }

    fn next_message(&self) -> Option<Waiting> {
        let mut unread = self.unread.borrow_mut();
        if !self.server.is_paused() {
            return unread.pop();
        }
        if self.server.is_closed() {
            // httpd waits for nothing but the client's close frame.
            unread.clear();
        }
        None
    }

    fn deliver(&self, mut waiting: Waiting) {
        let kind = match waiting.kind {
            MessageKind::Text => MESSAGE_TYPE_TEXT,
            MessageKind::Binary => MESSAGE_TYPE_BINARY,
        };
        let (data, length) = (waiting.payload.as_mut_ptr(), waiting.payload.len());
        let is_last = c_int::from(waiting.is_last);
        let server = self.server.table();
        // SAFETY: `on_connect` returned `private`, and `is_running` keeps callbacks from
        // overlapping.
        unsafe {
            if let Some(on_part) = self.server.on_part() {
                on_part(self.private, server, kind, data, length, is_last);
            } else if let Some(on_message) = (*self.host.plugin).on_message {
                on_message(self.private, server, kind, data, length);
            }
        }
    }

    /// Everything that the plugin has sent since the last call.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.run();
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
        self.receive_within(PATIENCE)
            .expect("the plugin sends something within ten seconds")
    }

    /// Waits for the next message or frame from the plugin. Returns `None` if none has come in this
    /// time.
    #[must_use]
    pub fn receive_within(&self, time: Duration) -> Option<Received> {
        let deadline = Instant::now() + time;
        loop {
            self.run();
            let received = self.server.wait_for_sent(deadline);
            if received.is_some() || Instant::now() >= deadline {
                return received;
            }
        }
    }

    /// What the plugin sends, in order. The iterator waits for each message or frame. It ends after
    /// a close frame, or when the plugin sends nothing for `patience`. So a test whose plugin
    /// forgets to send fails soon, and does not hang.
    ///
    /// ```
    /// use std::time::Duration;
    /// use websocket_plugin::testing::{Host, Received, Request};
    /// use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};
    ///
    /// #[derive(Default)]
    /// struct Countdown;
    ///
    /// #[websocket_plugin]
    /// impl Plugin for Countdown {
    ///     fn on_message(&self, _: &mut (), to: &Sender, _: Message<'_>) -> Result<(), Close> {
    ///         let to = to.clone();
    ///         std::thread::spawn(move || ["2", "1", "0"].map(|number| to.send(number)));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let host = Host::load::<Countdown>();
    /// let mut client = host.connect(Request::new()).unwrap();
    /// client.send("go");
    /// let mut events = client.events(Duration::from_secs(1));
    /// assert!(events.any(|event| event == Received::Text("0".into())));
    /// ```
    pub fn events(&self, patience: Duration) -> impl Iterator<Item = Received> {
        let mut is_closed = false;
        iter::from_fn(move || {
            let event = (!is_closed)
                .then(|| self.receive_within(patience))
                .flatten();
            is_closed |= matches!(event, Some(Received::Close(..)));
            event
        })
    }

    /// Whether the plugin has [paused](crate::Sender::pause) this client.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.server.is_paused()
    }

    /// Stops reading: from now on [`try_send`](crate::Sender::try_send) finds the queue full. Other
    /// functions still send, and [`received`](Self::received) still returns what they sent.
    pub fn stop_reading(&self) {
        self.server.set_reading(false);
    }

    /// Starts reading again. If the queue was found full, this calls
    /// [`on_drain`](crate::Plugin::on_drain).
    pub fn resume_reading(&self) {
        self.server.set_reading(true);
        self.run();
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
        self.run();
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
        self.run();
        self.server
            .hang_up(Ending::told(CLOSED_BY_NOBODY, 1006, "", false));
        self.server.discard_events();
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
