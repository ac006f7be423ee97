//! Calls plugins at regular times, in threads of the children.
//!
//! An instance of a plugin that wants ticks has one thread in each child, from the beginning of the
//! child to its end. So its ticks never overlap. The thread waits for the next multiple of the
//! interval since 1970. If ticks are for one child of all, the one that has locked a file calls the
//! plugin, and the others try at each of their ticks.

mod schedule;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use websocket_plugin::abi::host::{Instance, Ticks};

use crate::httpd::guard::guard;
use crate::httpd::lease::Lease;
use crate::httpd::log::{Level, log_server};
use crate::httpd::thread::spawn_lasting;
use crate::httpd::{commons, generation};
use schedule::Schedule;

/// How long a thread waits before it looks at the clock again, which somebody may set.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Ticks of this process end. Only a flag, so that a signal handler may set it.
static IS_OVER: AtomicBool = AtomicBool::new(false);

static ALL: Mutex<All> = Mutex::new(All {
    prepare: None,
    clocks: Vec::new(),
});

/// Makes sure that the end of the process can wait for threads.
type Prepare = fn() -> io::Result<()>;

/// The clocks of this process.
struct All {
    /// What each clock calls before its thread starts. `None` in the parent process, which only
    /// makes clocks: threads do not survive a fork.
    prepare: Option<Prepare>,
    clocks: Vec<Weak<Clock>>,
}

/// The ticks of an instance. Dropping it ends them, and waits for a tick that is under way.
pub(super) struct Ticking(Arc<Clock>);

/// What calls an instance.
struct Clock {
    instance: Arc<Instance>,
    ticks: Ticks,
    /// Of ticks that are for one process: the same for the same instance in all processes.
    key: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    thread: Option<JoinHandle<()>>,
    is_stopping: bool,
    /// The thread calls the plugin no more.
    has_ended: bool,
}

