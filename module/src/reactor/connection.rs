//! A connection of a loop. Its turns never overlap.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::driven::Driven;
use super::event_loop::EventLoop;
use super::mishap::{self, Fallible, Outcome};
use super::ready::Queued;
use super::run_state::RunState;
use super::weight::Weight;
use crate::httpd::guard::guard;
use crate::httpd::socket::Drained;
use crate::httpd::suspend::{Adopter, Suspended};
use crate::output::{Home, Output, Wake};
use crate::plugin::LoadedPlugin;
use crate::session::{Next, Session, is_heavy, is_long};
use crate::transport::{Custody, Transport};

/// How long the client may take to close its side after the last byte was written (httpd's
/// `SECONDS_TO_LINGER`).
const LINGER: Duration = Duration::from_secs(2);

/// When to check for the first time that the MPM has run the hooks of the handover. Each later
/// check comes after twice the time, because a hook of another module may take for ever.
const FIRST_RECHECK: Duration = Duration::from_millis(1);

/// The longest time between two of these checks.
const LAST_RECHECK: Duration = Duration::from_millis(256);

/// A connection. Its loop knows it from the handover until it is gone.
pub struct Connection {
    home: Arc<EventLoop<Self>>,
    plugin: Arc<LoadedPlugin>,
    token: AtomicUsize,
    /// The poller has reported that the client has closed its side. It reports that only once.
    is_over: AtomicBool,
    weight: Weight,
    /// The last turn took longer than a turn should.
    was_long: AtomicBool,
    /// The output of the session. It keeps this connection alive, not the other way round.
    output: OnceLock<Weak<Output>>,
    state: RunState<Box<Life>>,
}

/// The state of a connection from the handover on.
struct Life {
    /// Present until the session has ended.
    session: Option<Session>,
    custody: Custody,
    /// The server stops, so the loop does not wait for the client.
    is_leaving: bool,
    /// When to check again whether the handover is complete.
    recheck: Duration,
    /// Set when the request has ended: until when to wait for the client.
    linger_until: Option<Instant>,
    /// The earliest timer that will cause a turn.
    armed: Option<Instant>,
}

/// A session on its way from the MPM's thread to its loop. Dropping it ends the session.
pub struct Handover {
    /// The connection that receives the session.
    pub connection: Arc<Connection>,
    /// The session.
    pub session: Session,
    /// The connection's bytes. The session gets them only when the MPM's thread no longer uses the
    /// connection's memory, because from then on a plugin's thread may send at once.
    pub transport: Transport,
}

impl Adopter for Handover {
    fn adopt(self: Box<Self>, suspended: Suspended) {
        let Self {
            connection,
            session,
            transport,
        } = *self;
        connection.adopt(session, transport, Custody::Suspended(suspended));
    }
}

impl Connection {
    pub(super) fn new(home: Arc<EventLoop<Self>>, plugin: Arc<LoadedPlugin>) -> Arc<Self> {
        Arc::new(Self {
            home,
            plugin,
            token: AtomicUsize::new(usize::MAX),
            is_over: AtomicBool::new(false),
            weight: Weight::default(),
            was_long: AtomicBool::new(false),
            output: OnceLock::new(),
            state: RunState::new(),
        })
    }

    /// The connection's loop.
    #[must_use]
    pub fn home(&self) -> Arc<dyn Home> {
        Arc::<EventLoop<Self>>::clone(&self.home)
    }

    fn output(&self) -> Option<Arc<Output>> {
        self.output.get().and_then(Weak::upgrade)
    }

    /// Begins to serve a session whose bytes are in `transport`. The thread of the opening
    /// handshake calls this when it no longer uses the connection.
    pub fn adopt(self: &Arc<Self>, session: Session, transport: Transport, custody: Custody) {
        session.output().open(transport);
        // Nothing else sets it, and this happens once.
        let _ = self.output.set(Arc::downgrade(session.output()));
        self.begin(Life::new(Some(session), custody, false));
    }

    /// Closes a connection that has no session. If `is_leaving`, does not wait for the client.
    pub fn close(self: &Arc<Self>, custody: Custody, is_leaving: bool) {
        self.begin(Life::new(None, custody, is_leaving));
    }

    fn begin(self: &Arc<Self>, life: Life) {
        let token = self.home.insert(Arc::clone(self));
        self.token.store(token, Ordering::Release);
        let registered = self.home.register(&life.custody, token);
        if let (Err(error), Some(session)) = (registered, &life.session) {
            session.output().fail(error);
        }
        self.state.start(Box::new(life));
        // httpd's filters may hold bytes that the poller does not see.
        self.home.enqueue(self);
    }
}

