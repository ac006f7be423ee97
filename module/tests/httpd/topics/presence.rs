//! Who is on a topic.

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{ask, crowd, open, open_elsewhere, start};
use crate::support::{Context, cases, wait_until};

cases! {
    "topics: subscribers of all children are counted" => count,
    "topics: WebSocketTopicPresence shows who is on a topic, and tells who comes and goes" => shown,
    "topics: without WebSocketTopicPresence nobody is shown" => hidden,
    "topics: whom a killed child had is not counted any more, and others are told" => killed,
}

fn count(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut clients = crowd(&httpd, 6, "sub room")?;
    let mut other = open(&httpd)?;
    let mut expect_count = |expected: usize| {
        wait_until(&format!("{expected} are counted"), || {
            Ok(ask(&mut other, "count room")? == expected.to_string())
        })
    };
    expect_count(6)?;
    ask(&mut clients[0], "unsub room")?;
    expect_count(5)?;
    for client in clients.drain(2..) {
        client.close()?;
    }
    expect_count(1)
}

const SHOWN: &str = "WebSocketTopicPresence room/*";

fn shown(context: &Context) -> Result<()> {
    let httpd = start(context, SHOWN)?;
    let mut watcher = open(&httpd)?;
    ask(&mut watcher, "info room/a watcher")?;
    let event = watcher.next_text()?;
    ensure!(
        event.starts_with(r#"{"type":"presence","topic":"room/a","joined":[{"id":""#)
            && event.contains(r#""info":"watcher""#),
        "{event}"
    );
    let mut clients = crowd(&httpd, 2, "info room/b other")?;
    ask(&mut clients[0], "info room/a guest")?;
    let event = watcher.next_text()?;
    ensure!(
        event.contains(r#""joined":[{"id":""#) && event.contains("guest"),
        "{event}"
    );
    let mut other = open(&httpd)?;
    let members = ask(&mut other, "who room/a")?;
    let mut members: Vec<_> = members.split(' ').collect();
    members.sort_unstable();
    ensure!(
        members == [r#"None:Some("guest")"#, r#"None:Some("watcher")"#],
        "{members:?}"
    );
    let guest = clients.swap_remove(0);
    drop(guest);
    let event = watcher.next_text()?;
    ensure!(event.contains(r#""left":[""#), "{event}");
    ensure!(ask(&mut other, "who room/a")? == r#"None:Some("watcher")"#);
    Ok(())
}

fn hidden(context: &Context) -> Result<()> {
    let httpd = start(context, SHOWN)?;
    let mut client = open(&httpd)?;
    ask(&mut client, "info hall me")?;
    ensure!(ask(&mut client, "who hall")?.is_empty());
    ensure!(ask(&mut client, "count hall")? == "1");
    Ok(())
}

fn killed(context: &Context) -> Result<()> {
    let httpd = start(context, SHOWN)?;
    let mut victim = open(&httpd)?;
    ask(&mut victim, "info room/a victim")?;
    let pid = ask(&mut victim, "pid")?;
    let mut watcher = open_elsewhere(&httpd, &pid)?;
    ask(&mut watcher, "info room/a watcher")?;
    wait_until("both are counted", || {
        Ok(ask_past_events(&mut watcher, "count room/a")? == "2")
    })?;
    let pid = Pid::from_raw(pid.parse()?).expect("a process");
    kill_process(pid, Signal::KILL)?;
    loop {
        if watcher.next_text()?.contains(r#""left":[""#) {
            break;
        }
    }
    ensure!(ask_past_events(&mut watcher, "count room/a")? == "1");
    ensure!(ask_past_events(&mut watcher, "who room/a")? == r#"None:Some("watcher")"#);
    Ok(())
}

/// Asks a client that may be told of others meanwhile.
pub(super) fn ask_past_events(
    client: &mut crate::support::Client,
    command: &str,
) -> Result<String> {
    client.text(command)?;
    loop {
        let text = client.next_text()?;
        if let Some(answer) = text.strip_prefix("= ") {
            return Ok(answer.into());
        }
    }
}
