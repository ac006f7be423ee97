//! What is known of a topic that has a history.

use websocket_plugin::Position;

use crate::topics::epoch;

/// What is known of a topic.
#[derive(Clone, Copy)]
pub(super) struct State {
    pub(super) epoch: u64,
    /// The offset of the newest message.
    pub(super) newest: u64,
    /// All messages are kept that have this offset or a greater one.
    pub(super) oldest: u64,
    /// So many are kept.
    pub(super) count: u64,
    /// Whoever goes on from an earlier offset is told of a gap: before this one, somebody else has
    /// counted messages of the topic. Zero if nobody has.
    pub(super) least: u64,
}

impl State {
    /// That of a topic that this host has counted, and whose messages are all forgotten.
    pub(super) const EMPTIED: Self = Self {
        epoch: epoch::NONE,
        newest: 0,
        oldest: 1,
        count: 0,
        least: 0,
    };

    /// The same where the history was another one. If that was not of this epoch, a place of this
    /// epoch from before says nothing of what the other one had.
    pub(super) fn in_place_of(other: Self, first: Option<Position>) -> Self {
        let begun = Self::before(first);
        if other.epoch == begun.epoch {
            begun
        } else {
            begun.after_others()
        }
    }

    /// The same where somebody else may have counted messages before.
    pub(super) fn after_others(self) -> Self {
        Self {
            least: self.oldest,
            ..self
        }
    }

    /// That of a topic whose first message has this place, or any.
    pub(super) fn before(first: Option<Position>) -> Self {
        let (epoch, offset) = match first {
            Some(Position { epoch, offset }) => (epoch, offset.max(1)),
            None => (epoch::of_host(), 1),
        };
        Self {
            epoch,
            newest: offset - 1,
            oldest: offset,
            count: 0,
            least: 0,
        }
    }

    pub(super) fn write(self) -> Vec<u8> {
        let Self {
            epoch,
            newest,
            oldest,
            count,
            least,
        } = self;
        [epoch, newest, oldest, count, least]
            .map(u64::to_ne_bytes)
            .concat()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (&epoch, rest) = bytes.split_first_chunk()?;
        let (&newest, rest) = rest.split_first_chunk()?;
        let (&oldest, rest) = rest.split_first_chunk()?;
        let (&count, rest) = rest.split_first_chunk()?;
        let [epoch, newest, oldest, count] = [epoch, newest, oldest, count].map(u64::from_ne_bytes);
        // Files that an earlier version has written end here.
        let least = rest.first_chunk().copied().map_or(0, u64::from_ne_bytes);
        Some(Self {
            epoch,
            newest,
            oldest,
            count,
            least,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn what_an_earlier_version_has_written_is_read() {
        let written = State {
            epoch: 2,
            newest: 5,
            oldest: 3,
            count: 3,
            least: 4,
        }
        .write();
        let earlier = State::read(&written[..32]).unwrap();
        assert_eq!((earlier.newest, earlier.count, earlier.least), (5, 3, 0));
        assert_eq!(State::read(&written).unwrap().least, 4);
        assert!(State::read(&written[..31]).is_none());
    }
}
