//! What clients ask for.

use crate::reply::{Code, Failure};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use websocket_plugin::Position;

/// How deep arrays and objects may be in others. Subscribers may read JSON with recursion.
const DEEPEST: usize = 64;

/// The longest text about an error in JSON, in bytes. It has words of the client in it.
const LONGEST_REASON: usize = 200;

/// A request of a client.
pub(crate) struct Request<'m> {
    /// The client's own number, for the answer.
    pub(crate) id: u64,
    /// A topic, or a pattern; not checked yet.
    pub(crate) topic: Cow<'m, str>,
    pub(crate) action: Action<'m>,
}

pub(crate) enum Action<'m> {
    Subscribe { since: Option<Position> },
    Unsubscribe,
    PublishText(Cow<'m, str>),
    PublishJson(&'m RawValue),
    Presence { has_list: bool },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts<'m> {
    #[serde(rename = "type")]
    kind: Kind,
    id: u64,
    #[serde(borrow)]
    topic: Cow<'m, str>,
    since: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'m RawValue>,
    list: Option<bool>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Subscribe,
    Unsubscribe,
    Publish,
    Presence,
}

/// A text of JSON without escapes is borrowed.
#[derive(Deserialize)]
struct Text<'m>(#[serde(borrow)] Cow<'m, str>);

/// Data may be `null`.
fn present<'m, D: Deserializer<'m>>(from: D) -> Result<Option<&'m RawValue>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

impl<'m> Request<'m> {
    pub(crate) fn parse(text: &'m str) -> Result<Self, Failure> {
        let parts: Parts<'m> = parse(text)?;
        let action = match parts {
            Parts {
                kind: Kind::Subscribe,
                ref since,
                data: None,
                list: None,
                ..
            } => Action::Subscribe {
                since: since.as_deref().map(position).transpose()?,
            },
            Parts {
                kind: Kind::Unsubscribe,
                since: None,
                data: None,
                list: None,
                ..
            } => Action::Unsubscribe,
            Parts {
                kind: Kind::Publish,
                since: None,
                data: Some(data),
                list: None,
                ..
            } => publication(data)?,
            Parts {
                kind: Kind::Presence,
                since: None,
                data: None,
                list,
                ..
            } => Action::Presence {
                has_list: list.unwrap_or(true),
            },
            _ => {
                let why = "since is for subscribe, data for publish, which needs it, \
                           and list for presence";
                return Err(Failure::new(Code::BadRequest, why));
            }
        };
        Ok(Self {
            id: parts.id,
            topic: parts.topic,
            action,
        })
    }
}

/// The number of a request that is otherwise not understood, if it has one.
pub(crate) fn id_of(text: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Numbered {
        id: u64,
    }
    parse::<Numbered>(text).ok().map(|numbered| numbered.id)
}

/// Reads an object. A struct could be read from an array, too.
fn parse<'m, T: Deserialize<'m>>(text: &'m str) -> Result<T, Failure> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Failure::new(
            Code::BadRequest,
            "a request is an object of JSON",
        ));
    }
    serde_json::from_str(text).map_err(|error| {
        let mut why = error.to_string();
        why.truncate(why.floor_char_boundary(LONGEST_REASON));
        Failure::new(Code::BadRequest, why)
    })
}

fn position(text: &str) -> Result<Position, Failure> {
    let why = "since is a position such as \"5eadbeef12345678-42\"";
    text.parse()
        .map_err(|_| Failure::new(Code::BadRequest, why))
}

fn publication(data: &RawValue) -> Result<Action<'_>, Failure> {
    let json = data.get();
    if json.starts_with('"') {
        let Text(text) = serde_json::from_str(json)
            .map_err(|_| Failure::new(Code::BadRequest, "data is not Unicode"))?;
        return Ok(Action::PublishText(text));
    }
    if depth(json) > DEEPEST {
        let why = format!("data has more than {DEEPEST} arrays and objects in each other");
        return Err(Failure::new(Code::BadRequest, why));
    }
    Ok(Action::PublishJson(data))
}

/// How deep arrays and objects are in others, in valid JSON.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(in_text) = bytes.next()
                    && in_text != b'"'
                {
                    if in_text == b'\\' {
                        bytes.next();
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}
