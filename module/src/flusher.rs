//! Writes what a connection has to send while one of its callbacks takes long.
//!
//! What the callbacks of one read send is held back to go out in one write. A callback may block after
//! it has sent something, even for ever. So the output of a connection is held back for [`DELAY`] at
//! most, or, where turns are watched, until one is found to take long: then the one thread of this module
//! writes it, and waits for the client if that takes longer.
//!
//! As it has nothing to do for most of the time, that thread also gives memory back to the system when
//! many connections have ended.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::httpd::guard::guard;
use crate::httpd::memory::give_back_free_memory;
use crate::httpd::thread::spawn;
use crate::link::{Link, Retry};
use crate::trimming::Trimming;

/// The longest time output is held back.
pub const DELAY: Duration = Duration::from_millis(5);

/// How often to see whether a client still has to be waited for.
const RECHECK: Duration = Duration::from_secs(1);

static STATE: Mutex<State> = Mutex::new(State {
    due: VecDeque::new(),
    trimming: Trimming::NONE,
    thread: None,
});

/// Set for good when the child exits.
static IS_STOPPING: AtomicBool = AtomicBool::new(false);

struct State {
    /// Connections with output held back, and until when; the earliest first.
    due: VecDeque<(Instant, Arc<Link>)>,
    trimming: Trimming,
    thread: Option<Flusher>,
}

struct Flusher {
    handle: JoinHandle<()>,
    /// A byte in it ends the thread's wait.
    interrupter: UnixStream,
}

/// Starts the thread now, so that the first who needs it does not wait for that.
pub fn prepare() {
    lock().run(|_| false);
}

/// Has `link` flushed after [`DELAY`] unless that is planned already.
pub fn schedule(link: &Arc<Link>) {
    if link.mark_scheduled() {
        let due = (Instant::now() + DELAY, Arc::clone(link));
        let mut state = lock();
        state.due.push_back(due);
        state.run(|state| state.due.len() == 1);
    }
}

/// Has `link` flushed at once, or when that is planned.
pub fn hurry(link: &Arc<Link>) {
    if link.mark_scheduled() {
        let due = (Instant::now(), Arc::clone(link));
        let mut state = lock();
        state.due.push_front(due);
        state.run(|_| true);
    }
}

/// A connection has ended. After many, free memory is given back.
pub fn note_end() {
    let mut state = lock();
    if state.trimming.note_end(Instant::now()) {
        state.run(|_| true);
    }
}

fn start() -> io::Result<Flusher> {
    let (interrupter, interrupts) = UnixStream::pair()?;
    interrupter.set_nonblocking(true)?;
    interrupts.set_nonblocking(true)?;
    let handle = spawn(Builder::new().name("ws-flusher".into()), move || {
        run(&interrupts);
    })?;
    Ok(Flusher {
        handle,
        interrupter,
    })
}

/// Nothing is flushed from here any more. Only sets a flag, so that a signal handler may call it.
pub fn disable() {
    IS_STOPPING.store(true, Ordering::SeqCst);
}

/// Ends the thread and waits for it.
pub fn stop() {
    disable();
    let thread = {
        let mut state = lock();
        state.interrupt();
        state.due.clear();
        state.thread.take()
    };
    if let Some(Flusher { handle, .. }) = thread {
        // It only fails if the thread panicked, and then it has ended too.
        let _ = handle.join();
    }
}

/// A connection whose client takes no more for now.
struct Waiting {
    link: Arc<Link>,
    descriptor: Arc<OwnedFd>,
    retry: Retry,
}

