//! A NATS server without JetStream: it passes messages on to whoever listens, and keeps none.

use std::collections::HashMap;

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};

use super::headers::{Id, all_subjects};
use super::session::Session;
use crate::topics::broker::link::{Entry, MOST_READ, SILENCE};
use crate::topics::log::{Counted, now};
use crate::topics::outbox::Sending;

/// Of so many publishers it is known what came from them. Whoever sends something twice does so
/// within seconds.
const MOST_PUBLISHERS: usize = 4096;

/// How far a host has come that has read from such a server. It cannot go on from there.
pub(super) const PLACE: &str = "live";

/// See the module.
#[derive(Default)]
pub(super) struct Live {
    /// `None` until messages are wanted.
    messages: Option<Subscriber>,
    /// The number of the last message of each publisher.
    seen: HashMap<String, u64>,
    /// How many messages this connection has brought.
    count: u64,
}

impl Live {
    /// Sends messages, and waits until the server has them.
    pub(super) async fn publish(
        &self,
        session: &Session,
        messages: impl Iterator<Item = (Id<'_>, &Sending)>,
    ) -> Result<(), String> {
        let client = session.client();
        for (id, message) in messages {
            let payload = message.bytes.clone().into();
            let sent = client.publish_with_headers(id.subject(), id.headers(), payload);
            session.answer(sent).await?;
        }
        session.ping().await
    }

    /// Subscribes to new messages.
    pub(super) async fn listen(&mut self, session: &Session) -> Result<(), String> {
        let listening = session.client().subscribe(all_subjects());
        self.messages = Some(session.answer(listening).await?);
        session.ping().await
    }

    /// What has come. Waits for the first, but not for ever.
    pub(super) async fn read(&mut self, session: &Session) -> Result<Vec<Entry>, String> {
        let messages = self.messages.as_mut().ok_or("nobody listens")?;
        let next = async { messages.next().await.ok_or("the connection is lost") };
        let Ok(next) = tokio::time::timeout(SILENCE, session.answer_after(SILENCE, next)).await
        else {
            session.ping().await?;
            return Ok(Vec::new());
        };
        let mut read = vec![next?];
        while let Some(next) = messages.next().now_or_never().flatten() {
            read.push(next);
            if read.len() >= MOST_READ {
                break;
            }
        }
        Ok(read.into_iter().filter_map(|it| self.entry(it)).collect())
    }

    /// `None` if it has come before, or is not one of this module.
    fn entry(&mut self, message: Message) -> Option<Entry> {
        let id = Id::of(message.headers.as_ref()?)?;
        if !self.is_new(id) {
            return None;
        }
        self.count += 1;
        Some(Entry {
            place: PLACE.into(),
            number: self.count,
            at: now(),
            counted: Counted::Here,
            bytes: message.payload.into(),
        })
    }

    fn is_new(&mut self, id: Id<'_>) -> bool {
        if let Some(last) = self.seen.get_mut(id.publisher) {
            let is_new = *last < id.number;
            *last = id.number.max(*last);
            return is_new;
        }
        if self.seen.len() >= MOST_PUBLISHERS {
            self.seen.clear();
        }
        self.seen.insert(id.publisher.into(), id.number);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Id, Live, MOST_PUBLISHERS};

    #[test]
    fn what_is_sent_again_is_left_out_and_the_memory_for_that_has_a_limit() {
        let mut live = Live::default();
        let mut is_new = |publisher: &str, number| live.is_new(Id { publisher, number });
        assert!(is_new("a", 1) && is_new("b", 1) && is_new("a", 2));
        assert!(!is_new("a", 1) && !is_new("a", 2) && is_new("a", 3));
        for number in 0..MOST_PUBLISHERS {
            assert!(is_new(&format!("c{number}"), 7));
        }
        assert!(live.seen.len() <= MOST_PUBLISHERS);
    }
}
