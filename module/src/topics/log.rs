//! The log of all that is published, which all processes of httpd read and write.
//!
//! It is an LMDB environment in a directory that the processes share. A message is in the log when
//! its transaction is committed. Transactions are one after the other, and this is the order in
//! which all processes deliver messages. A process that is killed in the middle of one leaves the
//! log as it was before, and its locks go to the next (robust mutexes).

mod clock;
mod history;
mod hosts;
mod imports;
mod keys;
mod members;
mod once;
mod source;
mod untold;

use std::path::Path;

use heed::byteorder::BE;
use heed::types::{Bytes, U64};
use heed::{Database, Env, MdbError, PutFlags, RoTxn, RwTxn, WithoutTls};
use websocket_plugin::Position;

use super::message::Message;
use super::rules::Keep;
use crate::httpd::environment;

pub(super) use clock::now;
pub(super) use history::{Since, Wanted};
pub(super) use hosts::HostId;
pub(super) use imports::{Backlog, Counted, Imported, Mark};
pub use members::Listed;
pub(super) use members::{Change, ChildId, LeftBehind};
pub(super) use once::Claimed;
pub(super) use source::{Source, SourceId};
pub(super) use untold::Untold;

/// The tables of a [`Log`].
const TABLES: u32 = 10;

/// A message may take so much of the log's memory: one part of so many.
pub(super) const PARTS_OF_LARGEST: usize = 32;

/// Messages for all children take so much of it, and histories as much: one part of so many. The
/// rest is for what is being written while others read.
const PARTS_OF_EACH: usize = 3;

/// The oldest messages are removed together: one part of so many.
const PARTS_OF_TRIM: u64 = 16;

/// So many messages are read at a time, and messages of about so many bytes.
const BATCH: usize = 32;
const BATCH_BYTES: usize = 256 * 1024;

/// Anything by its key.
type Table = Database<Bytes, Bytes>;

/// See the module.
pub(super) struct Log {
    environment: Env<WithoutTls>,
    /// By number. One is left out where messages of a broker are missing.
    messages: Database<U64<BE>, Bytes>,
    /// What is known of each topic with a history.
    topics: Table,
    /// Messages of topics, by topic and offset.
    history: Table,
    /// How many are on topics, by topic and child.
    counts: Table,
    /// Who is on topics whose members are shown, by topic, child and connection.
    members: Table,
    /// What other hosts were not told yet: keys of `counts` and `members`, without a child for the
    /// former.
    untold: Table,
    /// This host and others.
    hosts: Table,
    /// How far brokers were read.
    imports: Table,
    /// The broker from which messages come, if they do not come from here.
    source: Option<Source>,
    /// Keys of messages that are published once.
    once: Table,
    /// The same, by time.
    once_times: Table,
    /// The most pages of `messages`, and of what histories take.
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

/// Messages that follow each other in the log. They are copies: while the log is read, what is
/// freed in it cannot be used again.
#[derive(Default)]
pub(super) struct Batch {
    /// The number of the first message. If it is not the one that was asked for, those before it
    /// are gone.
    pub(super) first: u64,
    bytes: Vec<u8>,
    /// Where each ends in `bytes`.
    ends: Vec<usize>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The messages and their numbers.
    pub(super) fn messages(&self) -> impl Iterator<Item = (u64, Option<Message<'_>>)> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends);
        (self.first..).zip(ranges.map(|(start, end)| Message::read(&self.bytes[start..*end])))
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
    }

    fn is_full(&self) -> bool {
        self.ends.len() >= BATCH || self.bytes.len() >= BATCH_BYTES
    }
}

impl Log {
    /// Opens the log in a directory, or makes it with room for `size` bytes.
    pub(super) fn open(directory: &Path, size: usize) -> Result<Self, LogError> {
        // Whole pages.
        let size = size.next_multiple_of(1 << 16);
        let environment = environment::open(directory, size, TABLES)
            .map_err(|error| LogError::Failed(format!("{}: {error}", directory.display())))?;
        let mut txn = environment.write_txn()?;
        let log = Self {
            messages: environment.create_database(&mut txn, Some("messages"))?,
            topics: environment.create_database(&mut txn, Some("topics"))?,
            history: environment.create_database(&mut txn, Some("history"))?,
            counts: environment.create_database(&mut txn, Some("counts"))?,
            members: environment.create_database(&mut txn, Some("members"))?,
            untold: environment.create_database(&mut txn, Some("untold"))?,
            hosts: environment.create_database(&mut txn, Some("hosts"))?,
            imports: environment.create_database(&mut txn, Some("imports"))?,
            once: environment.create_database(&mut txn, Some("once"))?,
            once_times: environment.create_database(&mut txn, Some("once times"))?,
            source: None,
            most_pages: size / PARTS_OF_EACH / page_size(&environment),
            longest: size / PARTS_OF_LARGEST,
            environment: environment.clone(),
        };
        txn.commit()?;
        Ok(log)
    }

