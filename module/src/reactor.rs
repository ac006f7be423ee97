//! Drives the sessions of a child process with few threads (event MPM).
//!
//! ```text
//!   epoll --> EventLoop: ready connections --> one turn after the other, on the loop's thread
//!                 ^           |
//!   woken, timer -+           +-- plugin known to block --> Pool: a thread for each turn
//!                                                             ^
//!   handshakes of async plugins --> Handshakes: some at a time --+
//!
//!   Monitor, every 5 ms: what a turn that takes longer has sent is written, and its loop gets
//!                        another thread of the pool
//! ```
//!
//! By default there are as many loops as cores. One thread at a time runs a loop. It takes
//! everything that is ready with one system call, and takes the turns itself. So a busy server
//! needs no contended locks and no switches between threads. The monitor makes this safe against
//! callbacks that block: when a turn takes long, another thread goes on with the loop. From then
//! on, threads of the pool take the turns of that plugin, until its turns prove to be short again.
//!
//! A connection is registered once, edge-triggered, for both directions. Its own state keeps turns
//! from overlapping, so that stale and duplicate wake-ups are harmless.

mod alarm;
mod connection;
mod doze;
mod driven;
mod event_loop;
mod handshakes;
mod job;
mod members;
mod mishap;
mod monitor;
mod poller;
mod pool;
mod ready;
mod run_state;
mod scratch;
mod threads;
mod timers;
mod turn_counter;
mod waking;
mod weight;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub use connection::{Connection, Handover};
use event_loop::EventLoop;
pub use handshakes::Handshake;
use handshakes::Handshakes;
use job::Job;
use monitor::Monitor;
use pool::Pool;
pub use threads::Threads;

use crate::flusher;
use crate::plugin::LoadedPlugin;
use crate::registry;

/// How long the threads may take to end when the child process stops, counted anew whenever a
/// connection ends. Thousands of connections take long on a busy machine.
const STOP_LIMIT: Duration = Duration::from_secs(4);

/// How often a stop looks whether connections have ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How long after a failed start no other start is tried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// All loops of a child process.
pub struct Reactor {
    loops: Vec<Arc<EventLoop<Connection>>>,
    pool: Arc<Pool<Job<Connection>>>,
    handshakes: Arc<Handshakes>,
    next: AtomicUsize,
    is_stopping: Arc<AtomicBool>,
    monitor: Arc<Monitor>,
}

/// The reactor of this process. It is started for the first WebSocket, if that succeeds.
static REACTOR: OnceLock<Reactor> = OnceLock::new();

/// Whether the reactor was started.
static START: Mutex<Start> = Mutex::new(Start::Due);

#[derive(Clone, Copy, Debug)]
enum Start {
    /// No start has been tried yet.
    Due,
    /// The last start failed at this time.
    Failed(Instant),
    /// The reactor was started, or the child process stops: nothing is started any more.
    Over,
}

