//! Topics: messages to everybody concerned.

#![allow(unsafe_code)]

mod error;
pub(crate) mod filter;
mod subscription;

pub use error::TopicError;
pub use filter::{Filter, InvalidTopic};
pub use subscription::{Position, Recovery, Subscribed, Subscription};

use crate::abi::{self, TOPIC_OK, TopicTable};
use crate::{AsMessage, Message, export};
use std::any::Any;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;

/// The topics of a virtual host, for any thread.
///
/// Whoever has [subscribed](crate::Sender::subscribe) to a topic gets what is published to it, in
/// whatever process of httpd the connection is. The messages of a topic come in the same order
/// everywhere, each once. Nothing waits for a slow client: when its queue is full
/// (`WebSocketSendQueue`), its connection is closed with 1013.
///
/// The name of a topic has 1 to 255 bytes, in segments with slashes between them: `chat/lobby`.
///
/// Topics belong to a virtual host, unless `WebSocketTopicSpace` says otherwise. Get them with
/// [`Handshake::topics`](crate::Handshake::topics), or with [`Topics::host`] in a thread of the
/// plugin's own. Keep them as long as the plugin.
///
/// ```
/// use websocket_plugin::{Close, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin};
///
/// #[derive(Default)]
/// struct Room;
///
/// #[websocket_plugin]
/// impl Plugin for Room {
///     fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
///         handshake.subscribe("room")?;
///         Ok(())
///     }
///
///     fn on_message(&self, _: &mut (), to: &Sender, message: Message<'_>) -> Result<(), Close> {
///         to.publish("room", message)?;
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Topics {
    /// Valid until the last `destroy` of the plugin returns.
    table: *const TopicTable,
}

// SAFETY: the host lets any thread call the functions of the table, which never changes.
unsafe impl Send for Topics {}
// SAFETY: as above.
unsafe impl Sync for Topics {}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Where it is, if the topic has a history (`WebSocketTopicHistory`).
    pub position: Option<Position>,
}

/// A message of a topic's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryMessage<'m> {
    /// The message.
    pub message: Message<'m>,
    /// Its place.
    pub position: Position,
}

/// Somebody who is on a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Identifies the connection among those of all hosts.
    pub id: u64,
    /// The user that httpd has authenticated.
    pub user: Option<String>,
    /// What the plugin has told of it: [`Subscription::with_info`].
    pub info: Option<String>,
}

impl Topics {
    /// # Safety
    ///
    /// `table` is null, or valid until the last `destroy` of the plugin returns.
    pub(crate) unsafe fn new(table: *const TopicTable) -> Result<Self, TopicError> {
        if table.is_null() {
            return Err(TopicError::Unsupported);
        }
        Ok(Self { table })
    }

    /// The topics of the whole host: what is published here goes to all virtual hosts that use this
    /// module, and to each [space](Self) once.
    ///
    /// For threads of the plugin's own. Call it when the plugin serves connections, not in
    /// [`configure`](crate::Plugin::configure), which runs in httpd's parent process: there,
    /// publishing fails with [`TopicError::Unavailable`].
    ///
    /// # Errors
    ///
    /// [`TopicError::Unsupported`]: the module that has loaded the plugin has no topics.
    pub fn host() -> Result<Self, TopicError> {
        // SAFETY: the host guarantees the tables until the last `destroy` returns.
        export::with_unattached(|server| unsafe { Self::of(server) })
            .unwrap_or(Err(TopicError::Unsupported))
    }

    /// # Safety
    ///
    /// `server` is valid during the call.
    pub(crate) unsafe fn of(server: *const abi::WebSocketServer) -> Result<Self, TopicError> {
        // SAFETY: the caller guarantees the table. The host guarantees what it returns.
        unsafe {
            let table = abi::TopicServer::current(server).ok_or(TopicError::Unsupported)?;
            Self::new((table.topics)(server))
        }
    }

    /// Sends a message to all that have subscribed to the topic. Returns when it is on its way,
    /// after some microseconds; it does not wait for clients. If nobody has subscribed, nobody gets
    /// it.
    ///
    /// # Errors
    ///
    /// * [`TopicError::Invalid`]: this is no name of a topic.
    /// * [`TopicError::TooLarge`]: the message is longer than 1/32 of `WebSocketTopicMemory`, or
    ///   than the broker takes.
    /// * [`TopicError::Unavailable`]: topics do not work in this process, or the broker
    ///   (`WebSocketTopicBroker`) cannot be reached or is too slow. httpd's log says why.
    pub fn publish(&self, topic: &str, message: impl AsMessage) -> Result<Published, TopicError> {
        let (kind, payload) = message.as_message().into_parts();
        self.publish_as(topic, kind, payload, 0)
    }

    /// Publishes a value as a text message that contains JSON. For a subscriber with an
    /// [envelope](Subscription::in_envelope) it becomes a part of the envelope's JSON.
    ///
    /// # Errors
    ///
    /// [`TopicError::Json`] if the value cannot be written as JSON, and those of
    /// [`publish`](Self::publish).
    #[cfg(feature = "json")]
    pub fn publish_json<T: serde::Serialize + ?Sized>(
        &self,
        topic: &str,
        value: &T,
    ) -> Result<Published, TopicError> {
        let json = serde_json::to_string(value).map_err(|_| TopicError::Json)?;
        self.publish_as(
            topic,
            abi::MESSAGE_TYPE_TEXT,
            json.as_bytes(),
            abi::PUBLISH_JSON,
        )
    }

