//! The opening handshake: from a request to a session (RFC 6455, section 4.2).

mod head;
mod opening;
mod postponed;

use super::admission::for_now;
use super::config::{self, Config};
use super::origin::log_refused;
use super::redirects;
use super::refused::{Cause, log_refusal};
use crate::httpd::answer::Answer;
use crate::httpd::descriptors;
use crate::httpd::log::{Level, log_server};
use crate::httpd::mpm;
use crate::httpd::refusal::Refusal;
use crate::httpd::request::Request;
use crate::protocol::{ClientHandshake, HandshakeError, SUPPORTED_VERSIONS, Site};
use crate::reactor::{Reactor, Threads};
use head::head;
use opening::Opening;

/// Serves a request with `SetHandler websocket-handler`.
pub fn handle(request: Request, config: &Config) -> Answer {
    serve(request, config).unwrap_or_else(|refusal| refusal.send(request))
}

fn serve(request: Request, config: &Config) -> Result<Answer, Refusal> {
    let handshake = match ClientHandshake::parse(&head(&request)) {
        Ok(Some(handshake)) => handshake,
        Ok(None) => return Ok(Answer::Declined),
        Err(error) => return Err(bad_handshake(request, config, error)),
    };
    if let Err(error) = config.check() {
        log_refusal(&request, config, Level::Error, Cause::Configuration, &error);
        return Err(Refusal::INTERNAL_SERVER_ERROR);
    }
    let Some(plugin) = config.plugin() else {
        let uri = String::from_utf8_lossy(request.uri());
        let text = format!("no WebSocketHandler is set for {uri}");
        log_refusal(&request, config, Level::Error, Cause::Configuration, &text);
        return Err(Refusal::INTERNAL_SERVER_ERROR);
    };
    check_origin(&request, config, &handshake)?;
    check_descriptors(&request, config)?;
    let opening = Opening {
        request,
        handshake,
        config,
        plugin,
    };
    if let Some(connection) = request.http2_connection() {
        return opening.serve_stream(connection);
    }
    match reactor_for(request, config) {
        Some(reactor) if postponed::is_possible(&opening, reactor) => {
            postponed::postpone(&opening, reactor)
        }
        Some(reactor) => opening.suspend(reactor),
        None => opening.block(None),
    }
}

fn bad_handshake(request: Request, config: &Config, error: HandshakeError) -> Refusal {
    let text = error.to_string();
    log_refusal(&request, config, Level::Info, Cause::Handshake, &text);
    match error {
        HandshakeError::Version => {
            Refusal::BAD_REQUEST.header(c"Sec-WebSocket-Version", SUPPORTED_VERSIONS)
        }
        HandshakeError::Body => {
            // Called before anything is sent, so that nothing takes the body for the next request.
            request.end_connection();
            Refusal::BAD_REQUEST
        }
        _ => Refusal::BAD_REQUEST,
    }
}

fn check_descriptors(request: &Request, config: &Config) -> Result<(), Refusal> {
    descriptors::check().map_err(|shortage| {
        let text = shortage.to_string();
        log_refusal(request, config, Level::Info, Cause::Resources, &text);
        request.close_at_once();
        for_now()
    })
}

fn check_origin(
    request: &Request,
    config: &Config,
    handshake: &ClientHandshake<'_>,
) -> Result<(), Refusal> {
    let site = Site {
        scheme: request.scheme(),
        host: request.hostname(),
        port: request.port(),
    };
    let (policy, trusted) = (config.origin_policy(), config.trusted_origins());
    let bytes: Vec<_> = trusted.iter().map(|origin| origin.as_bytes()).collect();
    match handshake.origin {
        Some(origin) if !policy.allows(Some(origin), &site, &bytes) => {
            log_refused(request, config, origin, &site);
            Err(Refusal::FORBIDDEN)
        }
        _ => Ok(()),
    }
}

/// The reactor, if it may serve the connection.
fn reactor_for(request: Request, config: &Config) -> Option<&'static Reactor> {
    // A handler that redirects must pass on that the request is suspended.
    let may_suspend = request.can_suspend() && redirects::is_answer_heard(request);
    if !config.is_event_driven() || !may_suspend {
        return None;
    }
    let threads =
        config::threads().unwrap_or_else(|| Threads::default_for(mpm::threads_per_child()));
    Reactor::current(threads).unwrap_or_else(|error| {
        let text = format!("new connections each need a thread for now: no event loop: {error}");
        log_server(Level::Error, &text);
        None
    })
}
