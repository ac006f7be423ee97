//! Sends a message while its sender writes it, in fragments (RFC 6455, section 5.4).
//!
//! While such a message is open, the queue keeps other messages behind it (`queue/composing.rs`).

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::caller::Caller;
use super::composer::{Message, State};
use super::frame::Frame;
use super::object::Output;
use super::queue::Closed;
use super::sending::Lane;
use crate::budget;
use crate::compression::Pieces;
use crate::protocol::{Closer, FrameHeader, Opcode, Rsv, Traffic};
use crate::transport::Stream;

/// The most bytes that are collected for a fragment.
const FRAGMENT: usize = 32 * 1024;

/// The payload of the close frame if a message does not end: code 1011 and a reason.
const INCOMPLETE: &[u8] = b"\x03\xf3incomplete message";

/// What follows a piece of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// More of the message.
    More,
    /// More of the message, but what is there is sent now.
    Later,
    /// Nothing: the message ends.
    Nothing,
}

/// Why a piece of a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotComposed {
    /// The connection is closing or gone, or no message was begun.
    Closed,
    /// Another thread is writing.
    Busy,
}

impl From<Closed> for NotComposed {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

/// Puts a message back when a thread has added to it. If the thread could not, or panics, the
/// connection is closed.
struct Taken<'a, S: Stream> {
    output: &'a Arc<Output<S>>,
    caller: Caller,
    /// What to put back. `None`: the message cannot be completed.
    next: Option<State>,
}

impl<S: Stream> Drop for Taken<'_, S> {
    fn drop(&mut self) {
        if self.next.is_none() {
            // Before another thread may begin a message.
            self.output.lose_message(self.caller);
        }
        *self.output.composer.lock() = self.next.take().unwrap_or_default();
    }
}

impl<S: Stream> Output<S> {
    /// Begins a text or binary message that is then [written](Self::compose). Other messages wait
    /// behind it. Returns `false` if another one is being written. Closes the connection if that
    /// one's writer is lost.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the connection is closing or gone.
    pub fn begin_message(self: &Arc<Self>, opcode: Opcode) -> Result<bool, Closed> {
        let mut state = self.composer.lock();
        if !matches!(*state, State::None) {
            drop(state);
            self.check_writer()?;
            return if self.is_closed() {
                Err(Closed)
            } else {
                Ok(false)
            };
        }
        // No later message refers to an earlier one, because this one comes between them.
        self.framing.forgetting(|| {
            let mut queue = self.shared.queue();
            queue.begin_message()?;
            queue.expect_writer(self.patience());
            Ok(())
        })?;
        *state = State::Open(Box::new(Message {
            opcode,
            is_begun: false,
            bytes: Vec::new(),
            pieces: None,
            uncounted: 0,
            total: [0, 0],
        }));
        Ok(true)
    }

    /// Adds a piece to the message that was begun. Waits while the queue is full, as
    /// [`send`](Self::send) does. If the piece cannot be added, the message cannot end any more,
    /// and the connection is closed.
    ///
    /// # Errors
    ///
    /// See [`NotComposed`].
    pub fn compose(
        self: &Arc<Self>,
        piece: &[u8],
        rest: Rest,
        caller: Caller,
    ) -> Result<(), NotComposed> {
        let mut message = {
            let mut state = self.composer.lock();
            match mem::replace(&mut *state, State::Taken) {
                State::Open(message) => message,
                State::Taken => return Err(NotComposed::Busy),
                State::None => {
                    *state = State::None;
                    return Err(NotComposed::Closed);
                }
            }
        };
        let mut taken = Taken {
            output: self,
            caller,
            next: None,
        };
        self.shared.queue().expect_writer(None);
        self.add(&mut message, piece, rest, caller)?;
        self.shared.queue().expect_writer(self.patience());
        taken.next = Some(match rest {
            Rest::Nothing => State::None,
            Rest::More | Rest::Later => State::Open(message),
        });
        Ok(())
    }

    /// Closes the connection if a message is being written: its writer cannot go on. The client
    /// must not take what it got for the whole message.
    pub fn lose_message(self: &Arc<Self>, caller: Caller) {
        if self.shared.queue().is_composing() {
            // On an error the connection is closing already.
            let _ = self.close(Closer::Plugin, INCOMPLETE, caller);
            self.wake();
        }
    }

    /// Until when the writer of a message may write nothing while others wait behind it, from now.
    pub(super) fn patience(&self) -> Option<Instant> {
        self.timeout
            .and_then(|timeout| Instant::now().checked_add(timeout))
    }

    /// Closes the connection if its messages wait behind one whose writer is lost. A plugin may
    /// have leaked it.
    ///
    /// # Errors
    ///
    /// [`Closed`] if it does.
    pub(super) fn check_writer(self: &Arc<Self>) -> Result<(), Closed> {
        let is_abandoned = self.shared.queue().is_abandoned();
        if is_abandoned {
            self.lose_message(Caller::Thread);
            return Err(Closed);
        }
        Ok(())
    }

