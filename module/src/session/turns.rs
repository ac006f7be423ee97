//! The turns of a session.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use websocket_plugin::CloseCode;

use super::application::Application;
use super::limiter::Limiter;
use super::pace::Pace;
use super::plugged::Plugged;
use crate::budget::{self, Charge};
use crate::httpd::log::Level;
use crate::output::{Output, Progress};
use crate::protocol::{
    Account, Action, Await, CloseFrame, ClosePayload, Closer, Closing, Connection, Due, End,
    Ending, Input, MessageKind, MessageRate, Opcode, OutputState, Payload, ProtocolError, Traffic,
};
use crate::transport::Stream;
use crate::transport::Transport;

/// A connection that ends with so many bytes of an unfinished message, or waiting for its client,
/// leaves memory that is worth giving back to the system.
const MUCH: usize = 1024 * 1024;

/// When a turn that reads nothing comes after one at the earliest.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What a driver waits for before the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Any of these, or a wake-up.
    Wait {
        /// The connection is readable.
        read: bool,
        /// The connection is writable.
        write: bool,
        /// This moment.
        deadline: Option<Instant>,
    },
    /// Nothing: there is more to do, once others have had their turn.
    Again,
    /// Nothing: the session is over.
    Ended,
}

/// What the client has sent and a turn has not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// Something, perhaps.
    More,
    /// The same, which is read when the client has taken output.
    HeldBack,
    /// The same, which is read when the client may send more messages.
    Limited,
}

/// A connection that its application has accepted. Dropping it ends the connection for the
/// application.
pub struct Session<A: Application = Plugged, S: Stream = Transport> {
    connection: Connection,
    output: Arc<Output<S>>,
    application: A,
    pace: Pace,
    began: Instant,
    ended: Instant,
    /// What is counted of an unfinished message.
    charge: Charge,
    /// The client's messages.
    received: Traffic,
    limiter: Option<Box<Limiter>>,
}

impl<A: Application, S: Stream> Session<A, S> {
    /// A session for a connection that is open.
    #[must_use]
    pub fn new(connection: Connection, output: Arc<Output<S>>, application: A) -> Self {
        let began = Instant::now();
        Self {
            connection,
            output,
            application,
            pace: Pace::new(),
            began,
            ended: began,
            charge: Charge::default(),
            received: Traffic::default(),
            limiter: None,
        }
    }

    /// Limits the messages of the client.
    pub fn limit(&mut self, limit: MessageRate) {
        self.limiter = Some(Box::new(Limiter::new(limit, self.began)));
    }

    /// When the last turn ended.
    #[must_use]
    pub fn ended(&self) -> Instant {
        self.ended
    }

    /// Reads what has arrived, runs callbacks and writes what that brings about. `buffer` holds
    /// bytes only during the call. `now` is the time; `was_long` says that the turn before
    /// [was](super::is_long).
    pub fn turn(&mut self, buffer: &mut [u8], now: Instant, was_long: bool) -> Next {
        self.pace.begin(now, was_long);
        self.connection.begin(now);
        if self.output.is_cut() {
            self.connection.give_up();
        }
        let before = self.received;
        let next = self.take_turn(buffer, now);
        let received = self.received.since(before);
        if received.messages > 0 {
            let took = self.ended.saturating_duration_since(now);
            let meter = self.output.meter();
            meter.turn(received, self.connection.take_inflated(), took);
        }
        if let Some(took) = self.connection.take_round_trip() {
            self.output.meter().ping(took);
        }
        let held = self.connection.held();
        if self.charge.set(held) {
            self.output.set_unfinished(held);
        }
        budget::relieve();
        next
    }

    fn take_turn(&mut self, buffer: &mut [u8], now: Instant) -> Next {
        let is_held_up = self.connection.is_paused() && is_full(&self.output.write());
        let rest = match () {
            () if !self.connection.is_reading() => Rest::Nothing,
            () if is_held_up => Rest::More,
            () if self.resumes(now).is_some() => Rest::Limited,
            () => self.read(buffer, now),
        };
        match self.next(rest) {
            Next::Wait {
                read: true,
                write,
                deadline,
            } => match rest {
                Rest::Nothing => {
                    self.connection.release();
                    Next::Wait {
                        read: true,
                        write,
                        deadline,
                    }
                }
                // Nothing would tell when to read again, unless output is pending.
                Rest::HeldBack if write => {
                    self.connection.release();
                    Next::Wait {
                        read: false,
                        write,
                        deadline,
                    }
                }
                Rest::Limited => self.wait_to_resume(now, write, deadline),
                Rest::More | Rest::HeldBack => Next::Again,
            },
            Next::Ended => Next::Ended,
            next => {
                self.connection.release();
                next
            }
        }
    }

    /// What the client's messages go to.
    pub fn application(&mut self) -> &mut A {
        &mut self.application
    }