impl Ticking {
    /// The ticks that an instance wants. They begin when the child does, or now if it has begun.
    /// `key` distinguishes the instance from all others.
    pub(super) fn new(instance: &Arc<Instance>, ticks: Ticks, key: String) -> Self {
        let clock = Arc::new(Clock {
            instance: Arc::clone(instance),
            ticks,
            key,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let mut all = lock(&ALL);
        all.clocks.retain(|clock| clock.strong_count() > 0);
        all.clocks.push(Arc::downgrade(&clock));
        if let Some(prepare) = all.prepare {
            clock.start(prepare);
        }
        Self(clock)
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.stop();
        self.0.instance.end_ticks();
        let thread = lock(&self.0.state).thread.take();
        if let Some(thread) = thread {
            // It fails only if the thread panicked, and then it has ended too.
            let _ = thread.join();
        }
    }
}

/// Begins all ticks. For a child that has just been forked. Each clock calls `prepare` before its
/// thread starts, and does not tick if that fails.
pub fn begin(prepare: fn() -> io::Result<()>) {
    let mut all = lock(&ALL);
    all.prepare = Some(prepare);
    for clock in all.clocks.iter().filter_map(Weak::upgrade) {
        clock.start(prepare);
    }
}

/// Ends all ticks, and waits so long for those that are under way. The child ends. A tick that can
/// be cut short is when a quarter of the time is left. Returns whether all have ended.
#[must_use]
pub fn stop(patience: Duration) -> bool {
    disable();
    let clocks: Vec<_> = lock(&ALL).clocks.iter().filter_map(Weak::upgrade).collect();
    clocks.iter().for_each(|clock| clock.stop());
    let deadline = Instant::now() + patience;
    let late: Vec<_> = clocks
        .iter()
        .filter(|clock| !clock.wait_for_end(deadline - patience / 4))
        .collect();
    late.iter().for_each(|clock| clock.instance.end_ticks());
    let stuck: Vec<_> = late
        .iter()
        .filter(|clock| !clock.wait_for_end(deadline))
        .collect();
    for clock in &stuck {
        let name = clock.instance.name();
        let text = format!("a tick of the plugin {name} does not return");
        log_server(Level::Warning, &text);
    }
    stuck.is_empty()
}

/// Calls no plugin any more. Only sets a flag, so that a signal handler may call it.
pub fn disable() {
    IS_OVER.store(true, Ordering::SeqCst);
}

impl Clock {
    fn start(self: &Arc<Self>, prepare: Prepare) {
        let clock = Arc::clone(self);
        let body = move || {
            clock.run();
            lock(&clock.state).has_ended = true;
            clock.changed.notify_all();
        };
        let mut state = lock(&self.state);
        if state.thread.is_some() || state.is_stopping {
            return;
        }
        let builder = Builder::new().name("ws-tick".into());
        match prepare().and_then(|()| spawn_lasting(builder, body)) {
            Ok(thread) => state.thread = Some(thread),
            Err(error) => {
                let name = self.instance.name();
                let text = format!("the plugin {name} gets no ticks in this process: {error}");
                log_server(Level::Error, &text);
            }
        }
    }

    fn run(&self) {
        let mut turn = Turn::new(self);
        let mut schedule = Schedule::new(self.ticks.interval);
        while let Some(due) = self.wait(&mut schedule, turn.is_idle) {
            if turn.begin(due, &schedule) {
                // The plugin's own panics do not get here.
                guard("a tick", (), || self.instance.on_tick(due));
            }
            if turn.is_last() {
                return;
            }
        }
    }

    /// Waits for the next tick. `None`: there is none any more.
    fn wait(&self, schedule: &mut Schedule, is_idle: bool) -> Option<u64> {
        let due = schedule.next(now(), is_idle);
        let mut state = lock(&self.state);
        loop {
            if state.is_stopping || IS_OVER.load(Ordering::SeqCst) {
                return None;
            }
            let left = Duration::from_nanos(schedule.left(now(), due)?);
            if left.is_zero() {
                return Some(due);
            }
            let waited = self.changed.wait_timeout(state, left.min(LONGEST_WAIT));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn stop(&self) {
        lock(&self.state).is_stopping = true;
        self.changed.notify_all();
    }

    /// Returns whether the thread has ended.
    fn wait_for_end(&self, deadline: Instant) -> bool {
        let mut state = lock(&self.state);
        while state.thread.is_some() && !state.has_ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let thread = state.thread.take();
        drop(state);
        if let Some(thread) = thread {
            // As above.
            let _ = thread.join();
        }
        true
    }
}

/// Whether it is this process that ticks.
struct Turn {
    /// `None`: every process does.
    lease: Option<Lease>,
    /// Another process ticks, as far as this one knows.
    is_idle: bool,
}

impl Turn {
    fn new(clock: &Clock) -> Self {
        let lease = || {
            let commons = commons::get();
            if commons.is_none() {
                let name = clock.instance.name();
                let text = format!("the plugin {name} ticks in every process: they share nothing");
                log_server(Level::Warning, &text);
            }
            commons.map(|commons| Lease::new(commons.tick_file(&clock.key)))
        };
        let lease = clock.ticks.is_in_one_process.then(lease).flatten();
        Self {
            is_idle: lease.is_some(),
            lease,
        }
    }

    /// Whether this process ticks now.
    fn begin(&mut self, due: u64, schedule: &Schedule) -> bool {
        let Some(lease) = &self.lease else {
            return true;
        };
        let was_idle = self.is_idle;
        self.is_idle = !lease.take();
        if self.is_idle {
            return false;
        }
        // The process before this one may have ticked already, if this one has woken late.
        let is_done = was_idle
            && lease
                .noted()
                .is_some_and(|last| schedule.is_done(due, last));
        if !is_done {
            lease.note(due);
        }
        !is_done
    }

    /// Whether this process has ticked for the last time: after a restart one of the new processes
    /// goes on at the next tick.
    fn is_last(&self) -> bool {
        let is_last = self.lease.is_some() && generation::is_superseded();
        if let Some(lease) = self.lease.as_ref().filter(|_| is_last) {
            lease.give_back();
        }
        is_last
    }
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
