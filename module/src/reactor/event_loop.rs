//! A loop: one poller, and the connections that it serves.

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

/// How long a loop holds back what turns have sent to other connections while more turns are due.
const HOLD: Duration = Duration::from_millis(2);

/// How long a loop writes before it looks for other work.
const WRITE_LIMIT: Duration = Duration::from_millis(1);

/// How many connections a loop writes to between two looks at the clock.
const OUTPUTS: usize = 16;

/// After this many ticks of the monitor (one second) a turn is worth a thread beyond the limit,
/// even if it computes.
const LONG: u32 = 200;

/// The threads of the pool, as a loop needs them.
pub(super) trait Workers<C>: Send + Sync {
    /// Hands a turn to one of the threads.
    fn take_turn(&self, connection: Arc<C>);

    /// Hands a loop to one of the threads, beyond the limit if need be.
    fn run(&self, event_loop: Arc<EventLoop<C>>);

    /// Whether there are as many threads as the limit allows.
    fn are_all_there(&self) -> bool;

    /// Whether work waits and no thread is free for it. Starts more threads, as far as the limit
    /// allows.
    fn are_too_few(&self) -> bool;
}

/// A loop. One thread at a time runs it. All its other functions may be called by any thread.
pub(super) struct EventLoop<C> {
    this: Weak<Self>,
    poller: Poller,
    /// The kernel's id of the thread that runs the loop.
    runner: AtomicI32,
    /// The work that is due, and the loop's connections.
    ready: Ready<C, Output, Members<C>>,
    /// Changes with every pass of the loop.
    pass: AtomicU64,
    turns: TurnCounter,
    workers: Box<dyn Workers<C>>,
    /// The sleep of the monitor.
    doze: Arc<Doze>,
    is_stopping: Arc<AtomicBool>,
}

