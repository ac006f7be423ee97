//! Into the log, and from the log to the subscribers of this child.

use std::sync::PoisonError;

use websocket_plugin::Position;

use super::error::TopicError;
use super::hub::{Hub, log_seldom};
use super::log::{Imported, LogError, Mark};
use super::message::{Kind, Message};
use super::outbox::{Partition, Refusal, Sending};
use super::published::Published;
use super::publisher::Publisher;
use crate::httpd::guard::guard;
use crate::httpd::log::{Level, log_server};
use crate::httpd::scoreboard::{Total, add_total};
use crate::output::{Broadcast, Caller};
use crate::protocol::Closer;

/// A thread that has published delivers so many batches, others' messages too, before it leaves the
/// rest to the thread that is there for that. That one looks up as often for other things to do.
const MOST_BATCHES: u32 = 8;

/// The payload of the close frame for subscribers that have missed messages: 1013, and why.
const MISSED: &[u8] = b"\x03\xf5missed messages";

impl Hub {
    /// Hands a message to the broker, if there is one, and publishes it here otherwise.
    pub(super) fn publish(
        &self,
        message: &Message<'_>,
        from: Publisher<'_>,
    ) -> Result<Published, TopicError> {
        let published = self.hand_over(message, from)?;
        add_total(Total::Published, 1);
        Ok(published)
    }

    fn hand_over(
        &self,
        message: &Message<'_>,
        from: Publisher<'_>,
    ) -> Result<Published, TopicError> {
        let Some(outbox) = &self.outbox else {
            return self.publish_here(message, from).map(Published::Here);
        };
        if !self.log.has_room_for(message.payload.len()) {
            return Err(TopicError::TooLarge);
        }
        match outbox.put(self.sending(message)) {
            Ok(()) => Ok(Published::Queued),
            Err(Refusal::Cut) if outbox.partition == Partition::Local => {
                self.publish_here(message, from).map(Published::Here)
            }
            Err(Refusal::Cut) => Err(TopicError::Unavailable),
            Err(Refusal::TooLong) => Err(TopicError::TooLarge),
            Err(Refusal::Full) => {
                log_seldom("topics: a message is refused: the broker is too slow for all of them");
                Err(TopicError::Unavailable)
            }
        }
    }

    fn sending(&self, message: &Message<'_>) -> Sending {
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        let keep = self.rules.keep(message.space, message.topic);
        Sending {
            counter: keep.map(|_| format!("{}:{}", message.space, message.topic).into()),
            bytes,
        }
    }

    /// Adds messages of the broker to the log, and delivers them. Returns whether it was read up to
    /// there ([`Log::import`](super::log::Log::import)).
    pub(super) fn import(
        &self,
        marks: (&Mark, &Mark),
        messages: &[Imported<'_>],
        has_gap: bool,
    ) -> Result<bool, LogError> {
        let keep = |message: &Message<'_>| self.rules.keep(message.space, message.topic);
        let is_added = self.log.import(marks, messages, has_gap, keep)?;
        self.commons.tell_others();
        self.deliver(Publisher::thread());
        Ok(is_added)
    }

    /// Adds a message to the log and delivers it. Returns its place, if its topic has a history.
    pub(super) fn publish_here(
        &self,
        message: &Message<'_>,
        from: Publisher<'_>,
    ) -> Result<Option<Position>, TopicError> {
        let keep = match message.kind {
            Kind::Presence => None,
            // With a broker, histories have only what comes from there: their places are the same
            // on all hosts.
            _ if self.outbox.is_some() => None,
            _ => self.rules.keep(message.space, message.topic),
        };
        let position = self.log.publish(message, keep);
        let position = position.map_err(|error| Self::failed(&error))?;
        self.commons.tell_others();
        self.deliver(from);
        Ok(position)
    }

    /// Delivers what is in the log, or has whoever does so already look again.
    fn deliver(&self, from: Publisher<'_>) {
        let is_alone = !self.waiter.is_running();
        let most = if is_alone { u32::MAX } else { MOST_BATCHES };
        let work = || self.deliver_batch(from);
        if self.delivery.relay.ask(most, work) {
            self.commons.tell_own();
        }
    }

    /// The same for the thread that is there for that, which also goes on where others have left
    /// off.
    pub(super) fn deliver_and_go_on(&self) {
        let work = || self.deliver_batch(Publisher::thread());
        if self.delivery.relay.go_on(MOST_BATCHES, work) {
            self.commons.tell_own();
        }
    }

    /// Returns whether there may be more.
    fn deliver_batch(&self, from: Publisher<'_>) -> bool {
        let mut delivered = self.delivery.begin();
        let batch = match self.log.read_after(*delivered) {
            Ok(batch) => batch,
            Err(error) => {
                // Nobody is there to be told but the error log.
                let _ = Self::failed(&error);
                self.close_behind(u64::MAX);
                return false;
            }
        };
        if batch.is_empty() {
            return false;
        }
        if batch.first != *delivered + 1 {
            self.close_behind(batch.first - 1);
        }
        for (number, message) in batch.messages() {
            // Should it fail, it is not sent again.
            *delivered = number;
            if self.waiter.is_stopping() {
                return false;
            }
            if let Some(message) = message {
                guard("the delivery of a message", (), || {
                    self.send(number, &message, from);
                });
            }
        }
        true
    }

    /// Sends a message to its subscribers in this child.
    fn send(&self, number: u64, message: &Message<'_>, from: Publisher<'_>) {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        let Some(members) = rooms.get(&message.space) else {
            return;
        };
        let mut plain = Broadcast::new(message.kind.opcode(), message.payload);
        let mut in_envelopes = Vec::new();
        let mut count = 0;
        members.visit(
            message.topic,
            |member| member.after < number,
            |member| {
                if member.has_envelope {
                    in_envelopes.push(&member.output);
                } else if message.kind != Kind::Presence {
                    count += 1;
                    plain.send(&member.output, from.caller_for(&member.output));
                }
            },
        );
        plain.finish();
        add_total(Total::Delivered, count + in_envelopes.len() as u64);
        if !in_envelopes.is_empty() {
            let envelope = message.envelope();
            let mut enveloped = Broadcast::new(Kind::Json.opcode(), envelope.as_bytes());
            for output in in_envelopes {
                enveloped.send(output, from.caller_for(output));
            }
            enveloped.finish();
        }
    }

    /// Closes the subscribers of this child that have missed messages: those who have not got the
    /// one with this number, which is gone.
    #[cold]
    fn close_behind(&self, number: u64) {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        for members in rooms.values() {
            for (_, member) in members.all().filter(|(_, member)| member.after < number) {
                let closed = member.output.close(Closer::Limit, MISSED, Caller::Thread);
                count += usize::from(closed.is_ok());
            }
        }
        drop(rooms);
        let text = format!(
            "messages to topics are gone before this process took them: closing {count} \
             subscribers with 1013; the process was stopped, or more is published than it can \
             deliver, or WebSocketTopicMemory is too small"
        );
        log_server(Level::Error, &text);
    }
}
