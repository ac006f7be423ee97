//! The plugin of a connection.

use std::sync::Arc;
use std::time::Instant;

use super::application::{Application, Ended};
use crate::flusher;
use crate::httpd::log::Level;
use crate::httpd::memory::SharedMemory;
use crate::httpd::quota::Place;
use crate::plugin::{Attachment, LoadedPlugin, Private, ServerLease};
use crate::protocol::{Account, MessageKind, Payload};
use crate::registry::Registration;
use websocket_plugin::abi;

/// A plugin that has accepted a connection, and everything that is kept for it.
pub struct Plugged {
    plugin: Arc<LoadedPlugin>,
    private: Private,
    server: ServerLease,
    attachment: Arc<Attachment>,
    /// What gets the client's messages, if the plugin wants them in parts.
    on_part: Option<abi::OnPart>,
    _registration: Registration,
    _place: Option<Place>,
    /// Dropped last, when the plugin no longer uses the request.
    memory: Option<SharedMemory>,
}

impl Plugged {
    /// For a `plugin` that has accepted the connection with `private`. `server` is attached to
    /// `attachment`.
    #[must_use]
    pub fn new(
        (plugin, private, server): (Arc<LoadedPlugin>, Private, ServerLease),
        attachment: Arc<Attachment>,
        (registration, place): (Registration, Option<Place>),
        memory: SharedMemory,
    ) -> Self {
        Self {
            plugin,
            private,
            server,
            on_part: attachment.fix_on_part(),
            attachment,
            _registration: registration,
            _place: place,
            memory: Some(memory),
        }
    }

    /// Whether the plugin wants messages in parts.
    #[must_use]
    pub fn is_in_parts(&self) -> bool {
        self.on_part.is_some()
    }

    /// Makes the plugin do without the request, which is about to end. Called by the handler's
    /// thread, before the first turn.
    pub fn outlive_request(&mut self) {
        self.attachment.outlive_request();
        self.memory = None;
    }
}

impl Application for Plugged {
    fn in_callbacks(&self, body: impl FnOnce()) {
        self.server.in_callbacks(&self.attachment, body);
    }

    fn message(&self, kind: MessageKind, payload: &mut Payload<'_>) {
        self.plugin
            .message(self.private, &self.server, kind, payload);
    }

    fn part(&self, kind: MessageKind, payload: &mut Payload<'_>, is_last: bool) {
        if let Some(on_part) = self.on_part {
            let (plugin, private) = (&self.plugin, self.private);
            plugin.part(private, &self.server, on_part, (kind, payload), is_last);
        }
    }

    fn kept(&self) -> usize {
        self.plugin.kept(self.private)
    }

    fn drained(&self) {
        if let Some(on_drain) = self.attachment.on_drain() {
            self.plugin.drained(self.private, &self.server, on_drain);
        }
    }

    fn handle_event(&self, now: Instant) -> bool {
        let event = self.attachment.take_event(now);
        let is_there = event.is_some();
        if let Some(event) = event {
            self.plugin.handle(self.private, &self.server, event);
        }
        is_there
    }

    fn next_timer(&self) -> Option<Instant> {
        self.attachment.next_timer()
    }

    fn disconnect(&self, ended: &Ended<'_>) {
        self.attachment.discard_events();
        self.attachment.set_ended(ended.closing, ended.is_clean);
        self.plugin.disconnect(self.private, &self.server);
        self.server.detach();
    }

    fn ended(&self, account: &Account) {
        self.attachment.note_end(account);
    }

    fn traces_frames(&self) -> bool {
        self.attachment.traces_frames()
    }

    fn freed_much(&self) {
        flusher::note_release();
    }

    fn log(&self, level: Level, text: &str) {
        self.attachment.log(level, text);
    }
}
