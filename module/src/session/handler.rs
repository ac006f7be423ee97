//! Does what the client's frames ask for.

use std::sync::Arc;

use websocket_plugin::CloseCode;

use super::application::Application;
use super::pace::Pace;
use crate::httpd::log::Level;
use crate::output::Output;
use crate::protocol::{
    Action, CloseFrame, ClosePayload, Closer, Closing, Connection, Input, MessageKind, Opcode,
    Payload, ProtocolError, Traffic,
};
use crate::transport::Stream;

/// Does what the client's frames ask for.
pub(super) struct Handler<'a, A, S> {
    pub(super) output: &'a Arc<Output<S>>,
    pub(super) application: &'a A,
    /// Whether frames are logged.
    pub(super) traces: bool,
    /// How many messages the client may have sent by now, since the connection opened.
    pub(super) last: u64,
    /// Whether the application gets messages in parts.
    pub(super) in_parts: bool,
    /// Whether the client's messages are dropped, because the plugin has paused and nothing is
    /// waited for but the client's close frame.
    pub(super) drops: bool,
    /// Says when the turn is over.
    pub(super) pace: &'a Pace,
}

/// After so many messages and other frames the handler looks at the clock. A read may hold
/// thousands.
const MOST_FRAMES: u64 = 32;

/// After so many bytes of payload it looks, too. Few compressed bytes may hold very many.
const MOST_BYTES: u64 = 64 * 1024;

/// How much of some bytes was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handled {
    All,
    /// What comes before a message that the client may not send yet.
    TooMany,
    /// What comes before the plugin paused, or before the turn was over.
    UpToPause,
}

/// What was done since the handler has looked at the clock.
#[derive(Default)]
struct Batch(Traffic);

impl Batch {
    fn is_full(&self) -> bool {
        self.0.messages >= MOST_FRAMES || self.0.bytes >= MOST_BYTES
    }
}

