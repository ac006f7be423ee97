//! A connection of a loop, and the rule that its turns never overlap.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::event_loop::EventLoop;
use super::ready::Queued;
use super::run_state::RunState;
use crate::httpd::holding::{Drained, Holding};
use crate::httpd::suspend::{Adopter, Suspended};
use crate::httpd::transport::Transport;
use crate::link::{Link, Wake};
use crate::plugin::LoadedPlugin;
use crate::session::{Next, Session};

/// How long the client may take to close its side after the last byte was written (httpd's
/// `SECONDS_TO_LINGER`).
const LINGER: Duration = Duration::from_secs(2);

/// When to ask again whether the MPM's thread has let the connection go.
const LET_GO_POLL: Duration = Duration::from_millis(1);

/// A connection, known to its loop from the handover until it is gone.
pub struct Connection {
    home: Arc<EventLoop>,
    plugin: Arc<LoadedPlugin>,
    token: AtomicUsize,
    /// The poller has said that the client has closed its side. It says so once.
    is_over: AtomicBool,
    /// That of the session. It keeps the connection alive, not the other way round.
    link: OnceLock<Weak<Link>>,
    state: RunState<Box<Life>>,
}

/// What a connection is from the handover on.
struct Life {
    /// Until the session has ended.
    session: Option<Session>,
    holding: Holding,
    /// The server stops: the client is not waited for.
    is_leaving: bool,
    /// Set when the request has ended: how long to wait for the client.
    linger_until: Option<Instant>,
    /// The earliest timer that will call for a turn.
    armed: Option<Instant>,
}

/// What is to become of a connection after a turn.
enum Outcome {
    Wait(Option<Instant>),
    Again,
    Gone,
}

/// A session on its way from the MPM to its loop. Dropping it ends the session.
pub struct Handover {
    /// Where it goes.
    pub connection: Arc<Connection>,
    /// What goes there.
    pub session: Session,
    /// Its bytes. The session gets them when the MPM's thread no longer uses the connection's memory:
    /// a plugin's thread might send at once.
    pub transport: Transport,
}

impl Adopter for Handover {
    fn adopt(self: Box<Self>, suspended: Suspended) {
        let Self {
            connection,
            session,
            transport,
        } = *self;
        connection.adopt(session, transport, Holding::Suspended(suspended));
    }
}

impl Connection {
    pub(super) fn new(home: Arc<EventLoop>, plugin: Arc<LoadedPlugin>) -> Arc<Self> {
        Arc::new(Self {
            home,
            plugin,
            token: AtomicUsize::new(usize::MAX),
            is_over: AtomicBool::new(false),
            link: OnceLock::new(),
            state: RunState::new(),
        })
    }

    pub(super) fn plugin(&self) -> &LoadedPlugin {
        &self.plugin
    }

    /// The turn that is going on takes long and may not be watched any more.
    pub(super) fn lose_sight(&self) {
        if let Some(link) = self.link.get().and_then(Weak::upgrade) {
            link.lose_sight();
        }
    }

    /// The poller says that the client has closed its side.
    pub(super) fn set_over(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Begins with a session whose bytes are in `transport`. The handshake's thread calls it when it no
    /// longer uses the connection.
    pub fn adopt(self: &Arc<Self>, session: Session, transport: Transport, holding: Holding) {
        session.link().open(transport);
        // Nobody else sets it: this happens once.
        let _ = self.link.set(Arc::downgrade(session.link()));
        let life = Life {
            session: Some(session),
            holding,
            is_leaving: false,
            linger_until: None,
            armed: None,
        };
        let token = self.home.insert(Arc::clone(self));
        self.token.store(token, Ordering::Release);
        let registered = self.home.register(&life.holding, token);
        if let (Err(error), Some(session)) = (registered, &life.session) {
            session.link().fail(error);
        }
        self.state.start(Box::new(life));
        // Bytes may wait in httpd's filters, where the poller does not see them.
        self.home.enqueue(self);
    }

    /// Takes a turn, unless one is going on: that will be followed by another. Returns whether it did.
    ///
    /// `is_watched` tells whether there is somebody who will call [`lose_sight`](Self::lose_sight) if it
    /// takes long, and has not done so yet.
    pub(super) fn turn(self: &Arc<Self>, buffer: &mut [u8], is_watched: impl Fn() -> bool) -> bool {
        let Some(mut life) = self.state.begin() else {
            return false;
        };
        if let Some(session) = &life.session {
            session.link().begin_watch(is_watched);
        }
        if self.is_over.load(Ordering::Acquire) {
            life.find_end();
        }
        match life.turn(buffer) {
            Outcome::Wait(deadline) => {
                if let Some(deadline) = life.arm(deadline) {
                    self.home
                        .set_timer(deadline, self.token.load(Ordering::Acquire));
                }
                if self.state.end(life) {
                    self.home.enqueue(self);
                }
            }
            Outcome::Again => {
                self.state.end(life);
                self.home.enqueue(self);
            }
            Outcome::Gone => {
                let Life { holding, .. } = *life;
                self.home
                    .remove(self.token.load(Ordering::Acquire), &holding);
                holding.close();
            }
        }
        true
    }
}

impl Queued for Connection {
    fn mark_queued(&self) -> bool {
        self.state.mark_queued()
    }

    fn mark_taken(&self) {
        self.state.mark_taken();
    }
}

impl Wake for Connection {
    fn wake(self: Arc<Self>) {
        self.home.enqueue(&self);
    }
}

impl Life {
    fn turn(&mut self, buffer: &mut [u8]) -> Outcome {
        if let Some(session) = &mut self.session {
            match session.turn(buffer) {
                Next::Wait { deadline, .. } => return Outcome::Wait(deadline),
                Next::Again => return Outcome::Again,
                Next::Ended => self.end_session(),
            }
        }
        self.close(buffer)
    }

    fn find_end(&self) {
        if let Some(session) = &self.session {
            session.link().find_end();
        }
    }

    fn end_session(&mut self) {
        let session = self.session.take();
        self.is_leaving = session.is_some_and(|session| session.link().is_leaving());
    }

    /// Ends the request, then waits until the client has closed its side and the MPM's thread has let
    /// the connection go.
    fn close(&mut self, buffer: &mut [u8]) -> Outcome {
        let now = Instant::now();
        let soon = Outcome::Wait(Some(now + LET_GO_POLL));
        let Some(until) = self.linger_until else {
            // The end of the request updates the scoreboard of the MPM's thread if that is still there.
            if !self.holding.is_handed_over() {
                return soon;
            }
            self.holding.finish();
            let waits = !self.is_leaving && !self.holding.is_aborted();
            self.linger_until = Some(if waits { now + LINGER } else { now });
            return self.close(buffer);
        };
        if until > now {
            match self.holding.drain(buffer) {
                Drained::Closed => self.linger_until = Some(now),
                Drained::Empty => return Outcome::Wait(Some(until)),
                Drained::More => return Outcome::Again,
            }
        }
        if self.holding.has_been_let_go() {
            Outcome::Gone
        } else {
            soon
        }
    }

    /// The timer that has to be set so that there is a turn at `deadline`, if none comes earlier.
    fn arm(&mut self, deadline: Option<Instant>) -> Option<Instant> {
        let deadline = deadline?;
        let is_armed = self
            .armed
            .is_some_and(|armed| armed > Instant::now() && armed <= deadline);
        if is_armed {
            return None;
        }
        self.armed = Some(deadline);
        self.armed
    }
}
