//! The grammar of header fields (RFC 9110, section 5.6).

/// The non-empty elements of a list (RFC 9110, section 5.6.1), without surrounding spaces and tabs.
pub(super) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',')
        .map(trim_blanks)
        .filter(|element| !element.is_empty())
}

/// `element` without surrounding spaces and tabs.
pub(super) fn trim_blanks(mut element: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = element {
        element = rest;
    }
    element
}

/// Whether all characters are allowed in a token (RFC 9110, section 5.6.2). The caller checks that
/// `element` is not empty.
pub(super) fn is_token(element: &str) -> bool {
    element
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
