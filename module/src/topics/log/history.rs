//! The histories of topics.

mod kept;
mod state;

use std::ops::Bound;

use heed::{AnyTls, RoTxn, RwTxn};
use websocket_plugin::Position;

use super::clock::{milliseconds, now};
use super::keys::{TopicKey, number};
use super::{Backlog, Log, LogError};
use crate::topics::epoch;
use crate::topics::message::Message;
use crate::topics::random::random;
use crate::topics::rules::Keep;
use crate::topics::space::SpaceId;
use kept::Kept;
use state::State;

/// When a message is added, so many old ones are removed at most.
const MOST_REMOVED: usize = 8;

/// So many histories are forgotten at a time, if they take too much memory.
const MOST_EVICTED: usize = 16;

/// A key of `imports` that no broker has. It is there if this host has counted messages of a topic
/// whose history was evicted.
const COUNTED_HERE: &[u8] = b"counted here";

/// From where on messages of a history are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::topics) enum Since {
    /// All that are kept.
    Beginning,
    /// Those after this one.
    Position(Position),
}

/// What is wanted of a history.
#[derive(Clone, Copy, Debug)]
pub(in crate::topics) struct Wanted {
    pub(in crate::topics) since: Since,
    /// Of the log, messages up to the one with this number; `None`: all.
    pub(in crate::topics) up_to: Option<u64>,
    /// So many at most.
    pub(in crate::topics) count: usize,
    /// If they have more bytes than this, none.
    pub(in crate::topics) bytes: usize,
}

/// What a history has.
#[derive(Debug, Default)]
pub(in crate::topics) struct Recovered {
    /// The newest message of the topic, of those that were wanted, if there was one.
    pub(in crate::topics) position: Option<Position>,
    /// What the history has does not depend on messages of the log that follow the one with this
    /// number.
    pub(in crate::topics) up_to: u64,
    /// Some of the messages that were wanted are gone, or they are too many. There is none of them.
    pub(in crate::topics) has_gap: bool,
    messages: Vec<Box<[u8]>>,
}

impl Recovered {
    /// The messages, the oldest first.
    pub(in crate::topics) fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.messages
            .iter()
            .filter_map(|bytes| Message::read(bytes))
    }
}

impl Log {
    /// Adds a message to the history of its topic; it has this number in the log, and was published
    /// at this time. Returns its place. The history begins anew with it if it cannot follow the
    /// message before: if it has a place of a broker already, that has to follow the place before;
    /// if it has none, the history has to be one that this host counts.
    pub(super) fn append(
        &self,
        txn: &mut RwTxn<'_>,
        message: &Message<'_>,
        (number, at): (u64, u64),
        keep: Keep,
    ) -> Result<Position, LogError> {
        let key = TopicKey::new(message.space, message.topic);
        self.evict(txn, &key)?;
        let mut state = match self.topics.get(txn, key.topic())?.and_then(State::read) {
            Some(known) if self.may_follow(known, message.position) => known,
            Some(other) => {
                self.forget(txn, &key)?;
                State::in_place_of(other, message.position)
            }
            None => self.first_state(txn, message.position)?,
        };
        state.newest = message.position.map_or(state.newest + 1, |it| it.offset);
        state.count += 1;
        let position = Position {
            epoch: state.epoch,
            offset: state.newest,
        };
        let kept = Kept {
            at,
            number,
            message: Message {
                position: Some(position),
                ..*message
            },
        };
        self.history
            .put(txn, &key.item(state.newest), &kept.write())?;
        self.remove_some(txn, &key, &mut state, keep)?;
        self.topics.put(txn, key.topic(), &state.write())?;
        Ok(position)
    }

    /// Removes messages that are too many or too old, some at a time.
    fn remove_some(
        &self,
        txn: &mut RwTxn<'_>,
        key: &TopicKey,
        state: &mut State,
        keep: Keep,
    ) -> Result<(), LogError> {
        let too_old = oldest_time(keep);
        for _ in 0..MOST_REMOVED {
            let items = key.items(state.oldest..state.newest + 1);
            let oldest = self.history.range(txn, &bounds_of(&items))?.next();
            let Some((item, bytes)) = oldest.transpose()? else {
                break;
            };
            let is_surplus = state.count > u64::from(keep.count);
            if !is_surplus && Kept::read(bytes).is_some_and(|kept| kept.at >= too_old) {
                break;
            }
            let oldest = number(item);
            self.history.delete(txn, &key.item(oldest))?;
            state.oldest = oldest + 1;
            state.count = state.count.saturating_sub(1);
        }
        Ok(())
    }

