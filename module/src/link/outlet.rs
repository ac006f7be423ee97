//! The output of a connection: what is accepted, who writes it, and when nothing more is.
//!
//! Whoever sends a message sees to it that it gets out. Callbacks leave that to the end of their turn,
//! and to the flusher if that takes long. Everybody else writes what waits at once; if the client does
//! not take it all, the rest is for the session, or, while a callback keeps it from that, for the flusher.
//!
//! Two locks, taken in this order and never held over a callback or a wait: `writer` for the stream, and
//! `outbox` for the queue. What is done with the stream at a time is bounded. A sender therefore never waits
//! for the connection's own thread, only for others' non-blocking system calls, or for the client when the
//! queue is full.
//!
//! `module/models` tries how threads may interleave in here.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::gone::Gone;
use super::outbox::{Closed, Frame, Outbox};
use super::watch::Watch;
use super::writer::{self, Output, Stream, Writer, Written};
use crate::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Messages of so many bytes are written at once where that is possible, which saves a copy. Below, one
/// write for many messages saves more.
const MIN_DIRECT_WRITE: usize = 48 * 1024;

/// Who sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// One of the connection's own callbacks: what it sends is written at the end of the turn.
    Callback,
    /// Anybody else.
    Other,
}

/// When to try to write again; `None`: when the connection's descriptor becomes writable.
pub type Retry = Option<Instant>;

/// Makes the thread or loop that drives a connection take its next turn.
pub trait Wake: Send + Sync {
    /// May be called from any thread, any number of times.
    fn wake(self: Arc<Self>);
}

/// How a sender's wait for the client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// It is time to write again.
    Ready,
    /// Nothing more is accepted.
    Gone,
    /// The client has taken nothing for too long.
    TimedOut,
}

/// The output of one connection, shared by its session and everybody who sends.
pub(super) struct Outlet<S> {
    outbox: Mutex<Outbox>,
    writer: Mutex<Writer<S>>,
    /// Who finds the writer in use waits for it in here. So does the session before it reads, which it does
    /// again and again: without this it might take the lock anew before those who wait are awake.
    turnstile: Mutex<()>,
    waker: Arc<dyn Wake>,
    pub(super) watch: Watch,
}

impl<S: Stream> Outlet<S> {
    /// Without a stream yet. Messages are accepted while fewer than `limit` bytes wait.
    pub(super) fn new(limit: usize, waker: Arc<dyn Wake>) -> Self {
        Self {
            outbox: Mutex::new(Outbox::new(limit)),
            writer: Mutex::new(Writer::new()),
            turnstile: Mutex::new(()),
            waker,
            watch: Watch::new(),
        }
    }

    /// From now on there is something to write to. The session's next turn writes what waits.
    pub(super) fn open(&self, stream: S) {
        self.writer().stream = Some(stream);
    }

    /// Runs `body` with the stream, if it is there, when nobody else waits for it.
    pub(super) fn with_stream<T>(&self, body: impl FnOnce(&mut S) -> T) -> Option<T> {
        self.writer_in_turn().stream.as_mut().map(body)
    }

    /// Writes or queues a frame, unless the queue is full. Returns whether it was accepted; then
    /// [`see_off`](Self::see_off) has to follow.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the connection is closing or gone.
    pub(super) fn accept(&self, frame: Frame<'_>) -> Result<bool, Closed> {
        if frame.payload.len() >= MIN_DIRECT_WRITE && self.write_directly(frame)? {
            return Ok(true);
        }
        self.push(frame)
    }

    /// For a frame that found the queue full: tries again, with `accept`, whenever there is room. `wait`
    /// gets to know since when the client has taken nothing, and waits until it takes more or a moment has
    /// come to try again.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the connection is closing or gone, or is given up because the wait timed out.
    pub(super) fn accept_later(
        &self,
        accept: impl Fn() -> Result<bool, Closed>,
        wait: impl Fn(&Gone, Instant, Retry) -> Waited,
    ) -> Result<(), Closed> {
        // Before the first look: what seals the queue after it ends the wait.
        let gone = self.outbox().gone()?;
        loop {
            let output = self.flush();
            if self.takes_messages()? {
                if accept()? {
                    return Ok(());
                }
                // Others were faster.
                continue;
            }
            let (since, retry) = match output {
                Output::Pending { since, retry } => (since, retry),
                // Others have filled the queue again meanwhile.
                Output::Drained => continue,
                Output::Broken(_) => return Err(Closed),
            };
            match wait(&gone, since, retry) {
                Waited::Ready => {}
                Waited::Gone => return Err(Closed),
                Waited::TimedOut => {
                    self.fail(io::ErrorKind::TimedOut.into());
                    return Err(Closed);
                }
            }
        }
    }

