//! One poller, and the connections whose turn it is.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use slab::Slab;

use super::connection::Connection;
use super::monitor::{self, Monitor};
use super::pool::{Job, Pool, Scratch};
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
    /// The thread that runs the loop is waiting, or about to.
    is_waiting: AtomicBool,
    connections: Mutex<Slab<Arc<Connection>>>,
    ready: Mutex<Ready>,
    timers: Mutex<BTreeSet<(Instant, usize)>>,
    turns: TurnCounter,
    pool: Arc<Pool>,
    monitor: Arc<Monitor>,
    is_stopping: Arc<AtomicBool>,
}

#[derive(Default)]
struct Ready {
    queue: VecDeque<Arc<Connection>>,
    /// Whose turn was taken last.
    current: Option<Arc<Connection>>,
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
            is_waiting: AtomicBool::new(false),
            connections: Mutex::default(),
            ready: Mutex::default(),
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
                let Some(connection) = self.take_ready() else {
                    break;
                };
                if connection.plugin().is_slow() {
                    self.pool.submit(Job::Turn(connection));
                    continue;
                }
                let turn = self.turns.begin();
                self.monitor.wake_if_asleep();
                connection.turn(&mut scratch.buffer);
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
        self.is_waiting.store(true, Ordering::SeqCst);
        let timeout = self.timeout();
        events.clear();
        // An interrupted wait found nothing; the loop comes back to it.
        let _ = epoll::wait(
            &self.poller,
            rustix::buffer::spare_capacity(events),
            timeout.as_ref(),
        );
        self.is_waiting.store(false, Ordering::SeqCst);
        let mut ready = lock(&self.ready);
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
        ready.queue.len()
    }

    /// How long to wait at most; `None`: until something happens.
    fn timeout(&self) -> Option<Timespec> {
        if !lock(&self.ready).queue.is_empty() {
            return Some(Timespec::default());
        }
        let (due, _) = lock(&self.timers).first().copied()?;
        Timespec::try_from(due.saturating_duration_since(Instant::now())).ok()
    }

    fn take_ready(&self) -> Option<Arc<Connection>> {
        let mut ready = lock(&self.ready);
        ready.current = ready.queue.pop_front();
        if let Some(connection) = &ready.current {
            connection.mark_taken();
        }
        ready.current.clone()
    }

    /// Gives the loop to another thread if `turn`, which the monitor saw before, still goes on.
    pub(super) fn take_over(self: &Arc<Self>, turn: u64) {
        if !self.turns.take_over(turn) {
            return;
        }
        // A thread that computes, or waits for a processor, is no reason to mistrust the plugin.
        if monitor::is_blocked(self.runner.load(Ordering::Relaxed))
            && let Some(connection) = &lock(&self.ready).current
        {
            connection.plugin().mark_slow();
        }
        self.pool.submit(Job::Loop(Arc::clone(self)));
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
        lock(&self.ready).put(connection);
        if self.is_waiting.load(Ordering::SeqCst) {
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
        if is_first && self.is_waiting.load(Ordering::SeqCst) {
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

impl Ready {
    fn put(&mut self, connection: &Arc<Connection>) {
        if connection.mark_queued() {
            self.queue.push_back(Arc::clone(connection));
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

/// Counts the turns of a loop, so that a turn that goes on can be told from the next, and which of two
/// threads owns the loop: the upper half changes with the owner, the lower half is odd during a turn.
#[derive(Default)]
struct TurnCounter(AtomicU64);

impl TurnCounter {
    const OWNER: u64 = 1 << 32;

    /// Begins a turn; for the owner.
    fn begin(&self) -> u64 {
        // The lower half is even here, so that it cannot run over into the upper one before `end`.
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Ends a turn. Returns whether the thread still owns the loop.
    fn end(&self, turn: u64) -> bool {
        let next = (turn & !(Self::OWNER - 1)) | (turn.wrapping_add(1) & (Self::OWNER - 1));
        self.0
            .compare_exchange(turn, next, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    fn current(&self) -> Option<u64> {
        Some(self.0.load(Ordering::SeqCst)).filter(|turn| turn % 2 == 1)
    }

    /// Changes the owner if the turn still goes on.
    fn take_over(&self, turn: u64) -> bool {
        let next = (turn & !(Self::OWNER - 1)).wrapping_add(Self::OWNER);
        self.0
            .compare_exchange(turn, next, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::TurnCounter;
    use std::sync::atomic::Ordering;

    fn owner(turns: &TurnCounter) -> u64 {
        turns.0.load(Ordering::SeqCst) / TurnCounter::OWNER
    }

    #[test]
    fn an_owner_that_is_undisturbed_keeps_the_loop() {
        let turns = TurnCounter::default();
        for _ in 0..3 {
            assert_eq!(turns.current(), None);
            let turn = turns.begin();
            assert_eq!(turns.current(), Some(turn));
            assert!(turns.end(turn));
        }
    }

    #[test]
    fn a_turn_that_was_taken_over_ends_without_the_loop() {
        let turns = TurnCounter::default();
        let (stuck, first) = (turns.begin(), owner(&turns));
        assert!(turns.take_over(stuck));
        assert_ne!(owner(&turns), first);
        assert!(!turns.take_over(stuck), "only once");
        let next = turns.begin();
        assert!(!turns.end(stuck));
        assert!(turns.end(next));
    }

    #[test]
    fn a_turn_that_has_ended_is_not_taken_over() {
        let turns = TurnCounter::default();
        let turn = turns.begin();
        assert!(turns.end(turn));
        assert!(!turns.take_over(turn));
    }

    #[test]
    fn counting_on_for_ever_does_not_change_the_owner() {
        let turns = TurnCounter::default();
        turns.0.store(TurnCounter::OWNER - 2, Ordering::SeqCst);
        let turn = turns.begin();
        assert!(turns.end(turn));
        assert_eq!(owner(&turns), 0);
    }
}
