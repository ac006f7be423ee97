//! Who is on topics of other hosts.
//!
//! Another host is in the tables of members and counts like a child, with a number that no child
//! has.

use std::collections::{HashMap, HashSet};

use heed::{AnyTls, RoTxn, RwTxn};
use serde::{Deserialize, Serialize};

use super::clock::now;
use super::keys::TopicKey;
use super::members::{Change, ChildId, LeftBehind, member};
use super::{Log, LogError};
use crate::topics::random::random;
use crate::topics::space::SpaceId;

/// The key of this host in the table of hosts. Others have 8 bytes.
pub(super) const OWN: &[u8] = b"own";

/// A host. Its highest bit is set, which that of no child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::topics) struct HostId(u64);

impl HostId {
    /// Unlike that of any other host, probably.
    pub(in crate::topics) fn new() -> Self {
        Self(random() | 1 << 63)
    }

    pub(in crate::topics) fn number(self) -> u64 {
        self.0
    }

    fn child(self) -> ChildId {
        ChildId(self.0 | 1 << 63)
    }
}

/// What is known of a host: the number of its last report, and when that came.
struct Known {
    number: u64,
    at: u64,
}

impl Log {
    /// Who this host is to others, and the number of its last report.
    pub(in crate::topics) fn own_host(&self) -> Result<(HostId, u64), LogError> {
        if let Some(own) = self.own_host_in(&*self.read()?)? {
            return Ok(own);
        }
        let mut txn = self.environment.write_txn()?;
        // Another child may have been faster.
        let own = self.own_host_in(&txn)?.unwrap_or((HostId::new(), 0));
        self.hosts.put(&mut txn, OWN, &pair(own.0.0, own.1))?;
        txn.commit()?;
        Ok(own)
    }

    fn own_host_in(&self, txn: &RoTxn<'_, AnyTls>) -> Result<Option<(HostId, u64)>, LogError> {
        let own = self.hosts.get(txn, OWN)?.and_then(read_pair);
        Ok(own.map(|(id, number)| (HostId(id), number)))
    }

    /// Gives so many reports of this host numbers. Returns the first of them.
    pub(super) fn number_reports(&self, txn: &mut RwTxn<'_>, count: u64) -> Result<u64, LogError> {
        let (id, last) = self.own_host_in(txn)?.unwrap_or((HostId::new(), 0));
        self.hosts.put(txn, OWN, &pair(id.0, last + count))?;
        Ok(last + 1)
    }

    /// The number of the last report of another host; `None`: nothing is known of it.
    pub(in crate::topics) fn last_report(&self, host: HostId) -> Result<Option<u64>, LogError> {
        let txn = self.read()?;
        let known = self.hosts.get(&txn, &host.0.to_be_bytes())?;
        Ok(known.and_then(Known::read).map(|known| known.number))
    }

    /// Notes a report of another host, and that it is alive.
    pub(in crate::topics) fn note_report(&self, host: HostId, number: u64) -> Result<(), LogError> {
        let mut txn = self.environment.write_txn()?;
        self.note_report_in(&mut txn, host, number)?;
        txn.commit()?;
        Ok(())
    }

    fn note_report_in(
        &self,
        txn: &mut RwTxn<'_>,
        host: HostId,
        number: u64,
    ) -> Result<(), LogError> {
        let known = pair(number, now());
        self.hosts.put(txn, &host.0.to_be_bytes(), &known)?;
        Ok(())
    }

