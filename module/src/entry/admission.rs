//! Decides whether there is room for another WebSocket, before its plugin is asked.

use std::time::Duration;

use super::capacity;
use super::config::{self, Config};
use super::refused::{Cause, log_refusal};
use crate::httpd::log::{Level, Throttle};
use crate::httpd::mpm;
use crate::httpd::quota::{self, Burden, Host, Place};
use crate::httpd::refusal::Refusal;
use crate::httpd::request::Request;
use crate::registry::Holder;

/// How long a client is asked to wait when the time until there is room is not known.
const SOME_TIME: Duration = Duration::from_secs(10);

/// The status when the server cannot serve more for now.
const UNAVAILABLE: u16 = 503;

/// The status when the client asks for too much (RFC 6585, section 4).
const TOO_MANY_REQUESTS: u16 = 429;

static THROTTLE: Throttle = Throttle::new();

/// A refusal for now. A client that understands `Retry-After` asks again in ten seconds.
pub(super) fn for_now() -> Refusal {
    refusal(UNAVAILABLE, SOME_TIME)
}

/// A refusal that asks the client to wait for this time.
fn refusal(status: u16, wait: Duration) -> Refusal {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Refusal::new(status).header(c"Retry-After", seconds.max(1).to_string())
}

/// Counts a WebSocket that is about to be opened, if there is room for it.
///
/// # Errors
///
/// A refusal if there is no room.
pub(super) fn admit(request: &Request, config: &Config, holder: Holder) -> Result<Place, Refusal> {
    let admission = Admission { request, config };
    admission.check_rate()?;
    let (burden, host) = (burden(holder), admission.host());
    // Counted before the checks. If one of them fails, dropping the place undoes this.
    let mut place = Place::take(burden, host);
    admission.check_client(&mut place)?;
    admission.check_server(host)?;
    admission.check_capacity(burden)?;
    Ok(place)
}

/// What a WebSocket takes of the MPM's capacity. WebSockets over HTTP/2 have limits of their own
/// (`http2.rs`).
pub(super) fn burden(holder: Holder) -> Burden {
    match holder {
        Holder::Loop => Burden::Connection,
        Holder::Mpm => Burden::Thread,
        Holder::Detached | Holder::Http2 => Burden::Nothing,
    }
}

/// Why a WebSocket would not be admitted now, if so. It is taken to need what most WebSockets need.
pub(super) fn obstacle(config: &Config) -> Option<&'static str> {
    let burden = if mpm::is_async() && config.is_event_driven() {
        Burden::Connection
    } else {
        Burden::Thread
    };
    let _place = Place::take(burden, None);
    let is_full = config::max_connections().is_some_and(|most| quota::count() > most)
        || capacity::check(burden, config.limits().reserve(burden)).is_err();
    is_full.then_some("full")
}

struct Admission<'a> {
    request: &'a Request,
    config: &'a Config,
}

impl Admission<'_> {
    fn check_rate(&self) -> Result<(), Refusal> {
        let Some(rate) = self.config.limits().handshake_rate() else {
            return Ok(());
        };
        let client = quota::client(self.request.client_address());
        quota::count_handshake(client, rate).map_err(|wait| {
            let text = "the client asks too often (WebSocketHandshakeRate)";
            self.log(Cause::HandshakeRate, text);
            refusal(TOO_MANY_REQUESTS, wait)
        })
    }

    fn check_client(&self, place: &mut Place) -> Result<(), Refusal> {
        let Some(most) = self.config.limits().max_per_client() else {
            return Ok(());
        };
        let client = quota::client(self.request.client_address());
        if place.count_for(client, most) <= most {
            return Ok(());
        }
        let text =
            format!("the client has {most} WebSockets already (WebSocketMaxConnectionsPerClient)");
        self.log(Cause::Client, &text);
        Err(refusal(TOO_MANY_REQUESTS, SOME_TIME))
    }

    /// The virtual host of the request, if its limit is not the limit of the whole server.
    fn host(&self) -> Option<Host> {
        let most = self.config.limits().max_connections();
        if most.is_none() || most == config::max_connections() {
            return None;
        }
        let host = quota::host(&self.request.virtual_host()?);
        if host.is_none() && THROTTLE.admits(&"hosts") {
            let text = "WebSocketMaxConnections does not hold for this virtual host: as many as \
                        can be counted have had limits of their own since httpd was started; to \
                        forget those of earlier configurations, stop httpd and start it";
            self.request.log(Level::Error, text);
        }
        host
    }

    fn check_server(&self, host: Option<Host>) -> Result<(), Refusal> {
        let of_server = config::max_connections().map(|most| (most, quota::count(), "server"));
        let of_host = host.zip(self.config.limits().max_connections());
        let of_host = of_host.map(|(host, most)| (most, quota::count_of(host), "virtual host"));
        for (most, count, whose) in of_server.into_iter().chain(of_host) {
            if count > most {
                let text =
                    format!("the {whose} has {most} WebSockets already (WebSocketMaxConnections)");
                self.log(Cause::Connections, &text);
                return Err(for_now());
            }
        }
        Ok(())
    }

    fn check_capacity(&self, burden: Burden) -> Result<(), Refusal> {
        let reserve = self.config.limits().reserve(burden);
        capacity::check(burden, reserve).map_err(|full| {
            self.log(Cause::Reserve, &full.to_string());
            for_now()
        })
    }

    /// Warns of each cause once a minute in this process, because there may be many refusals in a
    /// second.
    fn log(&self, cause: Cause, text: &str) {
        let level = if THROTTLE.admits(&cause) {
            Level::Warning
        } else {
            Level::Debug
        };
        log_refusal(self.request, self.config, level, cause, text);
    }
}
