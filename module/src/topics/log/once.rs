//! Keys of messages that are published once.

use std::time::Duration;

use heed::RwTxn;

use super::clock::{milliseconds, now};
use super::{ChildId, Log, LogError};
use crate::topics::once_key::OnceKey;

/// For so long a key is remembered.
pub(super) const KEPT: Duration = Duration::from_secs(5 * 60);

/// With a new key, so many old ones are removed at most.
const MOST_REMOVED: usize = 8;

/// The keys take so much of the log's memory at most: one part of so many. The oldest go first.
const PARTS_OF_KEYS: usize = 16;

/// What is known of a key. What [`Claim`](crate::topics::Claim) says of these holds here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::topics) enum Claimed {
    New,
    Settled(Vec<u8>),
    Pending,
    OtherMessage,
}

/// How it is written: time, child, content, and the answer, which is empty before there is one.
struct Entry<'e> {
    at: u64,
    child: ChildId,
    content: [u8; 20],
    answer: &'e [u8],
}

impl Log {
    /// Claims a key for a child.
    pub(in crate::topics) fn claim(
        &self,
        key: &OnceKey,
        child: ChildId,
    ) -> Result<Claimed, LogError> {
        self.claim_at(key, child, now())
    }

    /// The same at a time, in milliseconds since 1970.
    pub(super) fn claim_at(
        &self,
        key: &OnceKey,
        child: ChildId,
        at: u64,
    ) -> Result<Claimed, LogError> {
        let mut txn = self.environment.write_txn()?;
        let known = self.once.get(&txn, &key.key)?.and_then(Entry::read);
        if let Some(known) = known.filter(|known| !is_old(known.at, at)) {
            if known.content != key.content {
                return Ok(Claimed::OtherMessage);
            }
            if !known.answer.is_empty() {
                return Ok(Claimed::Settled(known.answer.to_vec()));
            }
            if known.child.is_alive(child) {
                return Ok(Claimed::Pending);
            }
        }
        self.remove_key(&mut txn, key)?;
        self.remove_old_keys(&mut txn, at)?;
        let entry = Entry {
            at,
            child,
            content: key.content,
            answer: &[],
        };
        self.once.put(&mut txn, &key.key, &entry.write())?;
        self.once_times.put(&mut txn, &timed(at, &key.key), &[])?;
        txn.commit()?;
        Ok(Claimed::New)
    }

    /// Remembers an answer, which is not empty, for a key that was claimed.
    pub(in crate::topics) fn settle(
        &self,
        key: &OnceKey,
        child: ChildId,
        answer: &[u8],
    ) -> Result<(), LogError> {
        let mut txn = self.environment.write_txn()?;
        // It may be gone, if there are many.
        let known = self.once.get(&txn, &key.key)?.and_then(Entry::read);
        let Some(known) = known.filter(|known| known.child == child) else {
            return Ok(());
        };
        let entry = Entry { answer, ..known }.write();
        self.once.put(&mut txn, &key.key, &entry)?;
        txn.commit()?;
        Ok(())
    }

    /// Forgets a key.
    pub(in crate::topics) fn give_up(&self, key: &OnceKey) -> Result<(), LogError> {
        let mut txn = self.environment.write_txn()?;
        self.remove_key(&mut txn, key)?;
        txn.commit()?;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn count_keys(&self) -> Result<(u64, u64), LogError> {
        let txn = self.read()?;
        Ok((self.once.len(&txn)?, self.once_times.len(&txn)?))
    }

    fn remove_key(&self, txn: &mut RwTxn<'_>, key: &OnceKey) -> Result<(), LogError> {
        if let Some(known) = self.once.get(txn, &key.key)?.and_then(Entry::read) {
            let timed = timed(known.at, &key.key);
            self.once_times.delete(txn, &timed)?;
            self.once.delete(txn, &key.key)?;
        }
        Ok(())
    }

    /// Removes keys that are old, or that there is no room for.
    fn remove_old_keys(&self, txn: &mut RwTxn<'_>, at: u64) -> Result<(), LogError> {
        let stat = self.once.stat(txn)?;
        let pages = stat.leaf_pages + stat.branch_pages + stat.overflow_pages;
        let is_full = pages > self.most_pages * super::PARTS_OF_EACH / PARTS_OF_KEYS;
        let mut old = Vec::new();
        for item in self.once_times.iter(txn)?.take(MOST_REMOVED) {
            let (timed, _) = item?;
            let Some((time, key)) = timed.split_first_chunk() else {
                continue;
            };
            if !is_full && !is_old(u64::from_be_bytes(*time), at) {
                break;
            }
            old.push((timed.to_vec(), key.to_vec()));
        }
        for (timed, key) in old {
            self.once_times.delete(txn, &timed)?;
            self.once.delete(txn, &key)?;
        }
        Ok(())
    }
}

/// A clock that was set back makes nothing last longer.
fn is_old(then: u64, now: u64) -> bool {
    now.abs_diff(then) >= milliseconds(KEPT)
}

/// Keys in the order of their times.
fn timed(at: u64, key: &[u8; 20]) -> Vec<u8> {
    [&at.to_be_bytes()[..], key].concat()
}

impl<'e> Entry<'e> {
    fn write(&self) -> Vec<u8> {
        let (at, child) = (self.at.to_ne_bytes(), self.child.0.to_ne_bytes());
        [&at[..], &child, &self.content, self.answer].concat()
    }

    fn read(bytes: &'e [u8]) -> Option<Self> {
        let (&at, rest) = bytes.split_first_chunk()?;
        let (&child, rest) = rest.split_first_chunk()?;
        let (&content, answer) = rest.split_first_chunk()?;
        Some(Self {
            at: u64::from_ne_bytes(at),
            child: ChildId(u64::from_ne_bytes(child)),
            content,
            answer,
        })
    }
}
