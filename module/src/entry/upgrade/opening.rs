//! Asks the plugin, sends the 101 response and hands the session to its driver.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use crate::blocking::Driver;
use crate::budget;
use crate::compression::Compression;
use crate::entry::admission::{admit, burden, for_now};
use crate::entry::config::{self, Config};
use crate::entry::http2::{self, Full, settings};
use crate::entry::refused::{Cause, log_refusal, place};
use crate::entry::shutdown;
use crate::entry::topics;
use crate::httpd::answer::Answer;
use crate::httpd::detached::Duplicate;
use crate::httpd::log::Level;
use crate::httpd::quota::Place;
use crate::httpd::refusal::Refusal;
use crate::httpd::request::Request;
use crate::httpd::scoreboard;
use crate::meter::Meter;
use crate::output::{Framing, Home, Output, Wake};
use crate::plugin::{Attachment, LoadedPlugin, ServerLease, TopicAccess};
use crate::protocol::{self, ClientHandshake, DeflateParameters, Limits, Receiver};
use crate::reactor::{Connection, Handover, Reactor};
use crate::registry::{Holder, register};
use crate::session::{Plugged, Session};
use crate::transport::{Stream as _, Transport};

/// A valid handshake whose plugin has not been asked yet.
pub(super) struct Opening<'a> {
    pub(super) request: Request,
    pub(super) handshake: ClientHandshake<'a>,
    pub(super) config: &'a Config,
    pub(super) plugin: &'a Arc<LoadedPlugin>,
}

/// A connection that the plugin has accepted, and whose client does not know it yet.
pub(super) struct Accepted {
    session: Session,
    attachment: Arc<Attachment>,
    deflate: Option<DeflateParameters>,
}