    /// Sees to it that what was accepted gets written: at once, or, from one of the connection's own
    /// callbacks, together with what else the messages of one read bring about. Returns whether the
    /// flusher has to try too, a little later: not if somebody watches how long the callback takes.
    #[must_use]
    pub(super) fn see_off(&self, caller: Caller, is_close: bool) -> bool {
        if caller == Caller::Callback {
            return self.watch.is_unwatched();
        }
        match self.settle() {
            Output::Drained => {
                if is_close {
                    // The session waits for the answer.
                    self.wake();
                }
                false
            }
            Output::Pending { .. } => {
                // The session waits for the client, unless a callback keeps it from that.
                self.wake();
                true
            }
            // The session knows.
            Output::Broken(_) => false,
        }
    }

    /// Queues a frame that the session writes at the end of its turn. Returns whether there was room.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    pub(super) fn push(&self, frame: Frame<'_>) -> Result<bool, Closed> {
        let mut outbox = self.outbox();
        if outbox.takes_messages() == Ok(true) && !outbox.reserve(&frame) {
            drop(outbox);
            // Without the frame the client would miss something and not know.
            self.fail(io::ErrorKind::OutOfMemory.into());
            return Err(Closed);
        }
        outbox.push(frame)
    }

    fn write_directly(&self, frame: Frame<'_>) -> Result<bool, Closed> {
        let mut writer = self.writer();
        let accepted = writer.write_directly(&self.outbox, frame);
        let has_failed = accepted.is_err() && writer.failure().is_some();
        drop(writer);
        if has_failed {
            self.wake();
        }
        accepted
    }

    /// Writes what waits, as far as the client takes it.
    pub(super) fn flush(&self) -> Output {
        self.write(|_| ())
    }

    /// The same before the connection may be idle: frees memory that it then does not need.
    pub(super) fn settle(&self) -> Output {
        self.write(Writer::release)
    }

    /// For the flusher, that was told: as [`flush_in_turn`](Self::flush_in_turn).
    pub(super) fn flush_scheduled(&self) -> Option<Retry> {
        self.watch.mark_flushing();
        self.flush_in_turn()
    }

    /// Writes what waits. If the client takes no more while a callback runs, the flusher has to wait for
    /// it, and this says how long.
    pub(super) fn flush_in_turn(&self) -> Option<Retry> {
        match self.flush() {
            Output::Pending { retry, .. } if self.watch.is_in_turn() => Some(retry),
            // A session whose callback has returned waits for its client itself.
            _ => None,
        }
    }

    fn write(&self, afterwards: impl FnOnce(&mut Writer<S>)) -> Output {
        let (mut writer, result) = loop {
            let mut writer = self.writer();
            if let Some(failure) = writer.failure() {
                return Output::Broken(failure);
            }
            match writer.write_some(&self.outbox) {
                // Others may want to send or read meanwhile.
                Ok(Written::Enough) => {}
                Ok(Written::All) => break (writer, Ok(true)),
                Ok(Written::Taken) => break (writer, Ok(false)),
                Err(error) => break (writer, Err(error)),
            }
        };
        afterwards(&mut writer);
        self.watch.set_pending(matches!(result, Ok(false)));
        match result {
            Ok(true) => Output::Drained,
            Ok(false) => writer.pending(),
            Err(error) => {
                writer.fail(&self.outbox, writer::copy(&error));
                drop(writer);
                self.wake();
                Output::Broken(error)
            }
        }
    }

    /// Gives the connection up: nothing is sent any more, and the session ends with this error.
    pub(super) fn fail(&self, error: io::Error) {
        self.writer().fail(&self.outbox, error);
        self.wake();
    }

    /// Accepts nothing more; what was accepted is still written.
    pub(super) fn seal(&self) {
        self.outbox().seal();
    }

    /// Accepts nothing more, forgets what waits and gives the stream back.
    pub(super) fn shut(&self) {
        let mut writer = self.writer();
        self.outbox().discard();
        *writer = Writer::shut();
    }

    /// Has the session take a turn.
    pub(super) fn wake(&self) {
        Arc::clone(&self.waker).wake();
    }

    /// Whether a message would be accepted now.
    ///
    /// # Errors
    ///
    /// [`Closed`] if none will be again.
    pub(super) fn takes_messages(&self) -> Result<bool, Closed> {
        self.outbox().takes_messages()
    }

    /// Whether a close frame was accepted.
    pub(super) fn has_close(&self) -> bool {
        self.outbox().has_close()
    }

    /// Bytes accepted and not yet written.
    pub(super) fn waiting(&self) -> usize {
        self.outbox().waiting()
    }

    fn writer(&self) -> MutexGuard<'_, Writer<S>> {
        match self.writer.try_lock() {
            Ok(writer) => writer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => self.writer_in_turn(),
        }
    }

    /// The writer, after those who wait for it already.
    fn writer_in_turn(&self) -> MutexGuard<'_, Writer<S>> {
        let turn = self.turnstile.lock();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        drop(turn);
        writer
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        writer::lock(&self.outbox)
    }
}
