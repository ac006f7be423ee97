//! One connection's output: what any thread may do with it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::caller::Caller;
use super::frame::{Frame, LARGE};
use super::framing::{self, Framing};
use super::policy::{QueuePolicy, SlowClient};
use super::queue::{Closed, Offer, Queue};
use super::sharing::with_shared;
use super::writer::{self, Progress, Shared, Writer, Written};
use crate::budget;
use crate::meter::Meter;
use crate::protocol::{Closer, Closing, Opcode, Outgoing, OutputState, Traffic};
use crate::sync::{
    AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError, TryLockError, wait_until,
};
use crate::transport::Stream;
use crate::transport::Transport;

/// The payload of the close frame for a client that takes too little: 1013, and why.
const SLOW: &[u8] = b"\x03\xf5slow client";

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

/// What drives a connection: a loop, or a thread that waits for this one connection.
pub trait Home<S = Transport>: Send + Sync {
    /// Has the session take a turn soon. May be called from any thread, any number of times.
    fn wake(self: Arc<Self>);

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
pub struct Output<S = Transport> {
    shared: Shared,
    writer: Mutex<Writer<S>>,
    /// Threads that wait for the writer, and the place where they do. A session that reads again
    /// and again lets them go first; it might take the lock anew before they are awake.
    waiting: AtomicUsize,
    turnstile: Mutex<()>,
    framing: Framing,
    home: Arc<dyn Home<S>>,
    timeout: Option<Duration>,
    slow_client: SlowClient,
    is_leaving: AtomicBool,
    /// What waited was forgotten.
    is_cut: AtomicBool,
    /// The bytes that the session holds of an unfinished message, about.
    unfinished: AtomicUsize,
    /// The flusher has the connection on its list.
    is_scheduled: AtomicBool,
}

impl<S: Stream> Output<S> {
    /// The output of a connection whose 101 response is still to be sent. Messages wait until
    /// [`open`](Self::open); `policy` says how many.
    ///
    /// `timeout` is how long a client may go without taking any output (httpd's `Timeout`); `None`:
    /// for ever.
    #[must_use]
    pub fn new(
        policy: QueuePolicy,
        timeout: Option<Duration>,
        home: Arc<dyn Home<S>>,
        framing: Framing,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Shared::new(Queue::new(policy.limit, home.gathers()), framing.meter()),
            writer: Mutex::new(Writer::new()),
            waiting: AtomicUsize::new(0),
            turnstile: Mutex::new(()),
            framing,
            home,
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

    /// Queues a message, and sees to it that it is written soon.
    ///
    /// When the queue is full, waits until the client has made room, or closes the connection, as
    /// the policy says. A client that takes nothing for as long as the timeout is given up.
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
        match self.queue(opcode, payload, caller)? {
            Queued::Accepted => Ok(()),
            Queued::Due => {
                self.tell_home(caller);
                Ok(())
            }
            Queued::No => self.send_otherwise(opcode, payload, caller),
        }
    }

    /// Sends what takes more than to queue it.
    #[inline(never)]
    fn send_otherwise(
        self: &Arc<Self>,
        opcode: Opcode,
        payload: &[u8],
        caller: Caller,
    ) -> Result<(), Closed> {
        if self.offer(opcode, payload, caller)? {
            return Ok(());
        }
        self.send_later(opcode, payload, caller)
    }

    /// As [`send`](Self::send), but never waits for the client. Returns whether the message was
    /// accepted; if not, it is forgotten.
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
        if self.offer(opcode, payload, caller)? {
            return Ok(true);
        }
        // The client may take what has not been tried yet.
        self.write_for_session();
        self.offer(opcode, payload, caller)
    }

    /// Closes the connection with the payload of a close frame.
    ///
    /// # Errors
    ///
    /// [`Closed`] when it is closing already, or gone.
    pub fn close(
        self: &Arc<Self>,
        closer: Closer,
        payload: &[u8],
        caller: Caller,
    ) -> Result<(), Closed> {
        framing::plain(Opcode::Close, payload, |frame| {
            let closes = Some(closer);
            // A close frame needs no room.
            self.offer_frame(Frame { closes, ..frame }, caller)
                .map(drop)
        })
    }

    /// Queues the last frame, which the session writes at the end of its turn: the answer to a close
    /// frame of the client, or one of the server's own. `closing` is how the connection is closed.
    pub fn answer_close(&self, closing: Closing, payload: &[u8]) {
        self.note_closing(|| closing);
        self.answer(Opcode::Close, payload);
    }

