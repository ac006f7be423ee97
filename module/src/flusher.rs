//! Writes the output of a connection while one of its callbacks takes long, where a thread drives
//! the connection. (An event loop needs no such help: another thread takes it over.)
//!
//! A session holds back what the callbacks of one read send, and writes it at once. A callback may
//! block after it has sent something, even for ever. So this module has one thread. After [`DELAY`]
//! it writes output that is still held back, and waits for the client if necessary. It does the
//! same for senders that wait for room in a full queue.
//!
//! The thread is idle most of the time. So it also returns free memory to the system when many
//! connections have ended, and closes connections when clients hold too much memory.

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
use crate::output::{Output, Progress, Retry};
use crate::protocol::OutputState;
use crate::trimming::Trimming;

/// How long output is held back, at most.
pub const DELAY: Duration = Duration::from_millis(5);

/// How often to check whether a client still has to be waited for.
const RECHECK: Duration = Duration::from_secs(1);

/// The shortest time between two reliefs. Connections need some time to give up their memory.
const RELIEF_INTERVAL: Duration = Duration::from_millis(50);

static STATE: Mutex<State> = Mutex::new(State {
    due: VecDeque::new(),
    trimming: Trimming::NONE,
    relief: None,
    last_relief: None,
    thread: None,
});

/// Set when the child process exits, and never cleared.
static IS_STOPPING: AtomicBool = AtomicBool::new(false);

struct State {
    /// Connections whose output is held back, and until when. The earliest comes first.
    due: VecDeque<(Instant, Arc<Output>)>,
    trimming: Trimming,
    /// The function that has connections give up memory, and when to run it.
    relief: Option<(Instant, fn())>,
    last_relief: Option<Instant>,
    thread: Option<Flusher>,
}

struct Flusher {
    handle: JoinHandle<()>,
    /// A byte in it ends the thread's wait.
    interrupter: UnixStream,
}

/// Starts the thread now, so that its first user does not have to wait for the start.
pub fn prepare() {
    lock().run(|_| false);
}

/// Schedules `output` to be written by the thread after [`DELAY`], unless it is scheduled already.
pub fn schedule(output: &Arc<Output>) {
    if output.mark_scheduled() {
        let due = (Instant::now() + DELAY, Arc::clone(output));
        let mut state = lock();
        state.due.push_back(due);
        state.run(|state| state.due.len() == 1);
    }
}

/// Schedules `output` to be written by the thread at once, and again whenever the client takes
/// more, for as long as the output needs help. Returns whether the thread exists.
#[must_use]
pub fn hurry(output: &Arc<Output>) -> bool {
    output.mark_scheduled();
    let due = (Instant::now(), Arc::clone(output));
    let mut state = lock();
    state.due.push_front(due);
    state.run(|_| true);
    state.thread.is_some()
}

/// Counts a connection that has ended. After many, the thread returns free memory to the system.
pub fn note_end() {
    let mut state = lock();
    if state.trimming.note_end(Instant::now()) {
        state.run(|_| true);
    }
}

/// Asks the thread to return free memory to the system, because a connection has freed much.
pub fn note_release() {
    let mut state = lock();
    state.trimming.schedule(Instant::now());
    state.run(|_| true);
}

/// Asks the thread to run `relief` soon, which makes connections give up memory. A second later the
/// thread returns that memory to the system.
pub fn run_soon(relief: fn()) {
    let now = Instant::now();
    let mut state = lock();
    if state.relief.is_none() {
        let earliest = state.last_relief.map(|last| last + RELIEF_INTERVAL);
        state.relief = Some((earliest.map_or(now, |earliest| earliest.max(now)), relief));
        state.run(|_| true);
    }
}

fn take_relief() -> Option<fn()> {
    let now = Instant::now();
    let mut state = lock();
    let (_, relief) = state.relief.take_if(|(due, _)| *due <= now)?;
    state.last_relief = Some(now);
    state.trimming.schedule(now);
    Some(relief)
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

/// Stops all flushing. Only sets a flag, so a signal handler may call it.
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
        // `join` fails only if the thread panicked, and then it has ended too.
        let _ = handle.join();
    }
}