impl Reactor {
    /// The reactor of this process. Starts it if need be, which must not happen before the fork.
    /// `None` means that a recent start failed, or that the child process stops.
    ///
    /// # Errors
    ///
    /// When this call tried to start the reactor and failed. Nothing of it remains.
    pub fn current(threads: Threads) -> io::Result<Option<&'static Self>> {
        if let Some(reactor) = REACTOR.get() {
            return Ok(Some(reactor));
        }
        let mut start = start_state();
        let is_due = match *start {
            Start::Due => true,
            Start::Failed(at) => at.elapsed() >= RETRY_AFTER,
            Start::Over => false,
        };
        if is_due {
            *start = Start::Failed(Instant::now());
            let reactor = Self::start(threads)?;
            *start = Start::Over;
            REACTOR.get_or_init(|| reactor);
        }
        Ok(REACTOR.get())
    }

    fn start(threads: Threads) -> io::Result<Self> {
        let is_stopping = Arc::new(AtomicBool::new(false));
        let pool = Pool::new(threads);
        let monitor = Monitor::new();
        let loops = (0..threads.min)
            .map(|_| {
                let workers = Box::new(Arc::clone(&pool));
                EventLoop::new(workers, monitor.doze(), Arc::clone(&is_stopping))
            })
            .collect::<io::Result<Vec<_>>>()?;
        let reactor = Self {
            loops,
            pool,
            handshakes: Arc::new(Handshakes::new(threads)),
            next: AtomicUsize::new(0),
            is_stopping,
            monitor,
        };
        if let Err(error) = reactor.run() {
            // The loops have no connections, so they end at once.
            reactor.end(None);
            return Err(error);
        }
        flusher::prepare();
        Ok(reactor)
    }

    fn run(&self) -> io::Result<()> {
        self.monitor.start(self.loops.clone())?;
        for event_loop in &self.loops {
            self.pool.submit(Job::Loop(Arc::clone(event_loop)));
        }
        if self.pool.running() < self.loops.len() {
            return Err(io::Error::other("the process can have no more threads"));
        }
        Ok(())
    }

    /// Ends all threads after the last connection is gone. If there is a limit, gives up when that
    /// is over, or when no connection has ended for a while. Returns whether all threads have
    /// ended.
    fn end(&self, limit: Option<Duration>) -> bool {
        let began = Instant::now();
        for handshake in self.handshakes.stop() {
            self.submit(handshake);
        }
        // Loops end with their last connection, and handshakes bring connections.
        let limit_of_handshakes = limit.unwrap_or_default().min(STOP_LIMIT);
        let are_answered = self.handshakes.wait(limit_of_handshakes);
        self.is_stopping.store(true, Ordering::SeqCst);
        for event_loop in &self.loops {
            event_loop.interrupt();
        }
        let has_ended = match limit {
            Some(limit) => self.end_pool(began, limit),
            None => self.pool.stop(None),
        };
        self.monitor.stop();
        has_ended && are_answered
    }

    fn end_pool(&self, began: Instant, limit: Duration) -> bool {
        let mut open = registry::len();
        let mut since = began;
        while !self.pool.stop(Some(Instant::now() + LOOK_INTERVAL)) {
            let left = registry::len();
            if left < open {
                (open, since) = (left, Instant::now());
            } else if since.elapsed() >= STOP_LIMIT {
                return false;
            }
            if began.elapsed() >= limit {
                return false;
            }
        }
        true
    }

    /// The place for a connection whose `plugin` is about to be asked.
    #[must_use]
    pub fn prepare(&self, plugin: Arc<LoadedPlugin>) -> Arc<Connection> {
        let position = self.next.fetch_add(1, Ordering::Relaxed) % self.loops.len();
        Connection::new(Arc::clone(&self.loops[position]), plugin)
    }

    /// Whether handshakes may wait on threads of the pool, and there is one.
    #[must_use]
    pub fn takes_handshakes(&self) -> bool {
        self.handshakes.are_possible() && self.pool.has_spare()
    }

    /// Whether any handshake of this process waits for its answer.
    #[must_use]
    pub fn has_handshakes() -> bool {
        REACTOR
            .get()
            .is_some_and(|reactor| !reactor.handshakes.are_none())
    }

    /// Has a thread of the pool answer a handshake, at once or when others have been answered.
    pub fn take_handshake(&self, handshake: Handshake) {
        if let Some(handshake) = self.handshakes.begin(handshake) {
            self.submit(handshake);
        }
    }

    fn submit(&self, handshake: Handshake) {
        let handshakes = Arc::clone(&self.handshakes);
        self.pool.submit(Job::Handshake(handshake, handshakes));
        // If no thread is free and none could be started, the monitor looks again.
        self.monitor.doze().wake();
    }

    /// Ends all threads after the last connection is gone. Returns whether that happened within
    /// this time. If not, a callback is stuck.
    #[must_use]
    pub fn stop(patience: Duration) -> bool {
        *start_state() = Start::Over;
        REACTOR
            .get()
            .is_none_or(|reactor| reactor.end(Some(patience)))
    }
}

fn start_state() -> MutexGuard<'static, Start> {
    START.lock().unwrap_or_else(PoisonError::into_inner)
}