    /// Remembers how the connection was closed. The first to close it counts.
    pub fn note_closing(&self, closing: impl FnOnce() -> Closing) {
        self.shared.queue().note_closing(closing);
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

    /// Queues a message if that is all there is to do.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    #[inline]
    pub fn queue(&self, opcode: Opcode, payload: &[u8], caller: Caller) -> Result<Queued, Closed> {
        if payload.len() >= LARGE || opcode.is_control() || self.framing.compresses(opcode, payload)
        {
            return Ok(Queued::No);
        }
        framing::plain(opcode, payload, |frame| {
            Ok(match self.push(frame, caller)? {
                Offer::Accepted => Queued::Accepted,
                Offer::Due => Queued::Due,
                Offer::Full | Offer::NoMemory => Queued::No,
            })
        })
    }

    #[inline]
    fn push(&self, frame: Frame<'_>, caller: Caller) -> Result<Offer, Closed> {
        let offered = if caller == Caller::Own {
            // The answers of callbacks, which are seldom equal.
            self.shared.queue().push(frame, caller)
        } else {
            with_shared(frame, caller, |frame| {
                self.shared.queue().push(frame, caller)
            })
        };
        budget::relieve();
        offered
    }

    /// Queues the answer to a frame; the session writes it at the end of its turn.
    pub fn answer(&self, opcode: Opcode, payload: &[u8]) {
        // A connection that is closing needs no answer; a full queue means that the client does not
        // read, and it may miss the pong.
        framing::plain(opcode, payload, |frame| {
            let answered = self.shared.queue().push(frame, Caller::Own);
            if answered == Ok(Offer::NoMemory) {
                self.fail(io::ErrorKind::OutOfMemory.into());
            }
        });
    }

    /// Offers a message to the queue. Returns whether there was room.
    #[inline]
    fn offer(
        self: &Arc<Self>,
        opcode: Opcode,
        payload: &[u8],
        caller: Caller,
    ) -> Result<bool, Closed> {
        let takes_messages = || self.shared.queue().takes_messages();
        self.framing
            .encode(opcode, payload, takes_messages, |frame| {
                self.offer_frame(frame, caller)
            })
    }

    #[inline]
    fn offer_frame(self: &Arc<Self>, frame: Frame<'_>, caller: Caller) -> Result<bool, Closed> {
        if frame.payload.len() >= LARGE && self.write_directly(frame, caller)? {
            return Ok(true);
        }
        match self.push(frame, caller)? {
            Offer::Full => return Ok(false),
            Offer::Accepted => {}
            Offer::Due => self.tell_home(caller),
            Offer::NoMemory => {
                // Without the frame the client would miss something and not know.
                self.fail(io::ErrorKind::OutOfMemory.into());
                return Err(Closed);
            }
        }
        if frame.is_close() {
            self.shared.room.notify_all();
        }
        Ok(true)
    }

    /// Sees to it that what waits is written soon.
    pub fn tell_home(self: &Arc<Self>, caller: Caller) {
        if self.home.write_soon(self, caller) {
            self.write_or_leave();
        }
    }

    /// Writes what waits, unless the stream is in use: then the connection's home does.
    pub fn write_or_leave(self: &Arc<Self>) {
        match self.try_writer() {
            Some(writer) => drop(self.write_with(writer)),
            // Who uses it may have looked into the queue for the last time.
            None => self.home.help(self),
        }
    }

    fn write_directly(self: &Arc<Self>, frame: Frame<'_>, caller: Caller) -> Result<bool, Closed> {
        let Some(mut writer) = self.try_writer() else {
            return Ok(false);
        };
        let accepted = writer.write_directly(&self.shared, frame);
        let has_failed = accepted.is_err() && writer.failure().is_some();
        // A loop's session goes on with the rest at the end of the turn.
        let is_gathered = caller == Caller::Own && self.home.gathers();
        let has_rest = accepted == Ok(true) && writer.has_rest() && !is_gathered;
        let is_session_needed = has_failed || has_rest && !writer.is_session_waiting;
        drop(writer);
        if is_session_needed {
            // It limits how long the client may take for the rest.
            self.wake();
        }
        if has_rest {
            self.tell_home(Caller::Own);
        }
        accepted
    }

    /// Sends a message that found the queue full, when there is room.
    #[cold]
    fn send_later(
        self: &Arc<Self>,
        opcode: Opcode,
        payload: &[u8],
        caller: Caller,
    ) -> Result<(), Closed> {
        loop {
            let progress = self.write_for_session();
            if self.offer(opcode, payload, caller)? {
                return Ok(());
            }
            match progress {
                // Others were faster, or the 101 response is still to be sent.
                Progress::At(OutputState::Written { .. }) => self.wait_until_open(caller)?,
                Progress::At(OutputState::Pending { .. })
                    if self.slow_client == SlowClient::Close =>
                {
                    self.cut(SLOW);
                    return Err(Closed);
                }
                Progress::At(OutputState::Pending { since, retry, .. }) => {
                    self.wait_for_room(since, retry)?;
                }
                Progress::Broken(_) => return Err(Closed),
            }
        }
    }

    /// Forgets what waits for the client, and closes the connection at once with `payload`. The
    /// session learns of it in its next turn.
    pub fn cut(&self, payload: &[u8]) {
        let mut writer = self.writer();
        if writer.failure().is_none() && !self.is_cut.swap(true, Ordering::AcqRel) {
            framing::plain(Opcode::Close, payload, |frame| {
                let closes = Some(Closer::Limit);
                writer.cut(&self.shared, Frame { closes, ..frame });
            });
        }
        drop(writer);
        self.wake();
    }

    /// The session holds about so many bytes of an unfinished message.
    pub fn set_unfinished(&self, bytes: usize) {
        self.unfinished.store(bytes, Ordering::Relaxed);
    }

    /// How many bytes the client holds: of what is sent to it, and of what it sends.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.queue().held() + self.unfinished.load(Ordering::Relaxed)
    }

