//! The form in which browsers write an origin.

use super::{Origin, address, default_port};

/// Advice for an origin in the configuration that no browser can send. `None` if a browser can send
/// it, or an origin that compares as the same.
///
/// Browsers send `scheme://host[:port]` (RFC 6454, section 6.2), with any scheme that pages have,
/// including those of extensions and apps. For local files some send `file://` and others `null`.
/// They also send `null` for pages with an opaque origin, such as those in a sandboxed frame.
#[must_use]
pub fn form_to_use(origin: &str) -> Option<String> {
    if matches!(origin, "null" | "file://") {
        return None;
    }
    if origin.eq_ignore_ascii_case("null") {
        return Some("browsers write null".to_owned());
    }
    if origin == "*" {
        return Some(
            "there are no patterns; WebSocketOriginCheck Off accepts every origin".to_owned(),
        );
    }
    if origin.contains('*') {
        return Some("there are no patterns: list each origin".to_owned());
    }
    if origin.contains([',', ' ', '\t', ';']) {
        return Some("separate origins by spaces, without quotes around all of them".to_owned());
    }
    if !origin.is_ascii() {
        return Some("write the host as browsers do, in ASCII: xn--...".to_owned());
    }
    let rewritten = rewrite(origin);
    match Origin::parse(rewritten.as_bytes()) {
        _ if is_bare_ipv6(&rewritten) => Some("an IPv6 address must be in brackets".to_owned()),
        Some(_) if rewritten == origin => None,
        Some(_) => Some(format!("use {rewritten}")),
        None if has_host(&rewritten) => {
            Some("the port must be a number from 1 to 65535".to_owned())
        }
        None => Some("it has no host; use https://host or https://host:port".to_owned()),
    }
}

/// Replaces the scheme of `origin` by one of a page, and removes all parts that an origin does not
/// have.
fn rewrite(origin: &str) -> String {
    let (scheme, rest) = origin.split_once("://").unwrap_or(("https", origin));
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "ws" => "http",
        "wss" | "" => "https",
        _ => scheme,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}")
}

fn has_host(origin: &str) -> bool {
    let rest = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    !rest.is_empty() && !rest.starts_with(':')
}

fn is_bare_ipv6(origin: &str) -> bool {
    let (scheme, rest) = origin.split_once("://").unwrap_or_default();
    default_port(scheme.as_bytes()).is_some() && address(rest.as_bytes()).is_some()
}