    /// Whether the message after the newest of a topic may have this place; `None`: one that this
    /// host counts.
    fn may_follow(&self, state: State, position: Option<Position>) -> bool {
        let Some(Position { epoch, offset }) = position else {
            return !epoch::is_of_broker(state.epoch) && state.epoch != epoch::NONE;
        };
        let has_holes = self.source.is_some_and(|source| source.has_holes);
        let is_next = offset == state.newest + 1;
        epoch == state.epoch && (is_next || (has_holes && offset > state.newest))
    }

    /// Forgets all that is known of a topic.
    pub(super) fn forget(&self, txn: &mut RwTxn<'_>, key: &TopicKey) -> Result<(), LogError> {
        let state = self.topics.get(txn, key.topic())?.and_then(State::read);
        let newest = state.map_or(u64::MAX, |state| state.newest + 1);
        let items = key.items(0..newest);
        self.history.delete_range(txn, &bounds_of(&items))?;
        self.topics.delete(txn, key.topic())?;
        Ok(())
    }

    /// Empties all histories. Of topics that this host has counted it is still known that it did.
    pub(super) fn forget_all(&self, txn: &mut RwTxn<'_>) -> Result<(), LogError> {
        let mut counted_here = Vec::new();
        for topic in self.topics.iter(txn)? {
            let (key, state) = topic?;
            if State::read(state).is_some_and(|state| !epoch::is_of_broker(state.epoch)) {
                counted_here.push(key.to_vec());
            }
        }
        self.history.clear(txn)?;
        self.topics.clear(txn)?;
        for key in counted_here {
            self.topics.put(txn, &key, &State::EMPTIED.write())?;
        }
        Ok(())
    }

    /// If histories take too much memory, forgets those of some topics, but not of this one.
    /// Whoever comes back to one of them is told of a gap.
    fn evict(&self, txn: &mut RwTxn<'_>, except: &TopicKey) -> Result<(), LogError> {
        let mut pages = 0;
        for table in [&self.topics, &self.history] {
            let stat = table.stat(txn)?;
            pages += stat.leaf_pages + stat.branch_pages + stat.overflow_pages;
        }
        if pages <= self.most_pages {
            return Ok(());
        }
        // Any will do; where to begin is left to chance.
        let start = random().to_be_bytes();
        let bounds = (Bound::Included(&start[..]), Bound::Unbounded);
        let keys = self
            .topics
            .range(txn, &bounds)?
            .chain(self.topics.iter(txn)?);
        let mut victims = Vec::new();
        for entry in keys.take(MOST_EVICTED) {
            let (key, _) = entry?;
            if key != except.topic() {
                victims.push(TopicKey::of(key));
            }
        }
        self.evict_these(txn, &victims)
    }

    /// Forgets the histories of some topics for want of memory.
    pub(super) fn evict_these(
        &self,
        txn: &mut RwTxn<'_>,
        victims: &[TopicKey],
    ) -> Result<(), LogError> {
        for key in victims {
            self.note_loss(txn, key)?;
            self.forget(txn, key)?;
        }
        Ok(())
    }

    /// If the broker has not counted a topic all the time whose history is evicted, notes that there
    /// is such a topic.
    fn note_loss(&self, txn: &mut RwTxn<'_>, key: &TopicKey) -> Result<(), LogError> {
        let state = self.topics.get(txn, key.topic())?.and_then(State::read);
        let is_of_broker =
            state.is_none_or(|state| epoch::is_of_broker(state.epoch) && state.least == 0);
        if !is_of_broker && self.imports.get(txn, COUNTED_HERE)?.is_none() {
            self.imports.put(txn, COUNTED_HERE, &[])?;
        }
        Ok(())
    }

    /// The state of a topic of which nothing is known.
    fn first_state(
        &self,
        txn: &RoTxn<'_, AnyTls>,
        position: Option<Position>,
    ) -> Result<State, LogError> {
        let state = State::before(position);
        // It may be the topic whose history was evicted.
        let is_doubtful = position.is_some() && self.imports.get(txn, COUNTED_HERE)?.is_some();
        Ok(if is_doubtful {
            state.after_others()
        } else {
            state
        })
    }

