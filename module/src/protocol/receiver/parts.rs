//! Messages that are handed out while they arrive.

use super::{Event, Inflater, PART, Ready, Receiver, State};
use crate::protocol::{Input, MessageKind, ProtocolError};

impl Receiver {
    /// Hands out messages in [parts](Event::Part), as they arrive. Memory for a message is then
    /// bounded, however long it is.
    #[must_use]
    pub fn in_parts(mut self) -> Self {
        self.in_parts = true;
        if let Some(inflater) = &mut self.inflater {
            inflater.forget_parts();
        }
        self
    }

    /// Whether messages are handed out in parts.
    #[must_use]
    pub fn is_in_parts(&self) -> bool {
        self.in_parts
    }

    /// Whether [`receive`](Self::receive) has something to hand out without more bytes of the
    /// client.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        let is_whole_frame = matches!(self.state, State::Payload(frame) if frame.missing == 0);
        self.in_parts
            && (is_whole_frame
                || self.message.has_part()
                || self.inflater.as_deref().is_some_and(Inflater::has_more))
    }

    /// How many bytes of a message may be added to what is there. It is never 0.
    pub(super) fn room_for_part(&self) -> usize {
        if self.in_parts {
            PART.saturating_sub(self.message.len()).max(1)
        } else {
            usize::MAX
        }
    }

    /// Processes `input` until an event is ready. When the input is used up, this is the part of a
    /// message that has arrived.
    pub(super) fn advance_to_part(
        &mut self,
        input: &mut Input<'_>,
    ) -> Result<Option<Ready>, ProtocolError> {
        self.message.take_back();
        let ready = self.advance(input)?;
        Ok(self.or_part(ready))
    }

    /// What is ready, or else the part of a message that has arrived, if it is to be handed out.
    pub(super) fn or_part(&self, ready: Option<Ready>) -> Option<Ready> {
        ready.or_else(|| self.part().filter(|_| self.in_parts))
    }

    fn part(&self) -> Option<Ready> {
        let kind = self.message.kind()?;
        self.message.has_part().then_some(Ready::Part(kind))
    }

    /// A part that is as long as parts get. First inflates what has arrived, up to this length.
    pub(super) fn full_part(&mut self) -> Result<Option<Ready>, ProtocolError> {
        let State::Payload(frame) = self.state else {
            return Ok(None);
        };
        if let Some(inflater) = self.inflater.as_mut().filter(|_| frame.is_compressed) {
            inflater.inflate_more(&mut self.message, self.limits.max_message_size)?;
        } else if frame.missing == 0 {
            // At the end of the message this is its last part.
            return Ok(None);
        }
        Ok(self.part().filter(|_| self.message.len() >= PART))
    }

    /// Lends the part of a message that has arrived.
    pub(super) fn lend_part(&mut self, kind: MessageKind) -> Result<Event<'_>, ProtocolError> {
        let inflater = self.inflater.as_mut().filter(|i| i.is_under_way());
        let kept = inflater.map_or(Ok(()), |inflater| inflater.pass(self.message.part()));
        if let Err(error) = kept.and_then(|()| self.message.make_room_behind()) {
            self.stop();
            return Err(error);
        }
        Ok(Event::Part {
            kind,
            is_first: self.message.passed() == 0,
            is_last: false,
            payload: self.message.lend_part(),
        })
    }
}
