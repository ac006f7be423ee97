//! The threads that run loops, and turns of plugins that block.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::time::{ClockId, clock_gettime};

use super::Threads;
use super::connection::Connection;
use super::event_loop::{BATCH, EventLoop};
use crate::httpd::thread::spawn;

/// Plugins put whole messages on the stack: as much as httpd's own threads have.
const STACK_SIZE: usize = 8 * 1024 * 1024;

/// How long a thread beyond the minimum waits for work before it ends.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// How much is read at a time: four frames of 32 KiB with their headers, or two of 64 KiB.
const BUFFER_SIZE: usize = 128 * 1024 + 256;

/// Something for a thread to do.
pub(super) enum Job {
    Turn(Arc<Connection>),
    Loop(Arc<EventLoop>),
}

/// A thread's own memory.
pub(super) struct Scratch {
    pub(super) buffer: Vec<u8>,
    pub(super) events: Vec<epoll::Event>,
}

/// As many threads as there is work for, within limits.
pub(super) struct Pool {
    threads: Threads,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    running: usize,
    /// Threads that wait for a job, or are just starting to look for one.
    idle: usize,
    is_stopping: bool,
    handles: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(super) fn new(threads: Threads) -> Arc<Self> {
        Arc::new(Self {
            threads,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Has a job done as soon as a thread is free. Loops go first.
    pub(super) fn submit(self: &Arc<Self>, job: Job) {
        let mut state = self.lock();
        match job {
            Job::Loop(_) => state.jobs.push_front(job),
            Job::Turn(_) => state.jobs.push_back(job),
        }
        self.spawn_if_needed(&mut state);
        self.changed.notify_one();
    }

    /// Whether jobs wait that no thread is free for. Starts one, if there may be more: an earlier try
    /// can have failed.
    pub(super) fn ensure_thread(self: &Arc<Self>) -> bool {
        let mut state = self.lock();
        self.spawn_if_needed(&mut state);
        !state.jobs.is_empty() && state.idle == 0
    }

    /// How many threads there are.
    pub(super) fn running(&self) -> usize {
        self.lock().running
    }

    /// Whether there are as many threads as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.running() >= self.threads.max
    }

    /// A loop must not wait until a callback returns, so it gets a thread beyond the limit.
    fn spawn_if_needed(self: &Arc<Self>, state: &mut State) {
        let loops = state
            .jobs
            .iter()
            .take_while(|job| matches!(job, Job::Loop(_)));
        let may_grow = state.running < self.threads.max || loops.count() > state.idle;
        if state.jobs.len() > state.idle && may_grow {
            self.spawn(state);
        }
    }

    /// Without a thread the job waits for one that becomes free.
    fn spawn(self: &Arc<Self>, state: &mut State) {
        let pool = Arc::clone(self);
        let builder = Builder::new()
            .name("websocket".into())
            .stack_size(STACK_SIZE);
        if let Ok(handle) = spawn(builder, move || pool.work()) {
            state.running += 1;
            state.idle += 1;
            state.handles.retain(|handle| !handle.is_finished());
            state.handles.push(handle);
        }
    }

    fn work(&self) {
        let mut scratch = Scratch {
            buffer: vec![0; BUFFER_SIZE],
            events: Vec::with_capacity(BATCH),
        };
        while let Some(job) = self.next_job() {
            match job {
                Job::Loop(event_loop) => event_loop.run(&mut scratch),
                Job::Turn(connection) => {
                    let begun = (Instant::now(), worked());
                    if connection.turn(&mut scratch.buffer, || false) {
                        let (elapsed, worked) = (begun.0.elapsed(), worked() - begun.1);
                        connection
                            .plugin()
                            .note_turn(elapsed.saturating_sub(worked));
                    }
                }
            }
            self.lock().idle += 1;
        }
        self.changed.notify_all();
    }

    /// Waits for something to do. `None`: the thread is no longer needed, nor counted.
    fn next_job(&self) -> Option<Job> {
        // Whatever wakes the thread meanwhile, so that the end of one does not keep all others.
        let idle_until = Instant::now() + IDLE_LIMIT;
        let mut state = self.lock();
        let job = loop {
            // A thread that came for a loop beyond the limit leaves callbacks to the others.
            let is_extra = state.running > self.threads.max;
            let wants = |job: &Job| !is_extra || matches!(job, Job::Loop(_));
            if state.jobs.front().is_some_and(wants) {
                break state.jobs.pop_front();
            }
            let is_spare = state.running > self.threads.min;
            let left = idle_until.saturating_duration_since(Instant::now());
            if state.is_stopping || is_extra || is_spare && left.is_zero() {
                state.running -= 1;
                break None;
            }
            let limit = if is_spare { left } else { IDLE_LIMIT };
            let waited = self.changed.wait_timeout(state, limit);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        state.idle -= 1;
        job
    }

    /// Lets the threads end when there are no more jobs. Returns whether they did before `deadline`.
    pub(super) fn stop(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        state.is_stopping = true;
        self.changed.notify_all();
        while state.running > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let handles = std::mem::take(&mut state.handles);
        drop(state);
        for handle in handles {
            // It only fails if the thread panicked, and then it has ended too.
            let _ = handle.join();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long this thread has run so far.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
