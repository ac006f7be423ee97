//! What this child has published and its broker has not confirmed yet.
//!
//! A callback that publishes never waits for the network: it leaves the message here, and the
//! thread of the broker (`broker.rs`) sends it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::httpd::scoreboard::{Gauge, change_gauge};

/// So many messages may wait.
const MOST_MESSAGES: usize = 10_000;

/// What becomes of messages while the broker cannot be reached (`WebSocketTopicPartition`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partition {
    /// To publish is an error.
    #[default]
    Refuse,
    /// They go to the subscribers of this host only, and into no history.
    Local,
}

impl Partition {
    /// What is said of publishing meanwhile.
    pub(super) fn consequence(self) -> &'static str {
        match self {
            Self::Refuse => "publishing is refused meanwhile",
            Self::Local => "messages go to subscribers of this host only meanwhile",
        }
    }
}

/// A message on its way to the broker.
#[derive(Debug)]
pub(super) struct Sending {
    /// What counts the messages of its topic; `None`: it has no history.
    pub(super) counter: Option<Box<str>>,
    /// The message, as in the log.
    pub(super) bytes: Vec<u8>,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The broker cannot be reached.
    Cut,
    /// Too much is waiting.
    Full,
    /// The broker does not take messages of this length.
    TooLong,
}

/// See the module.
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    /// Bytes that may wait.
    most_bytes: usize,
    /// The longest message that the broker takes, as far as that is known.
    longest: AtomicUsize,
    pub(super) partition: Partition,
    /// For the broker's thread: there are messages, or it is to end.
    pub(super) news: Notify,
    /// For the broker's thread: it is to end.
    pub(super) stopping: Notify,
    /// For the broker's thread: a child has ended, perhaps the one that imports.
    pub(super) deaths: Notify,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Sending>,
    bytes: usize,
    /// The broker has not answered lately. Before the first attempt to connect it has not failed.
    is_cut: bool,
    /// The child ends, and sends what is left until then.
    stopping_until: Option<Instant>,
}

impl Outbox {
    pub(super) fn new(most_bytes: usize, partition: Partition) -> Self {
        Self {
            waiting: Mutex::default(),
            most_bytes,
            longest: AtomicUsize::new(usize::MAX),
            partition,
            news: Notify::new(),
            stopping: Notify::new(),
            deaths: Notify::new(),
        }
    }

    /// Takes a message.
    pub(super) fn put(&self, message: Sending) -> Result<(), Refusal> {
        let bytes = message.size();
        if bytes > self.longest() {
            return Err(Refusal::TooLong);
        }
        let mut waiting = self.lock();
        if waiting.is_cut || waiting.stopping_until.is_some() {
            return Err(Refusal::Cut);
        }
        let is_full = waiting.messages.len() >= MOST_MESSAGES
            || (waiting.bytes > 0 && waiting.bytes + bytes > self.most_bytes);
        if is_full {
            return Err(Refusal::Full);
        }
        waiting.bytes += bytes;
        waiting.messages.push_back(message);
        drop(waiting);
        change_gauge(Gauge::Waiting, 1);
        self.news.notify_one();
        Ok(())
    }

    /// The messages that have waited longest, up to so many, and up to so many bytes unless the
    /// first is longer.
    pub(super) fn take(&self, most: usize, most_bytes: usize) -> Vec<Sending> {
        let mut waiting = self.lock();
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(next) = waiting.messages.front()
            && taken.len() < most
            && (taken.is_empty() || bytes + next.size() <= most_bytes)
        {
            bytes += next.size();
            taken.extend(waiting.messages.pop_front());
        }
        waiting.bytes -= bytes;
        taken
    }

    /// Says how long messages may be, in bytes.
    pub(super) fn set_longest(&self, longest: usize) {
        self.longest.store(longest, Ordering::Relaxed);
    }

    /// How long messages may be, in bytes, as far as that is known.
    pub(super) fn longest(&self) -> usize {
        self.longest.load(Ordering::Relaxed)
    }

    /// Says whether the broker can be reached. Returns whether that is new.
    pub(super) fn set_cut(&self, is_cut: bool) -> bool {
        let mut waiting = self.lock();
        std::mem::replace(&mut waiting.is_cut, is_cut) != is_cut
    }

    /// Takes no more messages, and has the broker's thread end when all is sent, or after so long.
    pub(super) fn stop(&self, patience: Duration) {
        self.lock().stopping_until = Some(Instant::now() + patience);
        self.news.notify_one();
        self.stopping.notify_one();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping_until().is_some()
    }

    /// Until when what is left is sent, if the child ends.
    pub(super) fn stopping_until(&self) -> Option<Instant> {
        self.lock().stopping_until
    }

    pub(super) fn is_cut(&self) -> bool {
        self.lock().is_cut
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sending {
    fn size(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MOST_MESSAGES, Outbox, Partition, Refusal, Sending};

    fn sending(length: usize) -> Sending {
        Sending {
            counter: None,
            bytes: vec![0; length],
        }
    }

    fn lengths(taken: &[Sending]) -> Vec<usize> {
        taken.iter().map(Sending::size).collect()
    }

    #[test]
    fn messages_come_out_in_order_and_in_parts_that_are_not_too_large() {
        let outbox = Outbox::new(1000, Partition::Refuse);
        for length in [100, 200, 300] {
            outbox.put(sending(length)).unwrap();
        }
        assert_eq!(lengths(&outbox.take(9, 300)), [100, 200]);
        assert_eq!(lengths(&outbox.take(9, 10)), [300]);
        assert_eq!(lengths(&outbox.take(9, 10)), [0; 0]);
    }

    #[test]
    fn a_full_outbox_refuses_and_a_single_message_of_any_length_fits() {
        let outbox = Outbox::new(1000, Partition::Refuse);
        outbox.put(sending(2000)).unwrap();
        assert_eq!(outbox.put(sending(1)), Err(Refusal::Full));
        outbox.take(1, 1);
        for _ in 0..MOST_MESSAGES {
            outbox.put(sending(0)).unwrap();
        }
        assert_eq!(outbox.put(sending(0)), Err(Refusal::Full));
    }

    #[test]
    fn what_the_broker_would_not_take_is_refused() {
        let outbox = Outbox::new(1000, Partition::Refuse);
        outbox.set_longest(10);
        outbox.put(sending(10)).unwrap();
        assert_eq!(outbox.put(sending(11)), Err(Refusal::TooLong));
        assert_eq!(lengths(&outbox.take(9, 1000)), [10]);
    }

    #[test]
    fn nothing_is_taken_while_the_broker_cannot_be_reached() {
        let outbox = Outbox::new(1000, Partition::Refuse);
        assert!(outbox.set_cut(true) && !outbox.set_cut(true));
        assert_eq!(outbox.put(sending(1)), Err(Refusal::Cut));
        assert!(outbox.set_cut(false));
        outbox.put(sending(1)).unwrap();
        outbox.stop(Duration::ZERO);
        assert_eq!(outbox.put(sending(1)), Err(Refusal::Cut));
        assert_eq!(outbox.take(9, 9).len(), 1);
    }
}
