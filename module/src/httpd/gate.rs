//! Keeps other threads away from a connection's memory while a child process frees it.
//!
//! An MPM without threads (prefork) ends a child in a signal handler, which destroys the pool of
//! the connection (prefork.c, `just_die`). Threads of a plugin, and our own, may write to the
//! connection at that moment. With plain sockets they use no memory of httpd, but its filters lie
//! in that pool.
//!
//! The signal handler may have interrupted any code. So the gate has no lock, and closing it uses
//! nothing but system calls.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// How long the child waits for threads that use the memory. None of them waits for a client.
const PATIENCE: Duration = Duration::from_secs(1);

/// The time between two looks at [`USERS`].
const PAUSE: Duration = Duration::from_millis(1);

/// Not set where the MPM has threads: there it destroys a connection only when its session has
/// ended.
static IS_ARMED: AtomicBool = AtomicBool::new(false);

/// How many other threads use the memory of a connection.
static USERS: AtomicUsize = AtomicUsize::new(0);

static IS_CLOSED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Set in the main thread, which destroys the memory.
    static IS_DESTROYER: Cell<bool> = const { Cell::new(false) };
}

/// The memory of the connection stays while this value lives.
pub struct Entered {
    is_counted: bool,
}

/// Called in a child of an MPM without threads, by its main thread.
pub fn arm() {
    IS_DESTROYER.set(true);
    IS_ARMED.store(true, Ordering::Relaxed);
}

/// Called before the memory of a connection is used, by any thread.
///
/// # Errors
///
/// [`io::ErrorKind::NotConnected`] when the memory is about to be freed.
pub fn enter() -> io::Result<Entered> {
    let is_counted = IS_ARMED.load(Ordering::Relaxed) && !IS_DESTROYER.get();
    if is_counted {
        // The count comes before the look at the gate, and in `close` it is the other way round: so
        // one of both sees the other.
        USERS.fetch_add(1, Ordering::SeqCst);
    }
    let entered = Entered { is_counted };
    if is_counted && IS_CLOSED.load(Ordering::SeqCst) {
        return Err(io::ErrorKind::NotConnected.into());
    }
    Ok(entered)
}

/// Lets no thread in from now on, and waits for those that are in. Returns whether none is left.
/// Called by the main thread in the signal handler that ends the child.
#[must_use]
pub fn close() -> bool {
    IS_CLOSED.store(true, Ordering::SeqCst);
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        if USERS.load(Ordering::SeqCst) == 0 {
            return true;
        }
        thread::sleep(PAUSE);
    }
    false
}

impl Drop for Entered {
    fn drop(&mut self) {
        if self.is_counted {
            USERS.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
