//! Topics: the functions that the module appends to the server table, and the table for the topics
//! of a virtual host.
//!
//! # Threads
//!
//! The functions of the server table may be called wherever `send` may be called. A [`TopicTable`]
//! belongs to no connection: any thread may use it until the last `destroy` of the plugin returns.

use super::{ServerTable, WebSocketServer};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::mem::offset_of;

/// It was done.
pub const TOPIC_OK: c_int = 0;
/// The connection is closing or gone.
pub const TOPIC_CLOSED: c_int = 1;
/// The name or the pattern is not one, or the message has no type that can be published.
pub const TOPIC_INVALID: c_int = 2;
/// The connection has as many subscriptions as `WebSocketMaxTopics` allows.
pub const TOPIC_LIMIT: c_int = 3;
/// The message is longer than 1/32 of `WebSocketTopicMemory`, or than the broker takes.
pub const TOPIC_TOO_LARGE: c_int = 4;
/// Topics do not work in this process; httpd's error log says why.
pub const TOPIC_UNAVAILABLE: c_int = 5;

/// [`Subscription::flags`]: messages come in an envelope of JSON, with their topic and position.
pub const SUBSCRIBE_ENVELOPE: c_uint = 1;
/// [`Subscription::flags`]: first come the messages after [`Subscription::since`].
pub const SUBSCRIBE_SINCE: c_uint = 2;

/// [`Subscription::recovery`]: nothing was asked for, or the topic has no history.
pub const RECOVERY_NONE: c_int = 0;
/// [`Subscription::recovery`]: all messages since then follow.
pub const RECOVERY_COMPLETE: c_int = 1;
/// [`Subscription::recovery`]: some messages since then are gone. None of them follows.
pub const RECOVERY_GAP: c_int = 2;

/// [`Publication::flags`]: the message is a JSON text. It becomes a part of an envelope as it is.
pub const PUBLISH_JSON: c_uint = 1;

/// The place of a message among those of its topic. All zeros: none, as the topic has no history.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicPosition {
    /// Differs when the history has begun anew.
    pub epoch: u64,
    /// Counts the messages of the topic, from 1.
    pub offset: u64,
}

/// How to subscribe, and what came of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Subscription {
    /// Size of the struct in bytes, which its maker sets.
    pub size: c_uint,
    /// `SUBSCRIBE_*`.
    pub flags: c_uint,
    /// The last message that the client has seen, with [`SUBSCRIBE_SINCE`].
    pub since: TopicPosition,
    /// What others see of the subscriber, where `WebSocketTopicPresence` is on; `info_length` bytes
    /// of UTF-8, or null.
    pub info: *const u8,
    /// See `info`.
    pub info_length: usize,
    /// Set by the module: the newest message of the topic, if it has a history.
    pub position: TopicPosition,
    /// Set by the module: `RECOVERY_*`.
    pub recovery: c_int,
    /// Set by the module: how many messages of the history follow.
    pub recovered: c_uint,
}

impl Subscription {
    /// The value of `size`.
    #[allow(clippy::cast_possible_truncation, reason = "less than a hundred bytes")]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;
}

/// How to publish, and what came of it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Publication {
    /// Size of the struct in bytes, which its maker sets.
    pub size: c_uint,
    /// `PUBLISH_*`.
    pub flags: c_uint,
    /// Set by the module: where the message is, if the topic has a history.
    pub position: TopicPosition,
}

impl Publication {
    /// The value of `size`.
    #[allow(clippy::cast_possible_truncation, reason = "less than a hundred bytes")]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;
}

/// `WS_Subscribe`: sends the client all messages of a topic, or of those that a pattern describes,
/// from now on. The topic is UTF-8. The last argument may be null. In `on_connect`, the messages
/// follow the response. Returns a `TOPIC_*`.
pub type Subscribe = unsafe extern "system" fn(
    *const WebSocketServer,
    *const c_char,
    usize,
    *mut Subscription,
) -> c_int;

/// `WS_Unsubscribe`: ends the subscription to this topic or pattern, if there is one. Returns a
/// `TOPIC_*`.
pub type Unsubscribe =
    unsafe extern "system" fn(*const WebSocketServer, *const c_char, usize) -> c_int;

/// `WS_Publish`: sends a message to all that have subscribed to a topic, in all processes of httpd.
/// Never waits for a client. The topic is followed by its length, then the message's type
/// (`MESSAGE_TYPE_TEXT` or `MESSAGE_TYPE_BINARY`), the message, and its length. The last argument
/// may be null. Returns a `TOPIC_*`.
pub type Publish = unsafe extern "system" fn(
    *const WebSocketServer,
    *const c_char,
    usize,
    c_int,
    *const u8,
    usize,
    *mut Publication,
) -> c_int;

/// `WS_Topics`: the topics of the connection's virtual host, for any thread. With the table that
/// belongs to no connection: those of all virtual hosts. Null if there are none.
pub type TopicsOf = unsafe extern "system" fn(*const WebSocketServer) -> *const TopicTable;

