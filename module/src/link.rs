//! What any thread may do with a connection: send a message, close it, write what waits.
//!
//! How threads get along with each other is the matter of `outlet.rs`, which knows nothing of httpd.

mod framing;
mod gone;
mod outbox;
mod outlet;
mod patience;
mod watch;
mod writer;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use websocket_plugin::CloseCode;

use crate::compression::Compression;
use crate::flusher;
use crate::protocol::{ClosePayload, Opcode};
use crate::transport::Transport;
use framing::Framing;
use outlet::Outlet;
use patience::Patience;
use writer::Stream;

pub use outbox::Closed;
pub use outlet::{Caller, Retry, Wake};
pub use writer::Output;

/// A message is accepted while fewer bytes than this wait: 16 MiB.
const QUEUE_LIMIT: usize = 16 * 1024 * 1024;

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

/// One connection, shared by its session and everybody who sends.
pub struct Link {
    outlet: Outlet<Transport>,
    framing: Framing,
    holder: Holder,
    timeout: Option<Duration>,
    is_leaving: AtomicBool,
}

impl Link {
    /// A connection whose 101 response is still to be sent. Messages wait until [`open`](Self::open).
    ///
    /// `timeout` is how long a client may go without taking any output (httpd's `Timeout`); `None`: for
    /// ever.
    /// `compression` is there if the client can inflate messages.
    #[must_use]
    pub fn new(
        timeout: Option<Duration>,
        waker: Arc<dyn Wake>,
        holder: Holder,
        compression: Option<Compression>,
    ) -> Arc<Self> {
        Arc::new(Self {
            outlet: Outlet::new(QUEUE_LIMIT, waker),
            framing: Framing::new(compression),
            holder,
            timeout,
            is_leaving: AtomicBool::new(false),
        })
    }

    /// The 101 response is on its way: messages may follow.
    pub fn open(&self, stream: Transport) {
        self.outlet.open(stream);
    }

