//! One test for all kinds of connections.

use std::thread;

use anyhow::{Context as _, Result};
use xtask::httpd::Httpd;

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
    let httpd = start(context, config)?;
    let mut ways = SOCKETS.to_vec();
    if context.serves_http2()? {
        ways.push(("HTTP/2", http2));
    }
    on_each(&httpd, &ways, body)
}

/// The same, but not over HTTP/2.
pub(crate) fn on_sockets(
    context: &Context,
    config: &str,
    body: impl Fn(&mut AnyClient) -> Result<()> + Sync,
) -> Result<()> {
    on_each(&start(context, config)?, &SOCKETS, body)
}

/// A name, and what opens a WebSocket.
type Way = (&'static str, fn(&Httpd) -> Result<AnyClient>);

const SOCKETS: [Way; 3] = [("plain", plain), ("detached", detached), ("TLS", tls)];

fn plain(httpd: &Httpd) -> Result<AnyClient> {
    let mut client = Client::connect_with_buffer(httpd.address(), BUFFER_SIZE)?;
    client.upgrade(&Handshake::to("/echo"))?;
    Ok(any(client))
}

fn detached(httpd: &Httpd) -> Result<AnyClient> {
    let mut client = Client::connect_with_buffer(httpd.address(), BUFFER_SIZE)?;
    client.upgrade(&Handshake::to("/detached"))?;
    Ok(any(client))
}

fn tls(httpd: &Httpd) -> Result<AnyClient> {
    let mut client = Client::connect_tls_with_buffer(httpd, BUFFER_SIZE)?;
    client.upgrade(&Handshake::to("/echo"))?;
    Ok(any(client))
}

fn http2(httpd: &Httpd) -> Result<AnyClient> {
    alone(Http2::connect(httpd.address())?, &Handshake::to("/echo"))
}

fn on_each(
    httpd: &Httpd,
    ways: &[Way],
    body: impl Fn(&mut AnyClient) -> Result<()> + Sync,
) -> Result<()> {
    thread::scope(|scope| {
        let ways = ways.iter().map(|(name, open)| {
            let body = &body;
            scope.spawn(move || body(&mut open(httpd)?).context(*name))
        });
        let ways: Vec<_> = ways.collect();
        ways.into_iter()
            .try_for_each(|way| way.join().expect("it does not panic"))
    })
}
