//! The turns of a session.

mod ending;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::application::Application;
use super::handler::Handler;
use super::limiter::Limiter;
use super::pace::Pace;
use super::plugged::Plugged;
use crate::budget::{self, Charge};
use crate::output::{Output, Progress};
use crate::protocol::{
    Await, Connection, Due, Ending, Input, MessageRate, Opcode, OutputState, Traffic, Unread,
};
use crate::transport::Stream;
use crate::transport::Transport;

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

impl Rest {
    const fn unread(self) -> Unread {
        match self {
            Self::Nothing => Unread::Nothing,
            Self::More | Self::Limited => Unread::Some,
            Self::HeldBack => Unread::HeldBack,
        }
    }
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
        // Whoever finds that too much is held then knows who holds it.
        let output = &self.output;
        self.charge.set_after(held, || output.set_unfinished(held));
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
            let received = self.received.messages;
            let due = self
                .connection
                .due(output, rest.unread(), received, &*self.output);
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
}

fn is_full(progress: &Progress) -> bool {
    matches!(progress, Progress::At(output) if OutputState::is_full(*output))
}
