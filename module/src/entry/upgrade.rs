//! The opening handshake: from a request to a session (RFC 6455, section 4.2).

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use super::admission::{admit, for_now};
use super::config::{self, Config};
use super::http2::settings;
use super::http2::{Full, Place};
use super::origin::log_refused;
use super::refused::{Cause, log_refusal, place};
use super::{redirects, shutdown};
use crate::blocking::Driver;
use crate::budget;
use crate::compression::Compression;
use crate::httpd::answer::Answer;
use crate::httpd::descriptors;
use crate::httpd::detached::Duplicate;
use crate::httpd::log::{Level, log_server};
use crate::httpd::mpm;
use crate::httpd::refusal::Refusal;
use crate::httpd::request::Request;
use crate::httpd::scoreboard;
use crate::meter::Meter;
use crate::output::{Framing, Home, Output};
use crate::plugin::{Attachment, LoadedPlugin, ServerLease};
use crate::protocol::{
    self, ClientHandshake, DeflateParameters, HandshakeError, Limits, Receiver, RequestHead,
    SUPPORTED_VERSIONS, Site,
};
use crate::reactor::{Connection, Handover, Reactor, Threads};
use crate::registry::{Holder, register};
use crate::session::{Plugged, Session};
use crate::transport::{Stream as _, Transport};

const BAD_REQUEST: Refusal = Refusal::new(400);
const FORBIDDEN: Refusal = Refusal::new(403);
const INTERNAL_SERVER_ERROR: Refusal = Refusal::new(500);
const SERVICE_UNAVAILABLE: Refusal = Refusal::new(503);

/// Serves a request for which `SetHandler websocket-handler` holds.
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
        return Err(INTERNAL_SERVER_ERROR);
    }
    let Some(plugin) = config.plugin() else {
        let uri = String::from_utf8_lossy(request.uri());
        let text = format!("no WebSocketHandler is set for {uri}");
        log_refusal(&request, config, Level::Error, Cause::Configuration, &text);
        return Err(INTERNAL_SERVER_ERROR);
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
        Some(reactor) => opening.suspend(reactor),
        None => opening.block(None),
    }
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
        extensions: request.header(c"Sec-WebSocket-Extensions"),
        origin: request.header(c"Origin"),
        sec_websocket_origin: request.header(c"Sec-WebSocket-Origin"),
        content_length: redirects::content_length(request),
        // mod_http2 makes one up, as its streams end by themselves; a client cannot send it there.
        has_transfer_encoding: request.http2_connection().is_none()
            && request.header(c"Transfer-Encoding").is_some(),
    }
}

fn bad_handshake(request: Request, config: &Config, error: HandshakeError) -> Refusal {
    let text = error.to_string();
    log_refusal(&request, config, Level::Info, Cause::Handshake, &text);
    match error {
        HandshakeError::Version => BAD_REQUEST.header(c"Sec-WebSocket-Version", SUPPORTED_VERSIONS),
        HandshakeError::Body => {
            // Before anything is sent: nobody may take the body for the next request.
            request.end_connection();
            BAD_REQUEST
        }
        _ => BAD_REQUEST,
    }
}

fn out_of_resources(request: &Request, config: &Config, error: &io::Error) -> Refusal {
    let text = format!("the connection cannot be served: {error}");
    log_refusal(request, config, Level::Error, Cause::Resources, &text);
    for_now()
}

fn check_descriptors(request: &Request, config: &Config) -> Result<(), Refusal> {
    descriptors::check().map_err(|shortage| {
        let text = shortage.to_string();
        log_refusal(request, config, Level::Info, Cause::Resources, &text);
        request.close_at_once();
        for_now()
    })
}

/// Refuses a WebSocket over HTTP/2 that would leave too few threads to others. Threads of the child
/// may soon be free; of a connection's own WebSockets the client knows best.
fn too_many_streams(request: &Request, config: &Config, full: Full) -> Refusal {
    log_refusal(
        request,
        config,
        Level::Info,
        Cause::Http2,
        &full.to_string(),
    );
    match full {
        Full::Connection(_) => SERVICE_UNAVAILABLE,
        _ => for_now(),
    }
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
            Err(FORBIDDEN)
        }
        _ => Ok(()),
    }
}

/// The reactor, if the connection can be left to it.
fn reactor_for(request: Request, config: &Config) -> Option<&'static Reactor> {
    // Whoever redirects must pass on that the request is suspended.
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

