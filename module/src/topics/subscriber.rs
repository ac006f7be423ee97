//! A connection that has subscribed to topics, or may.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use websocket_plugin::abi::host::Filter;
use websocket_plugin::{Position, Recovery};

use super::child::hub;
use super::error::TopicError;
use super::hub::Hub;
use super::log::{Since, Wanted};
use super::members::Member;
use super::message::Message;
use super::presence::Identity;
use super::publisher::Publisher;
use super::space::SpaceId;
use crate::httpd::scoreboard::{Gauge, Total, add_total, change_gauge};
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

/// The longest texts about a subscriber that others see, in bytes.
const LONGEST_TEXT: usize = 1024;

/// Numbers the connections of this process that use topics.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A connection, and what it has subscribed to. It leaves all topics when it is dropped.
pub struct Subscriber {
    /// Unlike that of any other connection of this child.
    number: u32,
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
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            output,
            space,
            most,
            user: user.map(|user| cut(&user).into()),
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
        // What is recovered comes before what is delivered from then on.
        let delivered = hub.delivery.pause();
        let (subscribed, after) = self.recover(hub, filter, options, *delivered, from)?;
        let member = Member {
            output: Arc::clone(&self.output),
            after,
            has_envelope: options.has_envelope,
        };
        let replaced = hub.add(self.space, filter, self.id(hub), member);
        drop(delivered);
        filters.insert(text.into());
        if let Filter::Topic(topic) = filter {
            let who = Identity {
                id: self.id(hub),
                user: self.user.as_deref(),
                info: options.info.map(cut),
            };
            hub.note_joined(self.space, topic, who, replaced);
        }
        Ok(subscribed)
    }

    /// Sends what the history has for the subscriber. Returns the number of the message after which
    /// it gets what is delivered: so far the history had all. Of this child, `delivered` is the
    /// last that was delivered. Others may be ahead, and the subscriber may have been there.
    fn recover(
        &self,
        hub: &Hub,
        filter: Filter<'_>,
        options: Options<'_>,
        delivered: u64,
        from: Publisher<'_>,
    ) -> Result<(Subscribed, u64), TopicError> {
        let keep = match filter {
            Filter::Topic(topic) => hub.rules.keep(self.space, topic).zip(Some(topic)),
            _ => None,
        };
        let Some((keep, topic)) = keep else {
            let subscribed = Subscribed {
                position: None,
                recovery: Recovery::None,
            };
            return Ok((subscribed, delivered));
        };
        let is_asked = options.since.is_some() || keep.is_given;
        let wanted = |since| Wanted {
            since,
            up_to: (!is_asked).then_some(delivered),
            count: if is_asked { usize::MAX } else { 0 },
            // In on_connect nothing leaves the queue.
            bytes: self.output.room(),
        };
        let read = |since| {
            let recovered = hub.log.recover((self.space, topic), keep, wanted(since));
            recovered.map_err(|error| Hub::failed(&error))
        };
        let mut recovered = read(options.since.map_or(Since::Beginning, Since::Position))?;
        if recovered.has_gap && keep.is_given {
            // The newest is all there is to know.
            recovered = read(Since::Beginning)?;
        }
        let mut count = 0;
        for message in recovered.messages() {
            self.send(&message, options, from);
            count += 1;
        }
        add_total(Total::Delivered, count.into());
        let recovery = match recovered.has_gap {
            _ if !is_asked => Recovery::None,
            true => Recovery::Gap,
            false => Recovery::Complete(count),
        };
        let subscribed = Subscribed {
            position: recovered.position,
            recovery,
        };
        Ok((subscribed, recovered.up_to))
    }

    fn send(&self, message: &Message<'_>, options: Options<'_>, from: Publisher<'_>) {
        let envelope = options.has_envelope.then(|| message.envelope());
        let payload = envelope
            .as_ref()
            .map_or(message.payload, |text| text.as_bytes());
        let mut broadcast = Broadcast::new(message.kind.opcode(), payload);
        broadcast.send(&self.output, from.caller_for(&self.output));
        broadcast.finish();
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
            // It was subscribed to, so there are topics.
            let _ = self.leave(Filter::of_checked(&text));
        }
    }

    fn leave(&self, filter: Filter<'_>) -> Result<(), TopicError> {
        let hub = hub()?;
        let removed = hub.remove(self.space, filter, self.id(hub));
        if let (Filter::Topic(topic), true) = (filter, removed) {
            hub.note_left(self.space, topic, self.id(hub));
        }
        Ok(())
    }

    /// Unlike that of any other connection of this host, also of earlier starts; and, probably, of
    /// other hosts.
    fn id(&self, hub: &Hub) -> u64 {
        hub.salt ^ (u64::from(hub.child.number()) << u32::BITS | u64::from(self.number))
    }

    fn filters(&self) -> MutexGuard<'_, Option<HashSet<Box<str>>>> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.end();
    }
}

/// What others see of a text.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(text.len().min(LONGEST_TEXT))]
}

impl Hub {
    /// Adds a subscription. Returns whether it replaces one.
    fn add(&self, space: SpaceId, filter: Filter<'_>, id: u64, member: Member) -> bool {
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        let members = rooms.entry(space).or_default();
        let is_replaced = members.add(filter, id, member).is_some();
        if !is_replaced {
            change_gauge(Gauge::Subscriptions, 1);
        }
        is_replaced
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
        if removed.is_some() {
            change_gauge(Gauge::Subscriptions, -1);
        }
        // The connection may go with it.
        removed.is_some()
    }
}
