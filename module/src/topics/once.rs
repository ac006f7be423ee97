//! Messages that somebody may send twice and that are published once.
//!
//! Whoever publishes claims a key first, and then says what came of it. All children know both. If
//! a child is killed in between, nobody knows whether it has published: whoever comes next does.

use super::child::hub;
use super::error::TopicError;
use super::hub::Hub;
use super::log::Claimed;
use super::once_key::OnceKey;

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody has used it: publish the message, and then [`settle`] or [`give_up`].
    New,
    /// The message was published, with this answer.
    Settled(Vec<u8>),
    /// It is being published.
    Pending,
    /// Another message was published with this key.
    OtherMessage,
}

/// Claims a key. It is remembered for five minutes.
///
/// # Errors
///
/// See [`TopicError`].
pub fn claim(key: &OnceKey) -> Result<Claim, TopicError> {
    let hub = hub()?;
    let claimed = hub.log.claim(key, hub.child);
    Ok(match claimed.map_err(|error| Hub::failed(&error))? {
        Claimed::New => Claim::New,
        Claimed::Settled(answer) => Claim::Settled(answer),
        Claimed::Pending => Claim::Pending,
        Claimed::OtherMessage => Claim::OtherMessage,
    })
}

/// Says that the message was published, and what to answer whoever sends it again.
pub fn settle(key: &OnceKey, answer: &[u8]) {
    if let Ok(hub) = hub()
        && let Err(error) = hub.log.settle(key, hub.child, answer)
    {
        let _ = Hub::failed(&error);
    }
}

/// Says that the message was not published.
pub fn give_up(key: &OnceKey) {
    if let Ok(hub) = hub()
        && let Err(error) = hub.log.give_up(key)
    {
        let _ = Hub::failed(&error);
    }
}