/// A good handshake whose plugin is still to be asked.
struct Opening<'a> {
    request: Request,
    handshake: ClientHandshake<'a>,
    config: &'a Config,
    plugin: &'a Arc<LoadedPlugin>,
}

impl Opening<'_> {
    /// Serves a stream of an HTTP/2 connection until it ends, with this thread, which is
    /// mod_http2's.
    fn serve_stream(&self, connection: usize) -> Result<Answer, Refusal> {
        let Self {
            request, config, ..
        } = self;
        let _place = match Place::take(connection, config.h2_max_streams(), settings::limits()) {
            Ok(place) => place,
            Err(full) => return Err(too_many_streams(request, config, full)),
        };
        match request.http2_input() {
            Ok(Some(input)) => self.block(Some(input)),
            Ok(None) => {
                let text = "the client has ended the stream with it";
                log_refusal(request, config, Level::Info, Cause::Handshake, text);
                Err(BAD_REQUEST)
            }
            Err(error) => Err(out_of_resources(request, config, &error)),
        }
    }

    /// Serves the connection with this thread until it ends. `input` is that of a stream of an
    /// HTTP/2 connection.
    fn block(&self, input: Option<OwnedFd>) -> Result<Answer, Refusal> {
        Driver::with_current(|driver| self.drive(driver, input))
            .unwrap_or_else(|error| Err(self.out_of_resources(&error)))
    }

    fn drive(&self, driver: &mut Driver, input: Option<OwnedFd>) -> Result<Answer, Refusal> {
        let holder = if input.is_some() {
            Holder::Http2
        } else {
            Holder::Mpm
        };
        let mut session = self.accept(driver.server(), driver.home(), holder)?;
        let request = self.request;
        let opened = match input {
            Some(input) => request
                .take_http2_stream()
                .map(|beam| Transport::of_stream(beam, input)),
            None => request.take_connection().and_then(Transport::of_connection),
        };
        match opened.and_then(|stream| Ok((stream.descriptor()?, stream))) {
            Ok((descriptor, stream)) => {
                session.output().open(stream);
                let _served = self.request.watch_socket();
                driver.drive(&mut session, &descriptor);
            }
            Err(error) => self.log_loss(&error),
        }
        Ok(Answer::Done)
    }

    /// Leaves the connection to `reactor`.
    fn suspend(&self, reactor: &Reactor) -> Result<Answer, Refusal> {
        let duplicate = self
            .duplicate_descriptor()
            .map_err(|error| self.out_of_resources(&error))?;
        let connection = reactor.prepare(Arc::clone(self.plugin));
        let home = Arc::<Connection>::clone(&connection);
        let holder = if duplicate.is_some() {
            Holder::Detached
        } else {
            Holder::Loop
        };
        let session = self.accept(ServerLease::take(), home, holder)?;
        if let Some(duplicate) = duplicate {
            return Ok(self.detach(duplicate, &connection, session));
        }
        let opened = self.request.take_connection_to_suspend();
        Ok(match opened.and_then(Transport::of_connection) {
            Ok(transport) => {
                let handover = Handover {
                    connection,
                    session,
                    transport,
                };
                self.request.suspend(Box::new(handover));
                Answer::Suspended
            }
            Err(error) => {
                self.log_loss(&error);
                Answer::Done
            }
        })
    }

    /// What the connection is to be detached with, if it may be.
    fn duplicate_descriptor(&self) -> io::Result<Option<Duplicate>> {
        if !self.config.is_detached() || self.plugin.source().is_of_request {
            return Ok(None);
        }
        self.request.duplicate_descriptor()
    }

    /// Leaves the connection to its loop and lets httpd forget it.
    fn detach(
        &self,
        duplicate: Duplicate,
        connection: &Arc<Connection>,
        mut session: Session,
    ) -> Answer {
        session.application().outlive_request();
        let detached = self.request.detach(duplicate);
        match detached.and_then(|(socket, early)| Transport::detached(socket, early)) {
            Ok((transport, custody)) => connection.adopt(session, transport, custody),
            Err(error) => self.log_loss(&error),
        }
        Answer::Done
    }

    fn out_of_resources(&self, error: &io::Error) -> Refusal {
        out_of_resources(&self.request, self.config, error)
    }

    fn log_loss(&self, error: &io::Error) {
        let text = format!("the client is gone: {error}");
        self.request.log(Level::Info, &text);
    }

    /// Logs the handshake that was accepted, if handshakes are logged.
    fn trace(&self, deflate: Option<DeflateParameters>) {
        if !self.request.is_logged(Level::Trace2) {
            return;
        }
        let Self {
            handshake, config, ..
        } = self;
        let origin = handshake.origin.map(String::from_utf8_lossy);
        let text = format!(
            "the handshake is accepted: version {}, subprotocols {}, origin {}, compression {}{}",
            handshake.version.number(),
            list(&handshake.subprotocols),
            origin.as_deref().unwrap_or("none"),
            if deflate.is_some() { "on" } else { "off" },
            place(config),
        );
        self.request.log(Level::Trace2, &text);
    }

    /// Asks the plugin and sends the 101 response.
    fn accept(
        &self,
        server: ServerLease,
        home: Arc<dyn Home>,
        holder: Holder,
    ) -> Result<Session, Refusal> {
        let Self {
            request,
            handshake,
            config,
            plugin,
        } = self;
        let place = admit(request, config, holder)?;
        request.clear_response_headers();
        budget::set_limit(config::memory_limit());
        let memory = request
            .share_memory()
            .map_err(|error| self.out_of_resources(&error))?;
        let policy = config.compression();
        let deflate = policy.and_then(|policy| handshake.deflate(policy.context));
        let compression = policy
            .zip(deflate)
            .map(|(policy, agreed)| Compression::new(policy, &agreed));
        let account = scoreboard::account(&config.place(), &plugin.source().label);
        let framing = Framing::new(compression, Meter::new(account));
        let output = Output::new(config.queue_policy(), request.timeout(), home, framing);
        let attachment = Arc::new(Attachment::new(
            *request,
            Arc::clone(&output),
            &handshake.subprotocols,
            config.section().cloned(),
        ));
        server.attach(Arc::clone(&attachment));
        let connect = || plugin.connect(&server, config.options());
        let private = match output.in_callback(|| server.in_callbacks(&attachment, connect)) {
            Ok(Some(private)) => private,
            refusal => {
                output.shut();
                server.detach();
                let answer = attachment.take_refusal();
                return Err(by_plugin(*request, config, refusal.err(), answer));
            }
        };
        let limits = Limits {
            max_message_size: config.max_message_size(),
            max_fragments: config.max_fragments(),
            allow_reserved_status_codes: config.allow_reserved_status_codes(),
        };
        let plugin = (Arc::clone(plugin), private, server);
        let receiver = Receiver::with_deflate(limits, deflate);
        let connection = protocol::Connection::new(
            receiver,
            handshake.version,
            output.timeout(),
            &config.lifespan().lifespan(),
            Instant::now(),
        );
        let registration = register(&output, holder, config.drain_time(), account);
        let counted = (registration, place);
        let plugged = Plugged::new(plugin, Arc::clone(&attachment), counted, memory);
        let mut session = Session::new(connection, output, plugged);
        if let Some(limit) = config.limits().message_rate() {
            session.limit(limit);
        }
        shutdown::expect();
        attachment.set_open();
        // Not before: whatever the plugin and other modules have set, this is what holds.
        request.add_headers_of_all_responses();
        request.set_response_header(c"Upgrade", b"websocket");
        request.set_response_header(c"Connection", b"Upgrade");
        request.set_response_header(c"Sec-WebSocket-Accept", handshake.accept().as_bytes());
        if let Some(deflate) = deflate {
            let answer = deflate.to_string();
            request.set_response_header(c"Sec-WebSocket-Extensions", answer.as_bytes());
        }
        request.switch_protocols();
        self.trace(deflate);
        Ok(session)
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    names.join(", ")
}

/// The refusal of a plugin that has failed with an error, named an answer, or done neither.
fn by_plugin(
    request: Request,
    config: &Config,
    error: Option<String>,
    answer: Option<Refusal>,
) -> Refusal {
    if let Some(error) = error {
        log_refusal(&request, config, Level::Error, Cause::Failure, &error);
        return INTERNAL_SERVER_ERROR;
    }
    let refusal = answer.unwrap_or(FORBIDDEN);
    let text = format!("the plugin answers {}", refusal.status());
    log_refusal(&request, config, Level::Info, Cause::Plugin, &text);
    refusal
}