impl Opening<'_> {
    /// Serves a stream of an HTTP/2 connection on this thread, which is mod_http2's, until the
    /// stream ends.
    pub(super) fn serve_stream(&self, connection: usize) -> Result<Answer, Refusal> {
        let Self {
            request, config, ..
        } = self;
        let _place =
            match http2::Place::take(connection, config.h2_max_streams(), settings::limits()) {
                Ok(place) => place,
                Err(full) => return Err(too_many_streams(request, config, full)),
            };
        match request.http2_input() {
            Ok(Some(input)) => self.block(Some(input)),
            Ok(None) => {
                let text = "the client has ended the stream with it";
                log_refusal(request, config, Level::Info, Cause::Handshake, text);
                Err(Refusal::BAD_REQUEST)
            }
            Err(error) => Err(out_of_resources(request, config, &error)),
        }
    }

    /// Serves the connection on this thread until it ends. `input` is the input of an HTTP/2
    /// stream, if it is one.
    pub(super) fn block(&self, input: Option<OwnedFd>) -> Result<Answer, Refusal> {
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

    /// Hands the connection to `reactor`.
    pub(super) fn suspend(&self, reactor: &Reactor) -> Result<Answer, Refusal> {
        let duplicate = self.duplicate_descriptor()?;
        let connection = reactor.prepare(Arc::clone(self.plugin));
        let wake = Arc::<Connection>::clone(&connection);
        let home = (connection.home(), wake as Arc<dyn Wake>);
        let session = self.accept(ServerLease::take(), home, holder(duplicate.as_ref()))?;
        if let Some(duplicate) = duplicate {
            self.detach(duplicate, &connection, session);
            return Ok(Answer::Done);
        }
        Ok(match self.take_transport() {
            Some(transport) => {
                let handover = Handover {
                    connection,
                    session,
                    transport,
                };
                self.request.suspend(Box::new(handover));
                Answer::Suspended
            }
            None => Answer::Done,
        })
    }

    /// The bytes of the connection, which has left HTTP. `None` if the client is gone.
    pub(super) fn take_transport(&self) -> Option<Transport> {
        let opened = self.request.take_connection_to_suspend();
        let opened = opened.and_then(Transport::of_connection);
        opened.inspect_err(|error| self.log_loss(error)).ok()
    }

    /// The duplicate of the descriptor that a detached connection keeps. `None` if httpd must not
    /// forget the connection.
    pub(super) fn duplicate_descriptor(&self) -> Result<Option<Duplicate>, Refusal> {
        if !self.config.is_detached() || self.plugin.source().is_of_request {
            return Ok(None);
        }
        let duplicate = self.request.duplicate_descriptor();
        duplicate.map_err(|error| self.out_of_resources(&error))
    }

    /// Hands the connection to its loop and makes httpd forget it.
    pub(super) fn detach(
        &self,
        duplicate: Duplicate,
        connection: &Arc<Connection>,
        mut session: Session,
    ) {
        session.application().outlive_request();
        let detached = self.request.detach(duplicate);
        match detached.and_then(|(socket, early)| Transport::detached(socket, early)) {
            Ok((transport, custody)) => connection.adopt(session, transport, custody),
            Err(error) => self.log_loss(&error),
        }
    }

    fn out_of_resources(&self, error: &io::Error) -> Refusal {
        out_of_resources(&self.request, self.config, error)
    }

    fn log_loss(&self, error: &io::Error) {
        let text = format!("the client is gone: {error}");
        self.request.log(Level::Info, &text);
    }

    /// Logs the accepted handshake, if handshakes are logged.
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

    /// Admits the client, asks the plugin and sends the 101 response.
    fn accept(
        &self,
        server: ServerLease,
        home: (Arc<dyn Home>, Arc<dyn Wake>),
        holder: Holder,
    ) -> Result<Session, Refusal> {
        let mut place = Some(self.admit(holder)?);
        let accepted = self.ask(&mut place, server, home, holder)?;
        Ok(self.answer(accepted))
    }

    /// Counts the connection, if there is room for it.
    pub(super) fn admit(&self, holder: Holder) -> Result<Place, Refusal> {
        admit(&self.request, self.config, holder)
    }

    /// Asks the plugin. Takes the place if the plugin accepts the client.
    pub(super) fn ask(
        &self,
        place: &mut Option<Place>,
        server: ServerLease,
        (home, wake): (Arc<dyn Home>, Arc<dyn Wake>),
        holder: Holder,
    ) -> Result<Accepted, Refusal> {
        let Self {
            request,
            handshake,
            config,
            plugin,
        } = self;
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
        let output = Output::new(
            config.queue_policy(),
            request.timeout(),
            home,
            wake,
            framing,
        );
        let attachment = Arc::new(Attachment::new(
            *request,
            Arc::clone(&output),
            &handshake.subprotocols,
            config.section().cloned(),
            TopicAccess::new(topics::space_of(request, config), config.topics().max()),
        ));
        shutdown::prepare_for(plugin).map_err(|error| self.out_of_resources(&error))?;
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
        let registration = register(&output, holder, config.drain_time(), account);
        let place = place.take().map(|place| place.with_burden(burden(holder)));
        let counted = (registration, place);
        let plugin = (Arc::clone(plugin), private, server);
        let plugged = Plugged::new(plugin, Arc::clone(&attachment), counted, memory);
        let receiver = Receiver::with_deflate(limits, deflate);
        let receiver = if plugged.is_in_parts() {
            receiver.in_parts()
        } else {
            receiver
        };
        let connection = protocol::Connection::new(
            receiver,
            handshake.version,
            output.timeout(),
            &config.lifespan().lifespan(),
            Instant::now(),
        );
        let mut session = Session::new(connection, output, plugged);
        if let Some(limit) = config.limits().message_rate() {
            session.limit(limit);
        }
        Ok(Accepted {
            session,
            attachment,
            deflate,
        })
    }

    /// Sends the 101 response.
    pub(super) fn answer(&self, accepted: Accepted) -> Session {
        let Self {
            request, handshake, ..
        } = self;
        let Accepted {
            session,
            attachment,
            deflate,
        } = accepted;
        shutdown::expect();
        attachment.set_open();
        // Set last, so that these headers hold whatever the plugin and other modules have set.
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
        session
    }
}

/// What serves a connection of the event driver.
pub(super) fn holder(duplicate: Option<&Duplicate>) -> Holder {
    match duplicate {
        Some(_) => Holder::Detached,
        None => Holder::Loop,
    }
}

fn out_of_resources(request: &Request, config: &Config, error: &io::Error) -> Refusal {
    let text = format!("the connection cannot be served: {error}");
    log_refusal(request, config, Level::Error, Cause::Resources, &text);
    for_now()
}

/// Refuses a WebSocket over HTTP/2 that would leave too few threads for other requests. If the
/// child process has too few threads, some may soon be free, so the client may try again. If the
/// connection has too many WebSockets, the client itself knows when one ends.
fn too_many_streams(request: &Request, config: &Config, full: Full) -> Refusal {
    log_refusal(
        request,
        config,
        Level::Info,
        Cause::Http2,
        &full.to_string(),
    );
    match full {
        Full::Connection(_) => Refusal::SERVICE_UNAVAILABLE,
        _ => for_now(),
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    names.join(", ")
}

/// The refusal when the plugin failed with an error, named an answer, or did neither.
fn by_plugin(
    request: Request,
    config: &Config,
    error: Option<String>,
    answer: Option<Refusal>,
) -> Refusal {
    if let Some(error) = error {
        log_refusal(&request, config, Level::Error, Cause::Failure, &error);
        return Refusal::INTERNAL_SERVER_ERROR;
    }
    let refusal = answer.unwrap_or(Refusal::FORBIDDEN);
    let text = format!("the plugin answers {}", refusal.status());
    log_refusal(&request, config, Level::Info, Cause::Plugin, &text);
    refusal
}
