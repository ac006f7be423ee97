//! Drives the sessions of a child without a thread for each (event MPM).
//!
//! ```text
//!   epoll --> EventLoop: ready connections --> one turn after the other, on the loop's thread
//!                 ^           |
//!   woken, timer -+           +-- plugin known to block --> Pool: a thread for each turn
//!
//!   Monitor, every 5 ms: what a turn that takes longer has sent is written, and its loop gets
//!                        another thread of the pool
//! ```
//!
//! There are as many loops as cores. A loop runs on one thread at a time, takes all that is ready
//! with one system call and runs the turns itself, so that a busy server needs no locks that are
//! contended and no switch between threads. What makes that safe against callbacks that block is
//! the monitor: when a turn takes long, the loop goes on with another thread, and its plugin's
//! turns are run by threads of the pool from then on, until they prove to be short again.
//!
//! A connection is registered once, edge-triggered, for both directions; its state, not the poller,
//! keeps turns from overlapping, so that stale or double wake-ups are harmless.

mod alarm;
mod connection;
mod doze;
mod driven;
mod event_loop;
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
use job::Job;
use monitor::Monitor;
use pool::Pool;
pub use threads::Threads;

use crate::flusher;
use crate::plugin::LoadedPlugin;

/// How long threads may take to end when the child stops.
const STOP_LIMIT: Duration = Duration::from_secs(4);

/// How long after a failed start another is not tried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// All loops of a child.
pub struct Reactor {
    loops: Vec<Arc<EventLoop<Connection>>>,
    pool: Arc<Pool<Job<Connection>>>,
    next: AtomicUsize,
    is_stopping: Arc<AtomicBool>,
    monitor: Arc<Monitor>,
}

/// The reactor of this process, from its first WebSocket on, if it could be started.
static REACTOR: OnceLock<Reactor> = OnceLock::new();

/// What has come of starting it.
static START: Mutex<Start> = Mutex::new(Start::Due);

#[derive(Clone, Copy, Debug)]
enum Start {
    /// It has not been tried yet.
    Due,
    /// It failed, at this moment.
    Failed(Instant),
    /// It was started, or the child stops: then nothing is started any more.
    Over,
}

impl Reactor {
    /// The reactor of this process, started if need be. It must not be before the process was
    /// forked off. `None`: it could not be started a short while ago, or the child stops.
    ///
    /// # Errors
    ///
    /// Who tries to start it is told why that failed. It leaves nothing behind.
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
            next: AtomicUsize::new(0),
            is_stopping,
            monitor,
        };
        if let Err(error) = reactor.run() {
            // Without connections the loops end at once.
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

    /// Ends all threads, once the last connection is gone. Returns whether that happened before
    /// `deadline`, if there is one.
    fn end(&self, deadline: Option<Instant>) -> bool {
        self.is_stopping.store(true, Ordering::SeqCst);
        for event_loop in &self.loops {
            event_loop.interrupt();
        }
        let has_ended = self.pool.stop(deadline);
        self.monitor.stop();
        has_ended
    }

    /// A place for a connection that `plugin` is about to be asked about.
    #[must_use]
    pub fn prepare(&self, plugin: Arc<LoadedPlugin>) -> Arc<Connection> {
        let position = self.next.fetch_add(1, Ordering::Relaxed) % self.loops.len();
        Connection::new(Arc::clone(&self.loops[position]), plugin)
    }

    /// Ends all threads, once the last connection is gone. Returns whether that happened in time;
    /// if not, a callback is stuck.
    #[must_use]
    pub fn stop() -> bool {
        *start_state() = Start::Over;
        let deadline = Instant::now() + STOP_LIMIT;
        REACTOR
            .get()
            .is_none_or(|reactor| reactor.end(Some(deadline)))
    }
}

fn start_state() -> MutexGuard<'static, Start> {
    START.lock().unwrap_or_else(PoisonError::into_inner)
}
