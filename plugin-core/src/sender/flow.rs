//! Pausing the messages of a client.

use super::Sender;
use crate::abi::FlowServer;
use std::ffi::c_int;
use std::sync::PoisonError;

/// Why a client is paused.
#[derive(Default)]
pub(super) struct Pauses {
    by_plugin: bool,
    /// The mailbox of an async plugin is full.
    by_mailbox: bool,
}

impl Sender {
    /// Pauses the client: from now on no [`on_message`](crate::Plugin::on_message) of this
    /// connection begins, until [`resume`](Self::resume). One that has begun goes on, as does one
    /// that begins at this moment on another thread.
    ///
    /// Use it when the plugin cannot take more for now: a queue of its own is full, or a database
    /// has to answer first. Nothing is read from the client meanwhile, so it can send only what the
    /// buffers of the network hold, and then has to wait. Messages that have arrived already wait
    /// in httpd, in order. Pausing twice is the same as once.
    ///
    /// Any thread and any callback may pause and resume; after a pause in `on_connect`, the first
    /// message waits. Sending does not change.
    ///
    /// While a client is paused:
    ///
    /// * Its pings are not answered, and its close frame is not noticed, because frames are read in
    ///   order. Some clients close the connection if a pong does not come for 20 seconds or so.
    /// * httpd goes on to ping it (`WebSocketPingInterval`). The client counts as alive if its
    ///   system takes the pings. Over HTTP/2, whose proxies take them in any case, only the
    ///   `Timeout` for what is sent finds a client that is gone.
    /// * `WebSocketIdleTimeout` and `WebSocketMessageTimeout` do not run. `WebSocketMaxLifetime`
    ///   does.
    /// * The connection can be closed as usual, by the plugin or by httpd. What the client still
    ///   sends before its own close frame is then dropped.
    ///
    /// In an [async plugin](crate#async-plugins), messages that are in the connection's mailbox
    /// still come: up to 32.
    ///
    /// Returns `false` if the connection is closing or gone, or if the host cannot pause (the C
    /// module, and older versions of `mod_websocket`): then messages keep coming.
    pub fn pause(&self) -> bool {
        self.set_pauses(|pauses| pauses.by_plugin = true)
    }

    /// Ends a [`pause`](Self::pause). Messages that waited come next, in order. Does nothing if the
    /// client is not paused.
    pub fn resume(&self) {
        self.set_pauses(|pauses| pauses.by_plugin = false);
    }

    /// Pauses the client for a full mailbox. Returns whether the host can pause.
    #[cfg(feature = "tokio")]
    pub(crate) fn hold_back(&self) -> bool {
        self.set_pauses(|pauses| pauses.by_mailbox = true);
        // SAFETY: `with_table` keeps the table valid.
        let can_pause = |server| unsafe { FlowServer::current(server) }.is_some();
        // No more messages come of a connection that is gone.
        self.with_table(can_pause).unwrap_or(true)
    }

    /// Ends the pause for a full mailbox.
    #[cfg(feature = "tokio")]
    pub(crate) fn let_go_on(&self) {
        self.set_pauses(|pauses| pauses.by_mailbox = false);
    }

    /// The lock keeps a pause and a resumption from overtaking each other. The host never waits in
    /// these functions.
    fn set_pauses(&self, change: impl FnOnce(&mut Pauses)) -> bool {
        let pauses = self.shared.pauses.lock();
        let mut pauses = pauses.unwrap_or_else(PoisonError::into_inner);
        change(&mut pauses);
        let is_paused = pauses.by_plugin || pauses.by_mailbox;
        let answer = self.with_table(|server| {
            // SAFETY: `with_table` keeps the table valid.
            let table = unsafe { FlowServer::current(server)? };
            // SAFETY: as above.
            Some(unsafe { (table.pause)(server, c_int::from(is_paused)) } != 0)
        });
        answer.flatten().unwrap_or(false)
    }
}
