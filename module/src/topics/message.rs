//! A published message, and how it lies in the log.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use websocket_plugin::Position;

use super::space::SpaceId;
use crate::protocol::Opcode;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text that is JSON.
    Json,
    /// Bytes.
    Binary,
    /// Members of an object of JSON, which tell who has come and gone: only for subscribers with an
    /// envelope.
    Presence,
}

impl Kind {
    /// The frame it is sent in.
    #[must_use]
    pub fn opcode(self) -> Opcode {
        match self {
            Self::Text | Self::Json | Self::Presence => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Text, Self::Json, Self::Binary, Self::Presence]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// A message that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'m> {
    /// Where the topic is.
    pub space: SpaceId,
    /// The name of the topic.
    pub topic: &'m str,
    /// What it is.
    pub kind: Kind,
    /// Its place, if the topic has a history.
    pub position: Option<Position>,
    /// The message itself.
    pub payload: &'m [u8],
}

/// The bytes before the topic.
const HEAD: usize = 1 + 1 + 8 + 8 + 8;

impl<'m> Message<'m> {
    /// Writes it to `bytes`, in place of what is there.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        let position = self.position.unwrap_or(Position {
            epoch: 0,
            offset: 0,
        });
        // A name has 255 bytes at most.
        let length = u8::try_from(self.topic.len()).unwrap_or(u8::MAX);
        bytes.clear();
        bytes.extend_from_slice(&[self.kind as u8, length]);
        bytes.extend_from_slice(&self.space.0);
        bytes.extend_from_slice(&position.epoch.to_ne_bytes());
        bytes.extend_from_slice(&position.offset.to_ne_bytes());
        bytes.extend_from_slice(self.topic.as_bytes());
        bytes.extend_from_slice(self.payload);
    }

    /// Reads what [`write`](Self::write) has written.
    pub(super) fn read(bytes: &'m [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let (&[kind, length], head) = head.split_first_chunk()?;
        let (&space, head) = head.split_first_chunk()?;
        let (&epoch, head) = head.split_first_chunk()?;
        let (&offset, _) = head.split_first_chunk()?;
        let (topic, payload) = rest.split_at_checked(usize::from(length))?;
        let position = Position {
            epoch: u64::from_ne_bytes(epoch),
            offset: u64::from_ne_bytes(offset),
        };
        Some(Self {
            space: SpaceId(space),
            topic: str::from_utf8(topic).ok()?,
            kind: Kind::from_number(kind)?,
            position: (position.offset > 0).then_some(position),
            payload,
        })
    }

    /// The text that subscribers with an envelope get.
    #[must_use]
    pub fn envelope(&self) -> String {
        let topic = json(self.topic);
        let position = self.position.map_or_else(String::new, |position| {
            format!(r#","position":"{position}""#)
        });
        let text = || String::from_utf8_lossy(self.payload);
        let (name, data) = match self.kind {
            Kind::Text => ("data", Cow::Owned(json(&text()))),
            Kind::Json => ("data", text()),
            Kind::Presence => {
                return format!(r#"{{"type":"presence","topic":{topic},{}}}"#, text());
            }
            Kind::Binary => (
                "base64",
                Cow::Owned(json(&BASE64_STANDARD.encode(self.payload))),
            ),
        };
        format!(r#"{{"type":"message","topic":{topic}{position},"{name}":{data}}}"#)
    }
}

/// A text as JSON.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::{Kind, Message, Position};
    use crate::topics::SpaceId;

    fn message(kind: Kind, position: Option<Position>, payload: &[u8]) -> Message<'_> {
        Message {
            space: SpaceId::named(b"s"),
            topic: "a/\"b",
            kind,
            position,
            payload,
        }
    }

    const POSITION: Position = Position {
        epoch: 0xa,
        offset: 7,
    };

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        for (kind, position) in [
            (Kind::Text, None),
            (Kind::Json, Some(POSITION)),
            (Kind::Binary, None),
        ] {
            for payload in [&b""[..], b"payload"] {
                let message = message(kind, position, payload);
                message.write(&mut bytes);
                assert_eq!(Message::read(&bytes), Some(message));
                assert_eq!(Message::read(&bytes[..20]), None);
            }
        }
    }

    #[test]
    fn an_envelope_is_json_whatever_is_in_it() {
        let topic = r#"{"type":"message","topic":"a/\"b""#;
        for (message, rest) in [
            (message(Kind::Text, None, b"x\"\n"), r#","data":"x\"\n"}"#),
            (
                message(Kind::Text, None, b"\xff"),
                ",\"data\":\"\u{fffd}\"}",
            ),
            (
                message(Kind::Json, Some(POSITION), b"[1]"),
                r#","position":"000000000000000a-7","data":[1]}"#,
            ),
            (
                message(Kind::Binary, None, b"\0\xff"),
                r#","base64":"AP8="}"#,
            ),
        ] {
            assert_eq!(message.envelope(), format!("{topic}{rest}"));
        }
    }
}
