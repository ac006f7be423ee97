//! The threads that run loops, and that take turns of plugins that block.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::threads::Threads;
use crate::httpd::guard::guard;
use crate::httpd::scoreboard::{self, Gauge};
use crate::httpd::thread::{self, spawn};

#[cfg(test)]
mod tests;

/// The stack of a thread in bytes: as much as httpd's own threads have, because plugins put whole
/// messages on the stack.
const STACK_SIZE: usize = 8 * 1024 * 1024;

/// How long a thread beyond the minimum waits for work before it ends.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// A job for a thread of the pool.
pub(super) trait Job: Send + 'static {
    /// Memory of one thread, which its jobs use.
    type Scratch: Default;

    /// Whether the job must not wait until a callback returns. Such a job goes first, on a thread
    /// beyond the limit if need be.
    fn is_urgent(&self) -> bool;

    /// Does the job. A free thread does the returned job next.
    fn run(self, scratch: &mut Self::Scratch) -> Option<Self>
    where
        Self: Sized;
}

/// A pool with as many threads as there is work for, within limits.
pub(super) struct Pool<J> {
    threads: Threads,
    processors: usize,
    state: Mutex<State<J>>,
    changed: Condvar,
}

struct State<J> {
    jobs: VecDeque<J>,
    running: usize,
    /// Threads that wait for a job, or are just starting to look for one.
    idle: usize,
    /// The kernel's ids of the threads that do jobs which are not urgent.
    busy: Vec<i32>,
    is_stopping: bool,
    handles: Vec<JoinHandle<()>>,
}

impl<J: Job> Pool<J> {
    pub(super) fn new(threads: Threads) -> Arc<Self> {
        Arc::new(Self {
            threads,
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                running: 0,
                idle: 0,
                busy: Vec::new(),
                is_stopping: false,
                handles: Vec::new(),
            }),
            changed: Condvar::new(),
        })
    }

    /// Queues a job. It is done as soon as a thread is free.
    pub(super) fn submit(self: &Arc<Self>, job: J) {
        let mut state = self.lock();
        if job.is_urgent() {
            state.jobs.push_front(job);
        } else {
            state.jobs.push_back(job);
        }
        // More threads than processors help only if some threads are blocked: `ensure_threads`
        // finds out.
        let may_grow = state.busy.len() + state.idle < self.processors;
        self.spawn_if_needed(&mut state, may_grow);
        self.changed.notify_one();
    }

    /// Whether jobs wait and no thread is free. Starts as many threads as help, within the limit:
    /// an earlier start may have failed, and threads that computed may have blocked since.
    pub(super) fn ensure_threads(self: &Arc<Self>) -> bool {
        let Some(busy) = self.busy_while_jobs_wait() else {
            return false;
        };
        let computing = busy.iter().filter(|thread| !thread::is_blocked(**thread));
        let may_grow = computing.take(self.processors).count() < self.processors;
        let mut state = self.lock();
        while self.spawn_if_needed(&mut state, may_grow) {}
        !state.jobs.is_empty() && state.idle == 0
    }

    /// The ids of the threads that do jobs which are not urgent, if more jobs wait than threads are
    /// idle.
    fn busy_while_jobs_wait(&self) -> Option<Vec<i32>> {
        let state = self.lock();
        (state.jobs.len() > state.idle).then(|| state.busy.clone())
    }

    /// Whether there are threads beside those of the loops. Starts one if there is none.
    pub(super) fn has_spare(self: &Arc<Self>) -> bool {
        let mut state = self.lock();
        state.running > self.threads.min || self.spawn(&mut state)
    }

    /// How many threads there are.
    pub(super) fn running(&self) -> usize {
        self.lock().running
    }

    /// Whether there are as many threads as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.running() >= self.threads.max
    }

    /// Starts a thread if more jobs wait than threads are idle. The limit allows that only if
    /// `may_grow`, or if urgent jobs need the thread. Returns whether a thread was started.
    fn spawn_if_needed(self: &Arc<Self>, state: &mut State<J>, may_grow: bool) -> bool {
        let urgent = state.jobs.iter().take_while(|job| job.is_urgent());
        let is_allowed =
            may_grow && state.running < self.threads.max || urgent.count() > state.idle;
        state.jobs.len() > state.idle && is_allowed && self.spawn(state)
    }

    /// Starts a thread. Returns whether that succeeded. If not, the job waits until a thread is
    /// free.
    fn spawn(self: &Arc<Self>, state: &mut State<J>) -> bool {
        let pool = Arc::clone(self);
        let builder = Builder::new()
            .name("websocket".into())
            .stack_size(STACK_SIZE);
        let Ok(handle) = spawn(builder, move || pool.work()) else {
            return false;
        };
        state.running += 1;
        scoreboard::change_gauge(Gauge::Threads, 1);
        state.idle += 1;
        state.handles.retain(|handle| !handle.is_finished());
        state.handles.push(handle);
        true
    }

    fn work(self: &Arc<Self>) {
        let thread = thread::current();
        let mut scratch = J::Scratch::default();
        while let Some(job) = self.next_job(thread) {
            // A job that panics is lost. The thread and its place in the counts are not.
            let next = guard("a thread of the event loops", None, || {
                job.run(&mut scratch)
            });
            self.end_job(thread, next);
        }
        self.changed.notify_all();
    }

    fn end_job(self: &Arc<Self>, thread: i32, next: Option<J>) {
        let mut state = self.lock();
        state.idle += 1;
        if let Some(place) = state.busy.iter().position(|busy| *busy == thread) {
            state.busy.swap_remove(place);
            scoreboard::change_gauge(Gauge::Blocked, -1);
        }
        drop(state);
        if let Some(next) = next {
            self.submit(next);
        }
    }

    /// Waits for a job. `None` means that the thread has to end; it is no longer counted.
    fn next_job(&self, thread: i32) -> Option<J> {
        // Wake-ups do not extend this time. Otherwise the end of one thread, which wakes all
        // others, would keep them all.
        let idle_until = Instant::now() + IDLE_LIMIT;
        let mut state = self.lock();
        let job = loop {
            // A thread that was started for an urgent job beyond the limit leaves callbacks to the
            // others.
            let is_extra = state.running > self.threads.max;
            let wants = |job: &J| !is_extra || job.is_urgent();
            if state.jobs.front().is_some_and(wants) {
                break state.jobs.pop_front();
            }
            let is_spare = state.running > self.threads.min;
            let left = idle_until.saturating_duration_since(Instant::now());
            if state.is_stopping || is_extra || is_spare && left.is_zero() {
                state.running -= 1;
                scoreboard::change_gauge(Gauge::Threads, -1);
                break None;
            }
            let limit = if is_spare { left } else { IDLE_LIMIT };
            let waited = self.changed.wait_timeout(state, limit);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        state.idle -= 1;
        if job.as_ref().is_some_and(|job| !job.is_urgent()) {
            state.busy.push(thread);
            scoreboard::change_gauge(Gauge::Blocked, 1);
        }
        job
    }

    /// Ends the threads when there are no more jobs. Returns whether they ended before `deadline`,
    /// if there is one.
    pub(super) fn stop(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.lock();
        state.is_stopping = true;
        self.changed.notify_all();
        while state.running > 0 {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left.unwrap_or(IDLE_LIMIT));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let handles = std::mem::take(&mut state.handles);
        // Jobs that no thread could be started for.
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        drop(jobs);
        for handle in handles {
            // A join fails only if the thread panicked, and then it has ended too.
            let _ = handle.join();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
