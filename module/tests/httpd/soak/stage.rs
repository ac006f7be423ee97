//! The server of a soak, and what its clients share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use xtask::httpd::Httpd;
use xtask::port;
use xtask::server_root::{Mpm, Sizing};

use crate::status::pages;
use crate::support::Context;

/// The number of WebSocket threads of an idle child.
pub(super) const THREADS: usize = 2;

/// The number of threads of a child that serve requests.
pub(super) const MPM_THREADS: u32 = 64;

/// Those of mod_http2, more than there are WebSockets over HTTP/2 at a time. Each drives them as
/// they come.
pub(super) const HTTP2_THREADS: u32 = 32;

/// What all clients of a phase see.
pub(super) struct Stage<'a> {
    pub(super) context: &'a Context,
    pub(super) httpd: &'a Httpd,
    pub(super) tally: &'a Tally,
    /// Whether httpd is restarted gracefully meanwhile.
    pub(super) restarts: bool,
    /// How long each client pauses between two connections.
    pub(super) pause: Duration,
    pub(super) until: Instant,
    /// Set when a client has failed.
    pub(super) has_failed: AtomicBool,
}

/// What clients have seen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Messages that came back, or came from others, as they were to.
    pub(super) messages: AtomicUsize,
    /// Pings of the server that were awaited.
    pub(super) pings: AtomicUsize,
    /// Connections that the server closed because its process was being replaced.
    pub(super) drained: AtomicUsize,
    /// The number of the next connection that comes and goes.
    pub(super) next: AtomicU64,
    /// How many of these were answered.
    pub(super) answered: AtomicUsize,
}

impl Stage<'_> {
    /// Whether clients are to end.
    pub(super) fn is_over(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed) || Instant::now() >= self.until
    }

    /// Waits for so long, but not beyond the end.
    pub(super) fn pause(&self, time: Duration) {
        let left = self.until.saturating_duration_since(Instant::now());
        thread::sleep(time.min(left));
    }
}

/// Counts one.
pub(super) fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Starts the server. `echo` is the directive that names the plugin at `/echo`.
pub(super) fn start(context: &Context, echo: &str) -> Result<Httpd> {
    let plugins = context.plugins();
    let sizing = Sizing {
        processes: 1,
        threads: MPM_THREADS,
    };
    // Processes of prefork come and go with the load, so that they could not be compared.
    let children = if context.mpm == Mpm::Prefork {
        "StartServers 32\nMinSpareServers 1\nMaxRequestWorkers 40\n"
    } else {
        ""
    };
    let socket = format!("SetHandler websocket-handler\n{echo}\n");
    let compressed = "WebSocketCompression On\n";
    let own = "WebSocketCompressionContext Connection\n";
    let detached = plugins
        .rust_location("/detached", "hermit")
        .replace("</Location>", "WebSocketDetach On\n</Location>");
    let root = context
        .root()?
        .sizing(sizing)
        .tls_port(port::free_port()?)
        // Each heap grows until it has reached its own maximum.
        .environment("MALLOC_ARENA_MAX", "1")
        .config(children)
        .config(format!(
            "LogLevel warn websocket:info\nKeepAliveTimeout 2\n\
             WebSocketThreads {THREADS} 16\nWebSocketDrainTime Unlimited\n\
             WebSocketPingInterval 1s\n\
             <Location /echo>\n{socket}</Location>\n\
             <Location /compressed>\n{socket}{compressed}</Location>\n\
             <Location /compressed/own>\n{own}</Location>\n\
             <Location /brief>\n{socket}WebSocketDrainTime 1s\n</Location>\n\
             <Location /mute>\n{socket}WebSocketPingInterval 500ms\nWebSocketPingTimeout 1s\n\
             </Location>\n"
        ))
        .config(format!(
            "<IfModule http2_module>\nH2MinWorkers {HTTP2_THREADS}\n\
             H2MaxWorkers {HTTP2_THREADS}\n</IfModule>"
        ))
        .config(detached)
        .config(plugins.location("/room", "room", compressed))
        .config(plugins.location("/swarm", "swarm", ""))
        .config(pages::LOCATION);
    context.with_http2(root)?.start()
}
