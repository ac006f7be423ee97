//! The answers to requests, in JSON.

use std::ffi::CStr;

use serde_json::json;

use crate::httpd::answer::Answer;
use crate::httpd::refusal::{Page, Refusal};
use crate::httpd::request::Request;
use crate::topics::{Listed, Published, TopicError};

const MEDIA_TYPE: &CStr = c"application/json";

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum Fault {
    /// Neither `GET` nor `POST`.
    Method,
    /// The query names no topic.
    Topic,
    /// Requests may not publish to the topic here.
    TopicNotAllowed,
    /// The request comes from a page of another site.
    Origin,
    /// The `Idempotency-Key` is empty or too long.
    Key,
    /// Another message had the same key.
    KeyUsed,
    /// The message with this key is still being published.
    Pending,
    /// There is no body.
    Length,
    /// The body is too long.
    TooLong,
    /// The body did not arrive as announced.
    Body,
    /// A text is not UTF-8.
    Text,
    /// The JSON is not valid, for this reason.
    Json(String),
    /// The body is a form.
    Form,
    /// The text has another character set than UTF-8.
    Charset,
    /// The body is compressed.
    Encoding,
    /// Topics do not work.
    Unavailable,
    /// httpd has answered already.
    Answered,
}

impl From<TopicError> for Fault {
    fn from(error: TopicError) -> Self {
        match error {
            TopicError::Invalid => Self::Topic,
            TopicError::TooLarge => Self::TooLong,
            _ => Self::Unavailable,
        }
    }
}

impl Fault {
    /// The status, a name for programs, and a text for people.
    fn describe(&self) -> (u16, &'static str, &str) {
        match self {
            Self::Method => (405, "method", "use POST to publish, or GET"),
            Self::Topic => (
                400,
                "topic",
                "the query must be topic=NAME, such as topic=chat/lobby",
            ),
            Self::TopicNotAllowed => (
                403,
                "topic_not_allowed",
                "requests may not publish to this topic here",
            ),
            Self::Origin => (403, "origin", "pages of other sites may not publish"),
            Self::Key => (400, "key", "an Idempotency-Key has 1 to 255 bytes"),
            Self::KeyUsed => (
                422,
                "key_used",
                "another message was sent with this Idempotency-Key",
            ),
            Self::Pending => (
                409,
                "pending",
                "the message with this Idempotency-Key is being published",
            ),
            Self::Length => (411, "length", "the message is the body, which is missing"),
            Self::TooLong => (413, "too_long", "the message is too long"),
            Self::Body => (400, "body", "the body did not come as announced"),
            Self::Text => (400, "text", "the text is not UTF-8"),
            Self::Json(why) => (400, "json", why),
            Self::Form => (
                415,
                "form",
                "send the message with Content-Type text/plain, application/json, or another one \
                 for bytes, and not as a form",
            ),
            Self::Charset => (415, "charset", "texts must be in UTF-8"),
            Self::Encoding => (415, "encoding", "send the body without Content-Encoding"),
            Self::Unavailable | Self::Answered => (
                503,
                "unavailable",
                "topics do not work now; the error log of httpd says why",
            ),
        }
    }
}

/// Sends a JSON text.
pub(super) fn send(request: Request, text: &str) -> Answer {
    request.set_response_header(c"Cache-Control", b"no-store");
    request.set_response_header(c"X-Content-Type-Options", b"nosniff");
    request.send_page(MEDIA_TYPE, text.as_bytes());
    Answer::Done
}

/// Sends an error.
pub(super) fn refuse(request: Request, fault: &Fault) -> Answer {
    let (status, name, message) = fault.describe();
    let text = json!({ "error": name, "message": message }).to_string();
    let refusal = Refusal::new(status).own_page(Page {
        media_type: MEDIA_TYPE.to_owned(),
        bytes: text.into_bytes(),
    });
    let refusal = refusal.header(c"Cache-Control", "no-store");
    let refusal = match fault {
        Fault::Method => refusal.header(c"Allow", "GET, HEAD, POST"),
        Fault::Pending => refusal.header(c"Retry-After", "1"),
        Fault::Unavailable => refusal.header(c"Retry-After", "10"),
        Fault::Encoding => refusal.header(c"Accept-Encoding", "identity"),
        _ => refusal,
    };
    refusal.send(request)
}

/// The answer when a message was published, or waits for the broker.
pub(super) fn published(topic: &str, published: Published, subscribers: u64) -> String {
    let state = match published {
        Published::Here(_) => "published",
        Published::Queued => "queued",
    };
    let position = published.position().map(|position| position.to_string());
    json!({
        "topic": topic,
        "state": state,
        "position": position,
        "subscribers": subscribers,
    })
    .to_string()
}

/// The answer that says who is on a topic.
pub(super) fn presence(topic: &str, count: u64, members: &[Listed]) -> String {
    let members: Vec<_> = members.iter().map(Listed::to_json).collect();
    json!({ "topic": topic, "subscribers": count, "members": members }).to_string()
}
