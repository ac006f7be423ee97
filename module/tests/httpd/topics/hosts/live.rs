//! NATS without JetStream: messages pass, and nothing is kept.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use xtask::broker::Kind;
use xtask::link::Link;

use super::cuts::expect_closed;
use super::{broker, host, is_of_process, listener, position, publish, quiet_speaker, settle};
use crate::status::pages::LOCATION;
use crate::support::{Context, PATIENCE, cases, wait_until};
use crate::topics::figures::await_part;
use crate::topics::{ask, open, open_elsewhere};

cases! {
    "hosts (NATS without JetStream): messages come to all hosts, which have histories of their own"
        => histories,
    "hosts (NATS without JetStream): subscribers of a host that was cut off are closed" => cut,
    "hosts (NATS without JetStream): what is sent again comes once" => again,
    "hosts (NATS without JetStream): when another process goes on importing there may be a gap"
        => killed,
}

const CONFIG: &str = "WebSocketTopicHistory a 10\nLogLevel info";

fn histories(context: &Context) -> Result<()> {
    let Some(broker) = broker(Kind::LiveNats, &[])? else {
        return Ok(());
    };
    let hosts = [
        host(context, &broker.address(), CONFIG)?,
        host(context, &broker.address(), CONFIG)?,
    ];
    let mut listeners = [
        listener(&hosts[0], "envelope a")?,
        listener(&hosts[1], "envelope a")?,
    ];
    settle(&[&hosts[0], &hosts[1]])?;
    hosts[0].wait_for_log(
        "has no JetStream: each host has histories of its own",
        PATIENCE,
    )?;
    let mut speaker = open(&hosts[0])?;
    let mut positions = [String::new(), String::new()];
    for text in ["1", "2", "3"] {
        publish(&mut speaker, "a", text)?;
        for (listener, seen) in listeners.iter_mut().zip(&mut positions) {
            let envelope = listener.next_text()?;
            ensure!(
                envelope.contains(&format!(r#""data":"{text}""#)),
                "{envelope}"
            );
            let position = position(&envelope)?;
            if text == "2" {
                *seen = position;
            }
        }
    }
    for (at, httpd) in hosts.iter().enumerate() {
        let mut client = open(httpd)?;
        client.text(format!("since a {}", positions[at]))?;
        client.expect_text("3")?;
        ensure!(client.next_text()?.starts_with("= complete 1 "));
        let elsewhere = format!("since a {}", positions[1 - at]);
        let answer = ask(&mut open(httpd)?, &elsewhere)?;
        ensure!(answer.starts_with("gap "), "{answer}");
    }
    Ok(())
}

fn cut(context: &Context) -> Result<()> {
    let Some(broker) = broker(Kind::LiveNats, &[])? else {
        return Ok(());
    };
    let link = Link::to(broker.port())?;
    let one = host(context, &broker.address(), CONFIG)?;
    let two = host(context, &broker.kind().address(link.port()), CONFIG)?;
    let mut stays = listener(&one, "envelope a")?;
    let mut misses = listener(&two, "envelope a")?;
    settle(&[&one, &two])?;
    let mut speaker = open(&one)?;
    publish(&mut speaker, "a", "seen")?;
    let seen = position(&misses.next_text()?)?;
    stays.next_text()?;
    link.cut();
    two.wait_for_log("nothing comes from it any more", PATIENCE)?;
    publish(&mut speaker, "a", "missed")?;
    stays.next_text()?;
    link.heal();
    expect_closed(&mut misses)?;
    two.wait_for_log("this host gets its messages again", PATIENCE)?;
    let answer = ask(&mut open(&two)?, &format!("since a {seen}"))?;
    ensure!(answer.starts_with("gap "), "{answer}");
    let mut client = listener(&two, "sub a")?;
    publish(&mut speaker, "a", "new")?;
    client.expect_text("new")?;
    ensure!(stays.next_text()?.contains("new"));
    ensure!(ask(&mut open(&two)?, "history a")? == "new");
    Ok(())
}

fn again(context: &Context) -> Result<()> {
    let Some(broker) = broker(Kind::LiveNats, &[])? else {
        return Ok(());
    };
    let link = Link::to(broker.port())?;
    let one = host(context, &broker.address(), "LogLevel info")?;
    let two = host(
        context,
        &broker.kind().address(link.port()),
        &format!("{LOCATION}LogLevel info"),
    )?;
    let mut listener = listener(&one, "sub room")?;
    settle(&[&one])?;
    let mut speaker = quiet_speaker(&two)?;
    publish(&mut speaker, "room", "first")?;
    listener.expect_text("first")?;
    // The broker's answer comes back after the message has come to the other host.
    await_part(&two, "broker", |broker| broker["waiting_messages"] == 0)?;
    link.silence();
    publish(&mut speaker, "room", "1")?;
    listener.expect_text("1")?;
    two.wait_for_log("cannot be reached, publishing is refused", PATIENCE)?;
    link.cut();
    link.heal();
    wait_until("publishing works again", || {
        Ok(ask(&mut speaker, "pub room 2")? == "-")
    })?;
    listener.expect_text("2")
}

fn killed(context: &Context) -> Result<()> {
    let Some(broker) = broker(Kind::LiveNats, &[])? else {
        return Ok(());
    };
    let httpd = host(context, &broker.address(), "LogLevel info")?;
    let mut first = open(&httpd)?;
    ask(&mut first, "sub room")?;
    let line = httpd.wait_for_log("gets its messages for this host", PATIENCE)?;
    let importer = ask(&mut first, "pid")?;
    ensure!(is_of_process(&line, &importer), "{line}");
    let mut other = open_elsewhere(&httpd, &importer)?;
    ask(&mut other, "sub room")?;
    let pid = Pid::from_raw(importer.parse()?).context("a process")?;
    kill_process(pid, Signal::KILL)?;
    expect_closed(&mut other)?;
    let mut client = listener(&httpd, "sub room")?;
    publish(&mut open(&httpd)?, "room", "new")?;
    client.expect_text("new")
}
