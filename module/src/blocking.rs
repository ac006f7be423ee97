//! Drives a session on the thread that the MPM or mod_http2 gave to its request. The thread waits
//! in `poll`.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::batch;
use crate::flusher;
use crate::output::{Caller, Home, Output, Wake};
use crate::plugin::ServerLease;
use crate::protocol::free_buffers;
use crate::session::{Next, Session};

/// Size of the read buffer, in bytes.
const BUFFER_SIZE: usize = 128 * 1024;

/// What a thread keeps for all connections it serves, one after the other.
pub struct Driver {
    /// One table for all connections of the thread: a plugin may keep its address if the process
    /// has only one thread.
    server: ServerLease,
    waker: Arc<Waker>,
    buffer: Vec<u8>,
}

/// A pair of sockets. A byte in it ends the thread's wait.
struct Waker {
    sender: UnixStream,
    receiver: UnixStream,
    is_awake: AtomicBool,
}

/// Drivers of threads that have ended, for new threads to reuse.
static SPARE: Mutex<Vec<Driver>> = Mutex::new(Vec::new());

/// Puts the driver into [`SPARE`] when its thread ends.
struct Owned(Option<Driver>);

thread_local! {
    static DRIVER: RefCell<Owned> = const { RefCell::new(Owned(None)) };
}

impl Driver {
    /// Runs `body` with this thread's driver.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left for a driver.
    pub fn with_current<T>(body: impl FnOnce(&mut Self) -> T) -> std::io::Result<T> {
        DRIVER.with_borrow_mut(|owned| {
            if owned.0.is_none() {
                let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
                owned.0 = Some(spare.map_or_else(Self::new, Ok)?);
            }
            let driver = owned.0.as_mut().ok_or(std::io::ErrorKind::NotFound)?;
            Ok(body(driver))
        })
    }

    fn new() -> std::io::Result<Self> {
        let waker = Arc::new(Waker::new()?);
        Ok(Self {
            server: ServerLease::take(),
            waker,
            buffer: Vec::new(),
        })
    }

    /// The plugin's table for the connection that this thread serves.
    #[must_use]
    pub fn server(&self) -> ServerLease {
        self.server.lend()
    }

    /// The home of this thread's connections, and what wakes their sessions.
    #[must_use]
    pub fn home(&self) -> (Arc<dyn Home>, Arc<dyn Wake>) {
        let waker = &self.waker;
        (Arc::<Waker>::clone(waker), Arc::<Waker>::clone(waker))
    }

    /// Drives `session` until it ends. `descriptor` is its connection's.
    pub fn drive(&mut self, session: &mut Session, descriptor: &OwnedFd) {
        self.buffer.resize(BUFFER_SIZE, 0);
        loop {
            match session.turn(&mut self.buffer, Instant::now(), false) {
                Next::Wait {
                    read,
                    write,
                    deadline,
                } => {
                    let mut interest = PollFlags::empty();
                    interest.set(PollFlags::IN, read);
                    interest.set(PollFlags::OUT, write);
                    let left = deadline.map(|at| at.saturating_duration_since(session.ended()));
                    self.waker.wait(descriptor, interest, left);
                }
                Next::Again => {}
                Next::Ended => break,
            }
        }
        free_buffers();
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(driver) = self.0.take() {
            SPARE
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(driver);
        }
    }
}

impl Waker {
    fn new() -> std::io::Result<Self> {
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        Ok(Self {
            sender,
            receiver,
            is_awake: AtomicBool::new(false),
        })
    }

    /// Waits until the connection is ready, a thread calls [`Wake::wake`], or `limit` has passed.
    fn wait(&self, descriptor: &OwnedFd, interest: PollFlags, limit: Option<Duration>) {
        let timeout = limit.map(|limit| Timespec::try_from(limit).unwrap_or_default());
        let mut waited_for = [
            PollFd::new(&self.receiver, PollFlags::IN),
            PollFd::new(descriptor, interest),
        ];
        // With no interest, `poll` would still report a client that has hung up, and end the wait
        // at once.
        let count = if interest.is_empty() { 1 } else { 2 };
        // A signal may end the wait early. The session's next turn finds out what is ready.
        let _ = poll(&mut waited_for[..count], timeout.as_ref());
        if !waited_for[0].revents().is_empty() {
            // It holds one byte at most, because of `is_awake`.
            let _ = (&self.receiver).read(&mut [0; 8]);
            // A swap, not a store: the next turn must see what threads did before they found the
            // flag set.
            self.is_awake.swap(false, Ordering::SeqCst);
        }
    }

    /// Ends the thread's wait, or its next one if it is not waiting.
    fn ring(&self) {
        if !self.is_awake.swap(true, Ordering::SeqCst) {
            // It fails only when the socket is full, and then a byte is in it.
            let _ = (&self.sender).write(&[1]);
        }
    }
}

impl Wake for Waker {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

impl Home for Waker {
    fn write_soon(&self, output: &Arc<Output>, caller: Caller) -> bool {
        match caller {
            // The session writes at the end of its turn.
            Caller::Own => {}
            Caller::Callback => batch::put(output),
            Caller::Thread => return true,
        }
        // In case the callback takes long.
        flusher::schedule(output);
        false
    }

    fn help(&self, output: &Arc<Output>) {
        if !flusher::hurry(output) {
            self.ring();
        }
    }

    fn gathers(&self) -> bool {
        false
    }
}
