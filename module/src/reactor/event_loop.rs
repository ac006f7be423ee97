//! One poller, and the connections whose turn it is.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use slab::Slab;

use super::connection::Connection;
use super::monitor::{self, Monitor};
use super::pool::{Job, Pool, Scratch};
use super::ready::Ready;
use super::turn_counter::TurnCounter;
use crate::httpd::holding::Holding;

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
    pool: Arc<Pool>,
    monitor: Arc<Monitor>,
    is_stopping: Arc<AtomicBool>,
}

impl EventLoop {
    pub(super) fn new(
        pool: Arc<Pool>,
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

    /// Runs the loop until another thread takes it over or everything has ended.
    pub(super) fn run(self: &Arc<Self>, scratch: &mut Scratch) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.runner.store(thread, Ordering::Relaxed);
        while !self.has_ended() {
            let ready = self.wait(&mut scratch.events);
            for _ in 0..ready {
                let Some(connection) = self.ready.take() else {
                    break;
                };
                if connection.plugin().is_slow() {
                    self.pool.submit(Job::Turn(connection));
                    // A thread that could not be started for it is tried again by the monitor.
                    self.monitor.wake_if_asleep();
                    continue;
                }
                let turn = self.turns.begin();
                self.monitor.wake_if_asleep();
                connection.turn(&mut scratch.buffer, || self.turns.current() == Some(turn));
                if !self.turns.end(turn) {
                    return;
                }
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst) && lock(&self.connections).is_empty()
    }

    /// Waits for something to do and puts it into the queue. Returns how long that is.
    fn wait(&self, events: &mut Vec<epoll::Event>) -> usize {
        let timeout = self.begin_wait();
        events.clear();
        // An interrupted wait found nothing; the loop comes back to it.
        let _ = epoll::wait(
            &self.poller,
            rustix::buffer::spare_capacity(events),
            timeout.as_ref(),
        );
        self.ready.end_wait();
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
            if due > Instant::now() {
                break;
            }
            timers.pop_first();
            if let Some(connection) = connections.get(token) {
                ready.put(connection);
            }
        }
        ready.len()
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
    /// the limit, unless it takes very long.
    pub(super) fn take_over(self: &Arc<Self>, turn: u64, ticks: u32) {
        // The turn's own, if it still goes on.
        let connection = self.ready.lock().current().map(Arc::clone);
        let is_stuck =
            ticks >= monitor::LONG || monitor::is_blocked(self.runner.load(Ordering::Relaxed));
        let is_taken_over = (is_stuck || !self.pool.is_full()) && self.turns.take_over(turn);
        if let Some(connection) = connection {
            // Afterwards, as the turn asks for its number.
            connection.lose_sight();
            if is_taken_over && is_stuck {
                connection.plugin().mark_slow();
            }
        }
        if is_taken_over {
            self.pool.submit(Job::Loop(Arc::clone(self)));
        }
    }

    /// Whether jobs wait for a thread; sees to it that there is one, if there may be.
    pub(super) fn has_waiting_jobs(&self) -> bool {
        self.pool.ensure_thread()
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

    pub(super) fn register(&self, holding: &Holding, token: usize) -> io::Result<()> {
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

    pub(super) fn remove(&self, token: usize, holding: &Holding) {
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