    /// Whether [`cut`](Self::cut) was called.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }

    /// Waits until there is room in the queue, or it is time to look again. The client has taken
    /// nothing `since` then.
    fn wait_for_room(self: &Arc<Self>, since: Instant, retry: Retry) -> Result<(), Closed> {
        let deadline = self.timeout.and_then(|timeout| since.checked_add(timeout));
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.fail(io::ErrorKind::TimedOut.into());
            return Err(Closed);
        }
        self.shared.queue().begin_wait();
        // The queue knows of the wait: whoever helps goes on for as long as it lasts.
        self.home.help(self);
        let until = deadline.into_iter().chain(retry).min();
        let mut queue = self.shared.queue();
        if queue.takes_messages() == Ok(false) {
            queue = wait_until(&self.shared.room, queue, until);
        }
        queue.end_wait();
        queue.takes_messages().map(drop)
    }

    /// Waits until the 101 response has been sent: nothing drains before. A callback of the
    /// connection cannot, as it is the one that decides about the response.
    fn wait_until_open(&self, caller: Caller) -> Result<(), Closed> {
        let until = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let mut queue = self.shared.queue();
        while !queue.is_open() && !queue.takes_messages()? {
            let is_late = until.is_some_and(|until| until <= Instant::now());
            if caller == Caller::Own || is_late {
                return Err(Closed);
            }
            queue = wait_until(&self.shared.room, queue, until);
        }
        Ok(())
    }

    /// Writes what waits, as far as the client takes it. For the session, during its turn.
    pub fn write(&self) -> Progress {
        self.write_some(self.writer(), false).1
    }

    /// The same at the end of its turn. Frees memory that an idle connection does not need.
    pub fn settle(&self) -> Progress {
        let (mut writer, progress) = self.write_some(self.writer(), true);
        writer.is_session_waiting = is_pending(&progress);
        writer.release();
        progress
    }

    /// Writes what waits, for a session that takes no part in it. The session takes a turn if that
    /// changes what it waits for.
    pub fn write_for_session(&self) -> Progress {
        self.write_with(self.writer())
    }

    fn write_with(&self, writer: MutexGuard<'_, Writer<S>>) -> Progress {
        let (mut writer, progress) = self.write_some(writer, false);
        let is_session_needed = match progress {
            // It limits how long it waits for the client.
            Progress::At(OutputState::Pending { .. }) => !writer.is_session_waiting,
            // It reads again, or waits for the answer to the close frame.
            Progress::At(OutputState::Written { has_close }) => {
                writer.is_session_waiting || has_close
            }
            Progress::Broken(_) => true,
        };
        writer.release();
        drop(writer);
        if is_session_needed {
            self.wake();
        }
        progress
    }

    /// Writes what waits. `ends_turn` says that the session is about to wait.
    fn write_some<'a>(
        &'a self,
        mut writer: MutexGuard<'a, Writer<S>>,
        ends_turn: bool,
    ) -> (MutexGuard<'a, Writer<S>>, Progress) {
        let gathers = ends_turn && self.home.gathers();
        loop {
            if let Some(failure) = writer.failure() {
                return (writer, Progress::Broken(failure));
            }
            let progress = match writer.write_some(&self.shared, gathers) {
                // Others may want to read or write meanwhile.
                Ok(Written::Enough) => {
                    drop(writer);
                    writer = self.writer();
                    continue;
                }
                Ok(Written::All { has_close }) => Progress::At(OutputState::Written { has_close }),
                Ok(Written::Taken) => Progress::At(writer.pending(&self.shared)),
                Err(error) => {
                    writer.fail(&self.shared, writer::copy(&error));
                    Progress::Broken(error)
                }
            };
            return (writer, progress);
        }
    }

    /// Runs a callback of the connection: its session waits for nothing meanwhile.
    pub fn in_callback<T>(self: &Arc<Self>, body: impl FnOnce() -> T) -> T {
        struct Callback<'a>(&'a Shared);
        impl Drop for Callback<'_> {
            fn drop(&mut self) {
                self.0.queue().set_in_callback(false);
            }
        }
        if self.home.gathers() {
            return body();
        }
        let _callback = Callback(&self.shared);
        if self.shared.queue().set_in_callback(true) {
            self.tell_home(Caller::Own);
        }
        body()
    }

    /// The turn that goes on takes long, or may. What its callbacks have sent is written soon, as
    /// is what they are going to send.
    pub fn stop_gathering(self: &Arc<Self>) {
        if self.shared.queue().stop_gathering() {
            self.tell_home(Caller::Callback);
        }
    }

    /// Whether the flusher still has to be told of the connection; afterwards it counts as told,
    /// until [`begin_help`](Self::begin_help).
    pub fn mark_scheduled(&self) -> bool {
        // A sender that finds the flag set has queued its frame before the flusher takes the queue,
        // as both take the queue's lock.
        !self.is_scheduled.load(Ordering::Relaxed)
            && !self.is_scheduled.swap(true, Ordering::AcqRel)
    }

    /// For the flusher: it has to be told anew of what is queued from now on.
    pub fn begin_help(&self) {
        // Not just a store: this thread sees what those did who found the flag set.
        self.is_scheduled.swap(false, Ordering::AcqRel);
    }

    /// Whether the session cannot write when the client takes more, as a callback runs, or a sender
    /// waits for room.
    pub fn needs_help(&self) -> bool {
        self.shared.queue().needs_help()
    }

    /// Gives the connection up: nothing is sent any more, and the session ends with this error.
    pub fn fail(&self, error: io::Error) {
        self.writer().fail(&self.shared, error);
        self.wake();
    }

    /// Tells the client that the server goes away, with the payload of a close frame, and the
    /// session not to wait for it for long.
    pub fn go_away(self: &Arc<Self>, closer: Closer, payload: &[u8]) {
        self.is_leaving.store(true, Ordering::Release);
        self.say_goodbye(closer, payload);
    }

    /// Sends a close frame with this payload, unless there has been one, and has the session wait
    /// for the answer. Never waits itself.
    pub fn say_goodbye(self: &Arc<Self>, closer: Closer, payload: &[u8]) {
        // Closed already: the session only has to look again.
        let _ = self.close(closer, payload, Caller::Thread);
        self.wake();
    }

    /// Whether [`go_away`](Self::go_away) was called.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire)
    }

    /// Accepts nothing more for sending; what was accepted is still written.
    pub fn seal(&self) {
        self.shared.seal();
    }

    /// Ends the connection for all who share it and gives its stream back to httpd. Senders that
    /// are under way or come later get [`Closed`].
    pub fn shut(&self) {
        self.writer().shut(&self.shared);
    }

    /// Has the session take a turn.
    fn wake(&self) {
        Arc::clone(&self.home).wake();
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

    fn writer(&self) -> MutexGuard<'_, Writer<S>> {
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
    fn try_writer(&self) -> Option<MutexGuard<'_, Writer<S>>> {
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

fn is_pending(progress: &Progress) -> bool {
    matches!(progress, Progress::At(OutputState::Pending { .. }))
}