    fn add(
        self: &Arc<Self>,
        message: &mut Message,
        mut piece: &[u8],
        rest: Rest,
        caller: Caller,
    ) -> Result<(), Closed> {
        message.uncounted += piece.len() as u64;
        message.total[0] = message.total[0].saturating_add(piece.len());
        while message.pieces.is_none() {
            let taken = piece.len().min(FRAGMENT - message.bytes.len());
            let (front, back) = piece.split_at(taken);
            if self.extend(&mut message.bytes, front).is_err() {
                return Err(self.lose_for_memory());
            }
            piece = back;
            let is_all = piece.is_empty();
            if is_all && rest == Rest::More {
                // The end of the message may follow, and needs no fragment of its own then.
                return Ok(());
            }
            if !message.is_begun {
                message.pieces = self.framing.pieces(message.opcode, &message.bytes);
                if message.pieces.is_some() {
                    let front = mem::take(&mut message.bytes);
                    self.add_compressed(message, &front, Rest::More, caller)?;
                    break;
                }
            }
            if is_all {
                let is_last = rest == Rest::Nothing;
                if is_last || !message.bytes.is_empty() {
                    self.send_fragment(message, 0, is_last, caller)?;
                }
                return Ok(());
            }
            self.send_fragment(message, 0, false, caller)?;
        }
        self.add_compressed(message, piece, rest, caller)
    }

    /// Compresses a piece, and sends what is complete.
    fn add_compressed(
        self: &Arc<Self>,
        message: &mut Message,
        mut piece: &[u8],
        rest: Rest,
        caller: Caller,
    ) -> Result<(), Closed> {
        loop {
            let room = FRAGMENT + Pieces::TAIL_LEN;
            let missing = room.saturating_sub(message.bytes.len());
            if message.bytes.try_reserve_exact(missing).is_err() {
                return Err(self.lose_for_memory());
            }
            let Message { pieces, bytes, .. } = message;
            let Some(taken) = pieces
                .as_mut()
                .and_then(|pieces| pieces.compress(piece, bytes, rest != Rest::More))
            else {
                return Err(self.lose_for_memory());
            };
            piece = &piece[taken..];
            if bytes.len() < bytes.capacity() {
                break;
            }
            // The end of a message lacks its last bytes, and this may be the end.
            self.send_fragment(message, Pieces::TAIL_LEN, false, caller)?;
        }
        match rest {
            Rest::More => Ok(()),
            Rest::Later if message.bytes.len() <= Pieces::TAIL_LEN => Ok(()),
            Rest::Later => self.send_fragment(message, Pieces::TAIL_LEN, false, caller),
            Rest::Nothing => {
                Pieces::strip_tail(&mut message.bytes);
                self.send_fragment(message, 0, true, caller)?;
                let [before, after] = message.total;
                self.meter().deflated(before, after);
                Ok(())
            }
        }
    }

    /// Sends what was collected, except the last `kept` bytes, as a fragment.
    fn send_fragment(
        self: &Arc<Self>,
        message: &mut Message,
        kept: usize,
        is_last: bool,
        caller: Caller,
    ) -> Result<(), Closed> {
        let length = message.bytes.len().saturating_sub(kept);
        let opcode = if message.is_begun {
            Opcode::Continuation
        } else {
            message.opcode
        };
        let rsv = match message.pieces {
            Some(_) if !message.is_begun => Rsv::RSV1,
            _ => Rsv::NONE,
        };
        let header = FrameHeader {
            fin: is_last,
            rsv,
            ..FrameHeader::unmasked(opcode, length as u64)
        };
        let frame = Frame {
            header: &header.encode(),
            payload: &message.bytes[..length],
            closes: None,
            traffic: Traffic {
                messages: u64::from(is_last),
                bytes: message.uncounted,
            },
            shared: None,
        };
        self.send_when_there_is_room(Lane::Fragments, caller, || {
            let offered = self.shared.queue().push_fragment(frame, is_last, caller)?;
            budget::relieve();
            let is_accepted = self.arrange(offered, caller)?;
            if is_accepted && is_last {
                // Those who wait for the end of the message.
                self.shared.room.notify_all();
            }
            Ok(is_accepted)
        })?;
        message.is_begun = true;
        message.uncounted = 0;
        message.total[1] = message.total[1].saturating_add(length);
        message.bytes.drain(..length);
        Ok(())
    }

    fn extend(&self, bytes: &mut Vec<u8>, more: &[u8]) -> Result<(), Closed> {
        bytes.try_reserve(more.len()).map_err(|_| Closed)?;
        bytes.extend_from_slice(more);
        Ok(())
    }

    /// The connection ends, because the client could not notice that something is missing.
    #[cold]
    fn lose_for_memory(&self) -> Closed {
        self.fail(std::io::ErrorKind::OutOfMemory.into());
        Closed
    }
}
