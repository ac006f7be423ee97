//! One message for many connections.

use std::sync::Arc;

use super::caller::Caller;
use super::object::{Output, Queued};
use super::queue::Closed;
use super::sending::SLOW;
use crate::budget;
use crate::compression::CompressedOnce;
use crate::protocol::Opcode;
use crate::transport::{Stream, Transport};

/// A message to many connections. It never waits for a client: a connection whose queue is full is
/// closed with 1013.
///
/// Its frame is encoded once, and compressed once for all connections with the same compression
/// settings. Connections that get it compressed come [last](Self::finish), so that each form is
/// queued for all its receivers in a row. `sharing.rs` shares a frame only between consecutive
/// sends.
pub struct Broadcast<'m, S = Transport> {
    opcode: Opcode,
    payload: &'m [u8],
    compressing: Vec<(Arc<Output<S>>, Caller)>,
}

impl<'m, S: Stream> Broadcast<'m, S> {
    /// A text or binary message.
    #[must_use]
    pub fn new(opcode: Opcode, payload: &'m [u8]) -> Self {
        Self {
            opcode,
            payload,
            compressing: Vec::new(),
        }
    }

    /// Sends the message to a connection.
    pub fn send(&mut self, output: &Arc<Output<S>>, caller: Caller) {
        let queued = output.queue(self.opcode, self.payload, caller);
        budget::relieve();
        match queued {
            Ok(Queued::Accepted) | Err(Closed) => {}
            Ok(Queued::Due) => output.tell_home(caller),
            Ok(Queued::No) if output.framing.compresses(self.opcode, self.payload) => {
                self.compressing.push((Arc::clone(output), caller));
            }
            Ok(Queued::No) => {
                let sent = output.try_send(self.opcode, self.payload, caller);
                cut_if_full(output, sent);
            }
        }
    }

    /// Sends the message to the connections that get it compressed.
    pub fn finish(self) {
        let mut forms = CompressedOnce::default();
        for (output, caller) in &self.compressing {
            let mut offer = || {
                let takes_messages = || output.shared.queue().takes_messages();
                let message = (self.opcode, self.payload);
                let framing = &output.framing;
                framing.encode_once(message, &mut forms, takes_messages, |frame| {
                    output.offer_frame(frame, *caller)
                })
            };
            let sent = match offer() {
                Ok(false) => output.check_writer().and_then(|()| {
                    // Perhaps no thread has tried yet to write what waits, and the client takes it.
                    output.write_for_session();
                    offer()
                }),
                sent => sent,
            };
            cut_if_full(output, sent);
        }
    }
}

/// Closes a connection that did not accept the message: its client does not keep up.
fn cut_if_full<S: Stream>(output: &Output<S>, sent: Result<bool, Closed>) {
    if sent == Ok(false) {
        output.cut(SLOW);
    }
}