    /// What is kept of a topic.
    pub(in crate::topics) fn recover(
        &self,
        (space, topic): (SpaceId, &str),
        keep: Keep,
        wanted: Wanted,
    ) -> Result<Recovered, LogError> {
        let txn = self.read()?;
        let key = TopicKey::new(space, topic);
        let newest = self.last(&txn)?;
        let mut recovered = Recovered {
            up_to: wanted.up_to.map_or(newest, |up_to| up_to.min(newest)),
            ..Recovered::default()
        };
        let mark = self.mark_in(&txn)?;
        let has_backlog = mark.is_some_and(|mark| mark.backlog != Backlog::Read);
        if has_backlog && wanted.since != Since::Beginning {
            recovered.has_gap = true;
            return Ok(recovered);
        }
        let Some(state) = self.topics.get(&txn, key.topic())?.and_then(State::read) else {
            recovered.has_gap = wanted.since != Since::Beginning;
            return Ok(recovered);
        };
        let newest = self.newest_up_to(&txn, &key, state, recovered.up_to)?;
        recovered.position = (newest > 0).then_some(Position {
            epoch: state.epoch,
            offset: newest,
        });
        let oldest = self.oldest_kept(&txn, &key, state, keep)?;
        let first = match wanted.since {
            Since::Beginning => oldest,
            Since::Position(Position { epoch, offset }) => {
                let offsets = state.least..=state.newest;
                let is_of_topic = epoch == state.epoch && offsets.contains(&offset);
                if !is_of_topic || offset + 1 < oldest {
                    recovered.has_gap = true;
                    return Ok(recovered);
                }
                offset + 1
            }
        };
        let items = key.items(first..newest + 1);
        let mut left = wanted.bytes;
        for item in self
            .history
            .range(&txn, &bounds_of(&items))?
            .take(wanted.count)
        {
            let (_, bytes) = item?;
            let Some(rest) = left.checked_sub(bytes.len()) else {
                recovered.has_gap = true;
                recovered.messages.clear();
                break;
            };
            left = rest;
            recovered
                .messages
                .extend(Kept::message(bytes).map(Box::from));
        }
        Ok(recovered)
    }

    /// The offset of the newest message that has this number in the log, or a smaller one. If none
    /// of those has, an offset before all of them; zero if there was never one.
    fn newest_up_to(
        &self,
        txn: &RoTxn<'_, AnyTls>,
        key: &TopicKey,
        state: State,
        up_to: u64,
    ) -> Result<u64, LogError> {
        let items = key.items(state.oldest..state.newest + 1);
        // Only those that were published in this moment are passed over.
        for item in self.history.rev_range(txn, &bounds_of(&items))? {
            let (item, bytes) = item?;
            if Kept::read(bytes).is_none_or(|kept| kept.number <= up_to) {
                return Ok(number(item));
            }
        }
        Ok(state.oldest - 1)
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
            let deleted = self.history.delete_range(&mut txn, &bounds_of(&items))?;
            let count = state.count.saturating_sub(deleted as u64);
            let state = State {
                oldest,
                count,
                ..state
            };
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
        txn: &RoTxn<'_, AnyTls>,
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

    /// All messages are to be kept that have this offset or a greater one; it is one more than that
    /// of the newest if none is.
    fn oldest_kept(
        &self,
        txn: &RoTxn<'_, AnyTls>,
        key: &TopicKey,
        state: State,
        keep: Keep,
    ) -> Result<u64, LogError> {
        let mut surplus = state.count.saturating_sub(keep.count.into());
        let too_old = oldest_time(keep);
        let mut oldest = state.oldest;
        let items = key.items(state.oldest..state.newest + 1);
        for item in self.history.range(txn, &bounds_of(&items))? {
            let (item, bytes) = item?;
            if surplus == 0 && Kept::read(bytes).is_some_and(|kept| kept.at >= too_old) {
                return Ok(oldest);
            }
            surplus = surplus.saturating_sub(1);
            oldest = number(item) + 1;
        }
        Ok(state.newest + 1)
    }
}

fn bounds_of(items: &std::ops::Range<Vec<u8>>) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Included(&items.start), Bound::Excluded(&items.end))
}

/// Space and topic of a key of `topics`.
fn read_key(key: &[u8]) -> Option<(SpaceId, &str)> {
    let (&space, topic) = key.split_first_chunk()?;
    Some((SpaceId(space), str::from_utf8(topic).ok()?))
}

/// What was published before this is not kept.
fn oldest_time(keep: Keep) -> u64 {
    keep.time
        .map_or(0, |time| now().saturating_sub(milliseconds(time)))
}