    /// Adds a message, and to the history of its topic, if `keep` says so. Returns its place then.
    pub(super) fn publish(
        &self,
        message: &Message<'_>,
        keep: Option<Keep>,
    ) -> Result<Option<Position>, LogError> {
        if !self.has_room_for(message.payload.len()) {
            return Err(LogError::TooLarge);
        }
        self.make_room(|| self.try_publish(message, keep))
    }

    /// Does something that writes, and once more if there was no room for it.
    fn make_room<T>(&self, write: impl Fn() -> Result<T, LogError>) -> Result<T, LogError> {
        match write() {
            Err(LogError::Full) => {
                // Those who were killed while they read may keep what others would write on. And
                // what is removed is free for the next transactions.
                self.environment.clear_stale_readers()?;
                self.remove_half()?;
                self.remove_half()?;
                write()
            }
            written => written,
        }
    }

    /// The most bytes that a message may have.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    fn try_publish(
        &self,
        message: &Message<'_>,
        keep: Option<Keep>,
    ) -> Result<Option<Position>, LogError> {
        let mut message = *message;
        let mut txn = self.environment.write_txn()?;
        let number = self.last(&txn)? + 1;
        if let Some(keep) = keep {
            message.position = Some(self.append(&mut txn, &message, (number, now()), keep)?);
        }
        self.trim(&mut txn, number, message.payload.len())?;
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        self.messages
            .put_with_flags(&mut txn, PutFlags::APPEND, &number, &bytes)?;
        txn.commit()?;
        Ok(message.position)
    }

    /// Makes room for a message of so many bytes, which gets the number `next`: removes the oldest,
    /// as many as it takes, but not the last.
    fn trim(&self, txn: &mut RwTxn<'_>, next: u64, bytes: usize) -> Result<(), LogError> {
        loop {
            let stat = self.messages.stat(txn)?;
            let pages = stat.leaf_pages + stat.branch_pages + stat.overflow_pages;
            if pages + bytes / stat.page_size as usize <= self.most_pages {
                return Ok(());
            }
            let Some((oldest, _)) = self.messages.first(txn)? else {
                return Ok(());
            };
            let end = (oldest + (next - oldest) / PARTS_OF_TRIM + 1).min(next - 1);
            if end <= oldest {
                return Ok(());
            }
            self.messages.delete_range(txn, &(oldest..end))?;
        }
    }

    /// Removes the older half of the messages.
    fn remove_half(&self) -> Result<(), LogError> {
        let mut txn = self.environment.write_txn()?;
        let newest = self.last(&txn)?;
        if let Some((oldest, _)) = self.messages.first(&txn)? {
            let end = (oldest + (newest - oldest) / 2 + 1).min(newest);
            self.messages.delete_range(&mut txn, &(oldest..end))?;
        }
        txn.commit()?;
        Ok(())
    }

    /// Whether a message of this length may be published.
    pub(super) fn has_room_for(&self, length: usize) -> bool {
        length <= self.longest
    }

    /// The number of the newest message.
    pub(super) fn newest(&self) -> Result<u64, LogError> {
        self.last(&*self.read()?)
    }

    fn last(&self, txn: &RoTxn<'_, heed::AnyTls>) -> Result<u64, LogError> {
        Ok(self.messages.last(txn)?.map_or(0, |(number, _)| number))
    }

    /// The messages that follow the one with this number, up to a place where some are missing.
    pub(super) fn read_after(&self, number: u64) -> Result<Batch, LogError> {
        let txn = self.read()?;
        let mut batch = Batch::default();
        for message in self.messages.range(&txn, &(number + 1..))? {
            let (number, bytes) = message?;
            if batch.is_empty() {
                batch.first = number;
            } else if number != batch.first + batch.ends.len() as u64 {
                break;
            }
            batch.push(bytes);
            if batch.is_full() {
                break;
            }
        }
        Ok(batch)
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
