//! The turns of a session.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::application::Application;
use super::pace::Pace;
use super::plugged::Plugged;
use crate::httpd::log::Level;
use crate::output::{Output, Progress};
use crate::protocol::{Action, Await, ClosePayload, Connection, End, Input, Opcode, OutputState};
use crate::transport::Stream;
use crate::transport::Transport;

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
}

/// A connection that its application has accepted. Dropping it ends the connection for the
/// application.
pub struct Session<A: Application = Plugged, S: Stream = Transport> {
    connection: Connection,
    output: Arc<Output<S>>,
    application: A,
    pace: Pace,
}

impl<A: Application, S: Stream> Session<A, S> {
    /// A session for a connection that is open.
    #[must_use]
    pub fn new(connection: Connection, output: Arc<Output<S>>, application: A) -> Self {
        Self {
            connection,
            output,
            application,
            pace: Pace::new(),
        }
    }

    /// Reads what has arrived, runs callbacks and writes what that brings about. `buffer` holds
    /// bytes only during the call. `now` is the time; `was_long` says that the turn before
    /// [was](super::is_long).
    pub fn turn(&mut self, buffer: &mut [u8], now: Instant, was_long: bool) -> Next {
        self.pace.begin(now, was_long);
        let is_held_up = self.connection.is_paused() && is_full(&self.output.write());
        let rest = match () {
            () if !self.connection.is_reading() => Rest::Nothing,
            () if is_held_up => Rest::More,
            () => self.read(buffer),
        };
        match self.next() {
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

    /// Reads as much as one turn may. Returns what may be left.
    fn read(&mut self, buffer: &mut [u8]) -> Rest {
        while self.connection.is_reading() {
            match self.read_once(buffer) {
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
            if !self.pace.goes_on() {
                return Rest::More;
            }
        }
        Rest::Nothing
    }

    /// Reads and handles the bytes of one system call. Returns whether there may be more.
    fn read_once(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let Self {
            connection,
            output,
            application,
            pace,
        } = self;
        let handler = Handler {
            output,
            application,
        };
        let (read, may_be_more) = if let Some(space) = connection.spare() {
            let (read, more) = output.read(pace.limit(space))?;
            handler.in_callbacks(|| handler.handle_filled(connection, read));
            (read, more)
        } else {
            let room = buffer.len() - Input::BEHIND;
            let (read, more) = output.read(pace.limit(&mut buffer[..room]))?;
            let input = Input::new(buffer, read);
            handler.in_callbacks(|| handler.handle_input(connection, input));
            (read, more)
        };
        if read == 0 {
            connection.finish();
        }
        if !connection.is_reading() {
            output.seal();
        }
        Ok(may_be_more)
    }

    /// Writes what waits and finds out what the session waits for.
    fn next(&mut self) -> Next {
        let output = match self.output.settle() {
            Progress::At(output) => output,
            Progress::Broken(error) => {
                let text = format!("the connection is lost: {error}");
                self.application.log(Level::Info, &text);
                self.connection.lose();
                return Next::Ended;
            }
        };
        let is_leaving = self.output.is_leaving();
        match self.connection.wait_for(output, is_leaving, Instant::now()) {
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

    fn note(&self, end: End) {
        match end {
            End::Finished => {}
            End::OutputTimedOut => {
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

fn is_full(progress: &Progress) -> bool {
    matches!(progress, Progress::At(output) if OutputState::is_full(*output))
}

impl<A: Application, S: Stream> Drop for Session<A, S> {
    /// From here on sends return at once; everything else stays valid until `disconnect` has
    /// returned; then the stream is given back.
    fn drop(&mut self) {
        self.output.seal();
        self.application
            .in_callbacks(|| self.application.disconnect());
        self.output.shut();
    }
}

/// Does what the client's bytes ask for.
struct Handler<'a, A, S> {
    output: &'a Arc<Output<S>>,
    application: &'a A,
}

impl<A: Application, S: Stream> Handler<'_, A, S> {
    fn in_callbacks(&self, body: impl FnOnce()) {
        self.output
            .in_callback(|| self.application.in_callbacks(body));
    }

    fn handle_input(&self, connection: &mut Connection, mut input: Input<'_>) {
        loop {
            while let Some((kind, mut payload)) = connection.whole_message(&mut input) {
                self.application.message(kind, &mut payload);
            }
            match connection.receive(&mut input) {
                Some(action) => self.handle(action),
                None => return,
            }
        }
    }

    fn handle_filled(&self, connection: &mut Connection, read: usize) {
        if let Some(action) = connection.filled(read) {
            self.handle(action);
        }
    }

    fn handle(&self, action: Action<'_>) {
        match action {
            Action::Deliver { kind, mut payload } => self.application.message(kind, &mut payload),
            Action::Pong(payload) => self.output.answer(Opcode::Pong, payload),
            Action::Nothing => {}
            Action::Close(code) => {
                let payload = code.map(|code| ClosePayload::new(code, ""));
                let payload = payload.as_deref().unwrap_or_default();
                self.output.answer(Opcode::Close, payload);
            }
            Action::Fail(error, code) => {
                let text = format!("closing with {code}: {error}");
                self.application.log(Level::Info, &text);
                let payload = ClosePayload::new(code, "");
                self.output.answer(Opcode::Close, &payload);
            }
        }
    }
}
