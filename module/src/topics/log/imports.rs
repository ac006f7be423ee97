//! What comes from a broker, and how far this host has read it.

use heed::{PutFlags, RwTxn};
use websocket_plugin::Position;

use super::keys::TopicKey;
use super::source::{Source, SourceId};
use super::{Log, LogError};
use crate::topics::message::{Kind, Message};
use crate::topics::rules::Keep;
use crate::topics::space::SpaceId;

/// How far a broker was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::topics) struct Mark {
    /// The last message, as the broker names it; empty: none.
    pub(in crate::topics) place: Box<str>,
    /// Its number.
    pub(in crate::topics) number: u64,
    /// What is left to be read of what was published before this host began to.
    pub(in crate::topics) backlog: Backlog,
}

/// Messages that a broker has from before this host began to read it. They are added to histories,
/// and are not sent to those who have subscribed. Until all are there, nobody can be told that it
/// has missed nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::topics) enum Backlog {
    /// Nothing is left.
    #[default]
    Read,
    /// No process of this host has reached the broker yet.
    Unmeasured,
    /// Messages up to the one with this number.
    UpTo(u64),
}

impl Mark {
    /// Whether messages are missing before or between those with these numbers.
    pub(in crate::topics) fn has_gap(&self, mut numbers: impl Iterator<Item = u64>) -> bool {
        // A host that begins to read knows of nothing that it could miss.
        let expected = match &*self.place {
            "" => numbers.next(),
            _ => Some(self.number),
        };
        let Some(mut last) = expected else {
            return false;
        };
        numbers.any(|number| {
            let is_next = number == last.wrapping_add(1);
            last = number;
            !is_next
        })
    }

    fn write(&self) -> Vec<u8> {
        let (kind, end) = match self.backlog {
            Backlog::Read => (0, 0),
            Backlog::Unmeasured => (1, 0),
            Backlog::UpTo(end) => (2, end),
        };
        let [number, end] = [self.number, end].map(u64::to_ne_bytes);
        [&[kind][..], &number, &end, self.place.as_bytes()].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (&number, rest) = rest.split_first_chunk()?;
        let (&end, place) = rest.split_first_chunk()?;
        Some(Self {
            place: str::from_utf8(place).ok()?.into(),
            number: u64::from_ne_bytes(number),
            backlog: match kind {
                0 => Backlog::Read,
                1 => Backlog::Unmeasured,
                _ => Backlog::UpTo(u64::from_ne_bytes(end)),
            },
        })
    }
}

/// The place of a broker's message among those of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::topics) enum Counted {
    /// It has none, as its publisher keeps no history of the topic.
    Nowhere,
    /// The broker has given it this one.
    There(Position),
    /// The broker gives none. If this host keeps a history of the topic, it counts by itself.
    Here,
}

/// A message of a broker.
#[derive(Clone, Copy, Debug)]
pub(in crate::topics) struct Imported<'m> {
    /// The message, without a place.
    pub(in crate::topics) message: Message<'m>,
    /// Its place.
    pub(in crate::topics) counted: Counted,
    /// When it was published, in milliseconds since 1970.
    pub(in crate::topics) at: u64,
    /// It was published before anybody on this host could hear it.
    pub(in crate::topics) is_old: bool,
    /// It is not delivered, and the history of its topic begins anew after it.
    pub(in crate::topics) is_left_out: bool,
}

impl Log {
    /// Names the broker from which all messages come that have a history.
    pub(in crate::topics) fn set_source(&mut self, source: Source) {
        self.source = Some(source);
    }

    /// How far the broker was read; `None`: never.
    pub(in crate::topics) fn mark(&self) -> Result<Option<Mark>, LogError> {
        self.mark_in(&*self.read()?)
    }

    pub(super) fn mark_in(
        &self,
        txn: &heed::RoTxn<'_, heed::AnyTls>,
    ) -> Result<Option<Mark>, LogError> {
        let Some(Source {
            id: SourceId(id), ..
        }) = self.source
        else {
            return Ok(None);
        };
        Ok(self.imports.get(txn, &id)?.and_then(Mark::read))
    }

    /// Notes that histories lack what was published while nobody on this host has read the broker.
    pub(in crate::topics) fn begin_backlog(&self) -> Result<(), LogError> {
        self.change_mark(|mark| mark.backlog = Backlog::Unmeasured)?;
        Ok(())
    }

