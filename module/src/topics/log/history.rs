//! The histories of topics.

use std::ops::Bound;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use heed::{RoTxn, RwTxn};

use super::keys::{TopicKey, number};
use super::{Log, LogError};
use crate::topics::message::{Message, Position};
use crate::topics::rules::Keep;
use crate::topics::space::SpaceId;

/// When a message is added, so many old ones are removed at most.
const MOST_REMOVED: usize = 8;

/// What is known of a topic.
#[derive(Clone, Copy)]
struct State {
    epoch: u64,
    /// The offset of the newest message.
    newest: u64,
    /// The offset of the oldest message that is kept.
    oldest: u64,
}

/// From where on messages of a history are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::topics) enum Since {
    /// All that are kept.
    Beginning,
    /// Those after this one.
    Position(Position),
}

/// What a history has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::topics) struct Recovered {
    /// The newest message of the log.
    pub(in crate::topics) number: u64,
    /// The newest message of the topic, if there was one.
    pub(in crate::topics) position: Option<Position>,
    /// Whether all messages that were wanted are there. If not, none was shown.
    pub(in crate::topics) is_complete: bool,
    /// How many were shown.
    pub(in crate::topics) count: u32,
}

impl Log {
    /// Adds a message to the history of its topic. Returns its place.
    pub(super) fn append(
        &self,
        txn: &mut RwTxn<'_>,
        message: &Message<'_>,
        keep: Keep,
    ) -> Result<Position, LogError> {
        let key = TopicKey::new(message.space, message.topic);
        let known = self.topics.get(txn, key.topic())?.and_then(State::read);
        let mut state = known.unwrap_or_else(|| State {
            epoch: new_epoch(),
            newest: 0,
            oldest: 1,
        });
        state.newest += 1;
        let position = Position {
            epoch: state.epoch,
            offset: state.newest,
        };
        let kept = Kept {
            at: now(),
            message: Message {
                position: Some(position),
                ..*message
            },
        };
        self.history
            .put(txn, &key.item(state.newest), &kept.write())?;
        let too_old = oldest_time(keep);
        for _ in 0..MOST_REMOVED {
            let item = key.item(state.oldest);
            let is_late = |bytes| Kept::read(bytes).is_none_or(|kept| kept.at < too_old);
            let is_surplus = state.newest - state.oldest >= u64::from(keep.count);
            if !is_surplus && !self.history.get(txn, &item)?.is_none_or(is_late) {
                break;
            }
            self.history.delete(txn, &item)?;
            state.oldest += 1;
        }
        self.topics.put(txn, key.topic(), &state.write())?;
        Ok(position)
    }

