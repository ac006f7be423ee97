//! The frames of one connection that wait to be written.

mod behind;
mod composing;
#[cfg(test)]
mod tests;

use std::mem;

use super::caller::Caller;
use super::frame::Frame;
use super::frames::{Frames, Writing};
use crate::budget::Charge;
use crate::protocol::{Closer, Closing, Traffic};
use behind::Behind;

/// The connection accepts no more messages: it is closing or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// What became of a frame that was offered to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// The queue is full.
    Full,
    /// The frame is in the queue, and its writing is arranged.
    Accepted,
    /// The frame is in the queue, and the caller has to arrange that it is written.
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

/// Who wants the room that writing has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// Senders may be waiting for it.
    pub(super) is_waited_for: bool,
    /// There is much of it again after a refusal, of which the plugin is told.
    pub(super) is_much: bool,
}

/// A bounded queue of frames, and everything that decides whether it accepts another one. It knows
/// no thread and no socket; [`Output`](super::Output) does.
// A sender changes only what comes before `frames`, and the frames: this touches few cache lines.
#[repr(C)]
pub(super) struct Queue {
    /// Whether there is, or was, a stream to write to.
    is_open: bool,
    is_sealed: bool,
    has_close: bool,
    /// A sender was told to arrange the writing, and the writer has not taken the frames yet.
    is_due: bool,
    /// At the end of its turn the session writes what the connection's own callbacks send. Nobody
    /// else has to arrange that.
    is_gathering: bool,
    /// A message is being written in fragments, and others wait behind it.
    is_composing: bool,
    /// A callback of the connection runs, so the session cannot wait for the client.
    is_in_callback: bool,
    /// Bytes accepted and not yet written, including those the writer has taken.
    waiting: usize,
    /// The queue accepts a message while fewer bytes than this wait.
    limit: usize,
    /// What `frames` add to the memory budget.
    charge: Charge,
    /// The messages and bytes accepted for the client.
    sent: Traffic,
    /// Accepted frames, in order, that the writer has not taken yet.
    frames: Frames,
    /// The bytes that the writer holds, written or not: it frees them together.
    taken: usize,
    /// The part of `sent` that the counters have.
    counted: Traffic,
    /// The number of senders that wait for room.
    senders: usize,
    /// A message was refused, or had to wait, and nobody has been told of room since.
    has_refused: bool,
    /// There is room again after that.
    is_drained: bool,
    /// Who closed the connection, and how.
    closing: Option<Closing>,
    /// What waits behind a message that is being written.
    behind: Option<Box<Behind>>,
}

