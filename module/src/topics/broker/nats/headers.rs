//! What messages are called: whose they are, and which of its messages.

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};

use super::session::PREFIX;

/// Messages have this subject and the name of their publisher behind it.
fn subject_of(publisher: &str) -> String {
    format!("{PREFIX}.message.{publisher}")
}

/// The subjects of all messages.
pub(super) fn all_subjects() -> String {
    subject_of("*")
}

/// A message of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id<'i> {
    pub(super) publisher: &'i str,
    /// Each of its messages has a greater number than the one before.
    pub(super) number: u64,
}

impl<'i> Id<'i> {
    pub(super) fn subject(self) -> String {
        subject_of(self.publisher)
    }

    /// The headers of the message. The server does not store two with the same id, if they follow
    /// each other soon enough.
    pub(super) fn headers(self) -> HeaderMap {
        let Self { publisher, number } = self;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, format!("{publisher}-{number}"));
        headers
    }

    /// The same, for the stream only.
    pub(super) fn headers_for(self, stream: &str) -> HeaderMap {
        let mut headers = self.headers();
        headers.insert(NATS_EXPECTED_STREAM, stream);
        headers
    }

    /// The message that has these headers.
    pub(super) fn of(headers: &'i HeaderMap) -> Option<Self> {
        let id = headers.get(NATS_MESSAGE_ID)?;
        let (publisher, number) = id.as_str().rsplit_once('-')?;
        let number = number.parse().ok()?;
        Some(Self { publisher, number })
    }
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, Id};

    #[test]
    fn a_message_is_known_by_its_headers() {
        let id = Id {
            publisher: "ab-c",
            number: 17,
        };
        assert_eq!(Id::of(&id.headers()), Some(id));
        assert_eq!(Id::of(&id.headers_for("stream")), Some(id));
        assert_eq!(id.subject(), "websocket-topics.message.ab-c");
        let mut headers = HeaderMap::new();
        assert_eq!(Id::of(&headers), None);
        for odd in ["", "17", "a-", "a-x"] {
            headers.insert("Nats-Msg-Id", odd);
            assert_eq!(Id::of(&headers), None, "{odd}");
        }
    }
}
