//! Graceful restarts that change the broker.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use xtask::broker::{Broker, Kind};
use xtask::httpd::Httpd;
use xtask::server_root::Mpm;

use super::{broker, host, is_of_process, listener, position, publish, settle};
use crate::support::{Client, Context, cases, wait_until};
use crate::topics::{ask, open, root, text};

cases! {
    "hosts: topics go on when httpd is restarted with the same broker" => same,
    "hosts: topics go on when httpd is stopped and started with a broker and WebSocketTopicStore"
        => stored,
    "hosts: a graceful restart that adds a broker loses nothing for those who stay" => added,
    "hosts: a graceful restart that removes the broker loses nothing for those who stay" => removed,
    "hosts: a graceful restart that changes the broker loses nothing for those who stay" => changed,
    "hosts: a position from before the broker was removed leads to a gap, not to other messages"
        => positions_of_redis,
    "hosts (NATS): a position from before the broker was removed leads to a gap"
        => positions_of_nats,
}

const SETTINGS: &str = "WebSocketDrainTime 1h\nLogLevel info\nServerLimit 64";

fn config(address: Option<&str>) -> String {
    match address {
        Some(address) => format!("WebSocketTopicBroker {address}\n{SETTINGS}"),
        None => SETTINGS.into(),
    }
}

/// A running httpd, and the processes that it had before the last restart.
struct Restarted {
    httpd: Httpd,
    old: Vec<u32>,
}

impl Restarted {
    fn graceful(&mut self, context: &Context, config: &str) -> Result<()> {
        self.old = self.httpd.child_pids()?;
        self.httpd.replace_config(text(context, config))?;
        self.httpd.graceful()
    }

    /// A client in a new process. Old ones may accept connections for a moment yet.
    fn open(&self) -> Result<Client> {
        let mut found = None;
        wait_until("a new process serves", || {
            let mut client = open(&self.httpd)?;
            let pid = ask(&mut client, "pid")?.parse()?;
            found = (!self.old.contains(&pid)).then_some(client);
            Ok(found.is_some())
        })?;
        found.context("a client")
    }

    fn listener(&self, command: &str) -> Result<Client> {
        let mut client = self.open()?;
        ask(&mut client, command)?;
        Ok(client)
    }
}

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

fn added(context: &Context) -> Result<()> {
    let Some(after) = broker(Kind::Redis, &[])? else {
        return Ok(());
    };
    stays(context, None, Some(&after))
}

fn removed(context: &Context) -> Result<()> {
    let Some(before) = broker(Kind::Redis, &[])? else {
        return Ok(());
    };
    stays(context, Some(&before), None)
}

fn changed(context: &Context) -> Result<()> {
    let brokers = (broker(Kind::Redis, &[])?, broker(Kind::Nats, &[])?);
    let (Some(before), Some(after)) = brokers else {
        return Ok(());
    };
    stays(context, Some(&before), Some(&after))
}

/// Another host with this broker: somebody who listens, and somebody who speaks.
fn elsewhere(
    context: &Context,
    broker: Option<&Broker>,
) -> Result<Option<(Httpd, Client, Client)>> {
    let Some(broker) = broker else {
        return Ok(None);
    };
    let httpd = host(context, &broker.address(), SETTINGS)?;
    let client = listener(&httpd, "sub room")?;
    settle(&[&httpd])?;
    let speaker = open(&httpd)?;
    Ok(Some((httpd, client, speaker)))
}

/// Restarts a host whose broker is one before and another one after, while clients talk.
fn stays(context: &Context, before: Option<&Broker>, after: Option<&Broker>) -> Result<()> {
    if context.mpm == Mpm::Prefork {
        // A process ends when it is told to, and nobody stays.
        return Ok(());
    }
    let config_of = |broker: Option<&Broker>| config(broker.map(Broker::address).as_deref());
    let mut host = Restarted {
        httpd: root(context, &config_of(before))?.start()?,
        old: Vec::new(),
    };
    let mut far = [elsewhere(context, before)?, elsewhere(context, after)?];
    let mut near = vec![host.listener("sub room")?];
    if before.is_some() {
        settle(&[&host.httpd])?;
    }
    let mut speakers = vec![host.open()?];
    publish(&mut speakers[0], "room", "first")?;
    near[0].expect_text("first")?;
    if let Some((_, client, _)) = &mut far[0] {
        client.expect_text("first")?;
    }
    host.graceful(context, &config_of(after))?;
    near.push(host.listener("sub room")?);
    if after.is_some() {
        // The first new process that uses topics.
        let pid = ask(&mut near[1], "pid")?;
        wait_until("the new processes have their broker", || {
            let log = host.httpd.error_log()?;
            let mut lines = log.lines().filter(|line| line.contains("for this host"));
            Ok(lines.any(|line| is_of_process(line, &pid)))
        })?;
    }
    speakers.push(host.open()?);
    talk(&mut near, &mut speakers, &mut far)
}

