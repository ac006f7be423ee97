//! The opening handshake: from a request to a session (RFC 6455, section 4.2).

use std::sync::Arc;

use crate::blocking::Driver;
use crate::httpd::Answer;
use crate::httpd::config::Config;
use crate::httpd::log::Level;
use crate::httpd::request::Request;
use crate::link::Link;
use crate::plugin::{Attachment, LoadedPlugin, PluginOptions};
use crate::protocol::{
    ClientHandshake, HandshakeError, Limits, RequestHead, SUPPORTED_VERSIONS, Site,
};
use crate::session::Session;

const BAD_REQUEST: Answer = Answer::Status(400);
const FORBIDDEN: Answer = Answer::Status(403);
const INTERNAL_SERVER_ERROR: Answer = Answer::Status(500);
const NOT_IMPLEMENTED: Answer = Answer::Status(501);
const SERVICE_UNAVAILABLE: Answer = Answer::Status(503);

/// Serves a request for which `SetHandler websocket-handler` holds; returns when the connection has
/// ended.
pub fn handle(request: Request, config: &Config) -> Answer {
    let handshake = match ClientHandshake::parse(&head(&request)) {
        Ok(Some(handshake)) => handshake,
        Ok(None) => return Answer::Declined,
        Err(error) => return refuse(&request, error),
    };
    let Some(plugin) = config.plugin() else {
        let uri = String::from_utf8_lossy(request.uri());
        let text = format!("no WebSocketHandler is set for {uri}");
        request.log(Level::Error, &text);
        return INTERNAL_SERVER_ERROR;
    };
    if !is_origin_allowed(&request, config, &handshake) {
        let origin = String::from_utf8_lossy(handshake.origin.unwrap_or_default());
        let text = format!("the origin '{origin}' is not allowed here (WebSocketOriginCheck)");
        request.log(Level::Info, &text);
        return FORBIDDEN;
    }
    if request.is_http2_stream() {
        request.log(Level::Error, "WebSockets over HTTP/2 are not supported");
        return NOT_IMPLEMENTED;
    }
    let limits = Limits {
        max_message_size: config.max_message_size(),
        allow_reserved_status_codes: config.allow_reserved_status_codes(),
    };
    let plugin = (plugin.as_ref(), config.options());
    Driver::with_current(|driver| accept(request, &handshake, limits, plugin, driver))
        .unwrap_or_else(|error| out_of_resources(&request, &error))
}

fn head(request: &Request) -> RequestHead<'_> {
    RequestHead {
        method: request.method(),
        head_only: request.is_header_only(),
        http_1_1: request.is_http_1_1(),
        upgrade: request.header(c"Upgrade"),
        connection: request.header(c"Connection"),
        host: request.header(c"Host"),
        key: request.header(c"Sec-WebSocket-Key"),
        version: request.header(c"Sec-WebSocket-Version"),
        subprotocols: request.header(c"Sec-WebSocket-Protocol"),
        origin: request.header(c"Origin"),
        sec_websocket_origin: request.header(c"Sec-WebSocket-Origin"),
    }
}

fn refuse(request: &Request, error: HandshakeError) -> Answer {
    request.log(Level::Info, &format!("bad opening handshake: {error}"));
    if error == HandshakeError::Version {
        request.set_error_header(c"Sec-WebSocket-Version", SUPPORTED_VERSIONS.as_bytes());
    }
    BAD_REQUEST
}

fn is_origin_allowed(request: &Request, config: &Config, handshake: &ClientHandshake<'_>) -> bool {
    let site = Site {
        scheme: request.scheme(),
        host: request.hostname(),
        port: request.port(),
    };
    let trusted: Vec<_> = config
        .trusted_origins()
        .iter()
        .map(|origin| origin.as_bytes())
        .collect();
    config
        .origin_policy()
        .allows(handshake.origin, &site, &trusted)
}

fn out_of_resources(request: &Request, error: &std::io::Error) -> Answer {
    request.log(
        Level::Error,
        &format!("the connection cannot be served: {error}"),
    );
    SERVICE_UNAVAILABLE
}

/// Asks the plugin, sends the 101 response and drives the session to its end.
fn accept(
    request: Request,
    handshake: &ClientHandshake<'_>,
    limits: Limits,
    (plugin, options): (&LoadedPlugin, &PluginOptions),
    driver: &mut Driver,
) -> Answer {
    request.clear_response_headers();
    request.set_response_header(c"Upgrade", b"websocket");
    request.set_response_header(c"Connection", b"Upgrade");
    request.set_response_header(c"Sec-WebSocket-Accept", handshake.accept().as_bytes());

    let server = driver.server();
    let link = Link::new(request.timeout(), driver.waker());
    let attachment = Arc::new(Attachment::new(
        request,
        Arc::clone(&link),
        &handshake.subprotocols,
    ));
    server.attach(Arc::clone(&attachment));
    let private = match link.in_turn(|| plugin.connect(server, options)) {
        Ok(Some(private)) => private,
        refusal => {
            link.shut();
            server.detach();
            request.clear_response_headers();
            return refusal_answer(request, refusal.err(), attachment.rejection());
        }
    };
    let version = handshake.version;
    let mut session = Session::new(
        request,
        version,
        limits,
        Arc::clone(&link),
        (plugin, private, server),
    );
    attachment.set_open();
    request.switch_protocols();
    match request.take_stream() {
        Ok(stream) => {
            link.open(stream);
            driver.drive(&mut session);
        }
        Err(error) => request.log(Level::Info, &format!("the client is gone: {error}")),
    }
    Answer::Done
}

fn refusal_answer(request: Request, error: Option<String>, status: Option<u16>) -> Answer {
    match (error, status) {
        (Some(error), _) => {
            request.log(Level::Error, &error);
            INTERNAL_SERVER_ERROR
        }
        (None, Some(status)) => Answer::Status(status),
        (None, None) => FORBIDDEN,
    }
}
