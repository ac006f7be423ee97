//! What this host has not told the other hosts yet of who is on its topics.

use heed::types::DecodeIgnore;
use heed::{AnyTls, RoTxn, RwTxn};

use super::hosts::OWN;
use super::keys::TopicKey;
use super::members::{Change, ChildId, Listed, child, child_and_id, split};
use super::{Log, LogError};
use crate::topics::space::SpaceId;

/// What is to be told takes so much of what the messages of the log may take: one part of so many.
const PARTS_OF_UNTOLD: usize = 8;

/// What this host tells the others at a time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::topics) struct Untold {
    /// The number of the report.
    pub(in crate::topics) number: u64,
    pub(in crate::topics) changes: Vec<Change>,
}

/// Changes, in parts of about so many bytes.
struct Parts {
    full: Vec<Vec<Change>>,
    last: Vec<Change>,
    bytes: usize,
    most_bytes: usize,
}

impl Log {
    /// Notes that others are to be told of what has this key in the tables of counts or members.
    /// Children that have no broker do so, too, if others of this host have one.
    ///
    /// Nobody takes the notes while the broker cannot be reached. So there is a limit to them: then
    /// all are dropped, and others see that a number is missing.
    pub(super) fn note_untold(&self, txn: &mut RwTxn<'_>, key: &[u8]) -> Result<(), LogError> {
        if self.hosts.get(txn, OWN)?.is_none() {
            return Ok(());
        }
        let stat = self.untold.stat(txn)?;
        if stat.leaf_pages > self.most_pages / PARTS_OF_UNTOLD {
            self.untold.clear(txn)?;
            self.number_reports(txn, 1)?;
        }
        self.untold.put(txn, key, &[])?;
        Ok(())
    }

    /// Takes what this host has not told the others, up to about so many bytes; `None`: nothing.
    /// If it is lost from here on, others see that a number is missing.
    pub(in crate::topics) fn take_untold(
        &self,
        own: ChildId,
        most_bytes: usize,
    ) -> Result<Option<Untold>, LogError> {
        if self.untold.is_empty(&*self.read()?)? {
            return Ok(None);
        }
        let mut txn = self.environment.write_txn()?;
        let mut changes = Vec::<Change>::new();
        let mut keys = Vec::new();
        let mut bytes = 0;
        for item in self.untold.remap_data_type::<DecodeIgnore>().iter(&txn)? {
            let (key, ()) = item?;
            if bytes > most_bytes {
                break;
            }
            keys.push(key.to_vec());
            let Some((space, topic, rest)) = split(key) else {
                continue;
            };
            bytes += key.len();
            let is_same = |change: &Change| (change.space, &*change.topic) == (space, topic);
            if !changes.last().is_some_and(is_same) {
                let count = self.count_here(&txn, (space, topic), own)?;
                changes.push(Change::new(space, topic, count));
            }
            if let (Some((_, id)), Some(change)) = (child_and_id(rest), changes.last_mut()) {
                let listed = self.members.get(&txn, key)?;
                bytes += listed.map_or(0, <[u8]>::len);
                match listed.and_then(|bytes| Listed::read(id, bytes)) {
                    Some(listed) => change.joined.push(listed),
                    None => change.left.push(id),
                }
            }
        }
        for key in &keys {
            self.untold.delete(&mut txn, key)?;
        }
        let number = self.number_reports(&mut txn, 1)?;
        txn.commit()?;
        Ok(Some(Untold { number, changes }))
    }

    /// All that this host has to tell, in parts of about so many bytes; there is at least one.
    pub(in crate::topics) fn take_whole(
        &self,
        own: ChildId,
        most_bytes: usize,
    ) -> Result<Vec<Untold>, LogError> {
        // What changes from here on is told after the whole, even if that has it already.
        let mut txn = self.environment.write_txn()?;
        self.untold.clear(&mut txn)?;
        txn.commit()?;
        // Others publish while this is read.
        let parts = self.all_here(own, most_bytes)?;
        let mut txn = self.environment.write_txn()?;
        let first = self.number_reports(&mut txn, parts.len() as u64)?;
        txn.commit()?;
        let numbered = (first..).zip(parts);
        Ok(numbered
            .map(|(number, changes)| Untold { number, changes })
            .collect())
    }

