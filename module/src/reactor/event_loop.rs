//! One poller, and the connections whose turn it is.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use slab::Slab;

use super::connection::Connection;
use super::job::{Job, Scratch};
use super::monitor::{self, Monitor};
use super::pool::Pool;
use super::ready::Ready;
use super::turn_counter::TurnCounter;
use crate::httpd::guard::guard;
use crate::httpd::thread;
use crate::session::is_heavy;
use crate::transport::Custody;

/// The most events taken with one system call.
pub(super) const BATCH: usize = 256;

/// The token of the descriptor that interrupts a wait.
const INTERRUPT: u64 = u64::MAX;

/// A loop. One thread at a time runs it; everything else is for any thread.
pub(super) struct EventLoop {
    poller: OwnedFd,
    interrupter: OwnedFd,
    /// The system's number of the thread that runs the loop.
    runner: AtomicI32,
    connections: Mutex<Slab<Arc<Connection>>>,
    ready: Ready<Connection>,
    timers: Mutex<BTreeSet<(Instant, usize)>>,
    turns: TurnCounter,
    pool: Arc<Pool<Job>>,
    monitor: Arc<Monitor>,
    is_stopping: Arc<AtomicBool>,
}

impl EventLoop {
    pub(super) fn new(
        pool: Arc<Pool<Job>>,
        monitor: Arc<Monitor>,
        is_stopping: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let interrupter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(
            &poller,
            &interrupter,
            epoll::EventData::new_u64(INTERRUPT),
            flags,
        )?;
        Ok(Self {
            poller,
            interrupter,
            runner: AtomicI32::new(0),
            connections: Mutex::default(),
            ready: Ready::new(),
            timers: Mutex::default(),
            turns: TurnCounter::default(),
            pool,
            monitor,
            is_stopping,
        })
    }

    /// Runs the loop until another thread takes it over or everything has ended. Gives itself back if
    /// it has to be run on.
    pub(super) fn run(self: &Arc<Self>, scratch: &mut Scratch) -> Option<Arc<Self>> {
        self.runner.store(thread::current(), Ordering::Relaxed);
        let run = || {
            while !self.has_ended() && self.run_round(scratch) {}
            false
        };
        // No turn panics, so that whoever panics here still owns the loop.
        guard("an event loop", true, run).then(|| Arc::clone(self))
    }

    /// Takes the turns of all that are ready and were quick the last time, and then, for as long as a
    /// turn may take, of those that were not: these wait for each other, but those do not wait for them.
    /// Returns whether the thread still owns the loop.
    fn run_round(&self, scratch: &mut Scratch) -> bool {
        let (ready, started) = self.wait(&mut scratch.events);
        let mut now = started;
        for _ in 0..ready {
            let Some(connection) = self.ready.take_light() else {
                break;
            };
            match self.serve(connection, &mut scratch.buffer, now) {
                Some(later) => now = later,
                None => return false,
            }
        }
        let started = now;
        while !is_heavy(now - started) {
            let Some(connection) = self.ready.take_heavy() else {
                break;
            };
            match self.serve(connection, &mut scratch.buffer, now) {
                Some(later) => now = later,
                None => return false,
            }
        }
        true
    }

    /// Takes a turn, which begins `now`, or has it taken. Gives the time at its end, or `None` if
    /// another thread owns the loop by then.
    fn serve(
        &self,
        connection: Arc<Connection>,
        buffer: &mut [u8],
        now: Instant,
    ) -> Option<Instant> {
        if connection.plugin().is_slow() {
            self.pool.submit(Job::Turn(connection));
            // A thread that could not be started for it is tried again by the monitor.
            self.monitor.wake_if_asleep();
            return Some(now);
        }
        let turn = self.turns.begin();
        self.monitor.wake_if_asleep();
        let ended = connection.turn(buffer, now, || self.turns.current() == Some(turn));
        self.turns.end(turn).then(|| ended.unwrap_or(now))
    }

