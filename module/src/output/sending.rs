//! Queues messages, and waits for room when the queue is full.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::caller::Caller;
use super::frame::{Frame, LARGE};
use super::framing;
use super::object::{Output, Queued, Retry};
use super::policy::SlowClient;
use super::queue::{Closed, Offer, Queue};
use super::sharing::with_shared;
use super::writer::Progress;
use crate::budget;
use crate::protocol::{Opcode, OutputState};
use crate::sync::wait_until;
use crate::transport::Stream;

/// The payload of the close frame for a client that takes too little: code 1013 and a reason.
pub(super) const SLOW: &[u8] = b"\x03\xf5slow client";

impl<S: Stream> Output<S> {
    /// Queues a message and arranges that it is written soon.
    ///
    /// When the queue is full, the policy decides: the call waits until the client makes room, or
    /// it closes the connection. If the client takes nothing for the timeout, the connection is
    /// given up.
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
        let queued = self.queue(opcode, payload, caller)?;
        budget::relieve();
        match queued {
            Queued::Accepted => Ok(()),
            Queued::Due => {
                self.tell_home(caller);
                Ok(())
            }
            Queued::No => self.send_otherwise(opcode, payload, caller),
        }
    }

    /// Sends a message that [`queue`](Self::queue) has not accepted.
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
        self.send_later(Lane::Messages, caller, || {
            self.offer(opcode, payload, caller)
        })
    }

    /// Offers something again and again until there is room.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub(super) fn send_when_there_is_room(
        self: &Arc<Self>,
        lane: Lane,
        caller: Caller,
        mut offer: impl FnMut() -> Result<bool, Closed>,
    ) -> Result<(), Closed> {
        if offer()? {
            return Ok(());
        }
        self.send_later(lane, caller, offer)
    }

    /// Like [`send`](Self::send), but never waits for the client. Returns whether the message was
    /// accepted. A message that was not accepted is discarded.
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
        self.check_writer()?;
        // Perhaps no thread has tried yet to write what waits, and the client takes it.
        self.write_for_session();
        let is_accepted = self.offer(opcode, payload, caller)?;
        if !is_accepted {
            self.note_refusal();
        }
        Ok(is_accepted)
    }

    /// Queues a message if nothing else has to be done for it. Takes no lock but the queue's. When
    /// the caller holds no other lock any more, it has to [relieve memory](budget::relieve).
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
        if caller == Caller::Own {
            // Callbacks send answers to their own connection, and these are seldom equal.
            self.shared.queue().push(frame, caller)
        } else {
            with_shared(frame, caller, |frame| {
                self.shared.queue().push(frame, caller)
            })
        }
    }

    /// Queues the answer to a frame. The session writes it at the end of its turn.
    pub fn answer(&self, opcode: Opcode, payload: &[u8]) {
        // A closing connection needs no answer. A full queue means that the client does not read,
        // so it may miss the pong.
        framing::plain(opcode, payload, |frame| {
            let answered = self.shared.queue().push(frame, Caller::Own);
            if answered == Ok(Offer::NoMemory) {
                self.fail(io::ErrorKind::OutOfMemory.into());
            } else if opcode == Opcode::Close {
                // Nobody gets room any more.
                self.shared.room.notify_all();
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
    pub(super) fn offer_frame(
        self: &Arc<Self>,
        frame: Frame<'_>,
        caller: Caller,
    ) -> Result<bool, Closed> {
        if frame.payload.len() >= LARGE && self.write_directly(frame, caller)? {
            return Ok(true);
        }
        let offered = self.push(frame, caller)?;
        budget::relieve();
        if !self.arrange(offered, caller)? {
            return Ok(false);
        }
        if frame.is_close() {
            self.shared.room.notify_all();
            if self.is_paused() {
                // The session reads again, up to the client's close frame.
                self.wake();
            }
        }
        Ok(true)
    }

    /// Arranges that a frame that was offered is written. Returns whether it was accepted.
    #[inline]
    pub(super) fn arrange(
        self: &Arc<Self>,
        offered: Offer,
        caller: Caller,
    ) -> Result<bool, Closed> {
        match offered {
            Offer::Full => return Ok(false),
            Offer::Accepted => {}
            Offer::Due => self.tell_home(caller),
            Offer::NoMemory => {
                // The connection ends, because the client could not notice that a frame is missing.
                self.fail(io::ErrorKind::OutOfMemory.into());
                return Err(Closed);
            }
        }
        Ok(true)
    }

    /// Arranges that what waits is written soon.
    pub fn tell_home(self: &Arc<Self>, caller: Caller) {
        if self.home.write_soon(self, caller) {
            self.write_or_leave();
        }
    }

    fn write_directly(self: &Arc<Self>, frame: Frame<'_>, caller: Caller) -> Result<bool, Closed> {
        let Some(mut writer) = self.try_writer() else {
            return Ok(false);
        };
        let accepted = writer.write_directly(&self.shared, frame);
        let has_failed = accepted.is_err() && writer.failure().is_some();
        let has_drained = std::mem::take(&mut writer.has_drained);
        if has_drained {
            self.due.set();
        }
        // The session of a loop writes the rest at the end of the turn.
        let is_gathered = caller == Caller::Own && self.home.gathers();
        let has_rest = accepted == Ok(true) && writer.has_rest() && !is_gathered;
        let is_session_needed = has_failed || has_drained || has_rest && !writer.is_session_waiting;
        drop(writer);
        if is_session_needed {
            // The session limits how long the client may take for the rest.
            self.wake();
        }
        if has_rest {
            self.tell_home(Caller::Own);
        }
        accepted
    }

    /// Sends something that found the queue full, as soon as there is room.
    #[cold]
    fn send_later(
        self: &Arc<Self>,
        lane: Lane,
        caller: Caller,
        mut offer: impl FnMut() -> Result<bool, Closed>,
    ) -> Result<(), Closed> {
        loop {
            self.check_writer()?;
            let progress = self.write_for_session();
            if offer()? {
                return Ok(());
            }
            match progress {
                // Other senders took the room, the 101 response is still to be sent, or what waits
                // is behind a message that is being written.
                Progress::At(OutputState::Written { .. }) => self.wait_until_open(lane, caller)?,
                Progress::At(OutputState::Pending { .. })
                    if self.slow_client == SlowClient::Close =>
                {
                    self.cut(SLOW);
                    return Err(Closed);
                }
                Progress::At(OutputState::Pending { since, retry, .. }) => {
                    self.note_refusal();
                    self.wait_for_room(lane, since, retry)?;
                }
                Progress::Broken(_) => return Err(Closed),
            }
        }
    }

    /// Waits until the queue has room or it is time to try to write again. `since` is when the
    /// client last took something.
    fn wait_for_room(
        self: &Arc<Self>,
        lane: Lane,
        since: Instant,
        retry: Retry,
    ) -> Result<(), Closed> {
        let deadline = self.timeout.and_then(|timeout| since.checked_add(timeout));
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.fail(io::ErrorKind::TimedOut.into());
            return Err(Closed);
        }
        self.wait(lane, deadline.into_iter().chain(retry).min())
    }

    /// Waits until the 101 response has been sent, because the queue does not drain before. A
    /// callback of the connection itself gets an error instead: the response waits for its
    /// decision.
    fn wait_until_open(self: &Arc<Self>, lane: Lane, caller: Caller) -> Result<(), Closed> {
        let until = self.patience();
        let mut queue = self.shared.queue();
        while !lane.has_room(&queue)? {
            if queue.is_open() {
                drop(queue);
                return self.wait_for_the_end(lane);
            }
            if caller == Caller::Own || until.is_some_and(|until| until <= Instant::now()) {
                return Err(Closed);
            }
            queue = wait_until(&self.shared.room, queue, until);
        }
        Ok(())
    }

    /// Waits until there is room, if the queue is full behind a message that is being written. The
    /// wait also ends when the writer of that message may be lost. A writer that goes on may take
    /// as long as it likes.
    fn wait_for_the_end(self: &Arc<Self>, lane: Lane) -> Result<(), Closed> {
        let lost_at = {
            let queue = self.shared.queue();
            if lane == Lane::Fragments || !queue.is_composing() {
                return Ok(());
            }
            queue.abandoned_at()
        };
        // A thread that is writing now has as long again when it is done.
        self.wait(lane, lost_at.or_else(|| self.patience()))
    }

    /// Waits until the queue has room, `until` has come, or the connection is closing.
    fn wait(self: &Arc<Self>, lane: Lane, until: Option<Instant>) -> Result<(), Closed> {
        self.shared.queue().begin_wait();
        // The wait begins before this call, so that the helper sees it and goes on for as long as
        // it lasts.
        self.home.help(self);
        let mut queue = self.shared.queue();
        if lane.has_room(&queue) == Ok(false) {
            queue = wait_until(&self.shared.room, queue, until);
        }
        queue.end_wait();
        lane.has_room(&queue).map(drop)
    }
}

/// What wants room in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Whole messages.
    Messages,
    /// The fragments of a message that is being written.
    Fragments,
}

impl Lane {
    fn has_room(self, queue: &Queue) -> Result<bool, Closed> {
        match self {
            Self::Messages => queue.takes_messages(),
            Self::Fragments => queue.takes_fragments(),
        }
    }
}