    fn all_here(&self, own: ChildId, most_bytes: usize) -> Result<Vec<Vec<Change>>, LogError> {
        let txn = self.read()?;
        let mut parts = Parts::new(most_bytes);
        for (space, topic) in self.topics_here(&txn, own)? {
            let count = self.count_here(&txn, (space, &topic), own)?;
            parts.begin(Change::new(space, &topic, count));
            let prefix = TopicKey::new(space, &topic).prefix();
            for item in self.members.prefix_iter(&txn, &prefix)? {
                let (key, bytes) = item?;
                if let Some((child, id)) = child_and_id(&key[prefix.len()..])
                    && child.is_here(own)
                    && let Some(listed) = Listed::read(id, bytes)
                {
                    parts.add(listed, key.len() + bytes.len());
                }
            }
        }
        Ok(parts.finish())
    }

    /// Topics that clients of this host are on.
    fn topics_here(
        &self,
        txn: &RoTxn<'_, AnyTls>,
        own: ChildId,
    ) -> Result<Vec<(SpaceId, Box<str>)>, LogError> {
        let mut topics = Vec::<(SpaceId, Box<str>)>::new();
        for item in self.counts.remap_data_type::<DecodeIgnore>().iter(txn)? {
            let (key, ()) = item?;
            let Some((space, topic, rest)) = split(key) else {
                continue;
            };
            let is_same = |last: &(SpaceId, Box<str>)| (last.0, &*last.1) == (space, topic);
            if child(rest).is_some_and(|child| child.is_here(own))
                && !topics.last().is_some_and(is_same)
            {
                topics.push((space, topic.into()));
            }
        }
        Ok(topics)
    }

    /// How many of this host are on a topic.
    fn count_here(
        &self,
        txn: &RoTxn<'_, AnyTls>,
        (space, topic): (SpaceId, &str),
        own: ChildId,
    ) -> Result<u32, LogError> {
        let prefix = TopicKey::new(space, topic).prefix();
        let mut sum = 0_u32;
        for item in self.counts.prefix_iter(txn, &prefix)? {
            let (key, number) = item?;
            if child(&key[prefix.len()..]).is_some_and(|child| child.is_here(own)) {
                let number = number.first_chunk().copied().unwrap_or_default();
                sum = sum.saturating_add(u32::from_ne_bytes(number));
            }
        }
        Ok(sum)
    }
}

impl Parts {
    fn new(most_bytes: usize) -> Self {
        Self {
            full: Vec::new(),
            last: Vec::new(),
            bytes: 0,
            most_bytes,
        }
    }

    /// Begins a topic.
    fn begin(&mut self, change: Change) {
        if self.bytes > self.most_bytes {
            self.full.push(std::mem::take(&mut self.last));
            self.bytes = 0;
        }
        self.bytes += change.topic.len();
        self.last.push(change);
    }

    /// Adds somebody who is on the topic that was begun last.
    fn add(&mut self, listed: Listed, bytes: usize) {
        let Some(change) = self.last.last() else {
            return;
        };
        if self.bytes > self.most_bytes {
            let same = Change::new(change.space, &change.topic, change.count);
            self.begin(same);
        }
        self.bytes += bytes;
        if let Some(change) = self.last.last_mut() {
            change.joined.push(listed);
        }
    }

    /// All parts. The last one may be empty if it is the only one.
    fn finish(mut self) -> Vec<Vec<Change>> {
        if !self.last.is_empty() || self.full.is_empty() {
            self.full.push(self.last);
        }
        self.full
    }
}
