//! The keys of what belongs to topics.

use std::ops::Range;

use crate::topics::space::SpaceId;

/// The key of a topic, and of what belongs to it: space and name, a zero, which is in no name, and
/// a number.
pub(super) struct TopicKey(Vec<u8>);

impl TopicKey {
    pub(super) fn new(space: SpaceId, topic: &str) -> Self {
        let mut key = Vec::with_capacity(space.0.len() + topic.len() + 1 + size_of::<u64>());
        key.extend_from_slice(&space.0);
        key.extend_from_slice(topic.as_bytes());
        Self(key)
    }

    /// The topic with this key.
    pub(super) fn of(topic: &[u8]) -> Self {
        Self(topic.to_vec())
    }

    /// The key of the topic itself.
    pub(super) fn topic(&self) -> &[u8] {
        &self.0
    }

    /// The keys of all that belongs to the topic begin with this.
    pub(super) fn prefix(&self) -> Vec<u8> {
        [&self.0[..], &[0]].concat()
    }

    /// The key of the item with this number.
    pub(super) fn item(&self, number: u64) -> Vec<u8> {
        [&self.0[..], &[0], &number.to_be_bytes()].concat()
    }

    /// The keys of the items with these numbers.
    pub(super) fn items(&self, numbers: Range<u64>) -> Range<Vec<u8>> {
        self.item(numbers.start)..self.item(numbers.end)
    }
}

/// The number of the item with this key.
pub(super) fn number(key: &[u8]) -> u64 {
    key.last_chunk()
        .map_or(0, |number| u64::from_be_bytes(*number))
}
