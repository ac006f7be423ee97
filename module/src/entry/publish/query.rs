//! The query of a request.

use websocket_plugin::abi::host::check_topic;

/// The topic of a query `topic=...`, which is encoded as in forms. `None` if the query holds
/// anything else, or if the topic is not valid.
pub(super) fn topic(query: &[u8]) -> Option<String> {
    let value = query.strip_prefix(b"topic=")?;
    let topic = String::from_utf8(decode(value)?).ok()?;
    check_topic(&topic).is_ok().then_some(topic)
}

/// Decodes a value of a form (WHATWG URL, section 5.1). `None` if two hexadecimal digits do not
/// follow a `%`, or if another value follows.
fn decode(value: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.iter();
    while let Some(&byte) = rest.next() {
        decoded.push(match byte {
            b'&' => return None,
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::topic;

    #[test]
    fn a_topic_is_decoded() {
        for (query, expected) in [
            ("topic=a/b", Some("a/b")),
            ("topic=a%2Fb", Some("a/b")),
            ("topic=a%2fb", Some("a/b")),
            ("topic=caf%C3%A9+au+lait", Some("café au lait")),
            ("topic=a%2Bb", Some("a+b")),
            ("topic=a%26b", Some("a&b")),
            ("topic=a=b", Some("a=b")),
            ("", None),
            ("topic=", None),
            ("topic=a&topic=b", None),
            ("x=1&topic=a", None),
            ("topic=a%2", None),
            ("topic=a%", None),
            ("topic=a%+1", None),
            ("topic=%ff", None),
            ("topic=%00", None),
            ("topic=a/*", None),
            ("topic=/a", None),
            ("topic=a//b", None),
        ] {
            assert_eq!(topic(query.as_bytes()).as_deref(), expected, "{query}");
        }
        let long = format!("topic={}", "a".repeat(256));
        assert_eq!(topic(long.as_bytes()), None);
    }
}
