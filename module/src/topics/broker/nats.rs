//! NATS as a broker. With JetStream it keeps messages; without, it only passes them on.
//!
//! `docs/src/brokers.md` describes what is stored there.

mod headers;
mod live;
mod session;
mod stream;

use std::time::Duration;

use super::link::{Batch, Entry};
use super::settings::Settings;
use crate::topics::hub::log_seldom;
use headers::Id;
use live::Live;
use session::Session;
use stream::Stream;

/// A connection to NATS.
pub(super) struct Nats {
    session: Session,
    means: Means,
}

enum Means {
    Stream(Box<Stream>),
    Live(Live),
}

impl Nats {
    pub(super) async fn connect(settings: &Settings) -> Result<Self, String> {
        let session = Session::connect(settings).await?;
        let means = match Stream::open(&session, settings.keep).await? {
            Some(stream) => Means::Stream(Box::new(stream)),
            None => Means::Live(Live::default()),
        };
        Ok(Self { session, means })
    }

    /// Whether the server keeps messages.
    pub(super) fn keeps(&self) -> bool {
        matches!(self.means, Means::Stream(_))
    }

    /// The longest message that the server takes, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.session.longest()
    }

    /// Asks for a sign of life.
    pub(super) async fn ping(&self) -> Result<(), String> {
        self.session.ping().await
    }

    /// Adds messages.
    pub(super) async fn publish(&self, batch: &Batch<'_>) -> Result<(), String> {
        let publisher = batch.publisher;
        let ids = (batch.first..).map(|number| Id { publisher, number });
        let messages = ids.zip(batch.messages).filter(|(_, message)| {
            let fits = message.bytes.len() <= self.session.longest();
            if !fits {
                log_seldom("topics: a message is longer than the NATS server takes (max_payload)");
            }
            fits
        });
        match &self.means {
            Means::Stream(stream) => {
                let after = batch.tried.map_or(Duration::ZERO, |tried| tried.elapsed());
                let publish = stream.publish(&self.session, publisher, messages, after);
                publish.await
            }
            Means::Live(live) => live.publish(&self.session, messages).await,
        }
    }

    /// The number of the newest message that is kept, if there is one.
    pub(super) async fn newest(&mut self) -> Result<Option<u64>, String> {
        match &mut self.means {
            Means::Stream(stream) => stream.newest(&self.session).await,
            Means::Live(_) => Ok(None),
        }
    }

    /// Subscribes to new messages, if the server keeps none. Returns the place where it begins.
    pub(super) async fn listen(&mut self) -> Result<Option<&'static str>, String> {
        match &mut self.means {
            Means::Stream(_) => Ok(None),
            Means::Live(live) => {
                live.listen(&self.session).await?;
                Ok(Some(live::PLACE))
            }
        }
    }

    /// The messages after this place. Waits for the first, but not for ever, if `waits`.
    pub(super) async fn read(&mut self, after: &str, waits: bool) -> Result<Vec<Entry>, String> {
        match &mut self.means {
            Means::Stream(stream) => stream.read(&self.session, after, waits).await,
            Means::Live(live) => live.read(&self.session).await,
        }
    }
}
