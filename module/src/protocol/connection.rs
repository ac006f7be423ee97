//! A connection without I/O: what the client's bytes ask for, and how the connection closes
//! (RFC 6455, section 7).
//!
//! ```text
//!              a close frame was sent            close frame received,
//!            +------------------------+          protocol error, end of bytes
//!            |                        v                       |
//!          Open                    Closing -------------------+----> Finishing ----> Closed
//!            |                        |                       |     output written
//!            +------------------------+-----------------------+
//!              the client takes no output, or does not answer the close frame ----> Closed
//! ```
//!
//! Whoever has the socket passes bytes in, does what an [`Action`] says, and reports after each
//! pass how far its output has got. The answer says what to wait for next. Time is passed in.

use std::time::{Duration, Instant};

use websocket_plugin::CloseCode;

use super::keepalive::{Findings, Keepalive, Unread};
use super::{
    CloseFrame, Due, Ending, Event, Input, Lifespan, MessageKind, Outgoing, OutputState, Payload,
    ProtocolError, Receiver, Version,
};

#[cfg(test)]
mod tests;

/// How long a client may take to answer a close frame, or to take the last output.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// The same when the server is about to stop.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);

/// The longest time that a client may take for what waits when the server is about to stop, even if
/// it takes something all the time.
const LEAVE_TOTAL: Duration = Duration::from_secs(3);

