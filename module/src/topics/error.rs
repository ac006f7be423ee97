//! [`TopicError`].

/// Why something could not be done with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// The connection is closing or gone.
    Closed,
    /// This is no topic, or no pattern, or no kind of message that can be published.
    Invalid,
    /// The connection has too many subscriptions.
    Limit,
    /// The message is too long.
    TooLarge,
    /// Topics do not work in this process; the error log says why.
    Unavailable,
}
