//! Writes what a callback that takes long has sent.
//!
//! What the callbacks of one read send is held back to go out in one write. A callback may block after
//! it has sent something, even for ever, so the output of a connection is held back for [`DELAY`] at
//! most: then the one thread of this module writes it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::link::Link;

/// The longest time output is held back.
pub const DELAY: Duration = Duration::from_millis(5);

static STATE: Mutex<State> = Mutex::new(State {
    due: VecDeque::new(),
    thread: None,
    is_stopping: false,
});
static CHANGED: Condvar = Condvar::new();

struct State {
    /// Connections with output held back, and until when; the earliest first.
    due: VecDeque<(Instant, Arc<Link>)>,
    thread: Option<JoinHandle<()>>,
    is_stopping: bool,
}

/// Has `link` flushed after [`DELAY`] unless that is planned already.
pub fn schedule(link: &Arc<Link>) {
    if link.is_scheduled.swap(true, Ordering::AcqRel) {
        return;
    }
    let mut state = lock();
    if state.is_stopping {
        return;
    }
    state
        .due
        .push_back((Instant::now() + DELAY, Arc::clone(link)));
    if state.thread.is_none() {
        // Without a thread the output still goes out at the end of the turn.
        state.thread = thread::Builder::new()
            .name("ws-flusher".into())
            .spawn(run)
            .ok();
    } else if state.due.len() == 1 {
        CHANGED.notify_one();
    }
}

/// Ends the thread and waits for it. Nothing is flushed from here afterwards.
pub fn stop() {
    let thread = {
        let mut state = lock();
        state.is_stopping = true;
        state.due.clear();
        state.thread.take()
    };
    CHANGED.notify_one();
    if let Some(thread) = thread {
        // It only fails if the thread panicked, and then it has ended too.
        let _ = thread.join();
    }
}

fn run() {
    let mut state = lock();
    while !state.is_stopping {
        let now = Instant::now();
        state = match state.due.front() {
            None => CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some((due, _)) if *due > now => {
                let left = *due - now;
                CHANGED
                    .wait_timeout(state, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
            Some(_) => {
                let next = state.due.pop_front();
                drop(state);
                if let Some((_, link)) = next {
                    link.is_scheduled.store(false, Ordering::Release);
                    link.flush();
                }
                lock()
            }
        };
    }
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
