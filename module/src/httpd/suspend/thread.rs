//! Whether a thread of the MPM has gone on from a connection that it has handed over.
//!
//! After the last hook of a handover the thread writes to the connection twice more (event.c,
//! `notify_suspend`), and reports nothing then. But what it does later proves that it has gone on:
//! it takes its next connection, which runs one of two hooks, or it reports to the scoreboard that
//! it is ready for one.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::sys;

thread_local! {
    /// How many connections this thread has taken since its first handover. Each thread of the MPM
    /// has one counter, which lives as long as the process.
    static TAKEN: Cell<Option<&'static AtomicU64>> = const { Cell::new(None) };
}

/// Must be called by a thread of the MPM that takes a connection.
pub fn note_taken() {
    if let Some(taken) = TAKEN.get() {
        taken.fetch_add(1, Ordering::Release);
    }
}

/// The thread of the MPM that hands a connection over.
pub(super) struct MpmThread {
    taken: &'static AtomicU64,
    /// The value of `taken` when the thread handed the connection over.
    before: u64,
    /// The thread's place in the scoreboard; null if that proves nothing.
    worker: *mut sys::worker_score,
}

impl MpmThread {
    /// The current thread, which runs the hooks of a handover. `worker` is its place in the
    /// scoreboard, or null.
    ///
    /// # Safety
    ///
    /// `worker` is null or lives as long as the process.
    pub(super) unsafe fn current(worker: *mut sys::worker_score) -> Self {
        let taken = TAKEN.get().unwrap_or_else(|| {
            let taken: &'static AtomicU64 = Box::leak(Box::default());
            TAKEN.set(Some(taken));
            taken
        });
        let mut this = Self {
            taken,
            before: taken.load(Ordering::Relaxed),
            worker,
        };
        // A thread that serves a connection is not ready. If its place says so, the place is not up
        // to date and proves nothing.
        if this.is_ready() {
            this.worker = std::ptr::null_mut();
        }
        this
    }

    /// Whether the thread has gone on. If so, all it did with the connection happened before this
    /// call.
    pub(super) fn has_gone_on(&self) -> bool {
        self.taken.load(Ordering::Acquire) != self.before || self.is_ready()
    }

    /// Whether the thread reports that it is ready, as it does after each connection. Other reports
    /// prove nothing: when the child stops gracefully, the MPM has all threads report
    /// `SERVER_GRACEFUL`, whatever they are doing (event.c, `close_listeners`).
    fn is_ready(&self) -> bool {
        if self.worker.is_null() {
            return false;
        }
        // SAFETY: the scoreboard lives as long as the process (`current`). Threads in C write these
        // fields, each with one instruction. The lock of the queue of idle threads lies between a
        // thread's last use of a connection and its report, and the load orders what follows. A
        // thread of another process that gets the same place writes its process's number before it
        // reports.
        unsafe {
            let status = AtomicU8::from_ptr(&raw mut (*self.worker).status);
            let is_ready = i32::from(status.load(Ordering::Acquire)) == sys::SERVER_READY;
            let pid = (&raw const (*self.worker).pid).read_volatile();
            is_ready && pid == rustix::process::getpid().as_raw_nonzero().get()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MpmThread, note_taken, sys};
    use std::mem::MaybeUninit;
    use std::ptr::null_mut;

    fn status(number: i32) -> u8 {
        u8::try_from(number).unwrap()
    }

    fn worker() -> Box<sys::worker_score> {
        // SAFETY: a structure of numbers and pointers.
        let mut worker: Box<sys::worker_score> =
            Box::new(unsafe { MaybeUninit::zeroed().assume_init() });
        worker.pid = rustix::process::getpid().as_raw_nonzero().get();
        worker.status = status(sys::SERVER_BUSY_WRITE);
        worker
    }

    #[test]
    fn a_thread_that_takes_its_next_connection_has_gone_on() {
        note_taken();
        // SAFETY: null.
        let first = unsafe { MpmThread::current(null_mut()) };
        assert!(!first.has_gone_on());
        std::thread::spawn(note_taken).join().unwrap();
        assert!(!first.has_gone_on(), "that was another thread");
        note_taken();
        assert!(first.has_gone_on());
        // SAFETY: null.
        assert!(!unsafe { MpmThread::current(null_mut()) }.has_gone_on());
    }

    #[test]
    fn a_thread_that_newly_reports_ready_in_this_process_has_gone_on() {
        let mut score = worker();
        let place = &raw mut *score;
        // SAFETY: the score lives until the end of the test.
        let thread = unsafe { MpmThread::current(place) };
        for (number, tells) in [
            (sys::SERVER_BUSY_WRITE, false),
            (sys::SERVER_GRACEFUL, false),
            (sys::SERVER_DEAD, false),
            (sys::SERVER_READY, true),
        ] {
            // SAFETY: as above.
            unsafe { (*place).status = status(number) };
            assert_eq!(thread.has_gone_on(), tells, "{number}");
        }
        // SAFETY: as above.
        let late = unsafe { MpmThread::current(place) };
        assert!(!late.has_gone_on(), "it was ready all the time");
        // SAFETY: as above.
        unsafe { (*place).pid += 1 };
        assert!(!thread.has_gone_on(), "a thread of another process");
    }
}
