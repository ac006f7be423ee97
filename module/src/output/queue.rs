//! The frames of one connection that wait to be written.

#[cfg(test)]
mod tests;

use std::mem;

use super::caller::Caller;
use super::frame::Frame;
use super::frames::{Frames, Writing};
use crate::budget::Charge;
use crate::protocol::{Closer, Closing, Traffic};

/// The connection takes no more messages: it is closing or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// What became of a frame that was offered to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// The queue is full.
    Full,
    /// The frame is in the queue, and somebody is going to write it.
    Accepted,
    /// The frame is in the queue, and the caller has to see to it that it is written.
    Due,
    /// There is no memory for the frame.
    NoMemory,
}

/// What a queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// Bytes accepted and not yet written.
    pub(super) waiting: usize,
    /// Whether a close frame was accepted.
    pub(super) has_close: bool,
}

/// A bounded queue of frames, with all that decides whether it takes another. It knows no thread
/// and no socket; [`Output`](super::Output) does.
// A sender changes what comes before `frames`, and these: few cache lines.
#[repr(C)]
pub(super) struct Queue {
    /// There is a stream to write to.
    is_open: bool,
    is_sealed: bool,
    has_close: bool,
    /// Somebody has been asked to write, and has not taken the frames yet.
    is_due: bool,
    /// The session writes what the connection's own callbacks send, at the end of its turn, so
    /// nobody else needs to be asked.
    is_gathering: bool,
    /// A callback of the connection runs, so its session cannot wait for the client.
    is_in_callback: bool,
    /// Bytes accepted and not yet written, including those the writer has taken.
    waiting: usize,
    /// A message is accepted while fewer bytes wait.
    limit: usize,
    /// What is counted of `frames`.
    charge: Charge,
    /// What was accepted for the client.
    sent: Traffic,
    /// Frames in the order they were accepted, not yet taken by the writer.
    frames: Frames,
    /// The bytes that the writer keeps of what it took, written or not: it frees them together.
    taken: usize,
    /// What was counted of `sent`.
    counted: Traffic,
    /// Senders that wait for room.
    senders: usize,
    /// Who has closed the connection, and how.
    closing: Option<Closing>,
}

impl Queue {
    /// An empty queue that accepts messages while fewer than `limit` bytes wait. With `gathers`,
    /// the connection's own callbacks leave writing to the end of the turn.
    pub(super) fn new(limit: usize, gathers: bool) -> Self {
        Self {
            frames: Frames::default(),
            waiting: 0,
            charge: Charge::default(),
            taken: 0,
            limit,
            is_open: false,
            is_sealed: false,
            has_close: false,
            sent: Traffic::default(),
            counted: Traffic::default(),
            closing: None,
            is_due: false,
            is_gathering: gathers,
            is_in_callback: false,
            senders: 0,
        }
    }