    /// Notes that the broker's newest message has this number. What has a greater one is sent to
    /// those who have subscribed. Only the first process of the host that has reached the broker
    /// decides this. Returns how far the broker was read.
    pub(in crate::topics) fn measure_backlog(&self, newest: u64) -> Result<Mark, LogError> {
        self.change_mark(|mark| {
            if mark.backlog == Backlog::Unmeasured {
                mark.backlog = Backlog::UpTo(newest);
            }
        })
    }

    fn change_mark(&self, change: impl FnOnce(&mut Mark)) -> Result<Mark, LogError> {
        let Some(Source {
            id: SourceId(id), ..
        }) = self.source
        else {
            return Ok(Mark::default());
        };
        let mut txn = self.environment.write_txn()?;
        let mut mark = self.mark_in(&txn)?.unwrap_or_default();
        change(&mut mark);
        self.imports.put(&mut txn, &id, &mark.write())?;
        txn.commit()?;
        Ok(mark)
    }

    /// Adds messages of the broker, which was read up to `before` and is now up to `after`. If
    /// messages are missing (`has_gap`), histories begin anew, and numbers of the log are left out,
    /// so that all children see that they have missed something.
    ///
    /// Returns false, and adds nothing, if it was not read up to `before`.
    pub(in crate::topics) fn import(
        &self,
        (before, after): (&Mark, &Mark),
        messages: &[Imported<'_>],
        has_gap: bool,
        keep: impl Fn(&Message<'_>) -> Option<Keep>,
    ) -> Result<bool, LogError> {
        self.make_room(|| self.try_import((before, after), messages, has_gap, &keep))
    }

    fn try_import(
        &self,
        (before, after): (&Mark, &Mark),
        messages: &[Imported<'_>],
        has_gap: bool,
        keep: impl Fn(&Message<'_>) -> Option<Keep>,
    ) -> Result<bool, LogError> {
        let Some(Source {
            id: SourceId(id), ..
        }) = self.source
        else {
            return Ok(false);
        };
        let mut txn = self.environment.write_txn()?;
        if self.mark_in(&txn)?.unwrap_or_default() != *before {
            return Ok(false);
        }
        self.imports.put(&mut txn, &id, &after.write())?;
        let mut newest = self.last(&txn)?;
        let mut bytes = Vec::new();
        if has_gap {
            self.forget_all(&mut txn)?;
            if before.backlog == Backlog::Read {
                newest += 2;
                MISSING.write(&mut bytes);
                self.messages.put(&mut txn, &newest, &bytes)?;
            }
        }
        for imported in messages {
            self.add(&mut txn, imported, &mut newest, keep(&imported.message))?;
        }
        txn.commit()?;
        Ok(true)
    }

    /// Adds a message of the broker to the log, in which `newest` is the number of the newest.
    fn add(
        &self,
        txn: &mut RwTxn<'_>,
        imported: &Imported<'_>,
        newest: &mut u64,
        keep: Option<Keep>,
    ) -> Result<(), LogError> {
        let mut message = imported.message;
        if imported.is_left_out {
            return self.forget(txn, &TopicKey::new(message.space, message.topic));
        }
        // Whoever has subscribed meanwhile wants the latest, however old it is.
        let is_delivered = !imported.is_old || keep.is_some_and(|keep| keep.is_given);
        // What is not delivered concerns all who subscribe.
        let number = if is_delivered { *newest + 1 } else { 0 };
        message.position = match imported.counted {
            Counted::There(position) => Some(position),
            Counted::Nowhere | Counted::Here => None,
        };
        let keep = keep.filter(|_| imported.counted != Counted::Nowhere);
        message.position = match keep {
            Some(keep) => Some(self.append(txn, &message, (number, imported.at), keep)?),
            None => None,
        };
        if is_delivered {
            *newest = number;
            self.trim(txn, number, message.payload.len())?;
            let mut bytes = Vec::new();
            message.write(&mut bytes);
            let flags = PutFlags::APPEND;
            self.messages.put_with_flags(txn, flags, &number, &bytes)?;
        }
        Ok(())
    }
}

/// Stands where messages are missing. Nobody has subscribed to its topic.
const MISSING: Message<'static> = Message {
    space: SpaceId::NONE,
    topic: "missing",
    kind: Kind::Presence,
    position: None,
    payload: &[],
};

#[cfg(test)]
mod tests;
