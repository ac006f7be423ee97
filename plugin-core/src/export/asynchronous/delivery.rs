//! What the task of a connection handles: messages, events, and news of room in the queue.

use super::mailbox::Content;
use crate::export::guard::Scope;
use crate::export::source::Source;
use crate::{Message, Sender};
use std::any::Any;

/// A callback that waits for its turn.
pub(super) enum Delivery {
    Message(Owned),
    Event(Posted),
    /// The connection's queue has room again.
    Drained,
}

/// A message of the client.
pub(super) enum Owned {
    Text(String),
    Binary(Vec<u8>),
}

impl Owned {
    pub(super) fn lend(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
        }
    }
}

impl From<Message<'_>> for Delivery {
    fn from(message: Message<'_>) -> Self {
        Self::Message(match message {
            Message::Text(text) => Owned::Text(text.to_owned()),
            Message::Binary(bytes) => Owned::Binary(bytes.to_owned()),
        })
    }
}

impl Content for Delivery {
    fn weight(&self) -> usize {
        match self {
            Self::Message(message) => message.lend().len(),
            Self::Event(_) | Self::Drained => 0,
        }
    }

    fn is_message(&self) -> bool {
        matches!(self, Self::Message(_))
    }
}

/// An event of the plugin. It counts among those that wait for the connection.
pub(super) struct Posted {
    event: Option<Box<dyn Any + Send>>,
    sender: Sender,
    source: &'static Source,
}

impl Posted {
    pub(super) fn new<E: Send + 'static>(
        event: E,
        sender: &Sender,
        source: &'static Source,
    ) -> Self {
        sender.count_event();
        Self {
            event: Some(Box::new(event)),
            sender: sender.clone(),
            source,
        }
    }

    /// The event. `None`: it is of another type, which does not happen.
    pub(super) fn take<E: 'static>(mut self) -> Option<E> {
        let event = self.event.take()?.downcast().ok()?;
        Some(*event)
    }
}

impl Drop for Posted {
    /// Drops an event that is not handled, which is the plugin's code.
    fn drop(&mut self) {
        self.sender.forget_event();
        if let Some(event) = self.event.take() {
            Scope::detached(self.source).run_logged("drop", || drop(event));
        }
    }
}