    /// How long the client may go without taking any output; `None`: for ever.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Queues a frame and sees to it that it is written: at once, or, from one of the connection's own
    /// callbacks, together with what else the messages of one read bring about.
    ///
    /// When the queue is full, waits until the client has made room. A client that takes nothing for as long
    /// as the timeout is given up.
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
        self.see_off(opcode, caller);
        Ok(())
    }

    /// As [`send`](Self::send), unless that would have to wait for the client. Returns whether the frame
    /// was accepted; if not, it is forgotten.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn try_send(
        self: &Arc<Self>,
        opcode: Opcode,
        payload: &[u8],
        caller: Caller,
    ) -> Result<bool, Closed> {
        let is_accepted = self.accept(opcode, payload)? || {
            // The client may take what is held back to the end of the turn.
            self.outlet.flush();
            self.accept(opcode, payload)?
        };
        if is_accepted {
            self.see_off(opcode, caller);
        }
        Ok(is_accepted)
    }

    fn see_off(self: &Arc<Self>, opcode: Opcode, caller: Caller) {
        if self.outlet.see_off(caller, opcode == Opcode::Close) {
            flusher::schedule(self);
        }
    }

    #[inline]
    fn accept(&self, opcode: Opcode, payload: &[u8]) -> Result<bool, Closed> {
        self.framing.accept(&self.outlet, opcode, payload)
    }

    #[cold]
    fn accept_later(&self, opcode: Opcode, payload: &[u8]) -> Result<(), Closed> {
        // Before the 101 response nothing can drain; without a descriptor nobody can wait.
        let patience = Patience::new(self.descriptor().ok_or(Closed)?, self.timeout);
        self.outlet.accept_later(
            || self.accept(opcode, payload),
            |gone, since, retry| patience.wait(gone, since, retry),
        )
    }

    /// Queues the answer to a frame; the session writes it at the end of its turn.
    pub fn answer(&self, opcode: Opcode, payload: &[u8]) {
        // A connection that is closing needs no answer; a full queue means that the client does not
        // read, and it may miss the pong.
        let _ = framing::plain(opcode, payload, |frame| self.outlet.push(frame));
    }

    /// Reads what the client sent, without waiting: how many bytes, and whether there may be more.
    ///
    /// # Errors
    ///
    /// As [`Transport::read`].
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        let read = self.outlet.with_stream(|stream| {
            let read = stream.read(buffer)?;
            let may_be_more = !stream.is_emptied_by_short_reads() || read == buffer.len();
            Ok((read, may_be_more))
        });
        read.unwrap_or(Err(io::ErrorKind::NotConnected.into()))
    }

    /// The client has closed its side: the next turn reads on until it finds that out.
    pub fn find_end(&self) {
        self.outlet.with_stream(Transport::find_end);
    }

    /// Writes what waits, as far as the client takes it.
    pub fn flush(&self) -> Output {
        self.outlet.flush()
    }

    /// The same before the connection may be idle: frees memory that it then does not need.
    pub fn settle(&self) -> Output {
        self.outlet.settle()
    }

    /// Gives the connection up: nothing is sent any more, and the session ends with this error.
    pub fn fail(&self, error: io::Error) {
        self.outlet.fail(error);
    }

    /// Tells the client that the server goes away, and the session not to wait for it for long.
    pub fn go_away(self: &Arc<Self>) {
        self.is_leaving.store(true, Ordering::Release);
        // Closed already: the session only has to hurry.
        let goodbye = ClosePayload::new(CloseCode::GOING_AWAY, "");
        let _ = self.send(Opcode::Close, &goodbye, Caller::Other);
        self.outlet.wake();
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
        self.outlet.has_close()
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.outlet.waiting()
    }

    /// Accepts nothing more for sending; what was accepted is still written.
    pub fn seal(&self) {
        self.outlet.seal();
    }

    /// Ends the connection for all who share it and gives its stream back to httpd. `Sender`s that
    /// are under way or come later get [`Closed`].
    pub fn shut(&self) {
        self.outlet.shut();
    }

    /// Runs callbacks: what they send is written together.
    pub fn in_turn<T>(self: &Arc<Self>, body: impl FnOnce() -> T) -> T {
        struct Turn<'a>(&'a Link);
        impl Drop for Turn<'_> {
            fn drop(&mut self) {
                self.0.outlet.watch.end_turn();
            }
        }
        let _turn = Turn(self);
        if self.outlet.watch.begin_turn() {
            flusher::schedule(self);
        }
        body()
    }

    /// A turn of the session begins. `is_watched` tells whether there is somebody who will call
    /// [`lose_sight`](Self::lose_sight) if it takes long, and has not done so yet.
    pub fn begin_watch(&self, is_watched: impl Fn() -> bool) {
        self.outlet.watch.begin_watch(is_watched);
    }

    /// The turn takes long and may not be watched any more: what its callbacks have sent is written, and
    /// what they will send is held back no longer than without anybody who watches.
    pub fn lose_sight(self: &Arc<Self>) {
        if self.outlet.watch.lose_sight() {
            flusher::hurry(self);
        }
    }

    /// Whether a callback is running, or about to.
    #[must_use]
    pub fn is_in_turn(&self) -> bool {
        self.outlet.watch.is_in_turn()
    }

    /// Whether the flusher still has to be told of the connection; afterwards it counts as told.
    pub(crate) fn mark_scheduled(&self) -> bool {
        self.outlet.watch.mark_scheduled()
    }

    /// For the flusher, that was told: as [`flush_in_turn`](Self::flush_in_turn).
    pub(crate) fn flush_scheduled(&self) -> Option<Retry> {
        self.outlet.flush_scheduled()
    }

    /// Writes what waits. If the client takes no more while a callback runs, the flusher has to wait for
    /// it, and this says how long.
    pub(crate) fn flush_in_turn(&self) -> Option<Retry> {
        self.outlet.flush_in_turn()
    }

    /// A descriptor to wait on, if the connection is open.
    #[must_use]
    pub fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        let descriptor = self.outlet.with_stream(|stream| stream.descriptor());
        descriptor.and_then(Result::ok)
    }
}

impl Stream for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn write_frame(&mut self, header: &[u8], payload: &[u8]) -> io::Result<usize> {
        self.write_frame(header, payload)
    }

    fn flush(&mut self) -> io::Result<bool> {
        self.flush()
    }

    fn has_progressed(&mut self) -> bool {
        self.has_progressed()
    }

    fn retry_interval(&self, pending: Duration) -> Option<Duration> {
        Self::retry_interval(self, pending)
    }

    fn abort(&mut self) {
        self.abort();
    }
}
