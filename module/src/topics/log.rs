//! The log of all that is published, which all processes of httpd read and write.
//!
//! It is an LMDB environment in a directory that the processes share. A message is in the log when
//! its transaction is committed. Transactions are one after the other, and this is the order in
//! which all processes deliver messages. A process that is killed in the middle of one leaves the
//! log as it was before, and its locks go to the next (robust mutexes).
//!
//! Nothing is forced to the disk, as the log need not outlive the system. The file has its whole
//! size from the beginning: a full disk shows when it is made, not as a signal later.

#![allow(unsafe_code)]

mod history;
mod keys;
mod members;

use std::fmt;
use std::fs::File;
use std::path::Path;

use heed::byteorder::BE;
use heed::types::{Bytes, U64};
use heed::{Database, Env, EnvFlags, EnvOpenOptions, MdbError, PutFlags, RoTxn, RwTxn, WithoutTls};
use rustix::fs::{FallocateFlags, fallocate};

use super::message::{Message, Position};
use super::rules::Keep;

pub(super) use history::{Recovered, Since};
pub(super) use members::{Change, ChildId, LeftBehind, Listed};

/// More children than this cannot read the log.
const READERS: u32 = 4096;

/// A message may take so much of the log's memory: one part of so many.
pub(super) const PARTS_OF_LARGEST: usize = 8;

/// The messages for all take so much of it: one part of so many. The rest is for histories, and for
/// what is being written while others read.
const PARTS_OF_LOG: usize = 2;

/// The oldest messages are removed together: one part of so many.
const PARTS_OF_TRIM: u64 = 16;

/// Anything by its key.
type Table = Database<Bytes, Bytes>;

/// See the module.
pub(super) struct Log {
    environment: Env<WithoutTls>,
    /// By number, without gaps.
    messages: Database<U64<BE>, Bytes>,
    /// What is known of each topic with a history.
    topics: Table,
    /// Messages of topics, by topic and offset.
    history: Table,
    /// How many are on topics, by topic and child.
    counts: Table,
    /// Who is on topics whose members are shown, by topic, child and connection.
    members: Table,
    /// The most pages of `messages`.
    most_pages: usize,
    /// The longest message, in bytes.
    longest: usize,
}

/// Why something could not be done.
#[derive(Debug)]
pub(super) enum LogError {
    /// The message is too long.
    TooLarge,
    /// All memory of the log is taken.
    Full,
    /// Anything else.
    Failed(String),
}

/// A message was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    /// Its number in the log.
    pub(super) number: u64,
    /// Its place in its topic, if that has a history.
    pub(super) position: Option<Position>,
}

/// How far the log was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReadUpTo {
    /// The number of the last message that was read.
    pub(super) number: u64,
    /// Whether messages in between were gone.
    pub(super) has_missed: bool,
}

impl Log {
    /// Opens the log in a directory, or makes it with room for `size` bytes.
    pub(super) fn open(directory: &Path, size: usize) -> Result<Self, LogError> {
        let failed = |error: &dyn fmt::Display| {
            LogError::Failed(format!("{}: {error}", directory.display()))
        };
        let flags = EnvFlags::NO_SYNC | EnvFlags::NO_META_SYNC | EnvFlags::WRITE_MAP;
        // Whole pages.
        let size = size.next_multiple_of(1 << 16);
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(size).max_dbs(5).max_readers(READERS);
        // SAFETY: only the processes of this httpd have files there, through this function; the
        // file system is local (`reserve`), and none of them writes to the mapped memory but by
        // LMDB, whose locks all of them use. A process opens it once, after it was forked.
        let environment = unsafe { options.flags(flags).open(directory) };
        let environment = environment.map_err(|error| failed(&error))?;
        reserve(directory, size).map_err(|error| failed(&error))?;
        let mut txn = environment.write_txn()?;
        let log = Self {
            messages: environment.create_database(&mut txn, Some("messages"))?,
            topics: environment.create_database(&mut txn, Some("topics"))?,
            history: environment.create_database(&mut txn, Some("history"))?,
            counts: environment.create_database(&mut txn, Some("counts"))?,
            members: environment.create_database(&mut txn, Some("members"))?,
            most_pages: size / PARTS_OF_LOG / page_size(&environment),
            longest: size / PARTS_OF_LARGEST,
            environment: environment.clone(),
        };
        txn.commit()?;
        Ok(log)
    }

