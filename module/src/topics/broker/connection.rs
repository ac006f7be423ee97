//! A connection to a broker, of whatever kind it is.

use super::address::Kind;
use super::link::{Batch, Entry};
use super::nats::Nats;
use super::redis::Redis;
use super::settings::Settings;

/// See the module. After an error it is of no more use.
pub(super) enum Connection {
    Redis(Redis),
    Nats(Nats),
}

impl Connection {
    pub(super) async fn connect(settings: &Settings) -> Result<Self, String> {
        Ok(match settings.address.kind {
            Kind::Redis => Self::Redis(Redis::connect(settings).await?),
            Kind::Nats => Self::Nats(Nats::connect(settings).await?),
        })
    }

    /// Whether the broker keeps messages for hosts that are cut off. If not, each connection begins
    /// with a gap.
    pub(super) fn keeps(&self) -> bool {
        match self {
            Self::Redis(_) => true,
            Self::Nats(nats) => nats.keeps(),
        }
    }

    /// The longest message that the broker takes, in bytes.
    pub(super) fn longest(&self) -> usize {
        match self {
            // 512 MiB, which no log has room for.
            Self::Redis(_) => usize::MAX,
            Self::Nats(nats) => nats.longest(),
        }
    }

    /// Asks for a sign of life.
    pub(super) async fn ping(&mut self) -> Result<(), String> {
        match self {
            Self::Redis(redis) => redis.ping().await,
            Self::Nats(nats) => nats.ping().await,
        }
    }

    /// Adds messages to the broker's. Those that it has already got from the publisher are skipped.
    pub(super) async fn publish(
        &mut self,
        batch: &Batch<'_>,
        settings: &Settings,
    ) -> Result<(), String> {
        match self {
            Self::Redis(redis) => redis.publish(batch, settings).await,
            Self::Nats(nats) => nats.publish(batch).await,
        }
    }

    /// The number of the newest message that is kept, if there is one.
    pub(super) async fn newest(&mut self) -> Result<Option<u64>, String> {
        match self {
            Self::Redis(redis) => redis.newest().await,
            Self::Nats(nats) => nats.newest().await,
        }
    }

    /// Subscribes to new messages, if the broker keeps none. Returns the place where it begins.
    pub(super) async fn listen(&mut self) -> Result<Option<&'static str>, String> {
        match self {
            Self::Redis(_) => Ok(None),
            Self::Nats(nats) => nats.listen().await,
        }
    }

    /// The messages after this place. Waits for the first, but not for ever, if `waits`.
    pub(super) async fn read(&mut self, after: &str, waits: bool) -> Result<Vec<Entry>, String> {
        match self {
            Self::Redis(redis) => redis.read(after, waits).await,
            Self::Nats(nats) => nats.read(after, waits).await,
        }
    }
}
