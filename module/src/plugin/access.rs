//! What a connection may do with topics.

use std::sync::OnceLock;

use crate::topics::{SpaceId, Subscriber, TopicError};

/// What a connection may do with topics.
pub struct TopicAccess {
    pub(super) space: SpaceId,
    /// The most subscriptions that the connection may have.
    most: usize,
    /// Made at the first use. `None` means that the connection has ended.
    subscriber: OnceLock<Option<Box<Subscriber>>>,
}

impl TopicAccess {
    /// The access of a connection that may have `most` subscriptions to topics of this space.
    #[must_use]
    pub fn new(space: SpaceId, most: usize) -> Self {
        Self {
            space,
            most,
            subscriber: OnceLock::new(),
        }
    }

    pub(super) fn subscriber(
        &self,
        make: impl FnOnce(SpaceId, usize) -> Subscriber,
    ) -> Result<&Subscriber, TopicError> {
        let make = || Some(Box::new(make(self.space, self.most)));
        let subscriber = self.subscriber.get_or_init(make);
        subscriber.as_deref().ok_or(TopicError::Closed)
    }

    /// Makes the connection leave all topics and subscribe to no more.
    pub(super) fn end(&self) {
        if let Some(subscriber) = self.subscriber.get_or_init(|| None) {
            subscriber.end();
        }
    }
}