/// Everybody here hears everybody. Who is elsewhere hears those with the same broker.
fn talk(
    near: &mut [Client],
    speakers: &mut [Client],
    far: &mut [Option<(Httpd, Client, Client)>; 2],
) -> Result<()> {
    const EACH: usize = 20;
    let mut count = 0;
    for number in 0..EACH {
        for (place, (speaker, far)) in speakers.iter_mut().zip(&mut *far).enumerate() {
            publish(speaker, "room", &format!("near{place}-{number}"))?;
            count += 1;
            if let Some((_, _, speaker)) = far {
                publish(speaker, "room", &format!("far{place}-{number}"))?;
                count += 1;
            }
        }
    }
    for client in near {
        let heard = (0..count).map(|_| client.next_text());
        check(&heard.collect::<Result<Vec<_>>>()?, EACH)?;
    }
    for (_, client, _) in far.iter_mut().flatten() {
        let heard = (0..2 * EACH).map(|_| client.next_text());
        check(&heard.collect::<Result<Vec<_>>>()?, EACH)?;
    }
    Ok(())
}

/// Whether messages of everybody are all there and in order.
fn check(heard: &[String], each: usize) -> Result<()> {
    let names = heard.iter().filter_map(|text| text.strip_suffix("-0"));
    for name in names {
        let prefix = format!("{name}-");
        let own = heard.iter().filter(|text| text.starts_with(&prefix));
        let expected = (0..each).map(|number| format!("{name}-{number}"));
        ensure!(own.cloned().eq(expected), "of {name}: {heard:?}");
    }
    Ok(())
}

fn positions_of_redis(context: &Context) -> Result<()> {
    positions(context, Kind::Redis)
}

fn positions_of_nats(context: &Context) -> Result<()> {
    positions(context, Kind::Nats)
}

fn positions(context: &Context, kind: Kind) -> Result<()> {
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let with_history =
        |address: Option<&str>| format!("{}\nWebSocketTopicHistory room 10", config(address));
    let address = broker.address();
    let mut host = Restarted {
        httpd: root(context, &with_history(Some(&address)))?.start()?,
        old: Vec::new(),
    };
    let mut client = host.listener("envelope room")?;
    settle(&[&host.httpd])?;
    publish(&mut host.open()?, "room", "1")?;
    let seen = position(&client.next_text()?)?;
    drop(client);
    host.graceful(context, &with_history(None))?;
    let local = ask(&mut host.open()?, "pub room 2")?;
    let (epoch, _) = seen.split_once('-').context("a position")?;
    ensure!(!local.starts_with(epoch), "{local} follows {seen}");
    let answer = ask(&mut host.open()?, &format!("since room {seen}"))?;
    ensure!(answer.starts_with("gap "), "{answer}");
    // And back: what was published meanwhile is not what the broker has.
    host.graceful(context, &with_history(Some(&address)))?;
    let mut client = host.listener("envelope room")?;
    publish(&mut host.open()?, "room", "3")?;
    let new = position(&client.next_text()?)?;
    ensure!(new.starts_with(epoch), "{new} follows {seen}");
    for missed in [&local, &seen] {
        let answer = ask(&mut host.open()?, &format!("since room {missed}"))?;
        ensure!(answer.starts_with("gap "), "since {missed}: {answer}");
    }
    let answer = ask(&mut host.open()?, &format!("since room {new}"))?;
    ensure!(answer == format!("complete 0 {new}"), "{answer}");
    Ok(())
}
