//! Clients behind a link that goes down: nothing tells the server that they are gone.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use xtask::port::free_port;

use crate::support::journal::Journal;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Handshake, cases, wait_until};

cases! {
    "a client whose link goes down is gone after interval and timeout, and others are served"
        => silent,
    "a client whose link goes down while it takes output is gone after interval and timeout"
        => taking,
    "a client whose link comes back in time is still connected" => back,
}

/// A network of its own that only a pair of links leads to. Dropping it removes both.
struct Network {
    name: String,
    link: String,
    number: u8,
}

/// The next free number, which makes the names and addresses differ.
static NEXT: AtomicU32 = AtomicU32::new(0);

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .context("cannot run ip")?;
    ensure!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

impl Network {
    fn new() -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + process::id();
        let network = Self {
            name: format!("websocket-{number}"),
            link: format!("ws{number}"),
            number: number.to_le_bytes()[0],
        };
        let Self { name, link, .. } = &network;
        let (server, client) = (network.server(), network.client());
        ip(&format!("netns add {name}"))?;
        ip(&format!(
            "link add {link} type veth peer name inside netns {name}"
        ))?;
        ip(&format!("addr add {server}/30 dev {link}"))?;
        ip(&format!("link set {link} up"))?;
        ip(&format!("-n {name} addr add {client}/30 dev inside"))?;
        network.set_up(true)?;
        Ok(network)
    }

    /// The addresses for tests of RFC 2544, which nobody uses otherwise.
    fn server(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, 1)
    }

    fn client(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, 2)
    }

    /// Has the link go down, or come back.
    fn set_up(&self, is_up: bool) -> Result<()> {
        let state = if is_up { "up" } else { "down" };
        ip(&format!("-n {} link set inside {state}", self.name))
    }

    /// Opens a WebSocket from inside.
    fn open(&self, address: SocketAddr, handshake: &Handshake) -> Result<Client> {
        let space = File::open(format!("/run/netns/{}", self.name))?;
        thread::scope(|scope| {
            let opening = scope.spawn(|| {
                // Only this thread moves.
                move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?;
                Client::open(address, handshake)
            });
            opening.join().expect("it does not panic")
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The links go with it. An error means that it was not made.
        let _ = ip(&format!("netns del {}", self.name));
    }
}

const CONFIG: &str = "Timeout 60\nWebSocketPingInterval 500ms\nWebSocketPingTimeout 1s\n";

/// Longer than a busy machine delays anything, and far less than TCP takes to give up.
const SOON: Duration = Duration::from_secs(8);

/// Runs `body` with a server that a network of its own reaches at an address, if there can be one.
fn with_network(
    context: &Context,
    body: impl Fn(&xtask::httpd::Httpd, &Network, SocketAddr) -> Result<()>,
) -> Result<()> {
    let network = match Network::new() {
        Ok(network) => network,
        Err(error) => {
            eprintln!("skipped: no network namespaces here: {error:#}");
            return Ok(());
        }
    };
    let address = SocketAddr::from((network.server(), free_port()?));
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
        network.set_up(false)?;
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
        network.set_up(false)?;
        journal.expect_one_disconnect(SOON)?;
        Client::open(httpd.address(), &Handshake::to("/echo"))?.close()
    })
}

fn back(context: &Context) -> Result<()> {
    with_network(context, |httpd, network, address| {
        let target = "/echo";
        let mut client = network.open(address, &Handshake::to(target))?;
        client.echo("hello")?;
        network.set_up(false)?;
        let began = Instant::now();
        // Less than interval and timeout.
        thread::sleep(Duration::from_millis(300));
        network.set_up(true)?;
        if began.elapsed() > Duration::from_secs(1) {
            bail!("this machine is too busy: {:?}", began.elapsed());
        }
        client.echo("still here")?;
        client.close()?;
        ensure!(!httpd.error_log()?.contains("ping timeout"));
        Ok(())
    })
}
