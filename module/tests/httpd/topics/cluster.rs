//! What `cargo xtask cluster` serves.

use anyhow::{Context as _, Result, ensure};
use xtask::cluster::Cluster;
use xtask::demo;
use xtask::httpd::Httpd;
use xtask::server_root::ServerRoot;
use xtask::workspace::Workspace;

use crate::support::{Client, Context, Handshake, PATIENCE, cases, wait_until};

cases! {
    "cargo xtask cluster: the chat is the same on three servers, and one that was cut off catches up"
        => chat,
}

const EARLIER: &str = "this host gets its messages again";

/// A member of the lobby.
fn enter(httpd: &Httpd) -> Result<Client> {
    let mut client = Client::open(httpd.address(), &Handshake::to("/chat"))?;
    let you = client.next_text()?;
    ensure!(you.contains(r#""type":"you""#), "{you}");
    Ok(client)
}

/// What is said to find out whether a process reaches the broker. All hosts may hear it, or one.
const PROBE: &str = "probe";

/// Waits for something that is said. Others come and go meanwhile.
fn hear(client: &mut Client, text: &str) -> Result<()> {
    loop {
        let event = client.next_text()?;
        let is_probe = text != PROBE && event.contains(&format!(r#""text":"{PROBE}""#));
        if event.contains(r#""type":"said""#) && !is_probe {
            ensure!(event.contains(&format!(r#""text":"{text}""#)), "{event}");
            return Ok(());
        }
    }
}

fn say(client: &mut Client, text: &str) -> Result<()> {
    client.text(format!(r#"{{"type":"say","text":"{text}"}}"#))
}

fn chat(context: &Context) -> Result<()> {
    let workspace = Workspace::find()?;
    let libraries = workspace.built_libraries()?;
    let demos = demo::demos(&libraries)?;
    let root = || {
        let root = ServerRoot::temporary()?.mpm(context.mpm);
        let root = demo::served_by(root, &workspace, &libraries, &demos)?;
        anyhow::Ok(root.config("LogLevel websocket:info"))
    };
    let Some(cluster) = Cluster::start([root()?, root()?, root()?])? else {
        ensure!(std::env::var_os("CI").is_none(), "no Redis is installed");
        return Ok(());
    };
    let hosts = cluster.hosts();
    let mut members = hosts.iter().map(enter).collect::<Result<Vec<_>>>()?;
    for httpd in hosts {
        httpd.wait_for_log("gets its messages for this host", PATIENCE)?;
    }
    for (place, text) in ["one", "two", "three"].into_iter().enumerate() {
        say(&mut members[place], text)?;
        for member in &mut members {
            hear(member, text)?;
        }
    }
    let last = hosts.last().context("no host")?;
    cluster.link().cut();
    last.wait_for_log("go to subscribers of this host only meanwhile", PATIENCE)?;
    last.wait_for_log("nothing comes from it any more", PATIENCE)?;
    say(&mut members[0], "missed")?;
    for member in &mut members[..2] {
        hear(member, "missed")?;
    }
    ensure!(!last.error_log()?.contains(EARLIER));
    cluster.link().heal();
    hear(&mut members[2], "missed")?;
    // Each process publishes by itself, and finds out only then that it was cut off.
    say(&mut members[2], PROBE)?;
    hear(&mut members[2], PROBE)?;
    wait_until("all processes of the host publish again", || {
        let log = last.error_log()?;
        let cut_off = log.matches("go to subscribers of this host only").count();
        Ok(log.matches("reaches the broker again").count() == cut_off)
    })?;
    say(&mut members[2], "healed")?;
    for member in &mut members {
        hear(member, "healed")?;
    }
    Ok(())
}
