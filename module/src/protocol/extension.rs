//! The client's offers in `Sec-WebSocket-Extensions` (RFC 6455, section 9.1).

use std::borrow::Cow;

use super::fields::{is_token, trim_blanks};

/// An offered extension with its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer<'a> {
    pub(super) name: &'a str,
    pub(super) parameters: Vec<Parameter<'a>>,
}

/// A parameter of an extension. Its value is optional.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parameter<'a> {
    pub(super) name: &'a str,
    pub(super) value: Option<Cow<'a, str>>,
}

/// The offers in a header value, in the client's order of preference.
///
/// A malformed element of the list is skipped. It does not affect the others: the server may
/// decline any offer, and the client is better off with a connection than without.
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

/// Parses a value: a token, or a token in quotes.
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

/// Splits at the separators outside of quotes.
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

    /// Writes the offers in a uniform form, for comparison.
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
    fn a_malformed_element_does_not_affect_the_others() {
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
    fn an_unterminated_quote_hides_the_rest() {
        assert_eq!(normalized(r#"first, a; b="1, last"#), ["first"]);
        assert_eq!(normalized(r#"first, a; b="1\", last"#), ["first"]);
    }
}