impl Driven for Connection {
    fn turn(
        self: &Arc<Self>,
        buffer: &mut [u8],
        now: Instant,
        is_watched: bool,
    ) -> Option<Instant> {
        let Some(mut life) = self.state.begin() else {
            // The client may take more, and a callback keeps the session from writing.
            guard("a write during a turn", (), || self.write());
            return None;
        };
        let outcome = mishap::turn(&mut *life, |life| {
            if !is_watched {
                self.stop_gathering();
            }
            if self.is_over.load(Ordering::Acquire) {
                life.find_end();
            }
            life.turn(buffer, now, self.was_long.load(Ordering::Relaxed))
        });
        let ended = Instant::now();
        let took = ended.saturating_duration_since(now);
        self.weight
            .note(is_heavy(took), matches!(outcome, Outcome::Again));
        self.was_long.store(is_long(took), Ordering::Relaxed);
        match outcome {
            Outcome::Wait(deadline) => {
                if let Some(deadline) = life.arm(deadline, ended) {
                    let token = self.token.load(Ordering::Acquire);
                    self.home.set_timer(token, deadline, ended);
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
                let Life { custody, .. } = *life;
                self.home
                    .remove(self.token.load(Ordering::Acquire), &custody);
                guard("the end of a connection", (), || custody.close());
            }
        }
        Some(ended)
    }

    fn is_slow(&self) -> bool {
        self.plugin.is_slow()
    }

    fn mark_slow(&self) {
        self.plugin.mark_slow();
    }

    fn note_blocked(&self, blocked: Duration) {
        self.plugin.note_turn(blocked);
    }

    fn write(&self) {
        if let Some(output) = self.output() {
            // This does not wake the session: it is taking a turn or will take one, and looks then.
            // If each write woke it, it would never rest while its callback blocks.
            let _ = output.write();
        }
    }

    fn stop_gathering(&self) {
        if let Some(output) = self.output() {
            output.stop_gathering();
        }
    }

    fn set_over(&self) {
        self.is_over.store(true, Ordering::Release);
    }
}

impl Queued for Connection {
    fn mark_queued(&self) -> bool {
        self.state.mark_queued()
    }

    fn is_heavy(&self) -> bool {
        self.weight.is_heavy()
    }
}

impl Wake for Connection {
    fn wake(self: Arc<Self>) {
        self.home.enqueue(&self);
    }
}

impl Fallible for Life {
    fn give_up(&mut self) -> bool {
        let session = self.session.take();
        let had_session = session.is_some();
        drop(session);
        had_session
    }
}

impl Life {
    const fn new(session: Option<Session>, custody: Custody, is_leaving: bool) -> Self {
        Self {
            session,
            custody,
            is_leaving,
            recheck: FIRST_RECHECK,
            linger_until: None,
            armed: None,
        }
    }

    fn turn(&mut self, buffer: &mut [u8], now: Instant, was_long: bool) -> Outcome {
        if let Some(session) = &mut self.session {
            match session.turn(buffer, now, was_long) {
                Next::Wait { deadline, .. } => return Outcome::Wait(deadline),
                Next::Again => return Outcome::Again,
                Next::Ended => self.end_session(),
            }
        }
        self.close(buffer)
    }

    fn find_end(&self) {
        if let Some(session) = &self.session {
            session.output().find_end();
        }
    }

    fn end_session(&mut self) {
        let session = self.session.take();
        self.is_leaving = session.is_some_and(|session| session.output().is_leaving());
    }

    /// Ends the request as soon as the handover is complete. Then waits until the client has closed
    /// its side.
    fn close(&mut self, buffer: &mut [u8]) -> Outcome {
        let now = Instant::now();
        let Some(until) = self.linger_until else {
            // Until the handover is complete, the end of the request would update the scoreboard
            // entry of the MPM's thread.
            if !self.custody.is_handed_over() {
                let recheck = self.recheck;
                self.recheck = (2 * recheck).min(LAST_RECHECK);
                return Outcome::Wait(Some(now + recheck));
            }
            self.custody.finish();
            let waits = !self.is_leaving && !self.custody.is_aborted();
            self.linger_until = Some(if waits { now + LINGER } else { now });
            return self.close(buffer);
        };
        if until > now {
            match self.custody.drain(buffer) {
                Drained::Closed => self.linger_until = Some(now),
                Drained::Empty => return Outcome::Wait(Some(until)),
                Drained::More => return Outcome::Again,
            }
        }
        Outcome::Gone
    }

    /// The timer to set so that there is a turn at `deadline`, unless an earlier timer causes one.
    fn arm(&mut self, deadline: Option<Instant>, now: Instant) -> Option<Instant> {
        let deadline = deadline?;
        let is_armed = self
            .armed
            .is_some_and(|armed| armed > now && armed <= deadline);
        if is_armed {
            return None;
        }
        self.armed = Some(deadline);
        self.armed
    }
}
