//! Writes a connection's frames to its stream.

use std::io::{self, IoSlice};
use std::mem;
use std::time::Instant;

use super::frame::Frame;
use super::frames::Writing;
use super::queue::{Closed, Level, Queue, Room};
use crate::budget::Charge;
use crate::meter::Meter;
use crate::protocol::OutputState;
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use crate::transport::Stream;

/// The queue of a connection, and the senders that wait for room in it.
#[repr(C)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// Signalled when there is room in the queue, or there never will be.
    pub(super) room: Condvar,
    meter: Meter,
}

impl Shared {
    pub(super) fn new(queue: Queue, meter: Meter) -> Self {
        Self {
            queue: Mutex::new(queue),
            room: Condvar::new(),
            meter,
        }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to the counters what was accepted since the last time.
    pub(super) fn count_sent(&self) {
        let sent = self.queue().uncounted();
        self.meter.sent(sent);
    }

    /// Accepts nothing more. Senders that wait for room give up.
    pub(super) fn seal(&self) {
        self.queue().seal();
        self.room.notify_all();
    }

    /// Accepts nothing more, and discards what is in the queue. Senders that wait for room give up.
    fn discard(&self) {
        self.queue().discard();
        self.room.notify_all();
    }
}

/// How far the output of a connection has got.
#[derive(Debug)]
pub enum Progress {
    /// How much was written, and what waits.
    At(OutputState),
    /// The connection is lost.
    Broken(io::Error),
}

/// The result of one go at writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing waits any more.
    All {
        /// Whether a close frame was accepted.
        has_close: bool,
    },
    /// The client takes no more for now.
    Taken,
    /// The limit of one go is reached.
    Enough,
}

/// The most bytes written in one go. Other threads have to wait for the stream meanwhile.
const MOST_WRITTEN: usize = 1024 * 1024;

/// The same for a message that is written directly from the sender's memory. Its rest has to be
/// copied.
const MOST_WRITTEN_DIRECTLY: usize = 4 * MOST_WRITTEN;

/// The most bytes of a frame in progress that a slow client still gets before the close frame that
/// says why the connection ends.
const MOST_KEPT: usize = 64 * 1024;

/// The stream of a connection and what is on its way into it.
pub(super) struct Writer<S> {
    /// Present from the 101 response to the end of the session.
    pub(super) stream: Option<S>,
    /// Frames taken from the queue.
    writing: Writing,
    /// What these frames add to the memory budget.
    charge: Charge,
    /// Since when the client has taken nothing although something waits.
    pending_since: Option<Instant>,
    /// The session waits for the client to take more.
    pub(super) is_session_waiting: bool,
    /// There is much room again after a refusal, and the session does not know yet.
    pub(super) has_drained: bool,
    /// The error that ended writing.
    failure: Option<io::Error>,
    waiting: Waiting,
}

/// How many bytes of this connection the counters show as waiting for the client.
#[derive(Default)]
struct Waiting(usize);

impl Waiting {
    fn show(&mut self, meter: Meter, now: usize) {
        if now != self.0 {
            meter.queued(now, self.0);
            self.0 = now;
        }
    }
}

impl<S: Stream> Writer<S> {
    /// The writer of a connection that has no stream yet.
    pub(super) fn new() -> Self {
        Self {
            stream: None,
            writing: Writing::default(),
            charge: Charge::default(),
            pending_since: None,
            is_session_waiting: false,
            has_drained: false,
            failure: None,
            waiting: Waiting::default(),
        }
    }

    /// Gives the stream back, and discards what waits.
    pub(super) fn shut(&mut self, shared: &Shared) {
        shared.discard();
        self.waiting.show(shared.meter, 0);
        *self = Self {
            failure: Some(io::ErrorKind::NotConnected.into()),
            ..Self::new()
        };
    }

