//! The envelope that `mod_websocket` puts messages into.

use super::Kept;
use crate::Position;
use crate::abi::{MESSAGE_TYPE_BINARY, TopicPosition};
use std::fmt::Write as _;

/// The text for a subscriber with an envelope.
pub(super) fn envelope(topic: &str, message: &Kept) -> String {
    let mut text = format!(r#"{{"type":"message","topic":{}"#, json(topic));
    let position = message.position();
    if position != TopicPosition::default() {
        let _ = write!(text, r#","position":"{}""#, Position::from(position));
    }
    let payload = String::from_utf8_lossy(&message.payload);
    let _ = match message.kind {
        MESSAGE_TYPE_BINARY => write!(text, r#","base64":"{}""#, base64(&message.payload)),
        _ if message.is_json => write!(text, r#","data":{payload}"#),
        _ => write!(text, r#","data":{}"#, json(&payload)),
    };
    text + "}"
}

/// A text as JSON (RFC 8259, section 7).
fn json(text: &str) -> String {
    let mut json = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '\0'..='\u{1f}' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            _ => json.push(c),
        }
    }
    json + "\""
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place > group.len() {
                '='
            } else {
                digit.into()
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{base64, json};

    #[test]
    fn base64_has_padding() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"\0\xff\xfe\xfd", "AP/+/Q=="),
        ] {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn a_text_of_any_characters_is_json() {
        assert_eq!(json("a\"\\\n\u{1}\u{fc}"), "\"a\\\"\\\\\\n\\u0001\u{fc}\"");
    }
}
