//! The Tokio runtime of a plugin.

use super::exit;
use super::finishing::Finishing;
use super::late::Late;
use super::leave::Leave;
use super::told::Told;
use std::future::Future;
use std::io;
use std::mem::{self, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;
use tokio::runtime::{self, Builder, Handle};

/// How long the threads of a runtime are waited for when it ends.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// The runtime of a plugin, from its first client until its last `destroy`.
pub struct Runtime {
    /// `None`: the default.
    workers: Option<usize>,
    /// The connections that have ended, and still have callbacks on it.
    pub(super) late: Late,
    /// Those of them whose clients have closed them, and whose messages are still handled.
    pub(super) finishing: Finishing,
    /// The leave of handshakes.
    pub(super) handshakes: Leave,
    /// That no client can connect.
    pub(super) told: Told,
    state: Mutex<State>,
}

enum State {
    /// It starts when somebody needs it.
    Due,
    Started(Started),
    /// The process is about to end: it is not started any more.
    Over,
}

struct Started {
    runtime: runtime::Runtime,
    /// The number of its threads, workers and others.
    threads: Arc<AtomicUsize>,
}

impl Runtime {
    /// A runtime with so many worker threads, which is not started yet.
    #[must_use]
    pub const fn new(workers: Option<usize>) -> Self {
        Self {
            workers,
            late: Late::new(),
            finishing: Finishing::new(),
            handshakes: Leave::new(),
            told: Told::new(),
            state: Mutex::new(State::Due),
        }
    }

    /// The runtime, which is started if it is not yet. If the process ends before the runtime,
    /// `end` is called.
    ///
    /// # Errors
    ///
    /// The process can have no more threads or descriptors, or is about to end.
    pub(super) fn handle(&self, name: &str, end: fn()) -> io::Result<Handle> {
        let mut state = self.state();
        match &*state {
            State::Started(started) => return Ok(started.runtime.handle().clone()),
            State::Over => return Err(io::Error::other("the process is about to end")),
            State::Due => {}
        }
        let new = Started::new(name, self.workers.unwrap_or_else(default_workers))?;
        exit::call(end);
        let handle = new.runtime.handle().clone();
        *state = State::Started(new);
        Ok(handle)
    }

    /// Ends the runtime, if it was started. What its tasks wait for is dropped. Returns the number
    /// of threads that did not end, because they block.
    pub(super) fn stop(&self) -> usize {
        let state = mem::replace(&mut *self.state(), State::Due);
        state.stop(PATIENCE)
    }

    /// Like [`stop`](Self::stop), but it is not started again.
    pub(super) fn end(&self, patience: Duration) -> usize {
        let state = mem::replace(&mut *self.state(), State::Over);
        state.stop(patience)
    }

    /// Whether it was [ended](Self::end).
    pub(super) fn is_over(&self) -> bool {
        matches!(*self.state(), State::Over)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn stop(self, patience: Duration) -> usize {
        let Self::Started(Started { runtime, threads }) = self else {
            return 0;
        };
        if Handle::try_current().is_ok() {
            // This is a thread of another runtime, in a test. Tokio does not let it wait here.
            let stopped = thread::spawn(move || runtime.shutdown_timeout(patience)).join();
            drop(stopped);
        } else {
            runtime.shutdown_timeout(patience);
        }
        threads.load(Ordering::Acquire)
    }
}

/// Little of what plugins do needs a processor of its own, and there are many children.
fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, |processors| processors.get().min(2))
}

impl Started {
    fn new(name: &str, workers: usize) -> io::Result<Self> {
        let threads = Arc::new(AtomicUsize::new(0));
        let (one_more, one_less) = (Arc::clone(&threads), Arc::clone(&threads));
        let build = move || {
            Builder::new_multi_thread()
                .worker_threads(workers)
                // The system cuts the names of threads after 15 bytes.
                .thread_name(format!("ws {name}"))
                .on_thread_start(move || {
                    // A thread that a callback has tokio start has the signals of its starter.
                    block_signals();
                    one_more.fetch_add(1, Ordering::AcqRel);
                })
                .on_thread_stop(move || {
                    one_less.fetch_sub(1, Ordering::AcqRel);
                })
                .enable_all()
                .build()
        };
        // Tokio panics if not even one thread can be started. With one it does without the others.
        let built = without_signals(|| catch_unwind(AssertUnwindSafe(build)));
        let no_thread = |_| Err(io::Error::other("the process can have no more threads"));
        let runtime = built.unwrap_or_else(no_thread)?;
        Ok(Self { runtime, threads })
    }
}

/// Waits for a future on this thread, within the runtime.
///
/// Unlike `Handle::block_on`, it may be called by a thread of another runtime, as in a test that
/// is itself `async`.
pub(super) fn block_on<F: Future>(handle: &Handle, future: F) -> F::Output {
    let _within = handle.enter();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Calls `start` with all signals blocked. The threads that it starts inherit that, so httpd's
/// handlers, which end the process, never run on them.
fn without_signals<R>(start: impl FnOnce() -> R) -> R {
    /// Unblocks the signals, also after a panic.
    struct Blocked(libc::sigset_t);

    impl Drop for Blocked {
        fn drop(&mut self) {
            // SAFETY: the set is one that `pthread_sigmask` has filled.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
        }
    }

    let _blocked = Blocked(block_signals());
    start()
}

/// Blocks all signals of this thread. Returns those that were blocked before.
fn block_signals() -> libc::sigset_t {
    let mut all = MaybeUninit::uninit();
    let mut old = MaybeUninit::uninit();
    // SAFETY: both sets are valid for the calls, which fill them: neither call can fail with these
    // arguments.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
        old.assume_init()
    }
}