    /// The error that ended writing, if there was one.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.failure.as_ref().map(copy)
    }

    /// Discards what waits, except the rest of the frame in progress, and closes the connection
    /// with `frame`. If that rest is longer than [`MOST_KEPT`], the connection is given up.
    pub(super) fn cut(&mut self, shared: &Shared, frame: Frame<'_>) {
        let kept = self.writing.cut();
        self.charge.set(kept);
        shared.queue().cut(kept, frame);
        shared.room.notify_all();
        if kept > MOST_KEPT {
            self.fail(shared, io::ErrorKind::QuotaExceeded.into());
        }
    }

    /// Gives the connection up. The first error is the one that is kept.
    pub(super) fn fail(&mut self, shared: &Shared, error: io::Error) {
        self.failure.get_or_insert(error);
        if let Some(stream) = &mut self.stream {
            stream.abort();
        }
        shared.discard();
        self.waiting.show(shared.meter, 0);
    }

    /// Writes what waits, at most as much as one go may. `ends_turn` says that the session is about
    /// to wait: from now on it writes at the end of its next turn what its callbacks send.
    pub(super) fn write_some(&mut self, shared: &Shared, ends_turn: bool) -> io::Result<Written> {
        let Some(stream) = &mut self.stream else {
            let has_close = shared.queue().level().has_close;
            return Ok(Written::All { has_close });
        };
        let mut written = 0;
        let mut left = MOST_WRITTEN;
        while left > 0 {
            if self.writing.is_done() {
                let mut queue = shared.queue();
                let room = queue.take(mem::take(&mut written), &mut self.writing);
                if ends_turn {
                    queue.gather();
                }
                let Level { waiting, has_close } = queue.level();
                let sent = queue.uncounted();
                drop(queue);
                shared.meter.sent(sent);
                self.charge.set(self.writing.own_len());
                self.has_drained |= tell_of_room(shared, room);
                if self.writing.is_done() {
                    self.waiting.show(shared.meter, waiting);
                    if stream.flush()? {
                        self.pending_since = None;
                        return Ok(Written::All { has_close });
                    }
                    return Ok(Written::Taken);
                }
            }
            let taken = self.writing.with_slices(|slices| match slices {
                [slice] => stream.write(slice),
                slices => stream.write_pieces(slices),
            });
            match taken {
                Ok(taken) => {
                    self.writing.advance(taken);
                    self.pending_since = None;
                    written += taken;
                    left = left.saturating_sub(taken);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.count(shared, written);
                    return Ok(Written::Taken);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.count(shared, written);
        Ok(Written::Enough)
    }

    /// Whether the writer has taken frames that the client has not taken yet.
    pub(super) fn has_rest(&self) -> bool {
        !self.writing.is_done()
    }

    /// Tells the queue that `written` bytes are written. The client has not taken all that the
    /// writer holds.
    fn count(&mut self, shared: &Shared, written: usize) {
        let mut queue = shared.queue();
        let room = queue.written(written);
        let Level { waiting, .. } = queue.level();
        drop(queue);
        self.has_drained |= tell_of_room(shared, room);
        self.waiting.show(shared.meter, waiting);
    }

    /// The state while the client takes no more.
    pub(super) fn pending(&mut self, shared: &Shared) -> OutputState {
        let now = Instant::now();
        if self.stream.as_mut().is_some_and(S::has_progressed) {
            self.pending_since = None;
        }
        let since = *self.pending_since.get_or_insert(now);
        let stream = self.stream.as_ref();
        let interval = stream.and_then(|stream| stream.retry_interval(now - since));
        let Level { waiting, .. } = shared.queue().level();
        OutputState::Pending {
            since,
            retry: interval.map(|interval| now + interval),
            waiting,
        }
    }

    /// Writes a message at once, directly from the sender's memory, if nothing waits before it. The
    /// writer keeps what the client does not take, and writes that first. Returns whether the
    /// message was accepted. If not, the caller has to queue it.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the connection takes no more messages.
    pub(super) fn write_directly(
        &mut self,
        shared: &Shared,
        frame: Frame<'_>,
    ) -> Result<bool, Closed> {
        // The caller learns of a failure when it writes the queue.
        if self.failure.is_some() || self.stream.is_none() {
            return Ok(false);
        }
        match self.write_some(shared, false) {
            Ok(Written::All { .. }) => {}
            Ok(_) => return Ok(false),
            Err(error) => {
                self.fail(shared, error);
                return Err(Closed);
            }
        }
        if !shared.queue().bypass(&frame)? {
            return Ok(false);
        }
        let Some(stream) = &mut self.stream else {
            return Ok(false);
        };
        let Frame {
            header, payload, ..
        } = frame;
        let total = header.len() + payload.len();
        let pieces = [IoSlice::new(header), IoSlice::new(payload)];
        let mut written = stream.write_pieces(&pieces).unwrap_or(0);
        while (header.len()..total.min(MOST_WRITTEN_DIRECTLY)).contains(&written) {
            match stream.write(&payload[written - header.len()..]) {
                Ok(more) => written += more,
                Err(_) => break,
            }
        }
        if self.writing.add_rest(frame, written).is_err() {
            self.fail(shared, io::ErrorKind::OutOfMemory.into());
            return Err(Closed);
        }
        let kept = self.writing.own_len();
        self.charge.set(kept);
        shared.queue().note_rest(kept);
        self.count(shared, written);
        Ok(true)
    }

    /// Frees memory that an idle connection does not need.
    pub(super) fn release(&mut self) {
        self.writing.release();
    }
}

/// Wakes senders that wait for room. Returns whether there is much of it again after a refusal.
fn tell_of_room(shared: &Shared, room: Room) -> bool {
    if room.is_waited_for {
        shared.room.notify_all();
    }
    room.is_much
}

/// A copy of an error. System errors keep their code.
pub(super) fn copy(error: &io::Error) -> io::Error {
    let code = error.raw_os_error();
    code.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
