//! Logs that a handshake was refused because of its origin.

use super::config::Config;
use super::refused::{Cause, log_refusal};
use crate::httpd::log::{Level, Throttle};
use crate::httpd::request::Request;
use crate::protocol::{OriginPolicy, Site};

/// The most bytes of an origin that are logged. An origin may be as long as a header.
const LONGEST: usize = 200;

/// The most trusted origins that are named.
const MOST_NAMED: usize = 3;

static THROTTLE: Throttle = Throttle::new();

/// Tells the administrator which origin was refused, which origin was expected, and what to set if
/// the page is to connect. Warns once a minute of each pair of origins, because nobody would find a
/// line of level `info`. There are no more than a few dozen warnings a minute, because a client can
/// send any origin. The others are logged as `info`.
pub fn log_refused(request: &Request, config: &Config, origin: &[u8], site: &Site<'_>) {
    let (policy, trusted) = (config.origin_policy(), config.trusted_origins());
    let expected = match policy {
        OriginPolicy::Trusted => named(trusted),
        _ => format!("'{site}'"),
    };
    let level = if THROTTLE.admits(&(policy, origin, &expected)) {
        Level::Warning
    } else {
        Level::Info
    };
    let origin = String::from_utf8_lossy(&origin[..origin.len().min(LONGEST)]);
    let remedy = remedy(policy, &origin, site);
    let text = format!(
        "the origin '{origin}' is refused, expected is {expected} (WebSocketOriginCheck \
         {policy}); if its pages may connect, {remedy}"
    );
    log_refusal(request, config, level, Cause::Origin, &text);
}

fn named(trusted: &[Box<str>]) -> String {
    let names: Vec<_> = trusted
        .iter()
        .take(MOST_NAMED)
        .map(|origin| format!("'{origin}'"))
        .collect();
    match trusted.len().saturating_sub(MOST_NAMED) {
        _ if trusted.is_empty() => "none, as there is no WebSocketTrustedOrigin".to_owned(),
        0 => names.join(" or "),
        more => format!("{} or one of {more} others", names.join(", ")),
    }
}

fn remedy(policy: OriginPolicy, origin: &str, site: &Site<'_>) -> String {
    let list = format!("WebSocketTrustedOrigin {origin}");
    if policy == OriginPolicy::Trusted {
        return format!("add {list}");
    }
    if site.is_tls_twin(origin.as_bytes()) {
        return format!(
            "TLS ends at a proxy: set ServerName {origin}, or WebSocketOriginCheck Trusted and \
             {list}"
        );
    }
    format!("set WebSocketOriginCheck Trusted and {list}")
}