fn run(interrupts: &UnixStream) {
    let mut waiting = Vec::new();
    while !IS_STOPPING.load(Ordering::SeqCst) {
        if lock().trimming.begin(Instant::now()) {
            give_back_free_memory();
        }
        while let Some(link) = next_due() {
            if let Some(retry) = flush(&link, Link::flush_scheduled) {
                wait_for(link, retry, &mut waiting);
            }
        }
        // A session whose callback has returned waits for its client itself.
        waiting.retain(|waiting: &Waiting| waiting.link.is_in_turn());
        let writable = wait(interrupts, &waiting);
        let (ready, rest): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .zip(writable)
            .partition(|(_, is_writable)| *is_writable);
        waiting = rest.into_iter().map(|(waiting, _)| waiting).collect();
        for (Waiting { link, .. }, _) in ready {
            if let Some(retry) = flush(&link, Link::flush_in_turn) {
                wait_for(link, retry, &mut waiting);
            }
        }
    }
}

/// Writes what `link` has to send. If that panics, the connection is given up, and the others are served.
fn flush(link: &Arc<Link>, write: impl FnOnce(&Link) -> Option<Retry>) -> Option<Retry> {
    let written = guard("the flusher", Err(()), || Ok(write(link)));
    written.unwrap_or_else(|()| {
        guard("the flusher", (), || {
            link.fail(io::Error::other("a panic in the flusher"));
        });
        None
    })
}

fn next_due() -> Option<Arc<Link>> {
    let mut state = lock();
    let (due, _) = state.due.front()?;
    if *due > Instant::now() {
        return None;
    }
    state.due.pop_front().map(|(_, link)| link)
}

/// Waits for a client whose connection's own thread is busy: it is put on the list, once however often
/// it is flushed.
fn wait_for(link: Arc<Link>, retry: Retry, waiting: &mut Vec<Waiting>) {
    if waiting.iter().any(|other| Arc::ptr_eq(&other.link, &link)) {
        return;
    }
    if let Some(descriptor) = link.descriptor() {
        waiting.push(Waiting {
            link,
            descriptor,
            retry,
        });
    }
}

/// Waits until something is due, a client takes more or somebody interrupts. Tells which clients do.
fn wait(interrupts: &UnixStream, waiting: &[Waiting]) -> Vec<bool> {
    let due = {
        let state = lock();
        let output = state.due.front().map(|(due, _)| *due);
        output.into_iter().chain(state.trimming.due()).min()
    };
    let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
    // No client is waited for longer than its session would want: see whether it is still needed.
    let limit = (!waiting.is_empty()).then_some(RECHECK);
    let now = Instant::now();
    let retries = waiting.iter().filter_map(|waiting| waiting.retry);
    let retry = retries.min().map(|at| at.saturating_duration_since(now));
    let timeout = [timeout, limit, retry].into_iter().flatten().min();
    let timeout = timeout.and_then(|left| Timespec::try_from(left).ok());
    let mut waited_for = vec![PollFd::new(interrupts, PollFlags::IN)];
    waited_for.extend(
        waiting
            .iter()
            .map(|w| PollFd::new(&w.descriptor, PollFlags::OUT)),
    );
    // An interrupted wait is just taken up again.
    let _ = poll(&mut waited_for, timeout.as_ref());
    // Nothing to read, if nobody interrupted.
    let _ = (&*interrupts).read(&mut [0; 64]);
    let now = Instant::now();
    waited_for[1..]
        .iter()
        .zip(waiting)
        .map(|(polled, waiting)| {
            !polled.revents().is_empty() || waiting.retry.is_some_and(|at| at <= now)
        })
        .collect()
}

impl State {
    /// Sees to it that the thread does what has become due, interrupted if it would wait for too long.
    fn run(&mut self, is_interrupted: impl FnOnce(&Self) -> bool) {
        if IS_STOPPING.load(Ordering::SeqCst) {
            // A thread that began now would be there when the module's code is not.
            self.due.clear();
        } else if self.thread.is_none() {
            // Without a thread the output still goes out at the end of the turn.
            self.thread = start().ok();
        } else if is_interrupted(self) {
            self.interrupt();
        }
    }

    fn interrupt(&self) {
        if let Some(thread) = &self.thread {
            // It only fails when there are interrupts in it already.
            let _ = (&thread.interrupter).write(&[1]);
        }
    }
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
