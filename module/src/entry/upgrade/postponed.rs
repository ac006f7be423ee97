//! Handshakes that are answered when the MPM's thread has let the connection go.
//!
//! An async plugin may wait for another server in `on_connect`. So the handler returns
//! `SUSPENDED` before the plugin is asked. When the MPM hands the connection over, a thread of the
//! reactor's pool asks the plugin. That thread then has the request and the connection to itself,
//! and does what the handler's thread and httpd would do otherwise.

#![allow(unsafe_code)]

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::head::head;
use super::opening::{Opening, holder};
use crate::entry::admission::for_now;
use crate::entry::config;
use crate::entry::refused::{Cause, log_refusal};
use crate::httpd::answer::Answer;
use crate::httpd::detached::Duplicate;
use crate::httpd::guard::guard;
use crate::httpd::log::Level;
use crate::httpd::parked::Parked;
use crate::httpd::quota::Place;
use crate::httpd::refusal::Refusal;
use crate::httpd::request::Request;
use crate::httpd::suspend::{Adopter, Suspended};
use crate::output::Wake;
use crate::plugin::{LoadedPlugin, ServerLease};
use crate::protocol::ClientHandshake;
use crate::reactor::{Connection, Reactor};
use crate::registry::Holder;
use crate::session::Session;
use crate::transport::{Custody, Transport};

/// When to look for the first and the last time whether the MPM has run all hooks of the handover.
/// Each look comes after twice the time.
const FIRST_LOOK: Duration = Duration::from_micros(20);
const LAST_LOOK: Duration = Duration::from_millis(256);

/// How long a refused client may take nothing of its answer. A thread of the pool waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A handshake that waits for the MPM's thread to let its connection go.
struct Postponed {
    request: Request,
    plugin: Arc<LoadedPlugin>,
    parked: Parked,
    place: Place,
    duplicate: Option<Duplicate>,
    reactor: &'static Reactor,
}

/// A session and its bytes.
type Opened = (Session, Transport);

/// Whether the plugin may wait when it is asked, and threads of the pool may wait with it.
pub(super) fn is_possible(opening: &Opening<'_>, reactor: &Reactor) -> bool {
    opening.plugin.has_threads() && reactor.takes_handshakes()
}

/// Leaves the answer to a thread of the reactor's pool.
pub(super) fn postpone(
    opening: &Opening<'_>,
    reactor: &'static Reactor,
) -> Result<Answer, Refusal> {
    let duplicate = opening.duplicate_descriptor()?;
    // Also what is going to be detached is a connection of the MPM until then.
    let place = opening.admit(Holder::Loop)?;
    let request = opening.request;
    let postponed = Postponed {
        request,
        plugin: Arc::clone(opening.plugin),
        parked: request.park(),
        place,
        duplicate,
        reactor,
    };
    request.suspend(Box::new(postponed));
    Ok(Answer::Suspended)
}

impl Adopter for Postponed {
    fn adopt(self: Box<Self>, suspended: Suspended) {
        let reactor = self.reactor;
        reactor.take_handshake(Box::new(move |is_stopping| {
            self.answer(suspended, is_stopping);
        }));
    }
}

impl Postponed {
    /// Asks the plugin and answers the client. Called by a thread of the pool, which has the
    /// request and the connection to itself.
    fn answer(self, suspended: Suspended, is_stopping: bool) {
        let Self {
            request,
            plugin,
            parked,
            place,
            duplicate,
            reactor,
        } = self;
        // SAFETY: the request lives until `suspended` is finished. The MPM's thread has run the
        // handlers of its chain.
        unsafe { parked.restore() };
        // SAFETY: as above; nothing below keeps the configuration.
        let config = unsafe { config::of(request) };
        let connection = reactor.prepare(Arc::clone(&plugin));
        // A client that is refused keeps its place until it has been told.
        let mut place = Some(place);
        let opened = guard("the opening handshake", Err(internal()), || {
            check(&request, config, &suspended, is_stopping)?;
            let head = head(&request);
            let Ok(Some(handshake)) = ClientHandshake::parse(&head) else {
                return Err(internal());
            };
            let opening = Opening {
                request,
                handshake,
                config,
                plugin: &plugin,
            };
            open(&opening, (&mut place, duplicate), &connection, &suspended)
        });
        if let Err(refusal) = &opened {
            guard("a refusal", (), || refuse(request, refusal, &suspended));
        }
        let custody = Custody::Suspended(suspended);
        match opened {
            Ok(Some((session, transport))) => connection.adopt(session, transport, custody),
            // The connection is no WebSocket, or its WebSocket does without httpd.
            _ => reactor.prepare(plugin).close(custody, is_stopping),
        }
    }
}

const fn internal() -> Refusal {
    Refusal::INTERNAL_SERVER_ERROR
}

/// Whether it makes sense to ask the plugin.
fn check(
    request: &Request,
    config: &config::Config,
    suspended: &Suspended,
    is_stopping: bool,
) -> Result<(), Refusal> {
    let text = if is_stopping {
        "the process is about to end"
    } else if suspended.socket().is_at_end() {
        "the client has left while it waited for its turn"
    } else {
        return Ok(());
    };
    log_refusal(request, config, Level::Info, Cause::Resources, text);
    Err(for_now())
}

/// Asks the plugin, and sends the 101 response. Returns `None` if the connection needs httpd no
/// longer, because it is detached or lost.
fn open(
    opening: &Opening<'_>,
    (place, duplicate): (&mut Option<Place>, Option<Duplicate>),
    connection: &Arc<Connection>,
    suspended: &Suspended,
) -> Result<Option<Opened>, Refusal> {
    let wake = Arc::<Connection>::clone(connection);
    let home = (connection.home(), wake as Arc<dyn Wake>);
    let holder = holder(duplicate.as_ref());
    let accepted = opening.ask(place, ServerLease::take(), home, holder)?;
    wait_for_handover(suspended);
    let session = opening.answer(accepted);
    Ok(match duplicate {
        Some(duplicate) => {
            opening.detach(duplicate, connection, session);
            None
        }
        None => opening.take_transport().map(|bytes| (session, bytes)),
    })
}

/// Answers with a refusal, unless something else was answered, and has httpd end the connection.
fn refuse(request: Request, refusal: &Refusal, suspended: &Suspended) {
    if request.has_left_http() {
        return;
    }
    wait_for_handover(suspended);
    // Only the MPM could wait for the next request.
    request.end_connection();
    let answer = refusal.send(request);
    request.complete(answer, PATIENCE);
}

/// Waits until the MPM has run all hooks of the handover: until then the connection has a place in
/// the scoreboard, which belongs to the MPM's thread. They take some microseconds, and the plugin
/// was asked meanwhile.
fn wait_for_handover(suspended: &Suspended) {
    let mut pause = FIRST_LOOK;
    while !suspended.is_handed_over() {
        thread::sleep(pause);
        pause = (2 * pause).min(LAST_LOOK);
    }
}