impl<A: Application, S: Stream> Handler<'_, A, S> {
    pub(super) fn in_callbacks(&self, body: impl FnOnce()) {
        self.output
            .in_callback(|| self.application.in_callbacks(body));
    }

    /// Handles the bytes of a read, as far as that may be done now.
    pub(super) fn handle_input(
        &self,
        connection: &mut Connection,
        input: &mut Input<'_>,
        received: &mut Traffic,
    ) -> Handled {
        let is_simple = !self.drops && !self.in_parts;
        let mut batch = Batch::default();
        while !self.is_paused() {
            if batch.is_full() {
                if !self.pace.has_time() {
                    break;
                }
                batch = Batch::default();
            }
            // A local count stays in registers, and one comparison stands for all rare cases.
            let mut whole = Traffic::default();
            let quick = if self.traces {
                0
            } else {
                self.last.saturating_sub(received.messages)
            };
            while is_simple
                && whole.messages < MOST_FRAMES
                && whole.bytes < MOST_BYTES
                && let Some((kind, mut payload)) = connection.whole_message(input)
            {
                let length = payload.len();
                if whole.messages >= quick
                    && !self.admits(received.messages + whole.messages, kind, length)
                {
                    received.add(whole);
                    return Handled::TooMany;
                }
                whole.add(Traffic::message(length));
                self.application.message(kind, &mut payload);
                if self.output.is_paused() {
                    break;
                }
            }
            received.add(whole);
            batch.0.add(whole);
            if batch.is_full() {
                continue;
            }
            if self.is_paused() {
                break;
            }
            match connection.receive(input) {
                Some(action) => {
                    let before = received.bytes;
                    if !self.handle(action, received) {
                        return Handled::TooMany;
                    }
                    batch.0.add(Traffic::message(0));
                    batch.0.bytes += received.bytes - before;
                }
                None => return Handled::All,
            }
        }
        Handled::UpToPause
    }

    fn is_paused(&self) -> bool {
        !self.drops && self.output.is_paused()
    }

    /// Like [`handle_input`](Self::handle_input), for bytes that were read directly into the
    /// message.
    pub(super) fn handle_filled(
        &self,
        connection: &mut Connection,
        read: usize,
        received: &mut Traffic,
    ) -> Handled {
        let action = connection.filled(read);
        let is_in_time = action.is_none_or(|action| self.handle(action, received));
        if is_in_time {
            Handled::All
        } else {
            Handled::TooMany
        }
    }

    /// Hands a message to the application. Returns whether the client may send it.
    fn deliver(
        &self,
        kind: MessageKind,
        payload: &mut Payload<'_>,
        received: &mut Traffic,
    ) -> bool {
        if !self.admits(received.messages, kind, payload.len()) {
            return false;
        }
        received.add(Traffic::message(payload.len()));
        match self.in_parts {
            _ if self.drops => {}
            true => self.application.part(kind, payload, true),
            false => self.application.message(kind, payload),
        }
        true
    }

    /// Hands a part of a message to the application. Returns whether the client may send the
    /// message, which counts when it is complete.
    fn deliver_part(
        &self,
        kind: MessageKind,
        payload: &mut Payload<'_>,
        is_last: bool,
        received: &mut Traffic,
    ) -> bool {
        if is_last && received.messages >= self.last {
            return false;
        }
        received.add(Traffic {
            messages: u64::from(is_last),
            bytes: payload.len() as u64,
        });
        if self.traces {
            let which = if is_last { "the last part" } else { "a part" };
            let kind = format!("{kind:?}").to_lowercase();
            let length = payload.len();
            self.trace(|| format!("received {which} of a {kind} message, {length} bytes"));
        }
        if !self.drops {
            self.application.part(kind, payload, is_last);
        }
        true
    }

    /// Whether the client may send one more message after `number` others. Logs the message if
    /// frames are logged.
    #[cold]
    fn admits(&self, number: u64, kind: MessageKind, length: usize) -> bool {
        let admits = number < self.last;
        if admits && self.traces {
            let kind = format!("{kind:?}").to_lowercase();
            self.trace(|| format!("received a {kind} message of {length} bytes"));
        }
        admits
    }

    #[cold]
    fn trace(&self, text: impl FnOnce() -> String) {
        self.application.log(Level::Trace4, &text());
    }

    fn handle(&self, action: Action<'_>, received: &mut Traffic) -> bool {
        match action {
            Action::Deliver { kind, mut payload } => {
                return self.deliver(kind, &mut payload, received);
            }
            Action::DeliverPart {
                kind,
                mut payload,
                is_last,
            } => return self.deliver_part(kind, &mut payload, is_last, received),
            Action::Pong(payload) => {
                if self.traces {
                    self.trace(|| format!("received a ping of {} bytes", payload.len()));
                }
                self.output.answer(Opcode::Pong, payload);
            }
            Action::Nothing => {
                if self.traces {
                    self.trace(|| "received a pong".into());
                }
            }
            Action::Close(frame) => self.answer_close(frame),
            Action::Fail(error, code) => self.fail(error, code),
        }
        true
    }

    fn answer_close(&self, frame: Option<CloseFrame<'_>>) {
        let of_client = frame.map(|frame| ClosePayload::new(frame.code, frame.reason));
        let of_client = of_client.as_deref().unwrap_or_default();
        // RFC 6455, section 5.5.1: the answer carries the status code that was received.
        let answer = frame.map(|frame| ClosePayload::new(frame.code, ""));
        let closing = Closing::with_frame(Closer::Client, of_client);
        if self.traces {
            self.trace(|| format!("received a close frame with code {}", closing.code));
        }
        self.output
            .answer_close(closing, answer.as_deref().unwrap_or_default());
    }

    fn fail(&self, error: ProtocolError, code: CloseCode) {
        let text = format!("closing with {code}: {error}");
        self.application.log(Level::Info, &text);
        let payload = ClosePayload::new(code, "");
        let closing = Closing::with_frame(closer_of_violation(error), &payload);
        self.output.answer_close(closing, &payload);
    }
}

/// Who ends a connection for this violation.
const fn closer_of_violation(error: ProtocolError) -> Closer {
    match error {
        ProtocolError::TooBig(_) | ProtocolError::TooManyFragments(_) => Closer::Limit,
        _ => Closer::Error,
    }
}