/// As [`Publish`].
pub type PublishTo = unsafe extern "system" fn(
    *const TopicTable,
    *const c_char,
    usize,
    c_int,
    *const u8,
    usize,
    *mut Publication,
) -> c_int;

/// Counts the subscriptions to a topic (not those to patterns) in all processes of httpd. Returns a
/// `TOPIC_*`.
pub type Count =
    unsafe extern "system" fn(*const TopicTable, *const c_char, usize, *mut u64) -> c_int;

/// A message of the history.
#[repr(C)]
pub struct HistoryMessage {
    /// Size of the struct in bytes.
    pub size: c_uint,
    /// `MESSAGE_TYPE_TEXT` or `MESSAGE_TYPE_BINARY`.
    pub kind: c_int,
    /// Its place.
    pub position: TopicPosition,
    /// `length` bytes, valid during the call.
    pub payload: *const u8,
    /// See `payload`.
    pub length: usize,
}

impl HistoryMessage {
    /// The value of `size`.
    #[allow(clippy::cast_possible_truncation, reason = "less than a hundred bytes")]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;
}

/// Is called for each message, with the argument that was given for it.
pub type Visit = unsafe extern "system" fn(*mut c_void, *const HistoryMessage);

/// Shows the messages of a topic after a position, or all if that is null; at most so many, the
/// oldest first. Returns a `TOPIC_*`.
pub type History = unsafe extern "system" fn(
    *const TopicTable,
    *const c_char,
    usize,
    *const TopicPosition,
    usize,
    Option<Visit>,
    *mut c_void,
) -> c_int;

/// Somebody who is on a topic.
#[repr(C)]
pub struct TopicMember {
    /// Size of the struct in bytes.
    pub size: c_uint,
    /// Identifies the connection among those of all hosts.
    pub id: u64,
    /// The user that httpd has authenticated: `user_length` bytes of UTF-8, or null.
    pub user: *const u8,
    /// See `user`.
    pub user_length: usize,
    /// What the plugin has told of it: `info_length` bytes of UTF-8, or null.
    pub info: *const u8,
    /// See `info`.
    pub info_length: usize,
}

impl TopicMember {
    /// The value of `size`.
    #[allow(clippy::cast_possible_truncation, reason = "less than a hundred bytes")]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;
}

/// Is called for each member, with the argument that was given for it.
pub type VisitMember = unsafe extern "system" fn(*mut c_void, *const TopicMember);

/// Shows who has subscribed to a topic in all processes of httpd, where `WebSocketTopicPresence` is
/// on. Returns a `TOPIC_*`.
pub type Presence = unsafe extern "system" fn(
    *const TopicTable,
    *const c_char,
    usize,
    Option<VisitMember>,
    *mut c_void,
) -> c_int;

/// The topics of a virtual host, or of all.
#[repr(C)]
pub struct TopicTable {
    /// Size of the whole table in bytes.
    pub size: c_uint,
    /// 1.
    pub version: c_uint,
    /// Private to the module.
    pub state: *const c_void,
    /// See [`PublishTo`].
    pub publish: PublishTo,
    /// See [`Count`].
    pub count: Count,
    /// See [`History`].
    pub history: History,
    /// See [`Presence`].
    pub presence: Presence,
}

impl TopicTable {
    /// The value of `size`: 48 on 64-bit systems.
    #[allow(clippy::cast_possible_truncation, reason = "less than a hundred bytes")]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;
}

/// The server table with the functions for topics.
///
/// Check `size` before reading a field, with [`current`](Self::current). One release appended all
/// fields after `table`.
#[repr(C)]
pub struct TopicServer {
    /// The fields that older modules have, too.
    pub table: ServerTable,
    /// See [`Subscribe`].
    pub subscribe: Subscribe,
    /// See [`Unsubscribe`].
    pub unsubscribe: Unsubscribe,
    /// See [`Publish`].
    pub publish: Publish,
    /// See [`TopicsOf`].
    pub topics: TopicsOf,
}

impl TopicServer {
    /// The value of `size`: 168 on 64-bit systems.
    #[allow(clippy::cast_possible_truncation, reason = "a hundred bytes")]
    pub const SIZE: c_uint = size_of::<Self>() as c_uint;

    /// The table behind `server`, if its size covers all fields.
    ///
    /// # Safety
    ///
    /// As for [`ExtendedServer::extended`](super::ExtendedServer::extended).
    #[must_use]
    pub unsafe fn current<'a>(server: *const WebSocketServer) -> Option<&'a Self> {
        // SAFETY: the caller guarantees `size`, and so the fields that it covers.
        unsafe { super::server::has_size(server, Self::SIZE).then(|| &*server.cast()) }
    }
}

const _: () = assert!(offset_of!(TopicServer, subscribe) == size_of::<ServerTable>());
