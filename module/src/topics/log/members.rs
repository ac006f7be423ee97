//! Who is on topics, in all children.
//!
//! Each child writes what it has itself, and removes what children have left that have ended.

use heed::types::DecodeIgnore;
use heed::{AnyTls, RoTxn, RwTxn};
use serde::{Deserialize, Serialize};

use rustix::process::{Pid, test_kill_process};

use super::keys::TopicKey;
use super::{Log, LogError};
use crate::topics::space::SpaceId;

/// A child that has subscribers: its process id, and a number that no other child has, also of an
/// earlier start of httpd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::topics) struct ChildId(pub(super) u64);

impl ChildId {
    /// This process, which has this number.
    pub(in crate::topics) fn own(number: u32) -> Self {
        Self(u64::from(std::process::id()) << u32::BITS | u64::from(number))
    }

    /// The number.
    pub(in crate::topics) fn number(self) -> u32 {
        let [.., a, b, c, d] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// Whether this stands for all children of another host. No process id is so large.
    pub(super) fn is_host(self) -> bool {
        self.0 >> 63 == 1
    }

    /// Whether this is a child of this host, and lives.
    pub(super) fn is_here(self, own: Self) -> bool {
        !self.is_host() && self.is_alive(own)
    }

    /// Whether the child lives. Children of earlier starts do not, whoever has their process ids.
    pub(super) fn is_alive(self, own: Self) -> bool {
        if self.is_host() {
            // Until it is removed.
            return true;
        }
        let start = |child: Self| child.number() >> 16;
        if start(self) != start(own) {
            return false;
        }
        let pid = i32::try_from(self.0 >> 32).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
    }
}

/// Somebody on a topic, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Identifies the connection among those of all hosts.
    pub id: u64,
    /// The user, if httpd has authenticated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// What the plugin tells of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Box<str>>,
}

/// What has changed on a topic, in one child or host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::topics) struct Change {
    pub(in crate::topics) space: SpaceId,
    pub(in crate::topics) topic: Box<str>,
    /// How many are on it now.
    pub(in crate::topics) count: u32,
    /// Those who have come, where members are shown.
    pub(in crate::topics) joined: Vec<Listed>,
    /// Those who have gone.
    pub(in crate::topics) left: Vec<u64>,
}

impl Change {
    /// So many are on a topic, and nobody is named yet.
    pub(super) fn new(space: SpaceId, topic: &str, count: u32) -> Self {
        Self {
            space,
            topic: topic.into(),
            count,
            joined: Vec::new(),
            left: Vec::new(),
        }
    }
}

/// Those whom a child that has ended has left on a topic.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::topics) struct LeftBehind {
    pub(in crate::topics) space: SpaceId,
    pub(in crate::topics) topic: Box<str>,
    pub(in crate::topics) ids: Vec<u64>,
}

impl Log {
    /// Writes what has changed in a child.
    pub(in crate::topics) fn change_members(
        &self,
        child: ChildId,
        changes: &[Change],
    ) -> Result<(), LogError> {
        let mut txn = self.environment.write_txn()?;
        for change in changes {
            let key = TopicKey::new(change.space, &change.topic);
            let count = key.item(child.0);
            if change.count > 0 {
                let number = change.count.to_ne_bytes();
                self.counts.put(&mut txn, &count, &number)?;
            } else {
                self.counts.delete(&mut txn, &count)?;
            }
            self.note_untold(&mut txn, &key.prefix())?;
            for id in &change.left {
                let key = member(&count, *id);
                self.members.delete(&mut txn, &key)?;
                self.note_untold(&mut txn, &key)?;
            }
            for listed in &change.joined {
                let key = member(&count, listed.id);
                self.members.put(&mut txn, &key, &listed.write())?;
                self.note_untold(&mut txn, &key)?;
            }
        }
        txn.commit()?;
        Ok(())
    }

    /// How many are on a topic in other children than this, and on other hosts.
    pub(in crate::topics) fn count_elsewhere(
        &self,
        (space, topic): (SpaceId, &str),
        own: ChildId,
    ) -> Result<u64, LogError> {
        let txn = self.read()?;
        let prefix = TopicKey::new(space, topic).prefix();
        let mut sum = 0;
        for count in self.counts.prefix_iter(&txn, &prefix)? {
            let (key, number) = count?;
            let child = child(&key[prefix.len()..]);
            if child.is_some_and(|child| child != own && self.knows(child, own)) {
                let number = number.first_chunk().copied().unwrap_or_default();
                sum += u64::from(u32::from_ne_bytes(number));
            }
        }
        Ok(sum)
    }

    /// Shows who is on a topic, on all hosts.
    pub(in crate::topics) fn list(
        &self,
        (space, topic): (SpaceId, &str),
        own: ChildId,
        mut visit: impl FnMut(Listed),
    ) -> Result<(), LogError> {
        let txn = self.read()?;
        let prefix = TopicKey::new(space, topic).prefix();
        for item in self.members.prefix_iter(&txn, &prefix)? {
            let (key, bytes) = item?;
            if let Some((child, id)) = child_and_id(&key[prefix.len()..])
                && self.knows(child, own)
                && let Some(listed) = Listed::read(id, bytes)
            {
                visit(listed);
            }
        }
        Ok(())
    }

    /// Whether those are there that a child or a host has on topics. After a broker was removed,
    /// nothing is heard of other hosts any more.
    fn knows(&self, child: ChildId, own: ChildId) -> bool {
        child.is_alive(own) && (self.source.is_some() || !child.is_host())
    }