thread_local! {
    /// The loops that have let this thread write by itself, each with its pass at that time.
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

    /// Writes `output` at the end of this pass.
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
    /// A loop that no thread runs yet.
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

    /// Runs the loop until another thread takes it over or everything has ended. Returns the loop
    /// if a thread has to go on with it.
    pub(super) fn run(self: &Arc<Self>, scratch: &mut Scratch) -> Option<Arc<Self>> {
        self.runner.store(thread::current(), Ordering::Relaxed);
        waking::begin(Arc::<Self>::clone(self));
        meter::begin_passes();
        let run = || {
            while !self.has_ended() && self.run_pass(scratch) {}
            false
        };
        // Turns never panic, so a thread that panics here still owns the loop.
        let is_to_run_on = guard("an event loop", true, run);
        meter::end_passes();
        waking::end();
        is_to_run_on.then(|| Arc::clone(self))
    }

    /// Makes one pass. Takes the turns of all ready connections that are light. Then takes turns of
    /// heavy ones, for as long as one turn may take: so the heavy ones wait for each other, and the
    /// light ones do not wait for them. At the end, writes what the turns have sent to other
    /// connections, unless more heavy connections are due and nothing has waited for [`HOLD`].
    /// Returns whether the thread still owns the loop.
    fn run_pass(&self, scratch: &mut Scratch) -> bool {
        let (mut next, ready, started) = self.wait(&mut scratch.events);
        if ready == 0 && !self.ready.has_heavy() {
            // Threads may be sending to many connections. A loop that writes each message at once
            // would keep them from it.
            std::thread::yield_now();
        }
        let mut now = started;
        // From this time on something may wait to be written.
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
            // More messages are to come: a client's messages are read a few at a time if each takes
            // long.
            scratch.held_since = Some(held);
        } else {
            self.write_outputs(&mut scratch.outputs, now);
        }
        meter::end_pass();
        true
    }

    /// Writes the outputs that wait for this loop, for about [`WRITE_LIMIT`] at most. Returns the
    /// time at the end.
    fn write_outputs(&self, outputs: &mut Vec<Arc<Output>>, started: Instant) -> Instant {
        waking::wake_others();
        let mut now = started;
        while now - started < WRITE_LIMIT && self.ready.take_outputs(outputs, OUTPUTS) {
            let mut outputs = outputs.drain(..);
            while let Some(output) = outputs.next() {
                if let Some(next) = outputs.as_slice().first() {
                    prefetch(&**next);
                }
                // A panic ends only the connection it concerns.
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

    /// Takes a turn that begins `now`, or hands it to the pool. Returns the time at the end, or
    /// `None` if another thread owns the loop by then.
    fn serve(&self, connection: Arc<C>, buffer: &mut [u8], now: Instant) -> Option<Instant> {
        if connection.is_slow() {
            // All threads of the pool may be blocked, one of them until this client takes more.
            guard("a write during a turn", (), || connection.write());
            self.workers.take_turn(connection);
            // If no thread could be started for the turn, the monitor tries again.
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

    /// Waits for work and puts it into the queue. Returns the first light connection, the number of
    /// light connections, and the time.
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

    /// Puts ready connections into the queue. Returns the first light one, the number of light
    /// ones, and the connections that were queued already and may wait for a thread.
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
                    // The connection may wait for a thread of the pool, all of which may be
                    // blocked.
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

    /// Begins a wait. Returns how long it may take at most. `None` means until something happens.
    fn begin_wait(&self) -> Option<Timespec> {
        (!self.ready.begin_wait()).then(Timespec::default)
    }

    /// Gives the loop to another thread if `turn` is still current and that is worth it. Arranges
    /// in any case that what the turn's callbacks have sent is written. Called by the monitor,
    /// which has seen the turn for `ticks` ticks.
    ///
    /// A plugin counts as slow only if its thread is blocked. It does not if the thread computes or
    /// waits for a processor: with all threads of the pool blocked, its turns would then wait for
    /// another plugin's. Such a thread is not worth a thread beyond the limit either, unless the
    /// turn takes very long. A thread that waits for a processor gets it no sooner if one more
    /// thread wants it.
    pub(super) fn take_over(self: &Arc<Self>, turn: u64, ticks: u32, is_computing: bool) {
        // The connection of this turn, if the turn is still current.
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
            // The loop's own thread is busy, and no other thread is going to write.
            self.write_outputs(&mut Vec::new(), Instant::now());
        }
    }

    /// Whether jobs wait for a thread. Starts threads for them, as far as the limit allows.
    pub(super) fn has_waiting_jobs(&self) -> bool {
        self.workers.are_too_few()
    }

    /// The processor time that the thread that runs the loop has used so far.
    pub(super) fn worked(&self) -> Option<Duration> {
        thread::worked(self.runner.load(Ordering::Relaxed))
    }

    /// The number of the current turn, if there is one.
    pub(super) fn current_turn(&self) -> Option<u64> {
        self.turns.current()
    }

    /// Makes a connection take a turn soon.
    pub(super) fn enqueue(&self, connection: &Arc<C>) {
        if self.ready.put(connection) {
            self.interrupt();
        }
    }

    /// Ends a wait that began before there was work.
    pub(super) fn wake_if_waiting(&self) {
        if self.ready.is_waiting() {
            self.interrupt();
        }
    }

    /// Whether a thread of a plugin should write its message by itself. A single message goes out
    /// at once that way, whatever the loop is doing. The thread leaves the next messages to the
    /// loop until the loop has made another pass, and the loop writes them together.
    fn lets_write(&self) -> bool {
        let this = ptr::from_ref(self).addr();
        let pass = self.pass.load(Ordering::Relaxed);
        // While a thread ends, it remembers nothing.
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

    /// Sets the connection's timer to `due`, in place of an earlier setting. `now` is the current
    /// time.
    pub(super) fn set_timer(&self, token: usize, due: Instant, now: Instant) {
        self.ready.lock().members.set_timer(token, due, now);
    }

    /// Adds a connection. Returns its token.
    pub(super) fn insert(&self, connection: Arc<C>) -> usize {
        self.ready.lock().members.insert(connection)
    }

    /// Makes the connection take a turn whenever something happens to its socket.
    ///
    /// # Errors
    ///
    /// When the system has no memory for it.
    pub(super) fn register(&self, custody: &Custody, token: usize) -> io::Result<()> {
        self.poller.register(custody, token)
    }

    /// Removes a connection that has ended.
    pub(super) fn remove(&self, token: usize, custody: &Custody) {
        self.poller.remove(custody);
        // The connection is dropped without the lock.
        let removed = self.ready.lock().members.remove(token);
        drop(removed);
        if self.is_stopping.load(Ordering::SeqCst) {
            self.interrupt();
        }
    }
}
