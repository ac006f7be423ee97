//! Keeps messages behind one that is being written.

use std::time::Instant;

use super::{Closed, Frame, Offer, Queue};
use crate::output::caller::Caller;

impl Queue {
    /// From now on, messages wait behind one that is written in
    /// [fragments](Self::push_fragment).
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`seal`](Self::seal) or a close frame, and inside another message (RFC
    /// 6455, section 5.4).
    pub(in crate::output) fn begin_message(&mut self) -> Result<(), Closed> {
        if self.is_sealed || self.is_composing {
            return Err(Closed);
        }
        self.behind = Some(Box::default());
        self.is_composing = true;
        Ok(())
    }

    /// Notes when the writer of the message counts as lost; `None`: it is writing.
    pub(in crate::output) fn expect_writer(&mut self, until: Option<Instant>) {
        if let Some(behind) = &mut self.behind {
            behind.abandoned_at = until;
        }
    }

    /// Whether nothing more is to be expected of the message that is being written. The queue then
    /// accepts no message behind it.
    pub(in crate::output) fn is_abandoned(&self) -> bool {
        self.behind.as_ref().is_some_and(|b| b.is_abandoned())
    }

    /// When the writer of the message counts as lost, unless it goes on before. `None`: never, or
    /// it is writing.
    pub(in crate::output) fn abandoned_at(&self) -> Option<Instant> {
        self.behind.as_ref()?.abandoned_at
    }

    /// Whether a message is being written.
    pub(in crate::output) fn is_composing(&self) -> bool {
        self.is_composing
    }

    /// Whether the queue would accept a fragment now. What waits behind the message does not count.
    ///
    /// # Errors
    ///
    /// [`Closed`] if it will never accept one again.
    pub(in crate::output) fn takes_fragments(&self) -> Result<bool, Closed> {
        if self.is_sealed {
            return Err(Closed);
        }
        let behind = self.behind.as_ref().map_or(0, |behind| behind.len);
        Ok(self.waiting - behind < self.limit)
    }

    /// Accepts a fragment of the message that is being written, if there is room. Other messages
    /// follow the last one.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub(in crate::output) fn push_fragment(
        &mut self,
        frame: Frame<'_>,
        is_last: bool,
        caller: Caller,
    ) -> Result<Offer, Closed> {
        if !self.takes_fragments()? {
            return Ok(Offer::Full);
        }
        let offer = self.accept(frame, caller);
        if is_last
            && offer != Offer::NoMemory
            && let Some(behind) = self.behind.take()
        {
            self.is_composing = false;
            if self.frames.append(behind.frames).is_err() {
                return Ok(Offer::NoMemory);
            }
        }
        self.charge.set(self.own_len());
        Ok(offer)
    }

    /// [`push`](Self::push) while a message is being written: control frames do not wait for it.
    #[cold]
    pub(super) fn push_beside(
        &mut self,
        frame: Frame<'_>,
        caller: Caller,
    ) -> Result<Offer, Closed> {
        let has_room = if frame.is_control() {
            self.takes_fragments()? || frame.is_close()
        } else {
            self.takes_messages()? && !self.is_abandoned()
        };
        if !has_room {
            return Ok(Offer::Full);
        }
        let offer = match &mut self.behind {
            Some(behind) if !frame.is_control() => {
                if behind.frames.push(frame).is_err() {
                    return Ok(Offer::NoMemory);
                }
                behind.len += frame.len();
                self.waiting += frame.len();
                self.sent.add(frame.traffic);
                // The last fragment arranges the writing.
                Offer::Accepted
            }
            _ => self.accept(frame, caller),
        };
        self.charge.set(self.own_len());
        Ok(offer)
    }

    /// Discards what waits behind a message that is not going to end.
    pub(super) fn drop_behind(&mut self) {
        if let Some(behind) = self.behind.take() {
            self.waiting -= behind.len;
            self.charge.set(self.own_len());
        }
    }

    /// The bytes of this connection alone, which the writer has not taken.
    pub(super) fn own_len(&self) -> usize {
        self.frames.own_len() + self.behind_len()
    }

    pub(super) fn behind_len(&self) -> usize {
        let behind = self.behind.as_ref();
        behind.map_or(0, |behind| behind.frames.own_len())
    }
}
