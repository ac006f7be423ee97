//! One connection's output, which its session and all senders share.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::caller::Caller;
use super::composer::Composer;
use super::due::Due;
use super::framing::Framing;
use super::pause::Pause;
use super::policy::{QueuePolicy, SlowClient};
use super::queue::Queue;
use super::writer::{Shared, Writer};
use crate::meter::Meter;
use crate::protocol::{Closing, Outgoing, Traffic};
use crate::sync::{
    AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError, TryLockError,
};
use crate::transport::{Stream, Transport};

/// When to try to write again. `None` means when the connection's descriptor becomes writable.
pub type Retry = Option<Instant>;

/// What became of a message that [`Output::queue`] was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// The message is in the queue, and its writing is arranged.
    Accepted,
    /// The message is in the queue. The caller has to [tell](Output::tell_home) the connection's
    /// home.
    Due,
    /// The message is not in the queue: it has to be sent in another way.
    No,
}

/// Makes a session take turns.
pub trait Wake: Send + Sync {
    /// Makes the session take a turn soon. May be called from any thread, any number of times.
    fn wake(self: Arc<Self>);
}

/// What drives a connection: a loop, or a thread that waits for this one connection.
pub trait Home<S = Transport>: Send + Sync {
    /// Arranges that `output` is written soon, because `caller` has sent something. A return value
    /// of `true` means that the caller has to write now instead.
    #[must_use]
    fn write_soon(&self, output: &Arc<Output<S>>, caller: Caller) -> bool;

    /// Arranges that `output` is written when the client takes something, even while a callback
    /// runs. A sender is about to wait for that.
    fn help(&self, output: &Arc<Output<S>>);

    /// Whether the session writes at the end of its turn, without being told, what its callbacks
    /// send.
    fn gathers(&self) -> bool;
}

/// The output of one connection and the stream that it is written to. The session and all senders
/// share it.
// What a sender needs comes first: the cost of a message to many connections is mainly the cache
// lines that it touches.
#[repr(C)]
pub struct Output<S = Transport> {
    pub(super) framing: Framing,
    pub(super) home: Arc<dyn Home<S>>,
    pub(super) shared: Shared,
    writer: Mutex<Writer<S>>,
    /// The number of threads that wait for the writer. They queue up at the turnstile. A session
    /// that reads again and again lets them go first: otherwise it could retake the lock before
    /// they are awake.
    waiting: AtomicUsize,
    turnstile: Mutex<()>,
    session: Arc<dyn Wake>,
    pub(super) timeout: Option<Duration>,
    pub(super) slow_client: SlowClient,
    pub(super) is_leaving: AtomicBool,
    /// [`cut`](Self::cut) was called.
    pub(super) is_cut: AtomicBool,
    pub(super) pause: Pause,
    /// A callback is due that is not for a message.
    pub(super) due: Due,
    /// The message that a sender writes piece by piece.
    pub(super) composer: Composer,
    /// About how many bytes of an unfinished message the session holds.
    unfinished: AtomicUsize,
    /// The flusher has the connection on its list.
    pub(super) is_scheduled: AtomicBool,
}

impl<S: Stream> Output<S> {
    /// The output of a connection whose 101 response is still to be sent. Messages wait until
    /// [`open`](Self::open), as many as `policy` allows.
    ///
    /// `home` writes what is sent, and `session` takes turns.
    ///
    /// `timeout` is how long a client may go without taking any output (httpd's `Timeout`). `None`
    /// means for ever.
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
            pause: Pause::default(),
            due: Due::default(),
            composer: Composer::default(),
            unfinished: AtomicUsize::new(0),
            is_scheduled: AtomicBool::new(false),
        })
    }

    /// Says that the 101 response is on its way. The session's next turn writes what waits.
    pub fn open(&self, stream: S) {
        self.writer().stream = Some(stream);
        self.shared.queue().open();
        self.shared.room.notify_all();
    }

    /// How long the client may go without taking any output. `None` means for ever.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The counters that the connection adds to.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.framing.meter()
    }

    /// Adds to the counters what was accepted for sending since the last time.
    pub fn count_sent(&self) {
        self.shared.count_sent();
    }

    /// The messages and bytes accepted for the client, and how the connection was closed, if it
    /// was.
    #[must_use]
    pub fn account(&self) -> (Traffic, Option<Closing>) {
        self.shared.queue().account()
    }

    /// Remembers how the connection was closed. Only the first call counts.
    pub fn note_closing(&self, closing: impl FnOnce() -> Closing) {
        self.shared.queue().note_closing(closing);
    }

    /// How many more bytes fit into the queue.
    #[must_use]
    pub fn room(&self) -> usize {
        self.shared.queue().room()
    }

    /// How many bytes wait to be sent to the client.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.queue().waiting()
    }

    /// How many bytes of memory the client occupies: the queue, and the message that the client is
    /// sending.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.queue().held() + self.unfinished.load(Ordering::Relaxed)
    }

    /// Notes that the session holds about this many bytes of an unfinished message.
    pub fn set_unfinished(&self, bytes: usize) {
        self.unfinished.store(bytes, Ordering::Relaxed);
    }

    /// Reads what the client sent, without waiting. Returns the number of bytes, and whether there
    /// may be more.
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

    /// Notes that the client has closed its side, so that the next turn reads up to the end.
    pub fn find_end(&self) {
        self.with_stream(Stream::find_end);
    }

    /// The descriptor to wait on, if the connection is open.
    #[must_use]
    pub fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        let descriptor = self.with_stream(|stream| stream.descriptor());
        descriptor.and_then(Result::ok)
    }

    /// Runs `body` with the stream, if there is one.
    fn with_stream<T>(&self, body: impl FnOnce(&mut S) -> T) -> Option<T> {
        self.writer().stream.as_mut().map(body)
    }

    /// Makes the session take a turn.
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

    /// Locks the writer after the threads that wait for it.
    fn writer_in_turn(&self) -> MutexGuard<'_, Writer<S>> {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            drop(self.turnstile.lock());
        }
        self.writer()
    }

    /// Locks the writer, if no other thread uses it.
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
        // The bytes grow with each fragment, too.
        let (sent, _) = self.account();
        sent.messages.wrapping_add(sent.bytes)
    }

    fn bytes_taken(&self) -> Option<u64> {
        self.with_stream(|stream| stream.bytes_taken()).flatten()
    }
}
