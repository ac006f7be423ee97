//! A connection that has subscribed to topics, or may.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use websocket_plugin::abi::host::Filter;

use super::child::hub;
use super::error::TopicError;
use super::hub::Hub;
use super::log::{Recovered, Since};
use super::members::Member;
use super::message::Position;
use super::presence::Identity;
use super::publisher::Publisher;
use super::space::SpaceId;
use crate::output::{Broadcast, Output};

/// How to subscribe.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'o> {
    /// Messages come in an envelope of JSON.
    pub has_envelope: bool,
    /// First come the messages of the history after this one.
    pub since: Option<Position>,
    /// What others see of the subscriber.
    pub info: Option<&'o str>,
}

/// What came of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// The newest message of the topic, if there was one and it has a history.
    pub position: Option<Position>,
    /// Whether the subscriber gets what it has missed.
    pub recovery: Recovery,
}

/// Whether a subscriber gets what it has missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It has not asked, or the topic has no history.
    None,
    /// It gets all of it: so many messages.
    Complete(u32),
    /// Some of it is gone.
    Gap,
}

/// The longest text about a subscriber that others see, in bytes.
const LONGEST_INFO: usize = 1024;

/// Numbers the connections of this process that use topics.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A connection, and what it has subscribed to. It leaves all topics when it is dropped.
pub struct Subscriber {
    /// Unlike that of any other connection of this httpd.
    id: u64,
    output: Arc<Output>,
    space: SpaceId,
    /// The most subscriptions.
    most: usize,
    user: Option<Box<str>>,
    /// `None`: the connection has ended.
    filters: Mutex<Option<HashSet<Box<str>>>>,
}

impl Subscriber {
    /// A connection that has subscribed to nothing yet.
    #[must_use]
    pub fn new(output: Arc<Output>, space: SpaceId, most: usize, user: Option<Box<str>>) -> Self {
        let process = u64::from(std::process::id()) << u32::BITS;
        Self {
            id: process | u64::from(NEXT.fetch_add(1, Ordering::Relaxed)),
            output,
            space,
            most,
            user,
            filters: Mutex::new(Some(HashSet::new())),
        }
    }

    /// Subscribes to a topic or a pattern, anew if it has before.
    ///
    /// # Errors
    ///
    /// See [`TopicError`].
    pub fn subscribe(
        &self,
        text: &str,
        options: Options<'_>,
        from: Publisher<'_>,
    ) -> Result<Subscribed, TopicError> {
        let filter = Filter::parse(text).map_err(|_| TopicError::Invalid)?;
        if options.since.is_some() && !matches!(filter, Filter::Topic(_)) {
            return Err(TopicError::Invalid);
        }
        let hub = hub()?;
        let mut filters = self.filters();
        let filters = filters.as_mut().ok_or(TopicError::Closed)?;
        if !filters.contains(text) && filters.len() >= self.most {
            return Err(TopicError::Limit);
        }
        // What is recovered comes before what is delivered.
        let delivery = hub.delivery.pause();
        let (after, subscribed) = self.recover(hub, filter, options, from)?;
        let member = Member {
            output: Arc::clone(&self.output),
            after,
            has_envelope: options.has_envelope,
        };
        let replaced = hub.add(self.space, filter, self.id, member);
        drop(delivery);
        filters.insert(text.into());
        if let Filter::Topic(topic) = filter {
            let info = options.info.map(|info| {
                let end = info.floor_char_boundary(info.len().min(LONGEST_INFO));
                &info[..end]
            });
            let who = Identity {
                id: self.id,
                user: self.user.as_deref(),
                info,
            };
            hub.note_joined(self.space, topic, who, replaced);
        }
        Ok(subscribed)
    }

    /// Sends what the history has for the subscriber. Returns the number of the newest message in
    /// the log, which is not to be delivered, too.
    fn recover(
        &self,
        hub: &Hub,
        filter: Filter<'_>,
        options: Options<'_>,
        from: Publisher<'_>,
    ) -> Result<(u64, Subscribed), TopicError> {
        let mut subscribed = Subscribed {
            position: None,
            recovery: Recovery::None,
        };
        let keep = match filter {
            Filter::Topic(topic) => {
                let keep = hub.rules.keep(self.space, topic);
                keep.map(|keep| (topic, keep))
            }
            _ => None,
        };
        let Some((topic, keep)) = keep else {
            let newest = hub.log.newest().map_err(|error| Hub::failed(&error))?;
            return Ok((newest, subscribed));
        };
        let read = |since, most| {
            let read = hub
                .log
                .recover((self.space, topic), (keep, since), most, |message| {
                    let envelope = options.has_envelope.then(|| message.envelope());
                    let payload = envelope
                        .as_ref()
                        .map_or(message.payload, |text| text.as_bytes());
                    let mut broadcast = Broadcast::new(message.kind.opcode(), payload);
                    broadcast.send(&self.output, from.caller_for(&self.output));
                    broadcast.finish();
                });
            read.map_err(|error| Hub::failed(&error))
        };
        let mut read_all = read(
            options.since.map_or(Since::Beginning, Since::Position),
            if options.since.is_some() || keep.is_given {
                usize::MAX
            } else {
                0
            },
        )?;
        if !read_all.is_complete && keep.is_given {
            read_all = read(Since::Beginning, usize::MAX)?;
        }
        let Recovered {
            number,
            position,
            is_complete,
            count,
        } = read_all;
        subscribed.position = position;
        if options.since.is_some() || keep.is_given {
            subscribed.recovery = if is_complete {
                Recovery::Complete(count)
            } else {
                Recovery::Gap
            };
        }
        Ok((number, subscribed))
    }

    /// Ends a subscription, if there is one.
    ///
    /// # Errors
    ///
    /// See [`TopicError`].
    pub fn unsubscribe(&self, text: &str) -> Result<(), TopicError> {
        let filter = Filter::parse(text).map_err(|_| TopicError::Invalid)?;
        let mut filters = self.filters();
        let filters = filters.as_mut().ok_or(TopicError::Closed)?;
        if filters.remove(text) {
            self.leave(filter)?;
        }
        Ok(())
    }

    /// Ends all subscriptions. There are no more afterwards.
    pub fn end(&self) {
        let filters = self.filters().take();
        for text in filters.into_iter().flatten() {
            if let Ok(filter) = Filter::parse(&text) {
                // It was subscribed to, so there are topics.
                let _ = self.leave(filter);
            }
        }
    }

    fn leave(&self, filter: Filter<'_>) -> Result<(), TopicError> {
        let hub = hub()?;
        let removed = hub.remove(self.space, filter, self.id);
        if let (Filter::Topic(topic), true) = (filter, removed) {
            hub.note_left(self.space, topic, self.id);
        }
        Ok(())
    }

    fn filters(&self) -> MutexGuard<'_, Option<HashSet<Box<str>>>> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    /// Adds a subscription. Returns whether it replaces one.
    fn add(&self, space: SpaceId, filter: Filter<'_>, id: u64, member: Member) -> bool {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        rooms
            .entry(space)
            .or_default()
            .add(filter, id, member)
            .is_some()
    }

    /// Removes a subscription. Returns whether there was one.
    fn remove(&self, space: SpaceId, filter: Filter<'_>, id: u64) -> bool {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        let Some(members) = rooms.get_mut(&space) else {
            return false;
        };
        let removed = members.remove(filter, id);
        if members.is_empty() {
            rooms.remove(&space);
        }
        drop(rooms);
        // The connection may go with it.
        removed.is_some()
    }
}
