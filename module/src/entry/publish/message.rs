//! The message that a request publishes.

use serde::de::IgnoredAny;

use super::reply::Fault;
use crate::httpd::request::Request;
use crate::topics::Kind;

/// A message whose payload fits its kind.
pub(super) struct Message {
    kind: Kind,
    payload: Vec<u8>,
}

impl Message {
    pub(super) fn new(kind: Kind, payload: Vec<u8>) -> Result<Self, Fault> {
        if kind != Kind::Binary {
            let text = str::from_utf8(&payload).map_err(|_| Fault::Text)?;
            if kind == Kind::Json {
                let checked = serde_json::from_str::<IgnoredAny>(text);
                checked.map_err(|error| Fault::Json(error.to_string()))?;
            }
        }
        Ok(Self { kind, payload })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Json => "json",
            Kind::Binary => "binary",
            _ => "text",
        }
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// The kind of message that a request carries.
pub(super) fn kind(request: &Request) -> Result<Kind, Fault> {
    let encoding = request.header(c"Content-Encoding").unwrap_or_default();
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity") {
        return Err(Fault::Encoding);
    }
    kind_of(request.header(c"Content-Type").unwrap_or_default())
}

/// The kind of message for a media type (RFC 9110, section 8.3.1). Forms are refused: `curl --data`
/// sends a form unless it is told otherwise.
fn kind_of(content_type: &[u8]) -> Result<Kind, Fault> {
    let content_type = String::from_utf8_lossy(content_type).to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    let charset = charset.map(|charset| charset.trim_matches('"'));
    let is_utf8 = charset.is_none_or(|charset| ["utf-8", "utf8", "us-ascii"].contains(&charset));
    match media_type {
        "application/x-www-form-urlencoded" | "multipart/form-data" => Err(Fault::Form),
        "application/json" => Ok(Kind::Json),
        "text/plain" if is_utf8 => Ok(Kind::Text),
        "text/plain" => Err(Fault::Charset),
        _ => Ok(Kind::Binary),
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, kind_of};
    use crate::topics::Kind;

    #[test]
    fn the_media_type_says_what_a_message_is() {
        for (content_type, kind) in [
            ("text/plain", Some(Kind::Text)),
            ("Text/Plain; charset=\"UTF-8\"", Some(Kind::Text)),
            ("text/plain; charset=latin1", None),
            ("application/json", Some(Kind::Json)),
            ("application/json;charset=utf-8", Some(Kind::Json)),
            ("application/octet-stream", Some(Kind::Binary)),
            ("image/png", Some(Kind::Binary)),
            ("", Some(Kind::Binary)),
            ("application/x-www-form-urlencoded", None),
            ("multipart/form-data; boundary=x", None),
        ] {
            let found = kind_of(content_type.as_bytes()).ok();
            assert_eq!(found, kind, "{content_type}");
        }
    }

    #[test]
    fn a_message_is_what_it_is_said_to_be() {
        for (kind, payload, is_good) in [
            (Kind::Text, &b"x"[..], true),
            (Kind::Text, b"", true),
            (Kind::Text, b"\xff", false),
            (Kind::Json, b" {\"a\": [1, 2]}\n", true),
            (Kind::Json, b"1e400", true),
            (Kind::Json, b"", false),
            (Kind::Json, b"{} {}", false),
            (Kind::Json, b"\xef\xbb\xbf1", false),
            (Kind::Json, b"\"\xff\"", false),
            (Kind::Binary, b"\xff", true),
        ] {
            let message = Message::new(kind, payload.to_vec());
            assert_eq!(message.is_ok(), is_good, "{kind:?} {payload:?}");
        }
        let deep = "[".repeat(1_000_000);
        assert!(Message::new(Kind::Json, deep.into()).is_err());
    }
}
