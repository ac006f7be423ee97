//! Who is on a topic of all hosts, and how many.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use xtask::broker::Kind;
use xtask::httpd::Httpd;

use xtask::link::Link;

use super::{broker, broker_cases, host, settle};
use crate::support::{Case, Client, Context, PATIENCE, wait_until};
use crate::topics::open;
use crate::topics::presence::ask_past_events as ask;

broker_cases! {
    "subscribers of all hosts are counted and shown, and told who comes and goes" => shown,
    "a host that starts later knows who is on topics of others" => late,
    "whoever was on a host that is killed or cut off is gone within a minute" => silent,
    "after a cut hosts know again who is on topics of others" => healed,
}

pub(crate) const LIVE_CASES: &[Case] = &[
    Case {
        name: "hosts (NATS without JetStream): subscribers of all hosts are counted and shown",
        run: |context| shown(context, Kind::LiveNats),
    },
    Case {
        name: "hosts (NATS without JetStream): a host that starts later knows who is on topics",
        run: |context| late(context, Kind::LiveNats),
    },
];

/// Clients that only wait answer no pings here.
const CONFIG: &str = "WebSocketTopicPresence room/*\nWebSocketPingInterval Off\nLogLevel info";

/// A host is gone after 50 seconds, and a busy machine may need longer to notice.
const GONE: Duration = Duration::from_secs(80);

/// A client that has subscribed, and is shown with this text.
fn member(httpd: &Httpd, info: &str) -> Result<Client> {
    let mut client = open(httpd)?;
    ask(&mut client, &format!("info room/a {info}"))?;
    Ok(client)
}

/// Waits until these are shown, and as many counted.
fn expect(httpd: &Httpd, names: &[&str]) -> Result<()> {
    let mut client = open(httpd)?;
    wait_until(&format!("{names:?} are there"), || {
        Ok(is_there(&mut client, names)?.is_ok())
    })
}

/// Whether these are shown, and as many counted; an error has what came instead.
fn is_there(client: &mut Client, names: &[&str]) -> Result<Result<(), String>> {
    let shown = ask(client, "who room/a")?;
    let count = ask(client, "count room/a")?;
    let mut expected: Vec<_> = names
        .iter()
        .map(|it| format!("None:Some(\"{it}\")"))
        .collect();
    expected.sort_unstable();
    let mut members: Vec<_> = shown.split(' ').filter(|it| !it.is_empty()).collect();
    members.sort_unstable();
    let is_right = members == expected && count == names.len().to_string();
    Ok(is_right.then_some(()).ok_or(format!("{count}: {shown}")))
}

/// Waits until nobody else is there any more.
fn expect_alone(httpd: &Httpd, name: &str, since: Instant) -> Result<()> {
    let mut client = open(httpd)?;
    while let Err(found) = is_there(&mut client, &[name])? {
        ensure!(since.elapsed() < GONE, "not only {name}: {found}");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Waits for an event.
fn expect_event(client: &mut Client, what: &str, part: &str) -> Result<()> {
    loop {
        let event = client.next_text()?;
        if event.contains(&format!(r#""{what}":["#)) && event.contains(part) {
            return Ok(());
        }
    }
}

fn shown(context: &Context, kind: Kind) -> Result<()> {
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let one = host(context, &broker.address(), CONFIG)?;
    let two = host(context, &broker.address(), CONFIG)?;
    let mut watcher = member(&one, "watcher")?;
    let guest = member(&two, "guest")?;
    expect_event(&mut watcher, "joined", "guest")?;
    let others = [member(&two, "x")?, member(&one, "y")?];
    for httpd in [&one, &two] {
        expect(httpd, &["guest", "watcher", "x", "y"])?;
    }
    drop(others);
    for httpd in [&one, &two] {
        expect(httpd, &["guest", "watcher"])?;
    }
    drop(guest);
    expect_event(&mut watcher, "left", "")?;
    for httpd in [&one, &two] {
        expect(httpd, &["watcher"])?;
    }
    Ok(())
}

fn late(context: &Context, kind: Kind) -> Result<()> {
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let one = host(context, &broker.address(), CONFIG)?;
    let _guests = [member(&one, "a")?, member(&one, "b")?];
    expect(&one, &["a", "b"])?;
    let two = host(context, &broker.address(), CONFIG)?;
    expect(&two, &["a", "b"])?;
    let _third = member(&two, "c")?;
    for httpd in [&one, &two] {
        expect(httpd, &["a", "b", "c"])?;
    }
    Ok(())
}

fn silent(context: &Context, kind: Kind) -> Result<()> {
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let link = Link::to(broker.port())?;
    let one = host(context, &broker.address(), CONFIG)?;
    let killed = host(context, &broker.address(), CONFIG)?;
    let cut = host(context, &kind.address(link.port()), CONFIG)?;
    let _stays = member(&one, "stays")?;
    let _victim = member(&killed, "victim")?;
    let _cut_off = member(&cut, "cut-off")?;
    for httpd in [&one, &cut] {
        expect(httpd, &["cut-off", "stays", "victim"])?;
    }
    link.cut();
    let parent = killed.pid();
    let pids = [parent].into_iter().chain(killed.child_pids()?);
    for pid in pids {
        let pid = Pid::from_raw(pid.try_into()?).context("a process")?;
        kill_process(pid, Signal::KILL)?;
    }
    let since = Instant::now();
    expect_alone(&one, "stays", since)?;
    expect_alone(&cut, "cut-off", since)?;
    link.heal();
    for httpd in [&one, &cut] {
        expect(httpd, &["cut-off", "stays"])?;
    }
    Ok(())
}

fn healed(context: &Context, kind: Kind) -> Result<()> {
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let link = Link::to(broker.port())?;
    let one = host(context, &broker.address(), CONFIG)?;
    let two = host(context, &kind.address(link.port()), CONFIG)?;
    let _first = member(&one, "first")?;
    let guest = member(&two, "guest")?;
    settle(&[&one, &two])?;
    for httpd in [&one, &two] {
        expect(httpd, &["first", "guest"])?;
    }
    link.cut();
    two.wait_for_log("nothing comes from it any more", PATIENCE)?;
    drop(guest);
    let _second = member(&one, "second")?;
    let _third = member(&two, "third")?;
    let mut client = open(&two)?;
    wait_until("the cut-off host knows its own", || {
        let shown = ask(&mut client, "who room/a")?;
        Ok(shown.contains("third") && !shown.contains("guest"))
    })?;
    ensure!(!ask(&mut client, "who room/a")?.contains("second"));
    link.heal();
    for httpd in [&one, &two] {
        expect(httpd, &["first", "second", "third"])?;
    }
    Ok(())
}
