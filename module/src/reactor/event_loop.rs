//! One poller, and the connections whose turn it is.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use super::doze::Doze;
use super::driven::Driven;
use super::members::Members;
use super::poller::{Poller, Source};
use super::ready::{Queue, Ready};
use super::scratch::Scratch;
use super::turn_counter::TurnCounter;
use super::waking::{self, Sleeper};
use crate::httpd::guard::guard;
use crate::httpd::prefetch::prefetch;
use crate::httpd::scoreboard::{self, Gauge};
use crate::httpd::thread;
use crate::meter;
use crate::output::{Caller, Home, Output};
use crate::session::is_heavy;
use crate::transport::Custody;

/// What turns have sent to other connections waits for no longer than this while there are more
/// turns.
const HOLD: Duration = Duration::from_millis(2);

/// A loop writes for so long before it looks for other things to do.
const WRITE_LIMIT: Duration = Duration::from_millis(1);

/// So many connections are written to between two looks at the clock.
const OUTPUTS: usize = 16;

/// After so many ticks of the monitor a turn is worth a thread beyond the limit, even if it
/// computes: one second.
const LONG: u32 = 200;

/// The threads that loops have for what blocks.
pub(super) trait Workers<C>: Send + Sync {
    /// Has a turn taken by one of them.
    fn take_turn(&self, connection: Arc<C>);

    /// Has a loop run by one of them, beyond the limit if need be.
    fn run(&self, event_loop: Arc<EventLoop<C>>);

    /// Whether there are as many as there may be.
    fn are_all_there(&self) -> bool;

    /// Whether there is work that none is free for. Starts more, if there may be.
    fn are_too_few(&self) -> bool;
}

/// A loop. One thread at a time runs it; everything else is for any thread.
pub(super) struct EventLoop<C> {
    this: Weak<Self>,
    poller: Poller,
    /// The system's number of the thread that runs the loop.
    runner: AtomicI32,
    /// What is due, and the loop's connections.
    ready: Ready<C, Output, Members<C>>,
    /// Changes each time the loop has looked for something to do.
    pass: AtomicU64,
    turns: TurnCounter,
    workers: Box<dyn Workers<C>>,
    /// The sleep of the monitor.
    doze: Arc<Doze>,
    is_stopping: Arc<AtomicBool>,
}

thread_local! {
    /// The loops that let this thread write by itself, and the pass each was in.
    static LAST_WRITES: RefCell<Vec<(usize, u64)>> = const { RefCell::new(Vec::new()) };
}

impl<C: Driven> Sleeper for EventLoop<C> {
    fn wake(&self) {
        self.wake_if_waiting();
    }

    fn is_in_turn(&self, turn: u64) -> bool {
        self.turns.current() == Some(turn)
    }
}

impl<C: Driven> Home for EventLoop<C> {
    fn write_soon(&self, output: &Arc<Output>, caller: Caller) -> bool {
        if caller == Caller::Thread && self.lets_write() {
            return true;
        }
        self.help(output);
        false
    }

    /// Has `output` written at the end of this pass.
    fn help(&self, output: &Arc<Output>) {
        if self.ready.put_output(output) && !waking::wakes_later(&self.this) {
            self.interrupt();
        }
    }

    fn gathers(&self) -> bool {
        true
    }
}

