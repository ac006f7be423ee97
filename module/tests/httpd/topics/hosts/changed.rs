//! Restarts with a broker.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;
use xtask::broker::Kind;
use xtask::server_root::Mpm;

use super::{broker, host, listener, position, publish, settle};
use crate::support::{Context, cases};
use crate::topics::open;

cases! {
    "hosts: topics go on when httpd is restarted with the same broker" => same,
    "hosts: topics go on when httpd is stopped and started with a broker and WebSocketTopicStore"
        => stored,
}

const SETTINGS: &str = "WebSocketDrainTime 1h\nLogLevel info\nServerLimit 64";

fn same(context: &Context) -> Result<()> {
    let Some(broker) = broker(Kind::Redis, &[])? else {
        return Ok(());
    };
    let httpd = host(context, &broker.address(), SETTINGS)?;
    let other = host(context, &broker.address(), SETTINGS)?;
    let mut far = listener(&other, "sub room")?;
    drop(listener(&httpd, "sub room")?);
    settle(&[&httpd, &other])?;
    let mut clients = Vec::new();
    for text in ["first", "second", "third"] {
        httpd.graceful()?;
        let mut client = listener(&httpd, "sub room")?;
        publish(&mut open(&httpd)?, "room", text)?;
        client.expect_text(text)?;
        far.expect_text(text)?;
        clients.push(client);
    }
    if context.mpm != Mpm::Prefork {
        clients[0].expect_text("second")?;
        clients[0].expect_text("third")?;
    }
    Ok(())
}

fn stored(context: &Context) -> Result<()> {
    let Some(broker) = broker(Kind::Redis, &[])? else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    // The children's user has to get there.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let store = folder.path().join("topics");
    let config = format!(
        "{SETTINGS}\nWebSocketTopicStore {}\nWebSocketTopicHistory room 10",
        store.display()
    );
    let mut seen = None;
    for text in ["1", "2"] {
        let httpd = host(context, &broker.address(), &config)?;
        let mut client = listener(&httpd, "envelope room")?;
        settle(&[&httpd])?;
        publish(&mut open(&httpd)?, "room", text)?;
        let position = position(&client.next_text()?)?;
        if let Some(seen) = seen.replace(position) {
            let mut late = open(&httpd)?;
            late.text(format!("since room {seen}"))?;
            late.expect_text("2")?;
        }
        httpd.stop()?;
    }
    Ok(())
}
