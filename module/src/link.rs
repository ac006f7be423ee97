//! What any thread may do with a connection: send a message, close it, write what waits.
//!
//! Two locks, taken in this order and never held over a callback or a wait: `writer` for the stream, and
//! `outbox` for the queue. (That of a [`Compression`] with context comes before both.) A sender therefore never waits for the connection's own thread, only for
//! another's non-blocking system call, or for the client when the queue is full.

mod writer;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use websocket_plugin::CloseCode;

use crate::compression::Compression;
use crate::flusher;
use crate::httpd::transport::Transport;
use crate::outbox::{Closed, Frame, Outbox};
use crate::protocol::{ClosePayload, Opcode};
use writer::Writer;

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

/// Makes the thread or loop that drives a connection take its next turn.
pub trait Wake: Send + Sync {
    /// May be called from any thread, any number of times.
    fn wake(self: Arc<Self>);
}

/// Who serves a connection while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A thread of the MPM.
    Mpm,
    /// A thread of mod_http2.
    Http2,
    /// A loop of the reactor.
    Loop,
    /// The same, and httpd knows nothing of the connection any more.
    Detached,
}

/// How far the output of a connection has got.
#[derive(Debug)]
pub enum Output {
    /// Everything is written.
    Drained,
    /// The client takes no more for now.
    Pending {
        /// Nor has it since then.
        since: Instant,
        /// When to try again; `None`: when the connection's descriptor becomes writable.
        retry: Option<Instant>,
    },
    /// The connection is lost.
    Broken(io::Error),
}

/// One connection, shared by its session and everybody who sends.
pub struct Link {
    outbox: Mutex<Outbox>,
    writer: Mutex<Writer>,
    /// There if messages may be compressed.
    compression: Option<Box<Compression>>,
    waker: Arc<dyn Wake>,
    holder: Holder,
    timeout: Duration,
    is_leaving: AtomicBool,
    is_in_turn: AtomicBool,
    /// The client took less than there was when it was last tried.
    is_pending: AtomicBool,
    /// The flusher has the connection on its list.
    pub(crate) is_scheduled: AtomicBool,
}

impl Link {
    /// A connection whose 101 response is still to be sent. Messages wait until [`open`](Self::open).
    ///
    /// `timeout` is how long a client may go without taking any output (httpd's `Timeout`).
    /// `compression` is there if the client can inflate messages.
    #[must_use]
    pub fn new(
        timeout: Duration,
        waker: Arc<dyn Wake>,
        holder: Holder,
        compression: Option<Compression>,
    ) -> Arc<Self> {
        Arc::new(Self {
            outbox: Mutex::default(),
            writer: Mutex::default(),
            compression: compression.map(Box::new),
            waker,
            holder,
            timeout,
            is_leaving: AtomicBool::new(false),
            is_in_turn: AtomicBool::new(false),
            is_pending: AtomicBool::new(false),
            is_scheduled: AtomicBool::new(false),
        })
    }

    /// The 101 response is on its way: messages may follow.
    pub fn open(&self, stream: Transport) {
        self.writer().stream = Some(stream);
    }

    /// How long the client may go without taking any output.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Queues a frame and sees to it that it is written: at once, or, from one of the connection's own
    /// callbacks, together with what else the messages of one read bring about.
    ///
    /// When the queue is full, waits until the client has made room, at most for the timeout; then the
    /// connection is given up.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the connection is closing or gone.
    pub fn send(
        self: &Arc<Self>,
        opcode: Opcode,
        payload: &[u8],
        caller: Caller,
    ) -> Result<(), Closed> {
        if !self.accept(opcode, payload)? {
            self.accept_later(opcode, payload)?;
        }
        if caller == Caller::Callback {
            flusher::schedule(self);
        } else if !matches!(self.settle(), Output::Drained) {
            // The session waits for the client, unless a callback keeps it from that.
            self.wake();
            flusher::schedule(self);
        } else if opcode == Opcode::Close {
            self.wake();
        }
        Ok(())
    }

    fn accept_later(&self, opcode: Opcode, payload: &[u8]) -> Result<(), Closed> {
        let deadline = Instant::now() + self.timeout;
        loop {
            self.wait_for_room(deadline)?;
            if self.accept(opcode, payload)? {
                return Ok(());
            }
        }
    }

    /// Compresses a message where that was agreed on, and writes or queues it unless the queue is
    /// full.
    fn accept(&self, opcode: Opcode, payload: &[u8]) -> Result<bool, Closed> {
        match &self.compression {
            Some(compression) if compression.concerns(opcode, payload) => {
                self.accept_compressed(compression, opcode, payload)
            }
            _ => self.accept_frame(Frame::plain(opcode, payload)),
        }
    }

    fn accept_compressed(
        &self,
        compression: &Compression,
        opcode: Opcode,
        message: &[u8],
    ) -> Result<bool, Closed> {
        if !self.takes_messages()? {
            return Ok(false);
        }
        compression.compress(message, |compressed| {
            self.accept_frame(Frame {
                opcode,
                payload: compressed.unwrap_or(message),
                is_compressed: compressed.is_some(),
            })
        })
    }

    fn accept_frame(&self, frame: Frame<'_>) -> Result<bool, Closed> {
        if frame.payload.len() >= MIN_DIRECT_WRITE && self.write_directly(frame)? {
            return Ok(true);
        }
        self.push(frame)
    }

    fn write_directly(&self, frame: Frame<'_>) -> Result<bool, Closed> {
        self.writer().write_directly(&self.outbox, frame)
    }

    fn takes_messages(&self) -> Result<bool, Closed> {
        self.outbox().takes_messages()
    }

