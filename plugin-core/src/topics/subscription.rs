//! [`Subscription`], and what comes of it.

use super::TopicError;
use super::checked;
use crate::abi;
use std::ffi::c_int;
use std::fmt;
use std::ptr;
use std::str::FromStr;

/// The place of a message among those of its topic, where the topic has a history.
///
/// As a text it is the epoch in hexadecimal digits, a hyphen and the offset: `5eadbeef12345678-42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Differs when the history has begun anew.
    pub epoch: u64,
    /// Counts the messages of the topic, from 1.
    pub offset: u64,
}

impl Position {
    /// The position that the host has found; zeros stand for none.
    pub(super) fn found(position: abi::TopicPosition) -> Option<Self> {
        (position != abi::TopicPosition::default()).then(|| position.into())
    }
}

impl From<abi::TopicPosition> for Position {
    fn from(position: abi::TopicPosition) -> Self {
        let abi::TopicPosition { epoch, offset } = position;
        Self { epoch, offset }
    }
}

impl From<Position> for abi::TopicPosition {
    fn from(position: Position) -> Self {
        let Position { epoch, offset } = position;
        Self { epoch, offset }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.offset)
    }
}

impl FromStr for Position {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let (epoch, offset) = text.split_once('-').ok_or(TopicError::Invalid)?;
        let is_plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if epoch.len() != 16 || !is_plain(epoch) || !is_plain(offset) {
            return Err(TopicError::Invalid);
        }
        Ok(Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| TopicError::Invalid)?,
            offset: offset.parse().map_err(|_| TopicError::Invalid)?,
        })
    }
}

/// What to subscribe to, and how: a topic, or a pattern of topics.
///
/// The pattern `chat/*` describes `chat/lobby`, and `chat/**` describes `chat/lobby/games`, too.
/// Whoever has subscribed to several patterns that describe a topic gets its messages once.
///
/// A text converts into a plain subscription, so [`subscribe`](crate::Sender::subscribe) takes
/// `"chat/lobby"`.
#[derive(Clone, Copy, Debug)]
pub struct Subscription<'s> {
    topic: &'s str,
    is_in_envelope: bool,
    since: Option<Position>,
    info: Option<&'s str>,
}

impl<'s> Subscription<'s> {
    /// A subscription to a topic, or to a pattern of topics.
    #[must_use]
    pub const fn to(topic: &'s str) -> Self {
        Self {
            topic,
            is_in_envelope: false,
            since: None,
            info: None,
        }
    }

    /// The client gets each message as a text message that contains JSON, with the topic and the
    /// position:
    ///
    /// `{"type":"message","topic":"chat/lobby","position":"5eadbeef12345678-42","data":"hello"}`
    ///
    /// `position` is missing where the topic has no history. `data` is a string, or the value of a
    /// message that was published as JSON. A binary message has `base64` in its place.
    #[must_use]
    pub const fn in_envelope(mut self) -> Self {
        self.is_in_envelope = true;
        self
    }

    /// First send the messages that were published after this one: the last that the client has
    /// seen. For a single topic, not for a pattern.
    #[must_use]
    pub const fn since(mut self, position: Position) -> Self {
        self.since = Some(position);
        self
    }

    /// What others see of this client ([`Topics::presence`](crate::Topics::presence)), where
    /// `WebSocketTopicPresence` is on. At most 1,024 bytes; the rest is cut off.
    #[must_use]
    pub const fn with_info(mut self, info: &'s str) -> Self {
        self.info = Some(info);
        self
    }

    /// Has `subscribe` do it.
    pub(crate) fn run(
        self,
        subscribe: impl FnOnce(&str, *mut abi::Subscription) -> c_int,
    ) -> Result<Subscribed, TopicError> {
        let mut subscription = abi::Subscription {
            size: abi::Subscription::SIZE,
            flags: if self.is_in_envelope {
                abi::SUBSCRIBE_ENVELOPE
            } else {
                0
            },
            since: abi::TopicPosition::default(),
            info: self.info.map_or(ptr::null(), str::as_ptr),
            info_length: self.info.map_or(0, str::len),
            position: abi::TopicPosition::default(),
            recovery: abi::RECOVERY_NONE,
            recovered: 0,
        };
        if let Some(since) = self.since {
            subscription.flags |= abi::SUBSCRIBE_SINCE;
            subscription.since = since.into();
        }
        checked(subscribe(self.topic, &raw mut subscription))?;
        Ok(Subscribed {
            position: Position::found(subscription.position),
            recovery: match subscription.recovery {
                abi::RECOVERY_COMPLETE => Recovery::Complete(subscription.recovered),
                abi::RECOVERY_GAP => Recovery::Gap,
                _ => Recovery::None,
            },
        })
    }
}

impl<'s> From<&'s str> for Subscription<'s> {
    fn from(topic: &'s str) -> Self {
        Self::to(topic)
    }
}

impl<'s> From<&'s String> for Subscription<'s> {
    fn from(topic: &'s String) -> Self {
        Self::to(topic)
    }
}

/// What came of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscribed {
    /// The newest message of the topic, if the topic has a history.
    pub position: Option<Position>,
    /// Whether the client gets what it has missed.
    pub recovery: Recovery,
}

/// Whether a client gets what it has missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It did not ask, or the topic has no history.
    None,
    /// It gets all messages after the position that it named: so many.
    Complete(u32),
    /// Some of them are gone. It gets none of them.
    Gap,
}

#[cfg(test)]
mod tests {
    use super::Position;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        let position = Position {
            epoch: 0x00ad_beef_1234_5678,
            offset: 42,
        };
        let text = "00adbeef12345678-42";
        assert_eq!(position.to_string(), text);
        assert_eq!(text.parse(), Ok(position));
        for bad in [
            "",
            "-",
            "1-2",
            "00adbeef12345678",
            "00adbeef12345678-",
            "+0adbeef12345678-1",
            "00adbeef12345678-+1",
            "00adbeef12345678-99999999999999999999",
        ] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}
