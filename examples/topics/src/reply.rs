//! What clients are answered.

use serde::Serialize;
use std::borrow::Cow;
use websocket_plugin::{
    InvalidTopic, Member, Position, Published, Recovery, Subscribed, TopicError,
};

/// An answer to a request.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Reply<'r> {
    Subscribed {
        id: u64,
        topic: &'r str,
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<String>,
        recovery: &'static str,
    },
    Unsubscribed {
        id: u64,
        topic: &'r str,
    },
    Published {
        id: u64,
        topic: &'r str,
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<String>,
    },
    Members {
        id: u64,
        topic: &'r str,
        count: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<Vec<Listed>>,
    },
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        code: Code,
        message: &'r str,
    },
}

/// A member of a topic, as in the module's presence events.
#[derive(Serialize)]
pub(crate) struct Listed {
    /// In hexadecimal digits: numbers of JSON are not exact enough.
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<String>,
}

impl<'r> Reply<'r> {
    pub(crate) fn subscribed(id: u64, topic: &'r str, subscribed: Subscribed) -> Self {
        Self::Subscribed {
            id,
            topic,
            position: text(subscribed.position),
            recovery: match subscribed.recovery {
                Recovery::None => "none",
                Recovery::Complete(_) => "complete",
                Recovery::Gap => "gap",
            },
        }
    }

    pub(crate) fn published(id: u64, topic: &'r str, published: Published) -> Self {
        Self::Published {
            id,
            topic,
            position: text(published.position),
        }
    }
}

fn text(position: Option<Position>) -> Option<String> {
    position.map(|position| position.to_string())
}

impl From<Member> for Listed {
    fn from(member: Member) -> Self {
        Self {
            id: format!("{:x}", member.id),
            user: member.user,
            info: member.info,
        }
    }
}

/// Why a request has failed, for programs.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Code {
    /// It is not a request of this protocol.
    BadRequest,
    /// The name of the topic is not valid.
    BadTopic,
    /// The administrator does not allow it.
    Forbidden,
    /// The connection has as many subscriptions as it may have.
    Limit,
    /// The message is too long to be published.
    TooLarge,
    /// Topics do not work at the moment.
    Unavailable,
}

/// A request has failed.
pub(crate) struct Failure {
    code: Code,
    message: Cow<'static, str>,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { code, message }
    }

    /// For a binary message.
    pub(crate) fn binary() -> Self {
        Self::new(Code::BadRequest, "a request is a text message")
    }

    pub(crate) fn answer(&self, id: Option<u64>) -> Reply<'_> {
        Reply::Error {
            id,
            code: self.code,
            message: &self.message,
        }
    }
}

impl From<InvalidTopic> for Failure {
    fn from(why: InvalidTopic) -> Self {
        Self::new(Code::BadTopic, why.to_string())
    }
}

impl From<TopicError> for Failure {
    fn from(error: TopicError) -> Self {
        match error {
            TopicError::Invalid => Self::new(
                Code::BadTopic,
                "a pattern is only for subscriptions without since",
            ),
            TopicError::Limit => {
                Self::new(Code::Limit, "the connection has too many subscriptions")
            }
            TopicError::TooLarge => Self::new(Code::TooLarge, "the message is too long"),
            // httpd's error log says why.
            _ => Self::new(Code::Unavailable, "topics do not work at the moment"),
        }
    }
}
