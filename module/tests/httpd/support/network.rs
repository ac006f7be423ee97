//! A network behind links that go down: nothing tells the server so.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Client, Handshake};

/// A network of its own that only links lead to. Dropping it removes them, too.
pub(crate) struct Network {
    name: String,
    number: u32,
    links: Vec<Link>,
}

/// A link between the server and a network.
#[derive(Clone)]
pub(crate) struct Link {
    network: String,
    inside: String,
    /// Its address on this side.
    pub(crate) server: Ipv4Addr,
    /// Its address in the network.
    pub(crate) client: Ipv4Addr,
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
    /// A network with so many links, or `None` after a line that says why there can be none.
    pub(crate) fn with_links(count: u8) -> Option<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + process::id();
        let mut network = Self {
            name: format!("websocket-{number}"),
            number,
            links: Vec::new(),
        };
        match network.begin(count) {
            Ok(()) => Some(network),
            Err(error) => {
                eprintln!("skipped: no network namespaces here: {error:#}");
                None
            }
        }
    }

    fn begin(&mut self, count: u8) -> Result<()> {
        let (name, number) = (&self.name, self.number);
        ip(&format!("netns add {name}"))?;
        ip(&format!("-n {name} link set lo up"))?;
        let mut links = Vec::new();
        for link in 0..count {
            let outside = format!("ws{number}-{link}");
            // Addresses for tests of RFC 2544, which nobody uses otherwise.
            let address = |host| Ipv4Addr::new(198, 18, number.to_le_bytes()[0], 4 * link + host);
            let link = Link {
                network: name.clone(),
                inside: format!("inside{link}"),
                server: address(1),
                client: address(2),
            };
            let Link {
                inside,
                server,
                client,
                ..
            } = &link;
            ip(&format!(
                "link add {outside} type veth peer name {inside} netns {name}"
            ))?;
            ip(&format!("addr add {server}/30 dev {outside}"))?;
            ip(&format!("link set {outside} up"))?;
            ip(&format!("-n {name} addr add {client}/30 dev {inside}"))?;
            link.set_up(true)?;
            links.push(link);
        }
        self.links = links;
        Ok(())
    }

    /// The links, in the order in which they were made.
    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// Does something inside. Processes that it starts stay there.
    pub(crate) fn inside<T: Send>(&self, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let space = File::open(format!("/run/netns/{}", self.name))?;
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                // Only this thread moves.
                move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?;
                body()
            });
            inside.join().expect("it does not panic")
        })
    }

    /// Opens a WebSocket from inside.
    pub(crate) fn open(&self, address: SocketAddr, handshake: &Handshake) -> Result<Client> {
        self.inside(|| Client::open(address, handshake))
    }
}

impl Link {
    /// Has the link go down, or come back.
    pub(crate) fn set_up(&self, is_up: bool) -> Result<()> {
        let state = if is_up { "up" } else { "down" };
        ip(&format!(
            "-n {} link set {} {state}",
            self.network, self.inside
        ))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The links go with it. An error means that it was not made.
        let _ = ip(&format!("netns del {}", self.name));
    }
}
