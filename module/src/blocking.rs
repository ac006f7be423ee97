//! Drives a session with the thread the MPM, or mod_http2, gave to its request, waiting with
//! `poll`.

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

/// How much is read at a time.
const BUFFER_SIZE: usize = 128 * 1024;

/// What a thread keeps for the connections it serves one after the other.
pub struct Driver {
    /// One for all connections of the thread: plugins that live in a process with one thread keep
    /// its address.
    server: ServerLease,
    waker: Arc<Waker>,
    buffer: Vec<u8>,
}

/// A pair of sockets: a byte in it ends the thread's wait.
struct Waker {
    sender: UnixStream,
    receiver: UnixStream,
    is_awake: AtomicBool,
}

/// The drivers of threads that have ended, for threads to come.
static SPARE: Mutex<Vec<Driver>> = Mutex::new(Vec::new());

/// Gives a driver back when its thread ends.
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

    /// The table for the connection this thread serves.
    #[must_use]
    pub fn server(&self) -> ServerLease {
        self.server.lend()
    }

    /// What drives the sessions of this thread, and wakes them.
    #[must_use]
    pub fn home(&self) -> (Arc<dyn Home>, Arc<dyn Wake>) {
        let waker = &self.waker;
        (Arc::<Waker>::clone(waker), Arc::<Waker>::clone(waker))
    }

    /// Drives `session`, whose connection has this descriptor, to its end.
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

    /// Waits until the connection is ready, someone calls [`Wake::wake`], or for as long as
    /// `limit`.
    fn wait(&self, descriptor: &OwnedFd, interest: PollFlags, limit: Option<Duration>) {
        let timeout = limit.map(|limit| Timespec::try_from(limit).unwrap_or_default());
        let mut waited_for = [
            PollFd::new(&self.receiver, PollFlags::IN),
            PollFd::new(descriptor, interest),
        ];
        // A client that has hung up would end the wait at once, although nobody reads from it.
        let count = if interest.is_empty() { 1 } else { 2 };
        // An interrupted wait is one that ended early: the session's next turn finds out.
        let _ = poll(&mut waited_for[..count], timeout.as_ref());
        if !waited_for[0].revents().is_empty() {
            // One byte at most is in it, because of `is_awake`.
            let _ = (&self.receiver).read(&mut [0; 8]);
            // Not just a store: the next turn has to see what those did who found it true.
            self.is_awake.swap(false, Ordering::SeqCst);
        }
    }

    /// Ends the wait of the thread, or the next one.
    fn ring(&self) {
        if !self.is_awake.swap(true, Ordering::SeqCst) {
            // It can only fail when a byte is in it already.
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
        // If the callback takes long.
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