    /// Shows what is kept of a topic `since` then, up to `most` messages, the oldest first.
    pub(in crate::topics) fn recover(
        &self,
        (space, topic): (SpaceId, &str),
        (keep, since): (Keep, Since),
        most: usize,
        mut visit: impl FnMut(&Message<'_>),
    ) -> Result<Recovered, LogError> {
        let txn = self.read()?;
        let key = TopicKey::new(space, topic);
        let state = self.topics.get(&txn, key.topic())?.and_then(State::read);
        let mut recovered = Recovered {
            number: self.last(&txn)?,
            position: state.map(State::position),
            is_complete: true,
            count: 0,
        };
        let Some(state) = state else {
            recovered.is_complete = since == Since::Beginning;
            return Ok(recovered);
        };
        let oldest = self.oldest_kept(&txn, &key, state, keep)?;
        let first = match since {
            Since::Beginning => oldest,
            Since::Position(Position { epoch, offset }) => {
                let is_of_topic = epoch == state.epoch && offset <= state.newest;
                if !is_of_topic || offset + 1 < oldest {
                    recovered.is_complete = false;
                    return Ok(recovered);
                }
                offset + 1
            }
        };
        let items = key.items(first..state.newest + 1);
        for item in self.history.range(&txn, &bounds(&items))?.take(most) {
            let (_, bytes) = item?;
            if let Some(kept) = Kept::read(bytes) {
                visit(&kept.message);
                recovered.count += 1;
            }
        }
        Ok(recovered)
    }

    /// Removes what is too old from histories. `keep` says how much of a topic is kept.
    pub(in crate::topics) fn sweep(
        &self,
        keep: impl Fn(SpaceId, &str) -> Option<Keep>,
    ) -> Result<(), LogError> {
        for (space, topic) in self.late_topics(&keep)? {
            let mut txn = self.environment.write_txn()?;
            let key = TopicKey::new(space, &topic);
            let Some(state) = self.topics.get(&txn, key.topic())?.and_then(State::read) else {
                continue;
            };
            let oldest = self.oldest_to_keep(&txn, &key, state, keep(space, &topic))?;
            let items = key.items(state.oldest..oldest);
            self.history.delete_range(&mut txn, &bounds(&items))?;
            let state = State { oldest, ..state };
            self.topics.put(&mut txn, key.topic(), &state.write())?;
            txn.commit()?;
        }
        Ok(())
    }

    /// Topics of which something is kept that is too old. To look for them keeps nobody waiting.
    fn late_topics(
        &self,
        keep: impl Fn(SpaceId, &str) -> Option<Keep>,
    ) -> Result<Vec<(SpaceId, Box<str>)>, LogError> {
        let txn = self.read()?;
        let mut late = Vec::new();
        for item in self.topics.iter(&txn)? {
            let (key, state) = item?;
            let topic = read_key(key).zip(State::read(state));
            let Some(((space, topic), state)) = topic else {
                continue;
            };
            let key = TopicKey::new(space, topic);
            let oldest = self.oldest_to_keep(&txn, &key, state, keep(space, topic))?;
            if oldest > state.oldest {
                late.push((space, topic.into()));
            }
        }
        Ok(late)
    }

    fn oldest_to_keep(
        &self,
        txn: &RoTxn<'_, heed::AnyTls>,
        key: &TopicKey,
        state: State,
        keep: Option<Keep>,
    ) -> Result<u64, LogError> {
        match keep {
            Some(keep) => self.oldest_kept(txn, key, state, keep),
            // The administrator has removed the rule.
            None => Ok(state.newest + 1),
        }
    }

    /// The offset of the oldest message that is to be kept; one more than that of the newest if
    /// none is.
    fn oldest_kept(
        &self,
        txn: &RoTxn<'_, heed::AnyTls>,
        key: &TopicKey,
        state: State,
        keep: Keep,
    ) -> Result<u64, LogError> {
        let by_count = (state.newest + 1).saturating_sub(u64::from(keep.count));
        let first = state.oldest.max(by_count);
        let too_old = oldest_time(keep);
        let items = key.items(first..state.newest + 1);
        for item in self.history.range(txn, &bounds(&items))? {
            let (item, bytes) = item?;
            if Kept::read(bytes).is_some_and(|kept| kept.at >= too_old) {
                return Ok(number(item));
            }
        }
        Ok(state.newest + 1)
    }
}

fn bounds(items: &std::ops::Range<Vec<u8>>) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Included(&items.start), Bound::Excluded(&items.end))
}

/// Space and topic of a key of `topics`.
fn read_key(key: &[u8]) -> Option<(SpaceId, &str)> {
    let (&space, topic) = key.split_first_chunk()?;
    Some((SpaceId(space), str::from_utf8(topic).ok()?))
}

impl State {
    fn position(self) -> Position {
        Position {
            epoch: self.epoch,
            offset: self.newest,
        }
    }

    fn write(self) -> Vec<u8> {
        [self.epoch, self.newest, self.oldest]
            .map(u64::to_ne_bytes)
            .concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (&epoch, rest) = bytes.split_first_chunk()?;
        let (&newest, rest) = rest.split_first_chunk()?;
        let (&oldest, _) = rest.split_first_chunk()?;
        let [epoch, newest, oldest] = [epoch, newest, oldest].map(u64::from_ne_bytes);
        Some(Self {
            epoch,
            newest,
            oldest,
        })
    }
}

/// A message that is kept.
struct Kept<'m> {
    /// When it was published, in milliseconds since 1970.
    at: u64,
    message: Message<'m>,
}

impl<'m> Kept<'m> {
    fn write(&self) -> Vec<u8> {
        let mut message = Vec::new();
        self.message.write(&mut message);
        [&self.at.to_ne_bytes()[..], &message].concat()
    }

    fn read(bytes: &'m [u8]) -> Option<Self> {
        let (&at, message) = bytes.split_first_chunk()?;
        Some(Self {
            at: u64::from_ne_bytes(at),
            message: Message::read(message)?,
        })
    }
}

/// What was published before this is not kept.
fn oldest_time(keep: Keep) -> u64 {
    keep.time
        .map_or(0, |time| now().saturating_sub(milliseconds(time)))
}

/// In milliseconds since 1970.
fn now() -> u64 {
    milliseconds(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A number that was not there before.
fn new_epoch() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    // Zero stands for none.
    RandomState::new().build_hasher().finish().max(1)
}
