//! Who the events of a session go to, and what answers them.

use std::sync::Arc;

use websocket_plugin::CloseCode;

use crate::httpd::log::Level;
use crate::link::Link;
use crate::plugin::{Attachment, LoadedPlugin, Private, ServerLease};
use crate::protocol::{ClosePayload, Event, Input, Opcode, ProtocolError, Receiver, Version};

/// The plugin and the way to it, and the way to the client.
pub(super) struct Peer {
    pub(super) link: Arc<Link>,
    pub(super) plugin: Arc<LoadedPlugin>,
    pub(super) private: Private,
    pub(super) server: ServerLease,
    pub(super) attachment: Arc<Attachment>,
    pub(super) version: Version,
}

/// Whether a session goes on after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    Finish,
}

impl Peer {
    /// Runs callbacks: what they send is written together.
    pub(super) fn in_turn<T>(&self, body: impl FnOnce() -> T) -> T {
        self.link.in_turn(|| self.server.in_callbacks(body))
    }

    pub(super) fn handle_input(
        &self,
        receiver: &mut Receiver,
        mut input: Input<'_>,
    ) -> Result<Flow, ProtocolError> {
        loop {
            while let Some((kind, mut payload)) = receiver.whole_message(&mut input) {
                self.plugin
                    .message(self.private, &self.server, kind, &mut payload);
            }
            let Some(event) = receiver.receive(&mut input)? else {
                return Ok(Flow::Continue);
            };
            if self.handle(event) == Flow::Finish {
                return Ok(Flow::Finish);
            }
        }
    }

    pub(super) fn handle_filled(
        &self,
        receiver: &mut Receiver,
        read: usize,
    ) -> Result<Flow, ProtocolError> {
        Ok(receiver
            .filled(read)?
            .map_or(Flow::Continue, |event| self.handle(event)))
    }

    fn handle(&self, event: Event<'_>) -> Flow {
        match event {
            Event::Message { kind, mut payload } => {
                self.plugin
                    .message(self.private, &self.server, kind, &mut payload);
            }
            Event::Ping(payload) => self.link.answer(Opcode::Pong, payload),
            Event::Pong(_) => {}
            Event::Close(frame) => {
                // Section 5.5.1: the answer carries the status that was received.
                let status = frame.map(|frame| ClosePayload::new(frame.code, ""));
                self.link
                    .answer(Opcode::Close, status.as_deref().unwrap_or_default());
                return Flow::Finish;
            }
        }
        Flow::Continue
    }

    /// Closes because the client broke a rule (section 7.1.7).
    pub(super) fn refuse(&self, error: &ProtocolError) {
        let code: CloseCode = error.close_code(self.version);
        self.attachment
            .log(Level::Info, &format!("closing with {code}: {error}"));
        self.link
            .answer(Opcode::Close, &ClosePayload::new(code, ""));
    }
}
