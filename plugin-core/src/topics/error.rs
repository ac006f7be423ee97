//! [`TopicError`].

use crate::gone::Gone;
use std::fmt;

/// Why something could not be done with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TopicError {
    /// The connection is closing or gone.
    Closed,
    /// The text is no name of a topic: 1 to 255 bytes, without control characters, in segments with
    /// slashes between them. What is subscribed to may end with the segment `*` or `**`, for which
    /// there is no [`since`](crate::Subscription::since).
    Invalid,
    /// The connection has as many subscriptions as `WebSocketMaxTopics` allows.
    Limit,
    /// The message is longer than 1/32 of `WebSocketTopicMemory`, or than the broker takes.
    TooLarge,
    /// Topics do not work in this process. httpd's error log says why.
    Unavailable,
    /// The module that has loaded the plugin has no topics: the C module, or an older version.
    Unsupported,
    /// The value cannot be written as JSON.
    Json,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection is closed",
            Self::Invalid => "this is not the name of a topic, such as \"chat/lobby\"",
            Self::Limit => "the connection has as many subscriptions as WebSocketMaxTopics allows",
            Self::TooLarge => {
                "the message is longer than 1/32 of WebSocketTopicMemory, or than the broker takes"
            }
            Self::Unavailable => "topics do not work in this process; httpd's error log says why",
            Self::Unsupported => "the module that has loaded this plugin has no topics",
            Self::Json => "the value cannot be written as JSON",
        })
    }
}

impl std::error::Error for TopicError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        (*self == Self::Closed).then_some(&Gone)
    }
}