    /// What the connection shares with other threads.
    #[must_use]
    pub fn output(&self) -> &Arc<Output<S>> {
        &self.output
    }

    /// When the client may be read from again, if its messages are limited and not now.
    fn resumes(&self, now: Instant) -> Option<Instant> {
        self.limiter.as_ref()?.resumes(now)
    }

    /// Waits until the client may be read from again. A `deadline` that has passed may be one that
    /// only reading could do something about, or one of the output that came during the turn.
    fn wait_to_resume(&mut self, now: Instant, write: bool, deadline: Option<Instant>) -> Next {
        self.connection.release();
        let deadline = deadline.map(|deadline| deadline.max(self.ended + LOOK_AGAIN));
        Next::Wait {
            read: false,
            write,
            deadline: deadline.into_iter().chain(self.resumes(now)).min(),
        }
    }

    /// Reads as much as one turn may. Returns what may be left.
    fn read(&mut self, buffer: &mut [u8], now: Instant) -> Rest {
        while self.connection.is_reading() {
            match self.read_once(buffer, now) {
                Ok(true) => {
                    if is_full(&self.output.write()) {
                        return Rest::More;
                    }
                }
                Ok(false) => return Rest::Nothing,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Rest::Nothing,
                    io::ErrorKind::ResourceBusy => return Rest::HeldBack,
                    io::ErrorKind::Interrupted => {}
                    _ => {
                        self.output.fail(error);
                        return Rest::Nothing;
                    }
                },
            }
            if self.resumes(now).is_some() {
                return Rest::Limited;
            }
            if !self.pace.goes_on() {
                return Rest::More;
            }
        }
        Rest::Nothing
    }

    /// Reads and handles the bytes of one system call. Returns whether there may be more.
    fn read_once(&mut self, buffer: &mut [u8], now: Instant) -> io::Result<bool> {
        let Self {
            connection,
            output,
            application,
            pace,
            received,
            limiter,
            ..
        } = self;
        let before = received.messages;
        let most = limiter
            .as_ref()
            .map_or(u64::MAX, |limiter| limiter.most(now));
        let handler = Handler {
            output,
            application,
            traces: application.traces_frames(),
            last: before.saturating_add(most),
        };
        let mut is_in_time = true;
        let (read, may_be_more) = if let Some(space) = connection.spare() {
            let (read, more) = output.read(pace.limit(space))?;
            handler.in_callbacks(|| {
                is_in_time = handler.handle_filled(connection, read, received);
            });
            (read, more)
        } else {
            let most = limiter
                .as_ref()
                .map_or(usize::MAX, |limiter| limiter.most_bytes(now));
            let room = (buffer.len() - Input::BEHIND).min(most);
            let (read, more) = output.read(pace.limit(&mut buffer[..room]))?;
            let input = Input::new(buffer, read);
            handler.in_callbacks(|| {
                is_in_time = handler.handle_input(connection, input, received);
            });
            (read, more)
        };
        if let Some(limiter) = limiter {
            limiter.count(received.messages - before, now);
        }
        if read == 0 {
            connection.finish();
        } else {
            connection.heard();
        }
        if !is_in_time {
            self.close(Ending::Flooding);
            self.connection.finish();
        }
        if !self.connection.is_reading() {
            self.output.seal();
        }
        Ok(may_be_more)
    }

    /// Writes what waits, does what is due and finds out what the session waits for. The client may
    /// have sent a `rest`.
    fn next(&mut self, rest: Rest) -> Next {
        let output = loop {
            let output = match self.output.settle() {
                Progress::At(output) => output,
                Progress::Broken(error) => return self.lose(&error),
            };
            let has_unread = matches!(rest, Rest::More | Rest::Limited);
            let received = self.received.messages;
            let due = self
                .connection
                .due(output, has_unread, received, &*self.output);
            match due {
                None => break output,
                Some(Due::Ping(payload)) => self.output.answer(Opcode::Ping, &payload),
                Some(Due::End(Ending::Silent)) => return self.give_up(),
                Some(Due::End(ending)) => self.close(ending),
            }
        };
        let is_leaving = self.output.is_leaving();
        self.ended = Instant::now();
        match self.connection.wait_for(output, is_leaving, self.ended) {
            Await::Events {
                read,
                write,
                deadline,
            } => Next::Wait {
                read,
                write,
                deadline,
            },
            Await::Nothing(end) => {
                self.note(end);
                Next::Ended
            }
        }
    }

    fn lose(&mut self, error: &io::Error) -> Next {
        let text = format!("the connection is lost: {error}");
        self.application.log(Level::Debug, &text);
        self.output
            .note_closing(|| Closing::without_frame(closer_of(error)));
        self.connection.lose();
        Next::Ended
    }

    /// A silent client is told why the connection ends, and not waited for.
    fn give_up(&mut self) -> Next {
        self.close(Ending::Silent);
        let is_written = matches!(
            self.output.write(),
            Progress::At(OutputState::Written { .. })
        );
        if !is_written {
            self.output.fail(io::ErrorKind::TimedOut.into());
        }
        self.connection.lose();
        Next::Ended
    }

    /// Begins the closing handshake.
    fn close(&mut self, ending: Ending) {
        let code = self.connection.code_for(ending);
        let text = format!("closing with {code}: {ending}");
        self.application.log(Level::Info, &text);
        let payload = ClosePayload::new(code, ending.reason());
        let closer = if ending == Ending::Flooding {
            Closer::Limit
        } else {
            Closer::Timeout
        };
        let closing = Closing::with_frame(closer, &payload);
        self.output.answer_close(closing, &payload);
    }

    /// What is to be told of the connection, when nothing more can be sent.
    fn account(&self) -> Account {
        let (sent, closing) = self.output.account();
        Account {
            closing: closing.unwrap_or_else(|| Closing::without_frame(Closer::Lost)),
            received: self.received,
            sent,
            open: self.began.elapsed(),
            ping: self.connection.round_trip(),
        }
    }

    fn note(&self, end: End) {
        match end {
            End::Finished => {}
            End::OutputTimedOut => {
                self.output
                    .note_closing(|| Closing::without_frame(Closer::Timeout));
                let text = "the client takes no output; dropping the connection";
                self.application.log(Level::Info, text);
                self.output.fail(io::ErrorKind::TimedOut.into());
            }
            End::CloseTimedOut => {
                let text = "the client did not answer the close frame";
                self.application.log(Level::Debug, text);
            }
        }
    }
}

