//! One connection's life after the 101 response: read, decode, callback, encode, write.
//!
//! ```text
//!            close frame sent first            close frame received,
//!          +-----------------------+           protocol error, end of bytes
//!          |                       v                        |
//!  Reading (open)         Reading (closing) ----------------+----> Finishing ----> Ended
//!          |                       |                        |       output written
//!          +-----------------------+------------------------+
//!                connection lost, client too slow ---------------------------------> Ended
//! ```
//!
//! A session never waits. Its driver calls [`Session::turn`] whenever the connection is readable,
//! writable, woken or overdue, one call at a time, and the turn says what to wait for next.

mod pace;
mod peer;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::httpd::log::Level;
use crate::httpd::memory::SharedMemory;
use crate::link::{Link, Output};
use crate::plugin::{Attachment, LoadedPlugin, Private, ServerLease};
use crate::protocol::{Input, Receiver, Version};
use crate::registry::{Registration, register};
use pace::Pace;
use peer::{Flow, Peer};

pub use pace::{is_heavy, is_long};

/// How long a client may take to answer a close frame, or to take the last output.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// The same when the server is about to stop.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);

/// With so many bytes waiting for the client, nothing more is read from it: a client that does not
/// read what it asks for cannot make the server queue without end.
const READ_PAUSE: usize = 1024 * 1024;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Reading,
    /// Nothing is read any more; what waits is still written.
    Finishing,
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

/// A connection whose plugin has accepted it. Dropping it ends the connection for the plugin.
pub struct Session {
    receiver: Receiver,
    peer: Peer,
    stage: Stage,
    pace: Pace,
    /// When the last output was written after a close frame: from then on the client may take
    /// [`CLOSE_LIMIT`] to answer.
    closing_since: Option<Instant>,
    _registration: Registration,
    /// Dropped last, when the plugin no longer uses the request.
    memory: Option<SharedMemory>,
}

impl Session {
    /// A session for a connection `plugin` accepted with `private`; `server` is attached to it. What
    /// the client sends goes through `receiver`.
    #[must_use]
    pub fn new(
        attachment: Arc<Attachment>,
        version: Version,
        receiver: Receiver,
        link: Arc<Link>,
        memory: SharedMemory,
        (plugin, private, server): (Arc<LoadedPlugin>, Private, ServerLease),
    ) -> Self {
        let registration = register(&link);
        let peer = Peer {
            link,
            plugin,
            private,
            server,
            attachment,
            version,
        };
        Self {
            receiver,
            peer,
            stage: Stage::Reading,
            pace: Pace::new(),
            closing_since: None,
            _registration: registration,
            memory: Some(memory),
        }
    }

    /// Reads what has arrived, runs callbacks and writes what that brings about. `buffer` holds bytes
    /// only during the call. `now` is the time; `was_long` says that the turn before [was](is_long).
    pub fn turn(&mut self, buffer: &mut [u8], now: Instant, was_long: bool) -> Next {
        self.pace.begin(now, was_long);
        let rest = match self.stage {
            Stage::Reading => self.read(buffer),
            Stage::Finishing | Stage::Ended => Rest::Nothing,
        };
        match (self.next(), rest) {
            (Next::Wait { read: true, .. }, Rest::More) => Next::Again,
            (
                Next::Wait {
                    read: true,
                    write,
                    deadline,
                },
                Rest::HeldBack,
            ) => {
                // Nothing would tell when to read again, unless output is pending.
                if write {
                    Next::Wait {
                        read: false,
                        write,
                        deadline,
                    }
                } else {
                    Next::Again
                }
            }
            (Next::Ended, _) => Next::Ended,
            (next, _) => {
                self.receiver.release();
                next
            }
        }
    }

    /// The request is about to end: from now on the session does without it. For the handler's thread,
    /// before the first turn.
    pub fn outlive_request(&mut self) {
        self.peer.attachment.outlive_request();
        self.memory = None;
    }

    /// What the connection shares with other threads.
    #[must_use]
    pub fn link(&self) -> &Arc<Link> {
        &self.peer.link
    }

