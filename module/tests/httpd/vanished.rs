//! Clients behind a link that goes down: nothing tells the server that they are gone.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use xtask::httpd::Httpd;
use xtask::port::free_port;

use crate::support::journal::Journal;
use crate::support::network::Network;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Handshake, cases, wait_until};

cases! {
    "a client whose link goes down is gone after interval and timeout, and others are served"
        => silent,
    "a client whose link goes down while it takes output is gone after interval and timeout"
        => taking,
    "a client whose link comes back in time is still connected" => back,
}

const CONFIG: &str = "Timeout 60\nWebSocketPingInterval 500ms\nWebSocketPingTimeout 1s\n";

/// Longer than a busy machine delays anything, and far less than TCP takes to give up.
const SOON: Duration = Duration::from_secs(8);

/// Runs `body` with a server that a network of its own reaches at an address, if there can be one.
fn with_network(
    context: &Context,
    body: impl Fn(&Httpd, &Network, SocketAddr) -> Result<()>,
) -> Result<()> {
    let Some(network) = Network::with_links(1) else {
        return Ok(());
    };
    let address = SocketAddr::from((network.links()[0].server, free_port()?));
    let hermit = context
        .plugins()
        .rust_location("/detached", "hermit")
        .replace("</Location>", "WebSocketDetach On\n</Location>");
    let httpd = context
        .root()?
        .config(context.plugins().locations())
        .config(hermit)
        .config(
            context
                .plugins()
                .location("/unpinged", "echo", "WebSocketPingInterval Off"),
        )
        .config(format!("Listen {address} http\n{CONFIG}"))
        .start()?;
    body(&httpd, &network, address)?;
    ensure_healthy(&httpd.error_log()?)
}

fn silent(context: &Context) -> Result<()> {
    with_network(context, |httpd, network, address| {
        let journal = Journal::new(context)?;
        let mut lost = network.open(address, &journal.handshake("/journal"))?;
        lost.echo("hello")?;
        let mut detached = network.open(address, &Handshake::to("/detached"))?;
        detached.echo("hello")?;
        let mut other = Client::open(httpd.address(), &Handshake::to("/unpinged"))?;
        network.links()[0].set_up(false)?;
        journal.expect_one_disconnect(SOON)?;
        httpd.wait_for_log("[Hermit] gone", SOON)?;
        let told = "the WebSocket has ended: closed by the server (timeout) with code 1011";
        wait_until("both ends are logged", || {
            Ok(httpd.error_log()?.matches(told).count() == 2)
        })?;
        other.echo("still here")?;
        other.close()
    })
}

fn taking(context: &Context) -> Result<()> {
    with_network(context, |httpd, network, address| {
        let journal = Journal::new(context)?;
        let handshake = journal.handshake("/journal").header("X-Stream", "1000000");
        let mut lost = network.open(address, &handshake)?;
        lost.frame()?;
        network.links()[0].set_up(false)?;
        journal.expect_one_disconnect(SOON)?;
        Client::open(httpd.address(), &Handshake::to("/echo"))?.close()
    })
}

fn back(context: &Context) -> Result<()> {
    with_network(context, |httpd, network, address| {
        let target = "/echo";
        let mut client = network.open(address, &Handshake::to(target))?;
        client.echo("hello")?;
        network.links()[0].set_up(false)?;
        let began = Instant::now();
        // Less than interval and timeout.
        thread::sleep(Duration::from_millis(300));
        network.links()[0].set_up(true)?;
        if began.elapsed() > Duration::from_secs(1) {
            bail!("this machine is too busy: {:?}", began.elapsed());
        }
        client.echo("still here")?;
        client.close()?;
        ensure!(!httpd.error_log()?.contains("ping timeout"));
        Ok(())
    })
}