/// A connection whose client takes no more for now.
struct Waiting {
    output: Arc<Output>,
    descriptor: Arc<OwnedFd>,
    retry: Retry,
}

fn run(interrupts: &UnixStream) {
    let mut waiting = Vec::new();
    while !IS_STOPPING.load(Ordering::SeqCst) {
        if lock().trimming.begin(Instant::now()) {
            give_back_free_memory();
        }
        if let Some(relief) = take_relief() {
            guard("the relief of memory", (), relief);
        }
        while let Some(output) = next_due() {
            output.begin_help();
            write(output, &mut waiting);
        }
        // A session that runs no callback waits for its client itself.
        waiting.retain(|waiting: &Waiting| waiting.output.needs_help());
        let writable = wait(interrupts, &waiting);
        let (ready, rest): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .zip(writable)
            .partition(|(_, is_writable)| *is_writable);
        waiting = rest.into_iter().map(|(waiting, _)| waiting).collect();
        for (Waiting { output, .. }, _) in ready {
            write(output, &mut waiting);
        }
    }
}

/// Writes what waits in `output`. If the client does not take it all and the session cannot wait
/// for the client, the output goes into `waiting`. A panic costs only this connection.
fn write(output: Arc<Output>, waiting: &mut Vec<Waiting>) {
    let written = guard("the flusher", None, || Some(output.write_for_session()));
    let retry = match written {
        Some(Progress::At(OutputState::Pending { retry, .. })) => retry,
        Some(_) => return,
        None => {
            guard("the flusher", (), || {
                output.fail(io::Error::other("a panic in the flusher"));
            });
            return;
        }
    };
    let is_on_list = waiting
        .iter()
        .any(|other| Arc::ptr_eq(&other.output, &output));
    if is_on_list || !output.needs_help() {
        return;
    }
    if let Some(descriptor) = output.descriptor() {
        waiting.push(Waiting {
            output,
            descriptor,
            retry,
        });
    }
}

fn next_due() -> Option<Arc<Output>> {
    let mut state = lock();
    let (due, _) = state.due.front()?;
    if *due > Instant::now() {
        return None;
    }
    state.due.pop_front().map(|(_, output)| output)
}

/// Waits until something is due, a client takes more or another thread interrupts. Returns for each
/// client whether to write to it.
fn wait(interrupts: &UnixStream, waiting: &[Waiting]) -> Vec<bool> {
    let due = {
        let state = lock();
        let output = state.due.front().map(|(due, _)| *due);
        let relief = state.relief.map(|(due, _)| due);
        let due = output.into_iter().chain(relief);
        due.chain(state.trimming.due()).min()
    };
    let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
    // Wakes up to check whether each session still needs help: it waits for its client itself when
    // its callback returns.
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
    // If a signal ends the wait, the caller waits again.
    let _ = poll(&mut waited_for, timeout.as_ref());
    // There is nothing to read if no thread interrupted.
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
    /// Makes sure that the thread handles what has become due. Interrupts it if `is_interrupted`
    /// says that it would otherwise wait too long.
    fn run(&mut self, is_interrupted: impl FnOnce(&Self) -> bool) {
        if IS_STOPPING.load(Ordering::SeqCst) {
            // A new thread could still run when the module's code has been unloaded.
            self.due.clear();
        } else if self.thread.is_none() {
            // If the thread cannot start, the session still writes the output at the end of its
            // turn.
            self.thread = start().ok();
        } else if is_interrupted(self) {
            self.interrupt();
        }
    }

    fn interrupt(&self) {
        if let Some(thread) = &self.thread {
            // It fails only when the socket is full, and then an interrupt is pending.
            let _ = (&thread.interrupter).write(&[1]);
        }
    }
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