    /// Adds messages, in this order, and keeps those for histories of which `keep` says so. Returns
    /// what became of the last.
    pub(super) fn publish<'m>(
        &self,
        messages: impl Iterator<Item = Message<'m>>,
        keep: impl Fn(&Message<'_>) -> Option<Keep>,
    ) -> Result<Receipt, LogError> {
        let mut txn = self.environment.write_txn()?;
        let mut receipt = Receipt {
            number: self.last(&txn)?,
            position: None,
        };
        let mut bytes = Vec::new();
        for mut message in messages {
            if message.payload.len() > self.longest {
                return Err(LogError::TooLarge);
            }
            if let Some(keep) = keep(&message) {
                message.position = Some(self.append(&mut txn, &message, keep)?);
            }
            receipt.number += 1;
            receipt.position = message.position;
            message.write(&mut bytes);
            let (number, flags) = (receipt.number, PutFlags::APPEND);
            self.messages
                .put_with_flags(&mut txn, flags, &number, &bytes)?;
        }
        self.trim(&mut txn, receipt.number)?;
        txn.commit()?;
        Ok(receipt)
    }

    /// Removes the oldest messages if all of them take too much memory, but not `newest`.
    fn trim(&self, txn: &mut RwTxn<'_>, newest: u64) -> Result<(), LogError> {
        let stat = self.messages.stat(txn)?;
        let pages = stat.leaf_pages + stat.branch_pages + stat.overflow_pages;
        if pages <= self.most_pages {
            return Ok(());
        }
        if let Some((oldest, _)) = self.messages.first(txn)? {
            let end = (oldest + (newest - oldest) / PARTS_OF_TRIM + 1).min(newest);
            self.messages.delete_range(txn, &(oldest..end))?;
        }
        Ok(())
    }

    /// The number of the newest message.
    pub(super) fn newest(&self) -> Result<u64, LogError> {
        self.last(&*self.read()?)
    }

    fn last(&self, txn: &RoTxn<'_, heed::AnyTls>) -> Result<u64, LogError> {
        Ok(self.messages.last(txn)?.map_or(0, |(number, _)| number))
    }

    /// Shows up to `most` messages that follow the one with this number.
    pub(super) fn read_after(
        &self,
        number: u64,
        most: usize,
        mut visit: impl FnMut(u64, &Message<'_>),
    ) -> Result<ReadUpTo, LogError> {
        let txn = self.read()?;
        let mut read = ReadUpTo {
            number,
            has_missed: false,
        };
        for message in self.messages.range(&txn, &(number + 1..))?.take(most) {
            let (number, bytes) = message?;
            read.has_missed |= number != read.number + 1;
            read.number = number;
            if let Some(message) = Message::read(bytes) {
                visit(number, &message);
            }
        }
        Ok(read)
    }

    fn read(&self) -> Result<RoTxn<'_, WithoutTls>, LogError> {
        match self.environment.read_txn() {
            // Those of processes that were killed.
            Err(heed::Error::Mdb(MdbError::ReadersFull)) => {
                self.environment.clear_stale_readers()?;
                Ok(self.environment.read_txn()?)
            }
            txn => Ok(txn?),
        }
    }

    /// Has what processes were reading that were killed count as read.
    pub(super) fn forget_dead_readers(&self) -> Result<(), LogError> {
        self.environment.clear_stale_readers()?;
        Ok(())
    }
}

/// Reserves the memory of the log, so that nobody finds out while writing that there is none.
fn reserve(directory: &Path, size: usize) -> rustix::io::Result<()> {
    let file = File::options()
        .write(true)
        .open(directory.join("data.mdb"))
        .map_err(|error| {
            rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO)
        })?;
    fallocate(&file, FallocateFlags::empty(), 0, size as u64)
}

fn page_size(environment: &Env<WithoutTls>) -> usize {
    environment.stat().page_size as usize
}

impl From<heed::Error> for LogError {
    fn from(error: heed::Error) -> Self {
        match error {
            heed::Error::Mdb(MdbError::MapFull) => Self::Full,
            error => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