/// What the client's bytes ask for.
#[derive(Debug)]
pub enum Action<'a> {
    /// Hand this message to the application.
    Deliver {
        /// Text or binary.
        kind: MessageKind,
        /// The whole message, unmasked and inflated; text is valid UTF-8.
        payload: Payload<'a>,
    },
    /// Hand this part of a message to the application.
    DeliverPart {
        /// Text or binary.
        kind: MessageKind,
        /// The part, unmasked and inflated; that of a text ends between two characters.
        payload: Payload<'a>,
        /// Whether the message ends with this part.
        is_last: bool,
    },
    /// Send a pong with this payload.
    Pong(&'a [u8]),
    /// The client has closed, with this close frame (`None`: an empty one). Answer with a close
    /// frame with the same code, and send nothing after it.
    Close(Option<CloseFrame<'a>>),
    /// Do nothing: that was a pong.
    Nothing,
    /// The client has broken a rule. Tell it with a close frame with this code, and send nothing
    /// after it.
    Fail(ProtocolError, CloseCode),
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Await {
    /// Any of these.
    Events {
        /// The client's bytes.
        read: bool,
        /// The client taking more output.
        write: bool,
        /// This moment.
        deadline: Option<Instant>,
    },
    /// Nothing: the connection is over.
    Nothing(End),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything was written.
    Finished,
    /// The client took no output for too long.
    OutputTimedOut,
    /// The client did not answer the close frame in time.
    CloseTimedOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bytes are read.
    Open,
    /// The same, and the close frame of this side was written at this moment.
    Closing {
        since: Instant,
    },
    /// Nothing is read any more; what waits is still written.
    Finishing,
    Closed,
}

/// The server's side of a connection, from the 101 response to its end.
#[derive(Debug)]
pub struct Connection {
    receiver: Receiver,
    version: Version,
    /// How long the client may go without taking any output; `None`: for ever.
    timeout: Option<Duration>,
    state: State,
    /// The client has sent a close frame.
    got_close: bool,
    is_clean: bool,
    /// The client has to take output before it is read from.
    is_paused: bool,
    /// By then the client has to have taken what waits, once the connection is to end. A client
    /// that takes a little now and then would keep it open for ever.
    ends_by: Option<Instant>,
    /// The server was about to stop already when this was last looked at.
    is_leaving: bool,
    keepalive: Keepalive,
}

impl Connection {
    /// A connection that is open `now`. `timeout` is how long the client may go without taking any
    /// output; `None`: for ever.
    #[must_use]
    pub fn new(
        receiver: Receiver,
        version: Version,
        timeout: Option<Duration>,
        lifespan: &Lifespan,
        now: Instant,
    ) -> Self {
        Self {
            receiver,
            version,
            timeout,
            state: State::Open,
            got_close: false,
            is_clean: false,
            is_paused: false,
            ends_by: None,
            is_leaving: false,
            keepalive: Keepalive::new(lifespan, now),
        }
    }

    /// A turn begins.
    pub fn begin(&mut self, now: Instant) {
        self.keepalive.begin(now);
    }

    /// Bytes of the client were read.
    pub fn heard(&mut self) {
        self.keepalive.heard();
    }

    /// Whether both sides have sent a close frame, and this side's was written (RFC 6455, section
    /// 7.1.4). False until the connection has ended.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.is_clean
    }

    /// How long the client took to answer the last ping that it has answered.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.keepalive.round_trip()
    }

    /// What is due at the end of a turn, when everything is written that the client takes.
    /// `received` changes with each message or part of the client, and what it has sent may be
    /// `unread`.
    pub fn due(
        &mut self,
        output: OutputState,
        unread: Unread,
        received: u64,
        outgoing: &impl Outgoing,
    ) -> Option<Due> {
        if self.state != State::Open {
            return None;
        }
        let findings = Findings {
            output,
            // A client that takes nothing is not read from.
            unread: if output.is_full() {
                Unread::Nothing
            } else {
                unread
            },
            received,
            unfinished: self.receiver.unfinished(),
        };
        let due = self.keepalive.due(findings, outgoing);
        if matches!(due, Some(Due::End(_))) {
            let now = self.keepalive.now();
            self.ends_by = self.timeout.and_then(|timeout| now.checked_add(timeout));
        }
        if due == Some(Due::End(Ending::Stuck)) {
            // An answer to the close frame could only follow the rest of the message.
            self.give_up();
        }
        due
    }

    /// The status code for a client whose connection ends for this reason.
    #[must_use]
    pub fn code_for(&self, ending: Ending) -> CloseCode {
        ending.close_code(self.version)
    }

    /// Whether bytes of the client are of interest.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        matches!(self.state, State::Open | State::Closing { .. })
    }

    /// Whether the client has to take output before it is read from.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// A message in one frame at the front of `input`, the common case.
    /// See [`Receiver::whole_message`].
    #[inline]
    pub fn whole_message<'a>(
        &mut self,
        input: &'a mut Input<'_>,
    ) -> Option<(MessageKind, Payload<'a>)> {
        self.receiver.whole_message(input)
    }

    /// Takes bytes from the front of `input` up to the end of the next frame that asks for
    /// something. `None` after taking all of them.
    #[inline]
    pub fn receive<'a>(&'a mut self, input: &'a mut Input<'_>) -> Option<Action<'a>> {
        let event = self.receiver.receive(input);
        action(
            event,
            self.version,
            &mut self.state,
            &mut self.keepalive,
            &mut self.got_close,
        )
    }

    /// Whether messages are handed out in parts.
    #[must_use]
    pub fn is_in_parts(&self) -> bool {
        self.receiver.is_in_parts()
    }

    /// See [`Receiver::is_pending`].
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.receiver.is_pending()
    }

    /// Where the next bytes may be read to directly. See [`Receiver::spare`].
    pub fn spare(&mut self) -> Option<&mut [u8]> {
        self.receiver.spare()
    }

    /// So many bytes were read into [`spare`](Self::spare).
    pub fn filled(&mut self, read: usize) -> Option<Action<'_>> {
        let event = self.receiver.filled(read);
        action(
            event,
            self.version,
            &mut self.state,
            &mut self.keepalive,
            &mut self.got_close,
        )
    }

    /// The client sends no more bytes, or nobody wants them any more.
    pub fn finish(&mut self) {
        if self.is_reading() {
            self.state = State::Finishing;
        }
    }

    /// The memory that an unfinished message takes, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.receiver.held()
    }

    /// Nothing more is read, and what has arrived of a message is forgotten. What waits is written.
    pub fn give_up(&mut self) {
        self.receiver.give_up();
        self.finish();
    }

    /// The connection is lost.
    pub fn lose(&mut self) {
        self.state = State::Closed;
    }

    /// How long the client took to answer a ping, once for each answer.
    pub fn take_round_trip(&mut self) -> Option<Duration> {
        self.keepalive.take_round_trip()
    }

    /// See [`Receiver::take_inflated`].
    pub fn take_inflated(&mut self) -> [u64; 2] {
        self.receiver.take_inflated()
    }

    /// Frees memory that an idle connection does not need.
    pub fn release(&mut self) {
        self.receiver.release();
    }

    /// Output has got so far `now`: says what to wait for. With `is_leaving`, the server is about
    /// to stop and does not wait for long.
    pub fn wait_for(&mut self, output: OutputState, is_leaving: bool, now: Instant) -> Await {
        let awaited = self.awaited(output, is_leaving, now);
        if let Await::Nothing(end) = awaited {
            self.is_clean |= self.got_close && end == End::Finished && self.state != State::Closed;
            self.state = State::Closed;
        }
        awaited
    }

    fn awaited(&mut self, output: OutputState, is_leaving: bool, now: Instant) -> Await {
        self.is_paused = output.is_full();
        let (deadline, retry, end) = match (output, self.state) {
            (_, State::Closed) | (OutputState::Written { .. }, State::Finishing) => {
                return Await::Nothing(End::Finished);
            }
            (OutputState::Pending { since, retry, .. }, _) => {
                if is_leaving && !self.is_leaving {
                    self.is_leaving = true;
                    let soon = now + LEAVE_TOTAL;
                    self.ends_by = Some(self.ends_by.map_or(soon, |ends_by| ends_by.min(soon)));
                }
                let limit = self.output_limit(is_leaving);
                let deadline = limit.and_then(|limit| since.checked_add(limit));
                let deadline = deadline.into_iter().chain(self.ends_by).min();
                (deadline, Some(retry), End::OutputTimedOut)
            }
            (OutputState::Written { has_close: false }, _) => (None, None, End::Finished),
            (OutputState::Written { has_close: true }, state) => {
                let since = match state {
                    State::Closing { since } => since,
                    _ => now,
                };
                self.state = State::Closing { since };
                let deadline = since + close_limit(is_leaving);
                (Some(deadline), None, End::CloseTimedOut)
            }
        };
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Await::Nothing(end);
        }
        let is_open = self.state == State::Open;
        let check_at = self.keepalive.check_at().filter(|_| is_open);
        let deadline = deadline.into_iter().chain(retry.flatten()).chain(check_at);
        Await::Events {
            read: self.is_reading() && !self.is_paused,
            write: retry.is_some(),
            deadline: deadline.min(),
        }
    }

    /// How long the client may go without taking any output.
    fn output_limit(&self, is_leaving: bool) -> Option<Duration> {
        if self.is_reading() && !is_leaving {
            return self.timeout;
        }
        let limits = self.timeout.into_iter().chain([close_limit(is_leaving)]);
        limits.min()
    }
}

fn close_limit(is_leaving: bool) -> Duration {
    if is_leaving { LEAVE_LIMIT } else { CLOSE_LIMIT }
}

/// What an event asks for, if there is one.
#[inline]
fn action<'a>(
    received: Result<Option<Event<'a>>, ProtocolError>,
    version: Version,
    state: &mut State,
    keepalive: &mut Keepalive,
    got_close: &mut bool,
) -> Option<Action<'a>> {
    Some(match received.transpose()? {
        Ok(Event::Message { kind, payload }) => Action::Deliver { kind, payload },
        Ok(Event::Part {
            kind,
            payload,
            is_last,
            ..
        }) => Action::DeliverPart {
            kind,
            payload,
            is_last,
        },
        Ok(Event::Ping(payload)) => Action::Pong(payload),
        Ok(Event::Pong(payload)) => {
            keepalive.pong(payload);
            Action::Nothing
        }
        Ok(Event::Close(frame)) => {
            *state = State::Finishing;
            *got_close = true;
            Action::Close(frame)
        }
        Err(error) => {
            *state = State::Finishing;
            Action::Fail(error, error.close_code(version))
        }
    })
}
