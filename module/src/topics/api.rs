//! What others do with topics, but for subscribing.

use websocket_plugin::Position;
use websocket_plugin::abi::host::check_topic;

use super::child::hub;
use super::error::TopicError;
use super::hub::Hub;
use super::log::{Listed, Since, Wanted};
use super::message::{Kind, Message};
use super::published::Published;
use super::publisher::Publisher;
use super::space::SpaceId;

/// Sends a message to all that have subscribed to a topic of a space, or hands it to the broker.
///
/// # Errors
///
/// See [`TopicError`].
pub fn publish(
    space: SpaceId,
    topic: &str,
    (kind, payload): (Kind, &[u8]),
    from: Publisher<'_>,
) -> Result<Published, TopicError> {
    check_topic(topic).map_err(|_| TopicError::Invalid)?;
    hub()?.publish(&message(space, topic, kind, payload), from)
}

/// The same, for the topics of this name in all spaces. Returns the place of the message if there
/// is only one.
///
/// # Errors
///
/// See [`TopicError`].
pub fn publish_to_all(
    topic: &str,
    (kind, payload): (Kind, &[u8]),
    from: Publisher<'_>,
) -> Result<Option<Position>, TopicError> {
    check_topic(topic).map_err(|_| TopicError::Invalid)?;
    let hub = hub()?;
    let mut position = None;
    for space in &hub.spaces {
        position = hub
            .publish(&message(*space, topic, kind, payload), from)?
            .position();
    }
    // A position is one of a single topic.
    Ok(position.filter(|_| hub.spaces.len() == 1))
}

fn message<'m>(space: SpaceId, topic: &'m str, kind: Kind, payload: &'m [u8]) -> Message<'m> {
    Message {
        space,
        topic,
        kind,
        position: None,
        payload,
    }
}

/// The most bytes that a message may have.
///
/// # Errors
///
/// See [`TopicError`].
pub fn longest_message() -> Result<usize, TopicError> {
    Ok(hub()?.log.longest())
}

/// How many have subscribed to a topic, in all children; those who have subscribed to patterns do
/// not count.
///
/// # Errors
///
/// See [`TopicError`].
pub fn count(space: SpaceId, topic: &str) -> Result<u64, TopicError> {
    check_topic(topic).map_err(|_| TopicError::Invalid)?;
    let hub = hub()?;
    let elsewhere = hub.log.count_elsewhere((space, topic), hub.child);
    let elsewhere = elsewhere.map_err(|error| Hub::failed(&error))?;
    Ok(elsewhere + hub.count_here(space, topic) as u64)
}

/// How many have subscribed to the topics of this name in all spaces.
///
/// # Errors
///
/// See [`TopicError`].
pub fn count_in_all(topic: &str) -> Result<u64, TopicError> {
    let spaces = &hub()?.spaces;
    spaces.iter().map(|space| count(*space, topic)).sum()
}

/// Shows what is kept of a topic since a position, or all; so many messages at most.
///
/// # Errors
///
/// See [`TopicError`].
pub fn history(
    space: SpaceId,
    topic: &str,
    since: Option<Position>,
    most: usize,
    mut visit: impl FnMut(&Message<'_>),
) -> Result<(), TopicError> {
    check_topic(topic).map_err(|_| TopicError::Invalid)?;
    let hub = hub()?;
    let Some(keep) = hub.rules.keep(space, topic) else {
        return Ok(());
    };
    let wanted = Wanted {
        since: since.map_or(Since::Beginning, Since::Position),
        up_to: None,
        count: most,
        bytes: usize::MAX,
    };
    let recovered = hub.log.recover((space, topic), keep, wanted);
    let recovered = recovered.map_err(|error| Hub::failed(&error))?;
    for message in recovered.messages() {
        visit(&message);
    }
    Ok(())
}

/// Shows who has subscribed to a topic, in all children, where that is known.
///
/// # Errors
///
/// See [`TopicError`].
pub fn visit_members(
    space: SpaceId,
    topic: &str,
    visit: impl FnMut(Listed),
) -> Result<(), TopicError> {
    check_topic(topic).map_err(|_| TopicError::Invalid)?;
    let hub = hub()?;
    // What this child has and has not written yet.
    hub.write_presence();
    let listed = hub.log.list((space, topic), hub.child, visit);
    listed.map_err(|error| Hub::failed(&error))
}