impl<C: Driven> EventLoop<C> {
    /// A loop that nobody runs yet.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub(super) fn new(
        workers: Box<dyn Workers<C>>,
        doze: Arc<Doze>,
        is_stopping: Arc<AtomicBool>,
    ) -> io::Result<Arc<Self>> {
        let mut members = Members::new()?;
        let poller = Poller::new(members.alarm())?;
        Ok(Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            poller,
            runner: AtomicI32::new(0),
            ready: Ready::new(members),
            pass: AtomicU64::new(0),
            turns: TurnCounter::default(),
            workers,
            doze,
            is_stopping,
        }))
    }

    /// Runs the loop until another thread takes it over or everything has ended. Gives itself back
    /// if it has to be run on.
    pub(super) fn run(self: &Arc<Self>, scratch: &mut Scratch) -> Option<Arc<Self>> {
        self.runner.store(thread::current(), Ordering::Relaxed);
        waking::begin(Arc::<Self>::clone(self));
        meter::begin_passes();
        let run = || {
            while !self.has_ended() && self.run_pass(scratch) {}
            false
        };
        // No turn panics, so that whoever panics here still owns the loop.
        let is_to_run_on = guard("an event loop", true, run);
        meter::end_passes();
        waking::end();
        is_to_run_on.then(|| Arc::clone(self))
    }

    /// Takes the turns of all that are ready and were quick the last time, and then, for as long as
    /// a turn may take, of those that were not: these wait for each other, but those do not wait
    /// for them. What the turns have sent to other connections is written at the end, when no more
    /// turns are due or it has waited for long. Returns whether the thread still owns the loop.
    fn run_pass(&self, scratch: &mut Scratch) -> bool {
        let (mut next, ready, started) = self.wait(&mut scratch.events);
        if ready == 0 && !self.ready.has_heavy() {
            // Threads may be sending to many: a loop that writes for each of them keeps them from
            // it.
            std::thread::yield_now();
        }
        let mut now = started;
        // Since then something may wait to be written.
        let mut held = scratch.held_since.take().unwrap_or(started);
        for _ in 0..ready {
            let Some(connection) = next.take().or_else(|| self.ready.take_light()) else {
                break;
            };
            match self.serve(connection, &mut scratch.buffer, now) {
                Some(later) => now = later,
                None => return false,
            }
            if now - held > HOLD {
                now = self.write_outputs(&mut scratch.outputs, now);
                held = now;
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
        if self.ready.has_heavy() && now - held < HOLD {
            // More is to come: a client's messages are read a few at a time if each takes long.
            scratch.held_since = Some(held);
        } else {
            self.write_outputs(&mut scratch.outputs, now);
        }
        meter::end_pass();
        true
    }

    /// Writes what waits for this loop to write it, for a while. Returns the time at its end.
    fn write_outputs(&self, outputs: &mut Vec<Arc<Output>>, started: Instant) -> Instant {
        waking::wake_others();
        let mut now = started;
        while now - started < WRITE_LIMIT && self.ready.take_outputs(outputs, OUTPUTS) {
            let mut outputs = outputs.drain(..);
            while let Some(output) = outputs.next() {
                if let Some(next) = outputs.as_slice().first() {
                    prefetch(&**next);
                }
                // A panic costs its own connection.
                let is_written = guard("a write", false, || {
                    output.write_for_session();
                    true
                });
                if !is_written {
                    guard("a write", (), || {
                        output.fail(io::Error::other("a panic while writing"));
                    });
                }
            }
            now = Instant::now();
        }
        now
    }

    /// Takes a turn, which begins `now`, or has it taken. Gives the time at its end, or `None` if
    /// another thread owns the loop by then.
    fn serve(&self, connection: Arc<C>, buffer: &mut [u8], now: Instant) -> Option<Instant> {
        if connection.is_slow() {
            // All threads of the pool may be blocked, one of them until this client takes more.
            guard("a write during a turn", (), || connection.write());
            self.workers.take_turn(connection);
            // A thread that could not be started for it is tried again by the monitor.
            self.doze.wake();
            return Some(now);
        }
        let turn = self.turns.begin();
        waking::begin_turn(turn);
        self.doze.wake();
        let ended = connection.turn(buffer, now, true);
        if self.turns.end(turn) {
            return Some(ended.unwrap_or(now));
        }
        scoreboard::change_gauge(Gauge::Blocked, -1);
        None
    }

    fn has_ended(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst) && self.ready.lock().members.is_empty()
    }

    /// Waits for something to do and puts it into the queue. Gives the first of those that were
    /// quick the last time, how many there are, and the time.
    fn wait(&self, events: &mut Vec<epoll::Event>) -> (Option<Arc<C>>, usize, Instant) {
        let timeout = self.begin_wait();
        waking::wake_others();
        self.poller.wait(events, timeout.as_ref());
        self.ready.end_wait();
        self.pass.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let (first, count, busy) = self.collect(events, now);
        for connection in busy {
            guard("a write during a turn", (), || connection.write());
        }
        (first, count, now)
    }

    /// Puts what is ready into the queue. Gives the first of those that were quick the last time,
    /// how many there are, and those in the queue already that may wait for a thread.
    fn collect(
        &self,
        events: &[epoll::Event],
        now: Instant,
    ) -> (Option<Arc<C>>, usize, Vec<Arc<C>>) {
        let mut busy = Vec::new();
        let mut queue = self.ready.lock();
        let Queue { lanes, members, .. } = &mut *queue;
        for event in events.iter() {
            let connection = match Source::of(event) {
                Source::Connection(token) => members.get(token),
                Source::Alarm => {
                    members.alarm().has_rung();
                    None
                }
                Source::Interrupt => None,
            };
            if let Some(connection) = connection {
                let over =
                    epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
                if { event.flags }.intersects(over) {
                    connection.set_over();
                }
                let is_put = self.ready.put_locked(lanes, connection);
                if !is_put && connection.is_slow() {
                    // It may wait for a thread of the pool, all of which may be blocked.
                    busy.push(Arc::clone(connection));
                }
            }
        }
        members.take_due(now, |connection| {
            self.ready.put_locked(lanes, connection);
        });
        let count = lanes.light();
        (lanes.take_light(), count, busy)
    }

    /// Begins a wait. Gives how long it may take at most; `None`: until something happens.
    fn begin_wait(&self) -> Option<Timespec> {
        (!self.ready.begin_wait()).then(Timespec::default)
    }

    /// Gives the loop to another thread if `turn`, which the monitor has seen for so many ticks,
    /// still goes on, and has written what its callbacks have sent.
    ///
    /// A thread that computes, or waits for a processor, is no reason to mistrust the plugin: with
    /// all threads blocked, its turns would then wait for another plugin's. Nor is it worth a
    /// thread beyond the limit, unless it takes very long. One that waits for a processor gets it
    /// no sooner if another thread wants it too.
    pub(super) fn take_over(self: &Arc<Self>, turn: u64, ticks: u32, is_computing: bool) {
        // The turn's own, if it still goes on.
        let connection = self.ready.lock().lanes.current().map(Arc::clone);
        let is_blocked = thread::is_blocked(self.runner.load(Ordering::Relaxed));
        let is_long = ticks >= LONG || is_computing && !self.workers.are_all_there();
        let is_worth_it = is_blocked || is_long;
        let is_taken_over = is_worth_it && self.turns.take_over(turn);
        if let Some(connection) = connection {
            connection.stop_gathering();
            if is_taken_over && is_blocked {
                connection.mark_slow();
            }
        }
        if is_taken_over {
            scoreboard::change_gauge(Gauge::Blocked, 1);
            self.workers.run(Arc::clone(self));
        } else {
            // The loop's own thread is busy, and nobody else is going to.
            self.write_outputs(&mut Vec::new(), Instant::now());
        }
    }

    /// Whether jobs wait for a thread; sees to it that there is one, if there may be.
    pub(super) fn has_waiting_jobs(&self) -> bool {
        self.workers.are_too_few()
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
    pub(super) fn enqueue(&self, connection: &Arc<C>) {
        if self.ready.put(connection) {
            self.interrupt();
        }
    }

    /// Ends a wait that began before there was something to do.
    pub(super) fn wake_if_waiting(&self) {
        if self.ready.is_waiting() {
            self.interrupt();
        }
    }

    /// Whether a thread of a plugin that sends a message had better write it by itself. A single
    /// message goes out at once that way, whatever the loop is doing. The next ones are left to the
    /// loop, until it comes to it: what is sent meanwhile is written together.
    fn lets_write(&self) -> bool {
        let this = ptr::from_ref(self).addr();
        let pass = self.pass.load(Ordering::Relaxed);
        // A thread that ends remembers nothing.
        let lets = LAST_WRITES.try_with(|writes| {
            let mut writes = writes.borrow_mut();
            if let Some((_, last)) = writes.iter_mut().find(|(known, _)| *known == this) {
                return mem::replace(last, pass) != pass;
            }
            writes.push((this, pass));
            true
        });
        lets.unwrap_or(false)
    }

    /// Ends a wait of the thread that runs the loop.
    pub(super) fn interrupt(&self) {
        self.poller.interrupt();
    }

    /// Has a connection's turn taken at `due`, in place of what was set before. It is `now`.
    pub(super) fn set_timer(&self, token: usize, due: Instant, now: Instant) {
        self.ready.lock().members.set_timer(token, due, now);
    }

    /// Makes a connection known; the token stands for it.
    pub(super) fn insert(&self, connection: Arc<C>) -> usize {
        self.ready.lock().members.insert(connection)
    }

    /// Has the connection's turn taken whenever something happens to its socket.
    ///
    /// # Errors
    ///
    /// When the system has no memory for it.
    pub(super) fn register(&self, custody: &Custody, token: usize) -> io::Result<()> {
        self.poller.register(custody, token)
    }

    /// Forgets a connection that has ended.
    pub(super) fn remove(&self, token: usize, custody: &Custody) {
        self.poller.remove(custody);
        // Dropped without the lock.
        let removed = self.ready.lock().members.remove(token);
        drop(removed);
        if self.is_stopping.load(Ordering::SeqCst) {
            self.interrupt();
        }
    }
}
