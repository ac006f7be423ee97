//! One test for all kinds of connections.

use std::thread;

use anyhow::{Context as _, Result};
use xtask::httpd::Httpd;

use crate::rust::attached_and_detached;
use crate::support::http2::Http2;
use crate::support::wire::{AnyClient, alone, any};
use crate::support::{Client, Context, Handshake};

/// A server with an echo on every kind of connection: plain, over TLS, detached, over HTTP/2.
pub(crate) fn start(context: &Context, config: &str) -> Result<Httpd> {
    let plugins = context.plugins();
    let detached = plugins
        .rust_location("/detached", "hermit")
        .replace("</Location>", "WebSocketDetach On\n</Location>");
    let root = context
        .root()?
        .config(plugins.locations())
        .config(detached)
        .config(config)
        .tls_port(xtask::port::free_port()?);
    context.with_http2(root)?.start()
}

/// Clients take so much that they do not read: the rest waits on the server's side.
const BUFFER_SIZE: usize = 1 << 16;

/// Runs `body` with a client of each kind, all at once.
pub(crate) fn on_all_ways(
    context: &Context,
    config: &str,
    body: impl Fn(&mut AnyClient) -> Result<()> + Sync,
) -> Result<()> {
    on_all_ways_to(context, config, ECHO, body)
}

/// The same, to other plugins than an echo: those of a location, and of one with detached
/// connections.
pub(crate) fn on_all_ways_to(
    context: &Context,
    config: &str,
    targets: [&str; 2],
    body: impl Fn(&mut AnyClient) -> Result<()> + Sync,
) -> Result<()> {
    let httpd = start(context, config)?;
    let mut ways = SOCKETS.to_vec();
    if context.serves_http2()? {
        ways.push(("HTTP/2", http2));
    }
    on_each(&httpd, &ways, targets, body)
}

/// The same, to a plugin in Rust with additional directives. A query may follow its name.
pub(crate) fn on_all_ways_of(
    context: &Context,
    plugin: &str,
    directives: &str,
    body: impl Fn(&mut AnyClient) -> Result<()> + Sync,
) -> Result<()> {
    let (name, query) = plugin.split_at(plugin.find('?').unwrap_or(plugin.len()));
    let config = attached_and_detached(context, name, directives);
    let targets = [
        format!("/{name}{query}"),
        format!("/{name}_detached{query}"),
    ];
    on_all_ways_to(context, &config, [&*targets[0], &*targets[1]], body)
}

/// The same, but not over HTTP/2.
pub(crate) fn on_sockets(
    context: &Context,
    config: &str,
    body: impl Fn(&mut AnyClient) -> Result<()> + Sync,
) -> Result<()> {
    on_each(&start(context, config)?, &SOCKETS, ECHO, body)
}

/// A name, and what opens a WebSocket to one of two targets.
type Way = (&'static str, fn(&Httpd, [&str; 2]) -> Result<AnyClient>);

/// Where to find an echo, and one with detached connections.
const ECHO: [&str; 2] = ["/echo", "/detached"];

const SOCKETS: [Way; 3] = [("plain", plain), ("detached", detached), ("TLS", tls)];

fn plain(httpd: &Httpd, [target, _]: [&str; 2]) -> Result<AnyClient> {
    let mut client = Client::connect_with_buffer(httpd.address(), BUFFER_SIZE)?;
    client.upgrade(&Handshake::to(target))?;
    Ok(any(client))
}

fn detached(httpd: &Httpd, [_, target]: [&str; 2]) -> Result<AnyClient> {
    let mut client = Client::connect_with_buffer(httpd.address(), BUFFER_SIZE)?;
    client.upgrade(&Handshake::to(target))?;
    Ok(any(client))
}

fn tls(httpd: &Httpd, [target, _]: [&str; 2]) -> Result<AnyClient> {
    let mut client = Client::connect_tls_with_buffer(httpd, BUFFER_SIZE)?;
    client.upgrade(&Handshake::to(target))?;
    Ok(any(client))
}

fn http2(httpd: &Httpd, [target, _]: [&str; 2]) -> Result<AnyClient> {
    alone(Http2::connect(httpd.address())?, &Handshake::to(target))
}

fn on_each(
    httpd: &Httpd,
    ways: &[Way],
    targets: [&str; 2],
    body: impl Fn(&mut AnyClient) -> Result<()> + Sync,
) -> Result<()> {
    thread::scope(|scope| {
        let ways = ways.iter().map(|(name, open)| {
            let body = &body;
            scope.spawn(move || body(&mut open(httpd, targets)?).context(*name))
        });
        let ways: Vec<_> = ways.collect();
        ways.into_iter()
            .try_for_each(|way| way.join().expect("it does not panic"))
    })
}
