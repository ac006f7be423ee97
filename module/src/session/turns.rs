//! The turns of a session.

mod ending;
mod reading;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::application::Application;
use super::held::Held;
use super::limiter::Limiter;
use super::pace::Pace;
use super::plugged::Plugged;
use crate::budget::{self, Charge};
use crate::output::{Output, Progress};
use crate::protocol::{
    Await, Connection, Due, Ending, MessageRate, Opcode, OutputState, Traffic, Unread,
};
use crate::transport::{Stream, Transport};

/// The shortest time to the next turn if this one was not allowed to read.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What a driver has to wait for before the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The first of these, or a wake-up.
    Wait {
        /// Wait until the connection is readable.
        read: bool,
        /// Wait until the connection is writable.
        write: bool,
        /// Wait until this time.
        deadline: Option<Instant>,
    },
    /// Nothing: there is more to do, after other connections had a turn.
    Again,
    /// Nothing: the session is over.
    Ended,
}

/// What the client may have sent that a turn has not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// There may be something.
    More,
    /// There may be something, to be read when the client has taken output.
    HeldBack,
    /// There may be something, to be read when the client may send more messages.
    Limited,
    /// There may be something, to be read when the plugin resumes.
    Paused,
}

impl Rest {
    const fn unread(self) -> Unread {
        match self {
            Self::Nothing => Unread::Nothing,
            Self::More | Self::Limited => Unread::Some,
            Self::HeldBack => Unread::HeldBack,
            Self::Paused => Unread::Paused,
        }
    }
}

/// What may be done with the client's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// They are read, and the plugin gets them.
    On,
    /// They wait, because the plugin has paused.
    Held,
    /// They are read and dropped: the plugin has paused, and nothing is waited for but the
    /// client's close frame.
    Dropped,
}

/// A connection that its application has accepted. Dropping the session ends the connection for the
/// application.
pub struct Session<A: Application = Plugged, S: Stream = Transport> {
    connection: Connection,
    output: Arc<Output<S>>,
    application: A,
    pace: Pace,
    began: Instant,
    ended: Instant,
    /// What an unfinished message adds to the memory budget.
    charge: Charge,
    /// The messages and bytes received from the client.
    received: Traffic,
    limiter: Option<Box<Limiter>>,
    /// What was read before the plugin paused, and has to be handled when it resumes.
    held: Option<Box<Held>>,
    /// When the plugin's next event is due that is to come later.
    timer: Option<Instant>,
}

