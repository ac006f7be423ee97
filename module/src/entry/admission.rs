//! Whether there is room for another WebSocket, before its plugin is asked.

use super::capacity;
use super::config::Config;
use super::refused::{Cause, log_refusal};
use crate::httpd::log::{Level, Throttle};
use crate::httpd::quota::{Burden, Place};
use crate::httpd::refusal::Refusal;
use crate::httpd::request::Request;
use crate::registry::Holder;

/// How many seconds a client is asked to wait.
const RETRY_AFTER: &str = "10";

static THROTTLE: Throttle = Throttle::new();

/// A refusal that a client which understands `Retry-After` answers by asking again in ten seconds.
pub(super) fn for_now() -> Refusal {
    Refusal::new(503).header(c"Retry-After", RETRY_AFTER)
}

/// Counts a WebSocket that is going to be opened, if there is room for it.
///
/// # Errors
///
/// There is not.
pub(super) fn admit(request: &Request, config: &Config, holder: Holder) -> Result<Place, Refusal> {
    let burden = burden(holder);
    let place = Place::take(burden);
    capacity::check(burden, config.limits().reserve(burden)).map_err(|full| {
        log(request, config, Cause::Reserve, &full.to_string());
        for_now()
    })?;
    Ok(place)
}

/// What the MPM gives for a connection. For those of HTTP/2 there are limits of their own
/// (`http2.rs`).
fn burden(holder: Holder) -> Burden {
    match holder {
        Holder::Loop => Burden::Connection,
        Holder::Mpm => Burden::Thread,
        Holder::Detached | Holder::Http2 => Burden::Nothing,
    }
}

/// Warns of a cause once a minute in this process: there may be many refusals in a second.
fn log(request: &Request, config: &Config, cause: Cause, text: &str) {
    let level = if THROTTLE.admits(&cause) {
        Level::Warning
    } else {
        Level::Debug
    };
    log_refusal(request, config, level, cause, text);
}