/// Who ends a connection that fails with this error.
fn closer_of(error: &io::Error) -> Closer {
    match error.kind() {
        io::ErrorKind::TimedOut => Closer::Timeout,
        io::ErrorKind::OutOfMemory => Closer::Error,
        io::ErrorKind::QuotaExceeded => Closer::Limit,
        _ => Closer::Lost,
    }
}

fn is_full(progress: &Progress) -> bool {
    matches!(progress, Progress::At(output) if OutputState::is_full(*output))
}

impl<A: Application, S: Stream> Drop for Session<A, S> {
    /// From here on sends return at once; everything else stays valid until `disconnect` has
    /// returned; then the stream is given back.
    fn drop(&mut self) {
        let held = self.output.held();
        self.output.seal();
        self.application
            .in_callbacks(|| self.application.disconnect());
        let account = self.account();
        self.application.ended(&account);
        self.output.count_sent();
        self.output.meter().closed(&account.closing);
        self.output.shut();
        if held >= MUCH {
            self.connection.give_up();
            self.application.freed_much();
        }
    }
}

/// Does what the client's bytes ask for.
struct Handler<'a, A, S> {
    output: &'a Arc<Output<S>>,
    application: &'a A,
    /// Whether frames are logged.
    traces: bool,
    /// The number of the last message that the client may send for now.
    last: u64,
}

impl<A: Application, S: Stream> Handler<'_, A, S> {
    fn in_callbacks(&self, body: impl FnOnce()) {
        self.output
            .in_callback(|| self.application.in_callbacks(body));
    }

    /// Returns `false` at a message that the client may not send yet.
    fn handle_input(
        &self,
        connection: &mut Connection,
        mut input: Input<'_>,
        received: &mut Traffic,
    ) -> bool {
        loop {
            // In registers, and one comparison for all that seldom happens.
            let mut whole = Traffic::default();
            let quick = if self.traces {
                0
            } else {
                self.last.saturating_sub(received.messages)
            };
            while let Some((kind, mut payload)) = connection.whole_message(&mut input) {
                let length = payload.len();
                if whole.messages >= quick
                    && !self.admits(received.messages + whole.messages, kind, length)
                {
                    received.add(whole);
                    return false;
                }
                whole.add(Traffic::message(length));
                self.application.message(kind, &mut payload);
            }
            received.add(whole);
            match connection.receive(&mut input) {
                Some(action) => {
                    if !self.handle(action, received) {
                        return false;
                    }
                }
                None => return true,
            }
        }
    }

    /// As [`handle_input`](Self::handle_input), of bytes that were read into the message.
    fn handle_filled(
        &self,
        connection: &mut Connection,
        read: usize,
        received: &mut Traffic,
    ) -> bool {
        let action = connection.filled(read);
        action.is_none_or(|action| self.handle(action, received))
    }

    /// Returns whether the client may send the message.
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
        self.application.message(kind, payload);
        true
    }

    /// Whether the client may send another message, after `number` others. Logs it, if frames are
    /// logged.
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
        // Section 5.5.1: the answer carries the status that was received.
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

/// Who ends a connection for such a violation.
const fn closer_of_violation(error: ProtocolError) -> Closer {
    match error {
        ProtocolError::TooBig(_) | ProtocolError::TooManyFragments(_) => Closer::Limit,
        _ => Closer::Error,
    }
}