    /// Accepts a frame if there is room. A close frame is the last one accepted, and needs no room.
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`seal`](Self::seal) or a close frame.
    #[inline]
    pub(super) fn push(&mut self, frame: Frame<'_>, caller: Caller) -> Result<Offer, Closed> {
        if !self.takes_messages()? && !frame.is_close() {
            return Ok(Offer::Full);
        }
        if self.frames.push(frame).is_err() {
            return Ok(Offer::NoMemory);
        }
        self.waiting += frame.len();
        self.charge.set(self.frames.own_len());
        self.sent.add(frame.traffic);
        if let Some(closer) = frame.closes {
            self.close(closer, frame.payload);
        }
        Ok(if self.is_due || self.is_gathered(caller) {
            Offer::Accepted
        } else {
            self.is_due = true;
            Offer::Due
        })
    }

    #[cold]
    fn close(&mut self, closer: Closer, payload: &[u8]) {
        self.has_close = true;
        self.note_closing(|| Closing::with_frame(closer, payload));
        self.seal();
    }

    /// Remembers how the connection was closed. The first to close it counts.
    pub(super) fn note_closing(&mut self, closing: impl FnOnce() -> Closing) {
        self.closing.get_or_insert_with(closing);
    }

    /// What was accepted for the client since the last call.
    pub(super) fn uncounted(&mut self) -> Traffic {
        let uncounted = self.sent.since(self.counted);
        self.counted = self.sent;
        uncounted
    }

    /// What was accepted for the client, and how the connection was closed, if it was.
    pub(super) fn account(&self) -> (Traffic, Option<Closing>) {
        (self.sent, self.closing.clone())
    }

    fn is_gathered(&self, caller: Caller) -> bool {
        self.is_gathering && caller == Caller::Own
    }

    /// Accounts for a message that its sender writes itself, which it may if nothing waits. Returns
    /// whether it may.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub(super) fn bypass(&mut self, frame: &Frame<'_>) -> Result<bool, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        if self.waiting > 0 || frame.is_close() {
            return Ok(false);
        }
        self.waiting = frame.len();
        self.sent.add(frame.traffic);
        Ok(true)
    }

    /// Whether a message would be accepted now.
    ///
    /// # Errors
    ///
    /// [`Closed`] if none will be again.
    #[inline]
    pub(super) fn takes_messages(&self) -> Result<bool, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        Ok(self.waiting < self.limit)
    }

    /// How many bytes there is room for.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.waiting)
    }

    /// What is in the queue, and with the writer.
    pub(super) fn level(&self) -> Level {
        Level {
            waiting: self.waiting,
            has_close: self.has_close,
        }
    }

    /// From now on there is a stream to write to.
    pub(super) fn open(&mut self) {
        self.is_open = true;
    }

    /// Whether there is, or was, a stream to write to.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Accepts nothing more. What was accepted stays.
    pub(super) fn seal(&mut self) {
        self.is_sealed = true;
    }

    /// Seals the queue and forgets what is in it.
    pub(super) fn discard(&mut self) {
        self.seal();
        self.frames = Frames::default();
        self.waiting = 0;
        self.taken = 0;
        self.charge.set(0);
    }

    /// The memory in bytes that the frames take, at least: those that the writer has taken, too.
    pub(super) fn held(&self) -> usize {
        self.waiting.max(self.taken + self.frames.own_len())
    }

    /// The writer keeps so many bytes of a message that [bypassed](Self::bypass) the queue.
    pub(super) fn note_rest(&mut self, bytes: usize) {
        self.taken = bytes;
    }

    /// Forgets what was not taken by the writer, which has `kept` bytes left, and closes the
    /// connection with `frame`, unless it is closing already.
    pub(super) fn cut(&mut self, kept: usize, frame: Frame<'_>) {
        self.seal();
        self.frames = Frames::default();
        self.waiting = kept;
        self.taken = kept;
        self.charge.set(0);
        if let Some(closer) = frame.closes.filter(|_| !self.has_close)
            && self.frames.push(frame).is_ok()
        {
            self.waiting += frame.len();
            self.close(closer, frame.payload);
        }
    }

    /// The writer has written so many of the bytes it took, which are all, and takes the others.
    /// Returns whether senders may be waiting for the room that this makes.
    pub(super) fn take(&mut self, written: usize, writing: &mut Writing) -> bool {
        self.is_due = false;
        writing.take(&mut self.frames);
        self.taken = writing.own_len();
        self.charge.set(0);
        self.written(written)
    }

    /// The writer has written so many of the bytes it took. Returns whether senders may be waiting
    /// for the room that this makes.
    pub(super) fn written(&mut self, bytes: usize) -> bool {
        self.waiting -= bytes;
        bytes > 0 && self.senders > 0
    }

    /// A sender begins to wait for room.
    pub(super) fn begin_wait(&mut self) {
        self.senders += 1;
    }

    /// It waits no longer.
    pub(super) fn end_wait(&mut self) {
        self.senders -= 1;
    }

    /// From now to the end of the turn, whoever sends has to see to it that it is written. Returns
    /// whether something waits that nobody else is going to write meanwhile.
    #[must_use]
    pub(super) fn stop_gathering(&mut self) -> bool {
        self.is_gathering = false;
        let was_due = mem::replace(&mut self.is_due, self.waiting > 0);
        self.is_due && !was_due
    }

    /// The connection's own callbacks leave writing to the end of the turn.
    pub(super) fn gather(&mut self) {
        self.is_gathering = true;
    }

    /// A callback is about to run, or has returned. Returns whether something waits.
    pub(super) fn set_in_callback(&mut self, is_in_callback: bool) -> bool {
        self.is_in_callback = is_in_callback;
        self.waiting > 0
    }

    /// Whether the session cannot write when the client takes more: a callback keeps it from that,
    /// or one of those who wait for room is the session's own thread.
    pub(super) fn needs_help(&self) -> bool {
        self.is_in_callback || self.senders > 0
    }
}
