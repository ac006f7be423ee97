//! Topics, for one client.

use super::Sender;
#[cfg(feature = "json")]
use crate::abi::{MESSAGE_TYPE_TEXT, PUBLISH_JSON};
use crate::abi::{TopicServer, WebSocketServer};
use crate::{AsMessage, Published, Subscribed, Subscription, TopicError, topics};
use std::ffi::c_int;

impl Sender {
    /// Sends the client all messages of a topic from now on, or of the topics that a pattern
    /// describes. A second subscription to the same replaces the first. All end with the
    /// connection. See [`Topics`](crate::Topics).
    ///
    /// ```
    /// # use websocket_plugin::{Position, Recovery, Sender, Subscription, TopicError};
    /// fn resume(sender: &Sender, last_seen: Position) -> Result<bool, TopicError> {
    ///     sender.subscribe("news/**")?;
    ///     let room = Subscription::to("chat/lobby").since(last_seen).in_envelope();
    ///     Ok(sender.subscribe(room)?.recovery != Recovery::Gap)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// * [`TopicError::Closed`]: the connection is closing or gone.
    /// * [`TopicError::Invalid`]: this is no topic.
    /// * [`TopicError::Limit`]: the connection has as many subscriptions as `WebSocketMaxTopics`
    ///   allows.
    /// * [`TopicError::Unavailable`]: topics do not work in this process. httpd's log says why.
    /// * [`TopicError::Unsupported`]: the module that has loaded the plugin has no topics.
    pub fn subscribe<'s>(
        &self,
        subscription: impl Into<Subscription<'s>>,
    ) -> Result<Subscribed, TopicError> {
        let subscription = subscription.into();
        self.with_topics(|server, table| {
            subscription.run(|topic, subscription| {
                // SAFETY: `with_topics` keeps the table valid, and the host copies the texts.
                unsafe {
                    let (name, length) = (topic.as_ptr().cast(), topic.len());
                    (table.subscribe)(server, name, length, subscription)
                }
            })
        })
    }

    /// Ends the subscription to this topic or pattern, if there is one.
    ///
    /// # Errors
    ///
    /// As for [`subscribe`](Self::subscribe).
    pub fn unsubscribe(&self, topic: &str) -> Result<(), TopicError> {
        self.with_topics(|server, table| {
            // SAFETY: `with_topics` keeps the table valid.
            topics::checked(unsafe {
                (table.unsubscribe)(server, topic.as_ptr().cast(), topic.len())
            })
        })
    }

    /// Sends a message to all that have subscribed to the topic, also to this client if it has.
    /// See [`Topics::publish`](crate::Topics::publish).
    ///
    /// # Errors
    ///
    /// Those of [`subscribe`](Self::subscribe), and [`TopicError::TooLarge`]: the message is longer
    /// than 1/32 of `WebSocketTopicMemory`, or than the broker takes.
    pub fn publish(&self, topic: &str, message: impl AsMessage) -> Result<Published, TopicError> {
        let (kind, payload) = message.as_message().into_parts();
        self.publish_as(topic, kind, payload, 0)
    }

    /// Publishes a value as a text message that contains JSON. See
    /// [`Topics::publish_json`](crate::Topics::publish_json).
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
        self.publish_as(topic, MESSAGE_TYPE_TEXT, json.as_bytes(), PUBLISH_JSON)
    }

    fn publish_as(
        &self,
        topic: &str,
        kind: c_int,
        payload: &[u8],
        flags: u32,
    ) -> Result<Published, TopicError> {
        self.with_topics(|server, table| {
            topics::publish(flags, |publication| {
                let (name, name_length) = (topic.as_ptr().cast(), topic.len());
                let (data, length) = (payload.as_ptr(), payload.len());
                // SAFETY: `with_topics` keeps the table valid, and the host copies the message.
                unsafe {
                    (table.publish)(server, name, name_length, kind, data, length, publication)
                }
            })
        })
    }

    /// Calls `body` with a table that stays valid during the call.
    fn with_topics<R>(
        &self,
        body: impl FnOnce(*const WebSocketServer, &TopicServer) -> Result<R, TopicError>,
    ) -> Result<R, TopicError> {
        let called = self.with_table(|server| {
            // SAFETY: `with_table` keeps the table valid.
            let table = unsafe { TopicServer::current(server) };
            body(server, table.ok_or(TopicError::Unsupported)?)
        });
        called.unwrap_or(Err(TopicError::Closed))
    }
}
