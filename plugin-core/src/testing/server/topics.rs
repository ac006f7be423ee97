//! The functions in the test host's table that are about topics.
//!
//! A plugin calls them with a pointer to a [`Server`]. By the rules of the tables it is valid as
//! long as the client is connected. The SAFETY notes below refer to this.

use super::Server;
use crate::abi::{self, Publication, Subscription, TOPIC_OK, TopicTable, WebSocketServer};
use crate::testing::topics::functions::{publish_to, text};
use crate::testing::topics::{Answer, Receive, Request};
use std::ffi::{c_char, c_int};
use std::sync::Arc;

/// # Safety
///
/// `server` is a table of a [`Server`] that is valid for `'a`.
unsafe fn server<'a>(server: *const WebSocketServer) -> &'a Server {
    // SAFETY: the table is the first field, and `Server::table` gives a pointer to the whole
    // server.
    unsafe { &*server.cast() }
}

fn number(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(TOPIC_OK)
}

pub(super) unsafe extern "system" fn subscribe(
    table: *const WebSocketServer,
    topic: *const c_char,
    length: usize,
    subscription: *mut Subscription,
) -> c_int {
    // SAFETY: as above; the topic is as long as the plugin says, and the subscription is null or
    // the plugin's.
    let (server, topic, subscription) = unsafe {
        (
            server(table),
            text(topic.cast(), length),
            subscription.as_mut(),
        )
    };
    let mut request = Request {
        is_in_envelope: false,
        since: None,
        user: server.user(),
        info: None,
    };
    if let Some(asked) = &subscription {
        request.is_in_envelope = asked.flags & abi::SUBSCRIBE_ENVELOPE != 0;
        request.since = (asked.flags & abi::SUBSCRIBE_SINCE != 0).then_some(asked.since);
        // SAFETY: as above; so is the info.
        let info = || unsafe { text(asked.info, asked.info_length) }.to_owned();
        request.info = (!asked.info.is_null()).then(info);
    }
    number(server.subscribe(topic, &request).map(|answer| {
        if let Some(asked) = subscription {
            asked.position = answer.position;
            asked.recovery = answer.recovery;
            asked.recovered = answer.count;
        }
    }))
}

impl Server {
    fn subscribe(&self, topic: &str, request: &Request) -> Result<Answer, c_int> {
        let own: Arc<dyn Receive> = self.own.upgrade().ok_or(abi::TOPIC_CLOSED)?;
        self.space().subscribe((&own, self.id), topic, request)
    }
}

pub(super) unsafe extern "system" fn unsubscribe(
    table: *const WebSocketServer,
    topic: *const c_char,
    length: usize,
) -> c_int {
    // SAFETY: as above; the topic is as long as the plugin says.
    let (server, topic) = unsafe { (server(table), text(topic.cast(), length)) };
    number(server.space().unsubscribe(server.id, topic))
}

pub(super) unsafe extern "system" fn publish(
    table: *const WebSocketServer,
    topic: *const c_char,
    topic_length: usize,
    kind: c_int,
    payload: *const u8,
    length: usize,
    publication: *mut Publication,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        let space = server(table).space().table();
        publish_to(
            space,
            topic,
            topic_length,
            kind,
            payload,
            length,
            publication,
        )
    }
}

pub(super) unsafe extern "system" fn topics(table: *const WebSocketServer) -> *const TopicTable {
    // SAFETY: as above.
    unsafe { server(table) }.topics()
}
