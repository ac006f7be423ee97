//! One connection's output: what its session and all who send share.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::caller::Caller;
use super::framing::Framing;
use super::policy::{QueuePolicy, SlowClient};
use super::queue::Queue;
use super::writer::{Shared, Writer};
use crate::meter::Meter;
use crate::protocol::{Closing, Outgoing, Traffic};
use crate::sync::{
    AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError, TryLockError,
};
use crate::transport::{Stream, Transport};

/// When to try to write again; `None`: when the connection's descriptor becomes writable.
pub type Retry = Option<Instant>;

/// What became of a message that was to be queued, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It is in the queue, and somebody is going to write it.
    Accepted,
    /// It is in the queue, and the connection's home is to be [told](Output::tell_home).
    Due,
    /// It is not: it takes more than that to send it.
    No,
}

/// What has a session take its turns.
pub trait Wake: Send + Sync {
    /// Has the session take a turn soon. May be called from any thread, any number of times.
    fn wake(self: Arc<Self>);
}

/// What drives a connection: a loop, or a thread that waits for this one connection.
pub trait Home<S = Transport>: Send + Sync {
    /// Something waits in `output`, sent by `caller`. Either the home has it written soon, or it
    /// returns `true`: then the caller writes it now.
    #[must_use]
    fn write_soon(&self, output: &Arc<Output<S>>, caller: Caller) -> bool;

    /// A sender is going to wait until the client takes something from `output`. The home sees to
    /// it that what waits is written then, even while a callback runs.
    fn help(&self, output: &Arc<Output<S>>);

    /// Whether the session writes, at the end of its turn, what its callbacks send, without being
    /// told.
    fn gathers(&self) -> bool;
}

/// The output of one connection, shared by its session and everybody who sends, and the stream it
/// goes to.
// What a sender needs comes first, as a message to many connections costs mainly the cache lines it
// touches.
#[repr(C)]
pub struct Output<S = Transport> {
    pub(super) framing: Framing,
    pub(super) home: Arc<dyn Home<S>>,
    pub(super) shared: Shared,
    writer: Mutex<Writer<S>>,
    /// Threads that wait for the writer, and the place where they do. A session that reads again
    /// and again lets them go first; it might take the lock anew before they are awake.
    waiting: AtomicUsize,
    turnstile: Mutex<()>,
    session: Arc<dyn Wake>,
    pub(super) timeout: Option<Duration>,
    pub(super) slow_client: SlowClient,
    pub(super) is_leaving: AtomicBool,
    /// What waited was forgotten.
    pub(super) is_cut: AtomicBool,
    /// The bytes that the session holds of an unfinished message, about.
    unfinished: AtomicUsize,
    /// The flusher has the connection on its list.
    pub(super) is_scheduled: AtomicBool,
}

impl<S: Stream> Output<S> {
    /// The output of a connection whose 101 response is still to be sent. Messages wait until
    /// [`open`](Self::open); `policy` says how many.
    ///
    /// `home` writes what is sent, `session` takes turns.
    ///
    /// `timeout` is how long a client may go without taking any output (httpd's `Timeout`); `None`:
    /// for ever.
    #[must_use]
    pub fn new(
        policy: QueuePolicy,
        timeout: Option<Duration>,
        home: Arc<dyn Home<S>>,
        session: Arc<dyn Wake>,
        framing: Framing,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Shared::new(Queue::new(policy.limit, home.gathers()), framing.meter()),
            framing,
            home,
            writer: Mutex::new(Writer::new()),
            waiting: AtomicUsize::new(0),
            turnstile: Mutex::new(()),
            session,
            timeout,
            slow_client: policy.slow_client,
            is_leaving: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            unfinished: AtomicUsize::new(0),
            is_scheduled: AtomicBool::new(false),
        })
    }

    /// The 101 response is on its way. The session's next turn writes what waits.
    pub fn open(&self, stream: S) {
        self.writer().stream = Some(stream);
        self.shared.queue().open();
        self.shared.room.notify_all();
    }

    /// How long the client may go without taking any output; `None`: for ever.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Where the connection counts.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.framing.meter()
    }

    /// Counts what was accepted for sending and is not counted yet.
    pub fn count_sent(&self) {
        self.shared.count_sent();
    }

    /// What was accepted for the client, and how the connection was closed, if it was.
    #[must_use]
    pub fn account(&self) -> (Traffic, Option<Closing>) {
        self.shared.queue().account()
    }

    /// Remembers how the connection was closed. The first to close it counts.
    pub fn note_closing(&self, closing: impl FnOnce() -> Closing) {
        self.shared.queue().note_closing(closing);
    }

    /// How many bytes there is room for until the queue is full.
    #[must_use]
    pub fn room(&self) -> usize {
        self.shared.queue().room()
    }

    /// How many bytes the client holds: of what is sent to it, and of what it sends.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.queue().held() + self.unfinished.load(Ordering::Relaxed)
    }

    /// The session holds about so many bytes of an unfinished message.
    pub fn set_unfinished(&self, bytes: usize) {
        self.unfinished.store(bytes, Ordering::Relaxed);
    }

    /// Reads what the client sent, without waiting: how many bytes, and whether there may be more.
    ///
    /// # Errors
    ///
    /// As [`Stream::read`].
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        let mut writer = self.writer_in_turn();
        let Some(stream) = writer.stream.as_mut() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let read = stream.read(buffer)?;
        let may_be_more = !stream.is_emptied_by_short_reads() || read == buffer.len();
        Ok((read, may_be_more))
    }

    /// The client has closed its side: the next turn reads on until it finds that out.
    pub fn find_end(&self) {
        self.with_stream(Stream::find_end);
    }

    /// A descriptor to wait on, if the connection is open.
    #[must_use]
    pub fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        let descriptor = self.with_stream(|stream| stream.descriptor());
        descriptor.and_then(Result::ok)
    }

    /// Runs `body` with the stream, if it is there.
    fn with_stream<T>(&self, body: impl FnOnce(&mut S) -> T) -> Option<T> {
        self.writer().stream.as_mut().map(body)
    }

    /// Has the session take a turn.
    pub(super) fn wake(&self) {
        Arc::clone(&self.session).wake();
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Writer<S>> {
        self.try_writer().unwrap_or_else(|| {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let turn = self.turnstile.lock();
            let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            drop(turn);
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            writer
        })
    }

    /// The writer, after those who wait for it.
    fn writer_in_turn(&self) -> MutexGuard<'_, Writer<S>> {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            drop(self.turnstile.lock());
        }
        self.writer()
    }

    /// The writer, if nobody uses it.
    pub(super) fn try_writer(&self) -> Option<MutexGuard<'_, Writer<S>>> {
        match self.writer.try_lock() {
            Ok(writer) => Some(writer),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl<S: Stream> Outgoing for Output<S> {
    fn messages_sent(&self) -> u64 {
        self.account().0.messages
    }

    fn bytes_taken(&self) -> Option<u64> {
        self.with_stream(|stream| stream.bytes_taken()).flatten()
    }
}
