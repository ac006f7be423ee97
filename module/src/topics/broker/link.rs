//! What this child and a broker tell each other, of whatever kind it is.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

use crate::topics::log::Counted;
use crate::topics::outbox::Sending;

/// A broker that has not answered for so long is taken to be gone.
const PATIENCE: Duration = Duration::from_secs(3);

/// A broker that has nothing new says so after this time.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// A message of a broker.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where to go on reading after it.
    pub(super) place: Box<str>,
    /// Counts the messages of the broker, so that it shows if some are missing.
    pub(super) number: u64,
    /// When it was published, in milliseconds since 1970.
    pub(super) at: u64,
    /// Its place among those of its topic.
    pub(super) counted: Counted,
    /// The message, as in the log.
    pub(super) bytes: Vec<u8>,
}

/// Messages that are sent together.
#[derive(Clone, Copy)]
pub(super) struct Batch<'b> {
    pub(super) messages: &'b [Sending],
    /// The name of the process that has published them, which no other has.
    pub(super) publisher: &'b str,
    /// The number of the first of them. Each message of a publisher has the next number.
    pub(super) first: u64,
    /// When they were first sent, if they are sent again.
    pub(super) tried: Option<Instant>,
}

/// The most messages that are read at once, and about how many bytes.
pub(super) const MOST_READ: usize = 256;
const MOST_BYTES_READ: usize = 4 << 20;

/// How many messages to read the next time, after these.
pub(super) fn how_many(entries: &[Entry]) -> usize {
    let bytes: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
    let average = bytes / entries.len().max(1);
    (MOST_BYTES_READ / average.max(1)).clamp(1, MOST_READ)
}

/// Waits for an answer, and not for ever. The error says why there is none.
pub(super) async fn answer<T, E: Display>(
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    answer_after(Duration::ZERO, asked).await
}

/// The same for an answer that may take its time.
pub(super) async fn answer_after<T, E: Display>(
    time: Duration,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(time + PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer for {} s", (time + PATIENCE).as_secs())),
    }
}