impl Queue {
    /// An empty queue that accepts messages while fewer than `limit` bytes wait. `gathers` says
    /// that at the end of its turn the session writes what the connection's own callbacks send.
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
            is_composing: false,
            behind: None,
            senders: 0,
            has_refused: false,
            is_drained: false,
        }
    }

    /// Accepts a frame if there is room. A close frame is the last one accepted, and needs no room.
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`seal`](Self::seal) or a close frame.
    #[inline]
    pub(super) fn push(&mut self, frame: Frame<'_>, caller: Caller) -> Result<Offer, Closed> {
        if self.is_composing {
            return self.push_beside(frame, caller);
        }
        if !self.takes_messages()? && !frame.is_close() {
            return Ok(Offer::Full);
        }
        Ok(self.accept(frame, caller))
    }

    /// Accepts a frame.
    #[inline]
    fn accept(&mut self, frame: Frame<'_>, caller: Caller) -> Offer {
        if self.frames.push(frame).is_err() {
            return Offer::NoMemory;
        }
        self.waiting += frame.len();
        self.charge.set(self.frames.own_len());
        self.sent.add(frame.traffic);
        if let Some(closer) = frame.closes {
            self.close(closer, frame.payload);
        }
        if self.is_due || self.is_gathered(caller) {
            Offer::Accepted
        } else {
            self.is_due = true;
            Offer::Due
        }
    }

    #[cold]
    fn close(&mut self, closer: Closer, payload: &[u8]) {
        self.has_close = true;
        self.note_closing(|| Closing::with_frame(closer, payload));
        self.seal();
    }

    /// Remembers how the connection was closed. Only the first call counts.
    pub(super) fn note_closing(&mut self, closing: impl FnOnce() -> Closing) {
        self.closing.get_or_insert_with(closing);
    }

    /// The messages and bytes accepted for the client since the last call.
    pub(super) fn uncounted(&mut self) -> Traffic {
        let uncounted = self.sent.since(self.counted);
        self.counted = self.sent;
        uncounted
    }

    /// The messages and bytes accepted for the client, and how the connection was closed, if it
    /// was.
    pub(super) fn account(&self) -> (Traffic, Option<Closing>) {
        (self.sent, self.closing.clone())
    }

    fn is_gathered(&self, caller: Caller) -> bool {
        self.is_gathering && caller == Caller::Own
    }

    /// Accounts for a message that its sender is going to write directly. Returns whether the
    /// sender may: nothing else must be waiting.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub(super) fn bypass(&mut self, frame: &Frame<'_>) -> Result<bool, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        if self.waiting > 0 || frame.is_close() || self.is_composing {
            return Ok(false);
        }
        self.waiting = frame.len();
        self.sent.add(frame.traffic);
        Ok(true)
    }

    /// Whether the queue would accept a message now.
    ///
    /// # Errors
    ///
    /// [`Closed`] if it will never accept one again.
    #[inline]
    pub(super) fn takes_messages(&self) -> Result<bool, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        Ok(self.waiting < self.limit)
    }

    /// How many more bytes fit.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.waiting)
    }

    /// What waits in the queue and with the writer.
    pub(super) fn level(&self) -> Level {
        Level {
            waiting: self.waiting,
            has_close: self.has_close,
        }
    }

    /// Notes that there is a stream to write to.
    pub(super) fn open(&mut self) {
        self.is_open = true;
    }

    /// Whether there is, or was, a stream to write to.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Accepts nothing more. What was accepted before stays, except what waits behind a message
    /// that cannot be completed any more.
    pub(super) fn seal(&mut self) {
        self.is_sealed = true;
        self.drop_behind();
    }

    /// Seals the queue and discards its frames.
    pub(super) fn discard(&mut self) {
        self.seal();
        self.frames = Frames::default();
        self.waiting = 0;
        self.taken = 0;
        self.charge.set(0);
    }

    /// The bytes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The least memory in bytes that the frames occupy, including those that the writer has taken.
    pub(super) fn held(&self) -> usize {
        self.waiting.max(self.taken + self.frames.own_len())
    }

    /// Notes that the writer holds `bytes` of a message that [bypassed](Self::bypass) the queue.
    pub(super) fn note_rest(&mut self, bytes: usize) {
        self.taken = bytes;
    }

    /// Discards what the writer has not taken, and closes the connection with `frame` unless it is
    /// closing already. The writer has `kept` bytes left to write.
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

    /// Gives all frames to the writer. The writer has written everything that it took before,
    /// `written` bytes of it since the queue was last told. Returns who may want the new room.
    pub(super) fn take(&mut self, written: usize, writing: &mut Writing) -> Room {
        self.is_due = false;
        writing.take(&mut self.frames);
        self.taken = writing.own_len();
        self.charge.set(self.behind_len());
        self.written(written)
    }

    /// Notes that the writer has written `bytes` of what it took. Returns who may want the new
    /// room.
    pub(super) fn written(&mut self, bytes: usize) -> Room {
        self.waiting -= bytes;
        Room {
            is_waited_for: bytes > 0 && self.senders > 0,
            is_much: self.find_drained(),
        }
    }

    /// Notes that a message is refused, or waits, because there is no room. Returns whether there
    /// is much again by now.
    #[must_use]
    pub(super) fn refuse(&mut self) -> bool {
        self.has_refused = !self.is_sealed;
        self.find_drained()
    }

    /// Whether there is much room again after a refusal. True once for each time.
    pub(super) fn take_drained(&mut self) -> bool {
        mem::take(&mut self.is_drained) && !self.is_sealed
    }

    /// Looks whether half of the queue is free again after a refusal.
    fn find_drained(&mut self) -> bool {
        let is_drained = self.has_refused && self.waiting <= self.limit / 2;
        if is_drained {
            self.has_refused = false;
            self.is_drained = true;
        }
        is_drained
    }

    /// Notes that a sender begins to wait for room.
    pub(super) fn begin_wait(&mut self) {
        self.senders += 1;
    }

    /// Notes that a sender has stopped waiting for room.
    pub(super) fn end_wait(&mut self) {
        self.senders -= 1;
    }

    /// From now to the end of the turn, every sender has to arrange that its frame is written.
    /// Returns whether something waits whose writing is not arranged: then the caller has to do it.
    #[must_use]
    pub(super) fn stop_gathering(&mut self) -> bool {
        self.is_gathering = false;
        let was_due = mem::replace(&mut self.is_due, self.waiting > 0);
        self.is_due && !was_due
    }

    /// At the end of its turn, the session again writes what the connection's own callbacks send.
    pub(super) fn gather(&mut self) {
        self.is_gathering = true;
    }

    /// Notes that a callback is about to run, or has returned. Returns whether something waits.
    pub(super) fn set_in_callback(&mut self, is_in_callback: bool) -> bool {
        self.is_in_callback = is_in_callback;
        self.waiting > 0
    }

    /// Whether the session cannot write when the client takes more: a callback is running, or a
    /// sender waits for room, which may be the session's own thread.
    pub(super) fn needs_help(&self) -> bool {
        self.is_in_callback || self.senders > 0
    }
}
