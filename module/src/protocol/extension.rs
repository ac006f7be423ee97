//! What a client offers in `Sec-WebSocket-Extensions` (RFC 6455, section 9.1).

use std::borrow::Cow;

use super::handshake::{is_token, trim_blanks};

/// An extension with the parameters the client would use it with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer<'a> {
    pub(super) name: &'a str,
    pub(super) parameters: Vec<Parameter<'a>>,
}

/// A parameter of an extension; those that are switches have no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parameter<'a> {
    pub(super) name: &'a str,
    pub(super) value: Option<Cow<'a, str>>,
}

/// The offers in the value of the header, the one the client likes best first.
///
/// An element of the list that is malformed offers nothing. It does not spoil the others: an offer
/// may always be declined, and no client is better off without a connection.
pub(super) fn offers(header: &[u8]) -> impl Iterator<Item = Offer<'_>> {
    split_unquoted(header, b',').filter_map(Offer::parse)
}

impl<'a> Offer<'a> {
    fn parse(element: &'a [u8]) -> Option<Self> {
        let mut parts = split_unquoted(element, b';');
        let name = token(parts.next()?)?;
        let parameters = parts.map(Parameter::parse).collect::<Option<_>>()?;
        Some(Self { name, parameters })
    }
}

impl<'a> Parameter<'a> {
    fn parse(parameter: &'a [u8]) -> Option<Self> {
        let mut parts = parameter.splitn(2, |&byte| byte == b'=');
        let name = token(parts.next()?)?;
        let value = match parts.next() {
            Some(value) => Some(parse_value(trim_blanks(value))?),
            None => None,
        };
        Some(Self { name, value })
    }
}

/// A value is a token, or a token in quotes.
fn parse_value(value: &[u8]) -> Option<Cow<'_, str>> {
    let Some(quoted) = value.strip_prefix(b"\"") else {
        return token(value).map(Cow::Borrowed);
    };
    let mut text = String::new();
    let mut bytes = quoted.strip_suffix(b"\"")?.iter();
    while let Some(&byte) = bytes.next() {
        let byte = match byte {
            b'\\' => *bytes.next()?,
            byte => byte,
        };
        text.push(byte.into());
    }
    (!text.is_empty() && is_token(&text)).then_some(Cow::Owned(text))
}

fn token(text: &[u8]) -> Option<&str> {
    let text = str::from_utf8(trim_blanks(text)).ok()?;
    (!text.is_empty() && is_token(text)).then_some(text)
}

/// The parts between separators that do not stand in quotes.
fn split_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |&byte| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            _ if was_escaped => false,
            b'"' => {
                is_quoted = !is_quoted;
                false
            }
            b'\\' => {
                is_escaped = is_quoted;
                false
            }
            byte => byte == separator && !is_quoted,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::offers;

    /// Writes the offers out in one form, so that they can be compared.
    fn normalized(header: &str) -> Vec<String> {
        let offers = offers(header.as_bytes());
        let write = |offer: super::Offer<'_>| {
            let mut text = offer.name.to_owned();
            for parameter in offer.parameters {
                text += &format!(";{}", parameter.name);
                if let Some(value) = parameter.value {
                    text += &format!("={value}");
                }
            }
            text
        };
        offers.map(write).collect()
    }

    #[test]
    fn offers_come_in_the_order_of_the_client() {
        let cases: [(&str, &[&str]); 8] = [
            ("", &[]),
            ("foo", &["foo"]),
            ("foo, bar; baz=2", &["foo", "bar;baz=2"]),
            ("foo;a=1;b ,bar", &["foo;a=1;b", "bar"]),
            (" foo ;\ta = 1 , ", &["foo;a=1"]),
            (r#"foo; a="1""#, &["foo;a=1"]),
            (r#"foo; a="\1\5""#, &["foo;a=15"]),
            ("foo; a; a=1; a", &["foo;a;a=1;a"]),
        ];
        for (header, expected) in cases {
            assert_eq!(normalized(header), expected, "{header}");
        }
    }

    #[test]
    fn a_malformed_element_spoils_no_other() {
        for malformed in [
            "",
            " ",
            ";",
            "a b",
            "a;",
            "a;;b",
            "a; =1",
            "a; b=",
            "a; b==1",
            "a; b=1 2",
            r#"a; b="""#,
            r#"a; b="1,2""#,
            r#"a; b="1;2""#,
            r#"a; b="\"""#,
            r#"a; b="1"2"#,
            r#"a; b=1"2""#,
            "a/b",
            "k\u{f6}",
            "a; b=k\u{f6}",
        ] {
            let header = format!("first, {malformed}, last; x=1");
            assert_eq!(normalized(&header), ["first", "last;x=1"], "{header}");
        }
    }

    #[test]
    fn a_quote_that_does_not_end_takes_the_rest_with_it() {
        assert_eq!(normalized(r#"first, a; b="1, last"#), ["first"]);
        assert_eq!(normalized(r#"first, a; b="1\", last"#), ["first"]);
    }
}