    /// Writes what another host has told. If that is the `whole`, all else that was known of it
    /// goes. Returns who has come and gone by that.
    pub(in crate::topics) fn hear(
        &self,
        (host, number): (HostId, u64),
        told: Vec<Change>,
        is_whole: bool,
    ) -> Result<Vec<Change>, LogError> {
        let mut txn = self.environment.write_txn()?;
        let mut news = Vec::new();
        if is_whole {
            let mut there = HashMap::<_, HashSet<_>>::new();
            for change in &told {
                let ids = there
                    .entry((change.space, change.topic.clone()))
                    .or_default();
                ids.extend(change.joined.iter().map(|listed| listed.id));
            }
            let stays = |space: SpaceId, topic: &str, id: Option<u64>| {
                let ids = there.get(&(space, topic.into()));
                ids.is_some_and(|ids| id.is_none_or(|id| ids.contains(&id)))
            };
            let is_gone = |child: ChildId| child == host.child();
            for LeftBehind { space, topic, ids } in self.remove(&mut txn, is_gone, stays)? {
                let mut change = Change::new(space, &topic, 0);
                change.left = ids;
                news.push(change);
            }
        }
        for change in told {
            news.push(self.hear_of(&mut txn, host, change)?);
        }
        self.note_report_in(&mut txn, host, number)?;
        txn.commit()?;
        news.retain(|change| !change.joined.is_empty() || !change.left.is_empty());
        Ok(news)
    }

    /// Writes what another host has told of a topic. Returns what of it is new.
    fn hear_of(
        &self,
        txn: &mut RwTxn<'_>,
        host: HostId,
        mut change: Change,
    ) -> Result<Change, LogError> {
        let key = TopicKey::new(change.space, &change.topic).item(host.child().0);
        if change.count > 0 {
            self.counts.put(txn, &key, &change.count.to_ne_bytes())?;
        } else {
            self.counts.delete(txn, &key)?;
        }
        let mut left = Vec::new();
        for id in change.left {
            if self.members.delete(txn, &member(&key, id))? {
                left.push(id);
            }
        }
        change.left = left;
        let mut joined = Vec::new();
        for listed in change.joined {
            let (key, bytes) = (member(&key, listed.id), listed.write());
            if self.members.get(txn, &key)? != Some(&bytes[..]) {
                self.members.put(txn, &key, &bytes)?;
                joined.push(listed);
            }
        }
        change.joined = joined;
        Ok(change)
    }

    /// Removes what hosts have that were heard of at this time, in milliseconds since 1970, or
    /// before. Returns whom they had on topics whose members are shown.
    pub(in crate::topics) fn remove_silent_hosts(
        &self,
        until: u64,
    ) -> Result<Vec<LeftBehind>, LogError> {
        let silent = self.silent_hosts(&*self.read()?, until)?;
        if silent.is_empty() {
            return Ok(Vec::new());
        }
        let mut txn = self.environment.write_txn()?;
        for host in &silent {
            self.hosts.delete(&mut txn, &host.0.to_be_bytes())?;
        }
        let is_gone = |child: ChildId| silent.iter().any(|host| host.child() == child);
        let left = self.remove(&mut txn, is_gone, |_, _, _| false)?;
        txn.commit()?;
        Ok(left)
    }

    fn silent_hosts(&self, txn: &RoTxn<'_, AnyTls>, until: u64) -> Result<Vec<HostId>, LogError> {
        let mut silent = Vec::new();
        for item in self.hosts.iter(txn)? {
            let (key, known) = item?;
            let id = key.try_into().ok().map(u64::from_be_bytes);
            if let (Some(id), Some(known)) = (id, Known::read(known))
                && known.at <= until
            {
                silent.push(HostId(id));
            }
        }
        Ok(silent)
    }
}

impl Known {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (number, at) = read_pair(bytes)?;
        Some(Self { number, at })
    }
}

fn pair(first: u64, second: u64) -> Vec<u8> {
    [first, second].map(u64::to_ne_bytes).concat()
}

fn read_pair(bytes: &[u8]) -> Option<(u64, u64)> {
    let (&first, rest) = bytes.split_first_chunk()?;
    let (&second, _) = rest.split_first_chunk()?;
    Some((u64::from_ne_bytes(first), u64::from_ne_bytes(second)))
}

#[cfg(test)]
mod tests;