    /// Reads as much as one turn may. Returns what may be left.
    fn read(&mut self, buffer: &mut [u8]) -> Rest {
        loop {
            if self.stage != Stage::Reading {
                return Rest::Nothing;
            }
            if self.is_paused() {
                return Rest::More;
            }
            match self.read_once(buffer) {
                Ok(true) => drop(self.peer.link.flush()),
                Ok(false) => return Rest::Nothing,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Rest::Nothing,
                    io::ErrorKind::ResourceBusy => return Rest::HeldBack,
                    io::ErrorKind::Interrupted => {}
                    _ => {
                        self.peer.link.fail(error);
                        return Rest::Nothing;
                    }
                },
            }
            if !self.pace.goes_on() {
                return Rest::More;
            }
        }
    }

    /// Whether the client has to take output before it is read from. What a sender is just writing
    /// waits too, so there is more to a pause than that: its end must be signalled by the socket.
    fn is_paused(&self) -> bool {
        let link = &self.peer.link;
        link.waiting() >= READ_PAUSE && !matches!(link.flush(), Output::Drained)
    }

    /// Reads and handles the bytes of one system call. Returns whether there may be more.
    fn read_once(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let Self {
            receiver,
            peer,
            pace,
            ..
        } = self;
        let (read, may_be_more, outcome) = if let Some(space) = receiver.spare() {
            let (read, more) = peer.link.read(pace.limit(space))?;
            (
                read,
                more,
                peer.in_turn(|| peer.handle_filled(receiver, read)),
            )
        } else {
            let room = buffer.len() - Input::BEHIND;
            let (read, more) = peer.link.read(pace.limit(&mut buffer[..room]))?;
            let input = Input::new(buffer, read);
            (
                read,
                more,
                peer.in_turn(|| peer.handle_input(receiver, input)),
            )
        };
        match outcome {
            Ok(Flow::Continue) if read > 0 => return Ok(may_be_more),
            Ok(_) => {}
            Err(error) => peer.refuse(&error),
        }
        peer.link.seal();
        self.stage = Stage::Finishing;
        Ok(false)
    }

    /// Writes what waits and finds out what the session waits for.
    fn next(&mut self) -> Next {
        let output = self.peer.link.settle();
        let (deadline, retry) = match output {
            Output::Broken(error) => {
                self.peer
                    .attachment
                    .log(Level::Info, &format!("the connection is lost: {error}"));
                self.stage = Stage::Ended;
                return Next::Ended;
            }
            Output::Pending { since, retry } => {
                let limit = self.output_limit();
                (
                    limit.and_then(|limit| since.checked_add(limit)),
                    Some(retry),
                )
            }
            Output::Drained if self.stage == Stage::Finishing => {
                self.stage = Stage::Ended;
                return Next::Ended;
            }
            Output::Drained if self.peer.link.is_closing() => {
                let since = *self.closing_since.get_or_insert_with(Instant::now);
                (Some(since + self.close_limit()), None)
            }
            Output::Drained => (None, None),
        };
        let write = retry.is_some();
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.give_up(write);
            return Next::Ended;
        }
        // Without output pending nothing would tell when to read again.
        let is_paused = write && self.peer.link.waiting() >= READ_PAUSE;
        let read = self.stage == Stage::Reading && !is_paused;
        Next::Wait {
            read,
            write,
            deadline: deadline.into_iter().chain(retry.flatten()).min(),
        }
    }

    fn close_limit(&self) -> Duration {
        if self.peer.link.is_leaving() {
            LEAVE_LIMIT
        } else {
            CLOSE_LIMIT
        }
    }

    /// How long the client may go without taking any output.
    fn output_limit(&self) -> Option<Duration> {
        let link = &self.peer.link;
        let timeout = link.timeout();
        match self.stage {
            Stage::Reading if !link.is_leaving() => timeout,
            _ => timeout.into_iter().chain([self.close_limit()]).min(),
        }
    }

    /// The client let a deadline pass.
    fn give_up(&mut self, is_output_pending: bool) {
        let attachment = &self.peer.attachment;
        if is_output_pending {
            attachment.log(
                Level::Info,
                "the client takes no output; dropping the connection",
            );
            self.peer.link.fail(io::ErrorKind::TimedOut.into());
        } else {
            attachment.log(Level::Debug, "the client did not answer the close frame");
        }
        self.stage = Stage::Ended;
    }
}

impl Drop for Session {
    /// From here on sends return at once; everything else stays valid until `on_disconnect` has
    /// returned; then the connection goes back to httpd.
    fn drop(&mut self) {
        let Peer {
            link,
            plugin,
            private,
            server,
            ..
        } = &self.peer;
        link.seal();
        plugin.disconnect(*private, server);
        server.detach();
        link.shut();
    }
}