    /// Removes what children have left that have ended. Returns whom they had on topics whose
    /// members are shown.
    pub(in crate::topics) fn remove_dead(&self, own: ChildId) -> Result<Vec<LeftBehind>, LogError> {
        let dead = self.dead_children(&*self.read()?, own)?;
        if dead.is_empty() {
            return Ok(Vec::new());
        }
        let mut txn = self.environment.write_txn()?;
        // Another child may have been faster.
        let dead = self.dead_children(&txn, own)?;
        if dead.is_empty() {
            return Ok(Vec::new());
        }
        let left = self.remove(&mut txn, |child| dead.contains(&child), |_, _, _| false)?;
        txn.commit()?;
        Ok(left)
    }

    /// Removes what children have left that are gone, but for what `stays`: a member, or, without
    /// an id, the number of a topic. Returns whom they had on topics whose members are shown.
    pub(super) fn remove(
        &self,
        txn: &mut RwTxn<'_>,
        is_gone: impl Fn(ChildId) -> bool,
        stays: impl Fn(SpaceId, &str, Option<u64>) -> bool,
    ) -> Result<Vec<LeftBehind>, LogError> {
        let mut left = Vec::<LeftBehind>::new();
        let mut gone = Vec::new();
        for item in self.members.remap_data_type::<DecodeIgnore>().iter(txn)? {
            let (key, ()) = item?;
            let Some((space, topic, rest)) = split(key) else {
                continue;
            };
            let Some((child, id)) = child_and_id(rest).filter(|(child, _)| is_gone(*child)) else {
                continue;
            };
            if stays(space, topic, Some(id)) {
                continue;
            }
            gone.push((child, key.to_vec()));
            match left.last_mut() {
                Some(last) if (last.space, &*last.topic) == (space, topic) => last.ids.push(id),
                _ => left.push(LeftBehind {
                    space,
                    topic: topic.into(),
                    ids: vec![id],
                }),
            }
        }
        for (child, key) in &gone {
            self.members.delete(txn, key)?;
            if !child.is_host() {
                self.note_untold(txn, key)?;
            }
        }
        let mut gone = Vec::new();
        for item in self.counts.remap_data_type::<DecodeIgnore>().iter(txn)? {
            let (key, ()) = item?;
            if let Some((space, topic, rest)) = split(key)
                && let Some(child) = child(rest).filter(|child| is_gone(*child))
                && !stays(space, topic, None)
            {
                gone.push((child, key.to_vec(), TopicKey::new(space, topic).prefix()));
            }
        }
        for (child, key, topic) in &gone {
            self.counts.delete(txn, key)?;
            if !child.is_host() {
                self.note_untold(txn, topic)?;
            }
        }
        Ok(left)
    }

    fn dead_children(
        &self,
        txn: &RoTxn<'_, AnyTls>,
        own: ChildId,
    ) -> Result<Vec<ChildId>, LogError> {
        let mut children = Vec::new();
        for item in self.counts.remap_data_type::<DecodeIgnore>().iter(txn)? {
            let (key, ()) = item?;
            children.extend(split(key).and_then(|(_, _, rest)| child(rest)));
        }
        children.sort_unstable();
        children.dedup();
        children.retain(|child| !child.is_alive(own));
        Ok(children)
    }
}

/// The key of somebody among those whose number has the key `count`.
pub(super) fn member(count: &[u8], id: u64) -> Vec<u8> {
    [count, &id.to_be_bytes()].concat()
}

/// Space, topic, and what follows them in a key.
pub(super) fn split(key: &[u8]) -> Option<(SpaceId, &str, &[u8])> {
    let (&space, rest) = key.split_first_chunk()?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    let topic = str::from_utf8(&rest[..end]).ok()?;
    Some((SpaceId(space), topic, &rest[end + 1..]))
}

pub(super) fn child(rest: &[u8]) -> Option<ChildId> {
    let number = rest.try_into().ok()?;
    Some(ChildId(u64::from_be_bytes(number)))
}

pub(super) fn child_and_id(rest: &[u8]) -> Option<(ChildId, u64)> {
    let (number, id) = rest.split_at_checked(size_of::<u64>())?;
    let id = id.try_into().ok()?;
    Some((child(number)?, u64::from_be_bytes(id)))
}

impl Listed {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in [&self.user, &self.info] {
            // The length and one; zero stands for none.
            let length = text.as_ref().map_or(0, |text| text.len() + 1);
            let length = u16::try_from(length).unwrap_or(0);
            bytes.extend_from_slice(&length.to_ne_bytes());
            if length > 0 {
                bytes.extend_from_slice(text.as_deref().unwrap_or_default().as_bytes());
            }
        }
        bytes
    }

    pub(super) fn read(id: u64, bytes: &[u8]) -> Option<Self> {
        let (user, rest) = read_text(bytes)?;
        let (info, _) = read_text(rest)?;
        Some(Self { id, user, info })
    }
}

fn read_text(bytes: &[u8]) -> Option<(Option<Box<str>>, &[u8])> {
    let (&length, rest) = bytes.split_first_chunk()?;
    let Some(length) = u16::from_ne_bytes(length).checked_sub(1) else {
        return Some((None, rest));
    };
    let (text, rest) = rest.split_at_checked(usize::from(length))?;
    Some((Some(str::from_utf8(text).ok()?.into()), rest))
}
