//! The functions of the server table that are about topics.

use std::ffi::{c_char, c_int};
use std::ptr;

use websocket_plugin::{Recovery, abi};

use super::arguments::{bytes, text};
use super::attachment::Attachment;
use super::server::{as_publisher, with_server};
use super::topic_table::{number, publish_as, table_for, to_abi};
use crate::httpd::guard::guard;
use crate::topics::{Options, Subscribed, TopicError};

pub(super) unsafe extern "system" fn subscribe(
    server: *const abi::WebSocketServer,
    topic: *const c_char,
    length: usize,
    subscription: *mut abi::Subscription,
) -> c_int {
    // SAFETY: a plugin passes the table it was given, a topic of that length, and a subscription or
    // null.
    unsafe {
        with_server(server, abi::TOPIC_CLOSED, |server| {
            let subscribed = (|| {
                let topic = text(topic.cast(), length).ok_or(TopicError::Invalid)?;
                let options = options(subscription)?;
                let subscribe = |attached: &Attachment, _| {
                    let subscriber = attached.subscriber();
                    Some(subscriber.and_then(|subscriber| {
                        as_publisher(|from| subscriber.subscribe(topic, options, from))
                    }))
                };
                server
                    .with_attached(subscribe)
                    .unwrap_or(Err(TopicError::Closed))
            })();
            if let (Ok(subscribed), Some(answer)) = (subscribed, subscription.as_mut()) {
                describe(subscribed, answer);
            }
            Some(number(subscribed.map(drop)))
        })
    }
}

/// # Safety
///
/// `subscription` is null, or of a plugin that calls.
unsafe fn options<'o>(subscription: *const abi::Subscription) -> Result<Options<'o>, TopicError> {
    // SAFETY: the caller vouches for it; the size is looked at first.
    unsafe {
        if subscription.is_null() {
            return Ok(Options::default());
        }
        if (&raw const (*subscription).size).read() < abi::Subscription::SIZE {
            return Err(TopicError::Invalid);
        }
        let subscription = &*subscription;
        let has = |flag| subscription.flags & flag != 0;
        let info = if subscription.info.is_null() {
            None
        } else {
            let info = text(subscription.info, subscription.info_length);
            Some(info.ok_or(TopicError::Invalid)?)
        };
        Ok(Options {
            has_envelope: has(abi::SUBSCRIBE_ENVELOPE),
            since: has(abi::SUBSCRIBE_SINCE).then(|| subscription.since.into()),
            info,
        })
    }
}

fn describe(subscribed: Subscribed, answer: &mut abi::Subscription) {
    answer.position = to_abi(subscribed.position);
    (answer.recovery, answer.recovered) = match subscribed.recovery {
        Recovery::None => (abi::RECOVERY_NONE, 0),
        Recovery::Complete(count) => (abi::RECOVERY_COMPLETE, count),
        Recovery::Gap => (abi::RECOVERY_GAP, 0),
    };
}

pub(super) unsafe extern "system" fn unsubscribe(
    server: *const abi::WebSocketServer,
    topic: *const c_char,
    length: usize,
) -> c_int {
    // SAFETY: a plugin passes the table it was given, and a topic of that length.
    unsafe {
        with_server(server, abi::TOPIC_CLOSED, |server| {
            let Some(topic) = text(topic.cast(), length) else {
                return Some(abi::TOPIC_INVALID);
            };
            let left = server.with_attached(|attached, _| {
                let subscriber = attached.subscriber();
                Some(subscriber.and_then(|subscriber| subscriber.unsubscribe(topic)))
            });
            Some(number(left.unwrap_or(Err(TopicError::Closed))))
        })
    }
}

pub(super) unsafe extern "system" fn publish(
    server: *const abi::WebSocketServer,
    topic: *const c_char,
    topic_length: usize,
    kind: c_int,
    payload: *const u8,
    length: usize,
    publication: *mut abi::Publication,
) -> c_int {
    // SAFETY: a plugin passes the table it was given, texts of these lengths, and a publication or
    // null.
    unsafe {
        with_server(server, abi::TOPIC_CLOSED, |server| {
            let space = server.with_attached(|attached, _| Some(attached.topics().space));
            let Some(space) = space else {
                return Some(abi::TOPIC_CLOSED);
            };
            let topic = text(topic.cast(), topic_length);
            let message = bytes(payload, length);
            Some(publish_as(Some(space), topic, kind, message, publication))
        })
    }
}

pub(super) unsafe extern "system" fn topics(
    server: *const abi::WebSocketServer,
) -> *const abi::TopicTable {
    // SAFETY: a plugin passes the table it was given, or that of no connection, whose state is
    // null.
    unsafe {
        if server.as_ref().is_some_and(|table| table.state.is_null()) {
            return guard("topics of the host", ptr::null(), || table_for(None));
        }
        with_server(server, ptr::null(), |server| {
            let space = server.with_attached(|attached, _| Some(attached.topics().space))?;
            Some(table_for(Some(space)))
        })
    }
}