impl<A: Application, S: Stream> Session<A, S> {
    /// A session for an open connection.
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
            held: None,
            timer: None,
        }
    }

    /// Limits the client's messages.
    pub fn limit(&mut self, limit: MessageRate) {
        self.limiter = Some(Box::new(Limiter::new(limit, self.began)));
    }

    /// When the last turn ended.
    #[must_use]
    pub fn ended(&self) -> Instant {
        self.ended
    }

    /// Takes a turn: reads what has arrived, runs callbacks and writes what they send. `buffer` is
    /// used only during the call. `now` is the current time. `was_long` says that the previous turn
    /// [was long](super::is_long).
    pub fn turn(&mut self, buffer: &mut [u8], now: Instant, was_long: bool) -> Next {
        self.pace.begin(now, was_long);
        self.connection.begin(now);
        if let Some(limiter) = &mut self.limiter {
            limiter.begin(now, self.ended);
        }
        if self.output.is_cut() {
            self.connection.give_up();
        }
        let before = self.received;
        let has_timer_run_out = self.timer.is_some_and(|timer| timer <= now);
        let mut reads_at = now;
        if self.output.take_due() || has_timer_run_out {
            // These callbacks may take long, and the client may have sent much meanwhile.
            reads_at = self.run_due(now).max(now);
        }
        let next = self.take_turn(buffer, reads_at);
        let next = self.or_when_due(next);
        let received = self.received.since(before);
        if received != Traffic::default() {
            let took = self.ended.saturating_duration_since(now);
            let meter = self.output.meter();
            meter.turn(received, self.connection.take_inflated(), took);
        }
        if let Some(took) = self.connection.take_round_trip() {
            self.output.meter().ping(took);
        }
        let held = self.connection.held()
            + self.held.as_ref().map_or(0, |held| held.size())
            + self.application.kept();
        // The output is told first, so that a thread that finds the limit exceeded sees which
        // connection holds the memory.
        let output = &self.output;
        self.charge.set_after(held, || output.set_unfinished(held));
        budget::relieve();
        next
    }

    /// Runs callbacks that are not for messages. Returns the time at their end.
    #[cold]
    fn run_due(&mut self, now: Instant) -> Instant {
        let Self {
            application,
            output,
            pace,
            ..
        } = self;
        output.in_callback(|| {
            application.in_callbacks(|| {
                if output.take_drained() {
                    application.drained();
                }
                while application.handle_event(now) {
                    if !pace.has_time() {
                        // Others have their turn before the rest.
                        output.set_due();
                        break;
                    }
                }
            });
        });
        let ended = pace.begin_read();
        self.timer = self.application.next_timer();
        ended
    }

    /// What to wait for if callbacks may be due that are not for messages.
    fn or_when_due(&self, next: Next) -> Next {
        match next {
            Next::Wait { .. } if self.output.is_due() => Next::Again,
            Next::Wait {
                read,
                write,
                deadline,
            } if self.timer.is_some() => Next::Wait {
                read,
                write,
                deadline: deadline.into_iter().chain(self.timer).min(),
            },
            next => next,
        }
    }

    fn take_turn(&mut self, buffer: &mut [u8], now: Instant) -> Next {
        let is_held_up = self.connection.is_paused() && is_full(&self.output.write());
        let rest = match () {
            () if !self.connection.is_reading() => Rest::Nothing,
            () if is_held_up => Rest::More,
            () if self.flow() == Flow::Held => Rest::Paused,
            () if self.resumes(now).is_some() => Rest::Limited,
            () => self.read(buffer, now),
        };
        match self.next(rest, now) {
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
                // The plugin may have closed or resumed the connection meanwhile.
                Rest::Paused if self.flow() != Flow::Held => Next::Again,
                // Only the plugin, or pending output, would tell when to read again.
                Rest::Paused => self.wait_without_reading(write, deadline),
                Rest::HeldBack if write => self.wait_without_reading(write, deadline),
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

    /// The application that receives the client's messages.
    pub fn application(&mut self) -> &mut A {
        &mut self.application
    }

    /// The output, which the session shares with other threads.
    #[must_use]
    pub fn output(&self) -> &Arc<Output<S>> {
        &self.output
    }

    /// When the session may read again, if the client's messages are limited and it may not read
    /// now.
    fn resumes(&self, now: Instant) -> Option<Instant> {
        self.limiter.as_ref()?.resumes(now)
    }

    #[inline]
    fn flow(&self) -> Flow {
        if self.output.is_paused() {
            self.flow_in_pause()
        } else {
            Flow::On
        }
    }

    #[cold]
    fn flow_in_pause(&self) -> Flow {
        if self.output.is_closed() {
            Flow::Dropped
        } else {
            Flow::Held
        }
    }

    fn wait_without_reading(&mut self, write: bool, deadline: Option<Instant>) -> Next {
        self.connection.release();
        Next::Wait {
            read: false,
            write,
            deadline,
        }
    }

    /// Waits until the session may read again. A `deadline` that has passed may be one that only
    /// reading could change, or one of output that came during the turn.
    fn wait_to_resume(&mut self, now: Instant, write: bool, deadline: Option<Instant>) -> Next {
        self.connection.release();
        let deadline = deadline.map(|deadline| deadline.max(self.ended + LOOK_AGAIN));
        Next::Wait {
            read: false,
            write,
            deadline: deadline.into_iter().chain(self.resumes(now)).min(),
        }
    }

    /// Writes what waits, does what is due, and finds out what the session has to wait for. `rest`
    /// is what the client may have sent that was not read in this turn, which began `now`.
    fn next(&mut self, rest: Rest, now: Instant) -> Next {
        let output = loop {
            let output = match self.output.settle() {
                Progress::At(output) => output,
                Progress::Broken(error) => return self.lose(&error),
            };
            // One of them changes with each message or part.
            let received = self.received.messages.wrapping_add(self.received.bytes);
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
        if let Some(limiter) = &mut self.limiter {
            let is_all_taken = matches!(output, OutputState::Written { .. });
            limiter.end(rest == Rest::Nothing, is_all_taken, now);
        }
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