    fn wake(&self) {
        Arc::clone(&self.waker).wake();
    }

    /// A statement of its own, so that the lock is released at its end.
    fn push(&self, frame: Frame<'_>) -> Result<bool, Closed> {
        self.outbox().push(frame)
    }

    /// Queues the answer to a frame; the session writes it at the end of its turn.
    pub fn answer(&self, opcode: Opcode, payload: &[u8]) {
        // A connection that is closing needs no answer; a full queue means that the client does not
        // read, and it may miss the pong.
        let _ = self.push(Frame::plain(opcode, payload));
    }

    fn wait_for_room(&self, deadline: Instant) -> Result<(), Closed> {
        let gone = self.outbox().gone()?;
        // Before the 101 response nothing can drain; without a descriptor nobody can wait.
        let descriptor = self.descriptor().ok_or(Closed)?;
        loop {
            let output = self.flush();
            if self.outbox().has_room() {
                return Ok(());
            }
            let retry = match output {
                Output::Pending { retry, .. } => retry,
                // Others have filled the queue again meanwhile.
                Output::Drained => continue,
                Output::Broken(_) => return Err(Closed),
            };
            let now = Instant::now();
            let Some(left) = deadline.checked_duration_since(now) else {
                self.fail(io::ErrorKind::TimedOut.into());
                return Err(Closed);
            };
            let left = retry.map_or(left, |retry| retry.saturating_duration_since(now).min(left));
            let mut waited_for = [
                PollFd::new(&descriptor, PollFlags::OUT),
                PollFd::new(&gone, PollFlags::IN),
            ];
            // An interrupted wait is just taken up again.
            let _ = poll(&mut waited_for, Timespec::try_from(left).ok().as_ref());
            if !waited_for[1].revents().is_empty() {
                return Err(Closed);
            }
        }
    }

    /// Reads what the client sent, without waiting: how many bytes, and whether there may be more.
    ///
    /// # Errors
    ///
    /// As [`Transport::read`].
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        let mut writer = self.writer();
        let stream = writer.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let read = stream.read(buffer)?;
        Ok((
            read,
            !stream.is_emptied_by_short_reads() || read == buffer.len(),
        ))
    }

    /// The client has closed its side: the next turn reads on until it finds that out.
    pub fn find_end(&self) {
        if let Some(stream) = &mut self.writer().stream {
            stream.find_end();
        }
    }

    /// Writes what waits, as far as the client takes it.
    pub fn flush(&self) -> Output {
        self.write(|_| ())
    }

    /// The same before the connection may be idle: frees memory that it then does not need.
    pub fn settle(&self) -> Output {
        self.write(Writer::release)
    }

    fn write(&self, afterwards: impl FnOnce(&mut Writer)) -> Output {
        let mut writer = self.writer();
        if let Some(failure) = &writer.failure {
            return Output::Broken(copy(failure));
        }
        let result = writer.write_all(&self.outbox);
        afterwards(&mut writer);
        self.is_pending
            .store(matches!(result, Ok(false)), Ordering::Release);
        match result {
            Ok(true) => Output::Drained,
            Ok(false) => writer.pending(),
            Err(error) => {
                drop(writer);
                self.fail(copy(&error));
                Output::Broken(error)
            }
        }
    }

    /// Gives the connection up: nothing is sent any more, and the session ends with this error.
    pub fn fail(&self, error: io::Error) {
        let mut writer = self.writer();
        writer.failure.get_or_insert(error);
        if let Some(stream) = &mut writer.stream {
            stream.abort();
        }
        self.outbox().discard();
        drop(writer);
        self.wake();
    }

    /// Tells the client that the server goes away, and the session not to wait for it for long.
    pub fn go_away(self: &Arc<Self>) {
        self.is_leaving.store(true, Ordering::Release);
        // Closed already: the session only has to hurry.
        let goodbye = ClosePayload::new(CloseCode::GOING_AWAY, "");
        let _ = self.send(Opcode::Close, &goodbye, Caller::Other);
        self.wake();
    }

    /// Who serves the connection.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// Whether [`go_away`](Self::go_away) was called.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire)
    }

    /// Whether a close frame was sent or waits to be.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.outbox().has_close()
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.outbox().waiting()
    }

    /// Accepts nothing more for sending; what was accepted is still written.
    pub fn seal(&self) {
        self.outbox().seal();
    }

    /// Ends the connection for all who share it and gives its stream back to httpd. `Sender`s that
    /// are under way or come later get [`Closed`].
    pub fn shut(&self) {
        let mut writer = self.writer();
        self.outbox().discard();
        *writer = Writer::shut();
    }

    /// Runs callbacks: what they send is written together.
    pub fn in_turn<T>(self: &Arc<Self>, body: impl FnOnce() -> T) -> T {
        struct Turn<'a>(&'a Link);
        impl Drop for Turn<'_> {
            fn drop(&mut self) {
                self.0.is_in_turn.store(false, Ordering::Release);
            }
        }
        let _turn = Turn(self);
        self.is_in_turn.store(true, Ordering::Release);
        if self.is_pending.load(Ordering::Acquire) {
            flusher::schedule(self);
        }
        body()
    }

    /// Whether a callback is running, or about to.
    #[must_use]
    pub fn is_in_turn(&self) -> bool {
        self.is_in_turn.load(Ordering::Acquire)
    }

    /// A descriptor to wait on, if the connection is open.
    #[must_use]
    pub fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        self.writer()
            .stream
            .as_ref()
            .and_then(|stream| stream.descriptor().ok())
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same error once more; system errors keep their code.
fn copy(error: &io::Error) -> io::Error {
    let code = error.raw_os_error();
    code.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