    fn publish_as(
        &self,
        topic: &str,
        kind: c_int,
        payload: &[u8],
        flags: u32,
    ) -> Result<Published, TopicError> {
        publish(flags, |publication| {
            // SAFETY: the table is valid (`new`), and the host copies topic and payload.
            unsafe {
                ((*self.table).publish)(
                    self.table,
                    topic.as_ptr().cast(),
                    topic.len(),
                    kind,
                    payload.as_ptr(),
                    payload.len(),
                    publication,
                )
            }
        })
    }

    /// How many have subscribed to the topic, in all processes of httpd. Subscriptions to patterns
    /// do not count. What other processes have may be a second old.
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish).
    pub fn count(&self, topic: &str) -> Result<u64, TopicError> {
        let mut count = 0;
        // SAFETY: as above.
        let answer = unsafe {
            ((*self.table).count)(
                self.table,
                topic.as_ptr().cast(),
                topic.len(),
                &raw mut count,
            )
        };
        checked(answer).map(|()| count)
    }

    /// Who has subscribed to the topic, in all processes of httpd, where `WebSocketTopicPresence`
    /// is on; otherwise nobody. What other processes have may be a second old.
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish).
    pub fn presence(&self, topic: &str) -> Result<Vec<Member>, TopicError> {
        unsafe extern "system" fn visit(members: *mut c_void, member: *const abi::TopicMember) {
            // SAFETY: `presence` passes this list, and the host a member with its texts.
            unsafe {
                (*members.cast::<Vec<Member>>()).push(Member {
                    id: (*member).id,
                    user: text((*member).user, (*member).user_length),
                    info: text((*member).info, (*member).info_length),
                });
            }
        }
        let mut members = Vec::<Member>::new();
        // SAFETY: as above; the list outlives the call.
        let answer = unsafe {
            ((*self.table).presence)(
                self.table,
                topic.as_ptr().cast(),
                topic.len(),
                Some(visit),
                (&raw mut members).cast(),
            )
        };
        checked(answer).map(|()| members)
    }

    /// Calls `visit` for the messages of a topic's history after `since`, or for all; for `limit`
    /// of them at most, the oldest first. There are none without `WebSocketTopicHistory`.
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish).
    pub fn history(
        &self,
        topic: &str,
        since: Option<Position>,
        limit: usize,
        visit: impl FnMut(HistoryMessage<'_>),
    ) -> Result<(), TopicError> {
        /// What is called, and its panic, which must not pass through the host.
        struct Visitor<'v> {
            visit: Box<dyn FnMut(HistoryMessage<'_>) + 'v>,
            panic: Option<Box<dyn Any + Send>>,
        }
        unsafe extern "system" fn relay(visitor: *mut c_void, message: *const abi::HistoryMessage) {
            // SAFETY: `history` passes this visitor, and the host a message with its payload.
            unsafe {
                let visitor = &mut *visitor.cast::<Visitor<'_>>();
                let payload = slice((*message).payload, (*message).length);
                let message_of_kind = match str::from_utf8(payload) {
                    Ok(text) if (*message).kind == abi::MESSAGE_TYPE_TEXT => Message::Text(text),
                    _ => Message::Binary(payload),
                };
                if visitor.panic.is_some() {
                    return;
                }
                let message = HistoryMessage {
                    message: message_of_kind,
                    position: (*message).position.into(),
                };
                let visit = AssertUnwindSafe(|| (visitor.visit)(message));
                visitor.panic = panic::catch_unwind(visit).err();
            }
        }
        let since = since.map(abi::TopicPosition::from);
        let mut visitor = Visitor {
            visit: Box::new(visit),
            panic: None,
        };
        // SAFETY: as above; position and visitor outlive the call.
        let answer = unsafe {
            ((*self.table).history)(
                self.table,
                topic.as_ptr().cast(),
                topic.len(),
                since.as_ref().map_or(ptr::null(), ptr::from_ref),
                limit,
                Some(relay),
                (&raw mut visitor).cast(),
            )
        };
        if let Some(panic) = visitor.panic {
            panic::resume_unwind(panic);
        }
        checked(answer)
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").finish_non_exhaustive()
    }
}

/// Has `send` publish with these flags.
pub(crate) fn publish(
    flags: u32,
    send: impl FnOnce(*mut abi::Publication) -> c_int,
) -> Result<Published, TopicError> {
    let mut publication = abi::Publication {
        size: abi::Publication::SIZE,
        flags,
        position: abi::TopicPosition::default(),
    };
    checked(send(&raw mut publication))?;
    Ok(Published {
        position: Position::found(publication.position),
    })
}

/// The error for the `TOPIC_*` that a function has returned.
pub(crate) fn checked(answer: c_int) -> Result<(), TopicError> {
    match answer {
        TOPIC_OK => Ok(()),
        abi::TOPIC_CLOSED => Err(TopicError::Closed),
        abi::TOPIC_INVALID => Err(TopicError::Invalid),
        abi::TOPIC_LIMIT => Err(TopicError::Limit),
        abi::TOPIC_TOO_LARGE => Err(TopicError::TooLarge),
        _ => Err(TopicError::Unavailable),
    }
}

/// # Safety
///
/// `bytes` is null, or points to `length` bytes that are valid during `'a`.
unsafe fn slice<'a>(bytes: *const u8, length: usize) -> &'a [u8] {
    if bytes.is_null() {
        return &[];
    }
    // SAFETY: the caller guarantees the bytes.
    unsafe { std::slice::from_raw_parts(bytes, length) }
}

/// # Safety
///
/// As for `slice`.
unsafe fn text(bytes: *const u8, length: usize) -> Option<String> {
    // SAFETY: the caller guarantees the bytes.
    let text = unsafe { slice(bytes, length) };
    (!bytes.is_null()).then(|| String::from_utf8_lossy(text).into_owned())
}
