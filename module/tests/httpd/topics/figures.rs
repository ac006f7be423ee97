//! What the status shows of topics and their broker.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use xtask::broker::Kind;
use xtask::httpd::Httpd;
use xtask::link::Link;

use super::hosts::{broker, host, listener, publish, settle};
use super::{ask, crowd, expect, open, open_elsewhere, start};
use crate::status::pages::{LOCATION, get, report};
use crate::support::{Context, cases, wait_until};

cases! {
    "topics: the status counts subscriptions, and messages published and delivered" => counts,
    "hosts: the status says whether the broker is connected or cut, and since when" => state,
    "hosts: the status counts messages that wait for the broker" => waiting,
    "hosts: the status counts messages that the broker has and this host has not got" => behind,
}

/// Waits until a part of the report is as expected.
pub(super) fn await_part(
    httpd: &Httpd,
    part: &str,
    is_expected: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let mut last = Value::Null;
    let waited = wait_until("the report is as expected", || {
        last = report(httpd)?[part].clone();
        Ok(is_expected(&last))
    });
    waited
        .with_context(|| last.to_string())
        .map(|()| last.clone())
}

fn await_topics(httpd: &Httpd, [subscriptions, published, delivered]: [u64; 3]) -> Result<()> {
    let expected = json!({
        "subscriptions": subscriptions,
        "published": published,
        "delivered": delivered,
    });
    await_part(httpd, "topics", |topics| *topics == expected).map(drop)
}

fn counts(context: &Context) -> Result<()> {
    let httpd = start(
        context,
        &format!("{LOCATION}WebSocketTopicHistory room 10\n"),
    )?;
    ensure!(!get(&httpd, "")?.contains("id=\"topics\""));
    let mut clients = crowd(&httpd, 3, "sub room")?;
    await_topics(&httpd, [3, 0, 0])?;
    ensure!(report(&httpd)?["broker"].is_null());
    // To subscribe anew is no other subscription, and a second way to a message sends it once.
    ask(&mut clients[0], "envelope room")?;
    ask(&mut clients[1], "sub *")?;
    await_topics(&httpd, [4, 0, 0])?;
    let mut speaker = open(&httpd)?;
    let position = ask(&mut speaker, "pub room x")?;
    for client in &mut clients {
        client.next_text()?;
    }
    expect(&mut speaker, "pub no/body x", "-")?;
    await_topics(&httpd, [4, 2, 3])?;
    let html = get(&httpd, "")?;
    ensure!(html.contains("<td>4</td><td>2</td><td>3</td>"), "{html}");
    // What comes from the history is delivered, too.
    let mut late = open(&httpd)?;
    let (epoch, _) = position.split_once('-').context("a position")?;
    late.text(format!("since room {epoch}-0"))?;
    late.expect_text("x")?;
    await_topics(&httpd, [5, 2, 4])?;
    expect(&mut clients[2], "unsub room", "left")?;
    await_topics(&httpd, [4, 2, 4])?;
    drop((clients, late));
    await_topics(&httpd, [0, 2, 4])
}

fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

fn state(context: &Context) -> Result<()> {
    let Some(broker) = broker(Kind::Redis, &[])? else {
        return Ok(());
    };
    let link = Link::to(broker.port())?;
    let httpd = host(context, &broker.kind().address(link.port()), LOCATION)?;
    ensure!(report(&httpd)?["broker"].is_null());
    let began = now()?;
    let _listener = listener(&httpd, "sub room")?;
    let is = |broker: &Value, state: &str, since: u64| {
        broker["state"] == state && broker["since"].as_u64() >= Some(since)
    };
    let connected = await_part(&httpd, "broker", |broker| {
        is(broker, "connected", began) && broker["processes"]["connected"].as_u64() >= Some(1)
    })?;
    ensure!(connected["processes"]["cut"] == 0, "{connected}");
    link.cut();
    let cut_at = now()?;
    let cut = await_part(&httpd, "broker", |broker| {
        is(broker, "cut", cut_at) && broker["processes"]["connected"] == 0
    })?;
    ensure!(cut["behind_messages"].is_null(), "{cut}");
    let metrics = get(&httpd, "?format=openmetrics")?;
    for line in [
        "websocket_broker_state{state=\"connected\"} 0",
        "websocket_broker_state{state=\"cut\"} 1",
        "websocket_broker_processes{state=\"connected\"} 0",
    ] {
        ensure!(metrics.lines().any(|it| it == line), "{line}: {metrics}");
    }
    ensure!(!metrics.contains("\nwebsocket_broker_messages_behind "));
    ensure!(get(&httpd, "")?.contains("<td>cut</td>"));
    link.heal();
    let healed_at = now()?;
    await_part(&httpd, "broker", |broker| {
        is(broker, "connected", healed_at) && broker["processes"]["cut"] == 0
    })?;
    Ok(())
}

fn waiting(context: &Context) -> Result<()> {
    let Some(broker) = broker(Kind::Redis, &[])? else {
        return Ok(());
    };
    let httpd = host(
        context,
        &broker.address(),
        &format!("{LOCATION}LogLevel info"),
    )?;
    let mut listener = listener(&httpd, "sub room")?;
    let mut speaker = open(&httpd)?;
    settle(&[&httpd])?;
    publish(&mut speaker, "room", "0")?;
    listener.expect_text("0")?;
    await_part(&httpd, "broker", |broker| broker["waiting_messages"] == 0)?;
    broker.pause()?;
    let mut wait = || {
        for text in ["1", "2", "3"] {
            publish(&mut speaker, "room", text)?;
        }
        await_part(&httpd, "broker", |broker| {
            broker["waiting_messages"].as_u64() >= Some(3)
        })
    };
    let waits = wait();
    broker.resume()?;
    waits?;
    for text in ["1", "2", "3"] {
        listener.expect_text(text)?;
    }
    await_part(&httpd, "broker", |broker| broker["waiting_messages"] == 0)?;
    Ok(())
}

fn behind(context: &Context) -> Result<()> {
    const COUNT: u64 = 20;
    let Some(broker) = broker(Kind::Redis, &[])? else {
        return Ok(());
    };
    let one = host(context, &broker.address(), "LogLevel info")?;
    let two = host(
        context,
        &broker.address(),
        &format!("{LOCATION}LogLevel info"),
    )?;
    let mut first = listener(&two, "sub room")?;
    settle(&[&two])?;
    let importer = ask(&mut first, "pid")?;
    // Another process asks the broker how far it is, too.
    let mut other = open_elsewhere(&two, &importer)?;
    ask(&mut other, "sub room")?;
    await_part(&two, "broker", |broker| {
        broker["processes"]["connected"].as_u64() >= Some(2) && broker["behind_messages"] == 0
    })?;
    let importer = Pid::from_raw(importer.parse()?).context("a process")?;
    kill_process(importer, Signal::STOP)?;
    let speak = || {
        let mut speaker = open(&one)?;
        for number in 0..COUNT {
            publish(&mut speaker, "room", &number.to_string())?;
        }
        await_part(&two, "broker", |broker| {
            broker["behind_messages"].as_u64() >= Some(COUNT)
        })
    };
    let is_behind = speak();
    kill_process(importer, Signal::CONT)?;
    is_behind?;
    for client in [&mut first, &mut other] {
        for number in 0..COUNT {
            client.expect_text(number.to_string())?;
        }
    }
    await_part(&two, "broker", |broker| broker["behind_messages"] == 0)?;
    Ok(())
}