    fn has_ended(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst) && lock(&self.connections).is_empty()
    }

    /// Waits for something to do and puts it into the queue. Returns how many of those that were quick
    /// the last time are in it, and the time.
    fn wait(&self, events: &mut Vec<epoll::Event>) -> (usize, Instant) {
        let timeout = self.begin_wait();
        events.clear();
        // An interrupted wait found nothing; the loop comes back to it.
        let _ = epoll::wait(
            &self.poller,
            rustix::buffer::spare_capacity(events),
            timeout.as_ref(),
        );
        self.ready.end_wait();
        let now = Instant::now();
        let mut ready = self.ready.lock();
        let connections = lock(&self.connections);
        for event in events.iter() {
            if let Some(connection) = token_of(event).and_then(|token| connections.get(token)) {
                let over =
                    epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
                if { event.flags }.intersects(over) {
                    connection.set_over();
                }
                ready.put(connection);
            }
        }
        let mut timers = lock(&self.timers);
        while let Some((due, token)) = timers.first().copied() {
            if due > now {
                break;
            }
            timers.pop_first();
            if let Some(connection) = connections.get(token) {
                ready.put(connection);
            }
        }
        (ready.light(), now)
    }

    /// Begins a wait. Gives how long it may take at most; `None`: until something happens.
    fn begin_wait(&self) -> Option<Timespec> {
        if !self.ready.begin_wait() {
            return Some(Timespec::default());
        }
        let (due, _) = lock(&self.timers).first().copied()?;
        Timespec::try_from(due.saturating_duration_since(Instant::now())).ok()
    }

    /// Gives the loop to another thread if `turn`, which the monitor has seen for so many ticks, still
    /// goes on, and has written what its callbacks have sent.
    ///
    /// A thread that computes, or waits for a processor, is no reason to mistrust the plugin: with all
    /// threads blocked, its turns would then wait for another plugin's. Nor is it worth a thread beyond
    /// the limit, unless it takes very long. One that waits for a processor gets it no sooner if another
    /// thread wants it too.
    pub(super) fn take_over(self: &Arc<Self>, turn: u64, ticks: u32, is_computing: bool) {
        // The turn's own, if it still goes on.
        let connection = self.ready.lock().current().map(Arc::clone);
        let is_blocked = thread::is_blocked(self.runner.load(Ordering::Relaxed));
        let is_long = ticks >= monitor::LONG || is_computing && !self.pool.is_full();
        let is_worth_it = is_blocked || is_long;
        let is_taken_over = is_worth_it && self.turns.take_over(turn);
        if let Some(connection) = connection {
            // Afterwards, as the turn asks for its number.
            connection.lose_sight();
            if is_taken_over && is_blocked {
                connection.plugin().mark_slow();
            }
        }
        if is_taken_over {
            self.pool.submit(Job::Loop(Arc::clone(self)));
        }
    }

    /// Whether jobs wait for a thread; sees to it that there is one, if there may be.
    pub(super) fn has_waiting_jobs(&self) -> bool {
        self.pool.ensure_threads()
    }

    /// How long the thread that runs the loop has computed so far.
    pub(super) fn worked(&self) -> Option<Duration> {
        thread::worked(self.runner.load(Ordering::Relaxed))
    }

    /// The number of the turn that is going on.
    pub(super) fn current_turn(&self) -> Option<u64> {
        self.turns.current()
    }

    /// Has a connection's turn taken soon.
    pub(super) fn enqueue(&self, connection: &Arc<Connection>) {
        if self.ready.put(connection) {
            self.interrupt();
        }
    }

    /// Ends a wait of the thread that runs the loop.
    pub(super) fn interrupt(&self) {
        // It only fails when there have been 2^64 interrupts.
        let _ = rustix::io::write(&self.interrupter, &1u64.to_ne_bytes());
    }

    pub(super) fn set_timer(&self, due: Instant, token: usize) {
        let is_first = {
            let mut timers = lock(&self.timers);
            timers.insert((due, token));
            timers.first() == Some(&(due, token))
        };
        if is_first && self.ready.is_waiting() {
            self.interrupt();
        }
    }

    /// Makes a connection known; the token stands for it.
    pub(super) fn insert(&self, connection: Arc<Connection>) -> usize {
        lock(&self.connections).insert(connection)
    }

    pub(super) fn register(&self, holding: &Custody, token: usize) -> io::Result<()> {
        use epoll::EventFlags as Flags;
        let flags = Flags::IN | Flags::OUT | Flags::RDHUP | Flags::ET;
        epoll::add(
            &self.poller,
            holding,
            epoll::EventData::new_u64(token as u64),
            flags,
        )?;
        Ok(())
    }

    pub(super) fn remove(&self, token: usize, holding: &Custody) {
        // A connection that could not be registered is not there.
        let _ = epoll::delete(&self.poller, holding);
        lock(&self.connections).try_remove(token);
        if self.is_stopping.load(Ordering::SeqCst) {
            self.interrupt();
        }
    }
}

fn token_of(event: &epoll::Event) -> Option<usize> {
    usize::try_from(event.data.u64())
        .ok()
        .filter(|token| *token as u64 != INTERRUPT)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
