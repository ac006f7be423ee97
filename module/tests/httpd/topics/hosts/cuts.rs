//! Hosts that are cut off from their broker for a while.

use anyhow::{Context as _, Result, bail, ensure};
use xtask::broker::Kind;
use xtask::httpd::Httpd;
use xtask::link::Link as Relay;

use super::{broker, broker_cases, host, is_of_process, listener, position, publish, settle};
use crate::support::network::{Link, Network};
use crate::support::{Client, Context, PATIENCE, wait_until};
use crate::topics::{ask, open};

broker_cases! {
    "while the broker is stopped publishing is refused, and what was accepted comes later"
        => stopped,
    "a broker that is killed and comes back has lost nothing that it has stored" => killed,
    "subscribers of a host that was cut off get what they have missed" => repaired,
    "a host whose link to the broker goes down without a word gets what it has missed" => link_down,
    "if the broker has not kept what was missed, subscribers are closed and told of a gap"
        => gap,
    "a broker that has lost its messages is noticed" => emptied,
    "WebSocketTopicPartition Local sends to this host while the broker is away" => local,
}

const INFO: &str = "LogLevel info";

/// Publishes numbers until one is refused. Returns the first that was not accepted.
fn publish_until_refused(speaker: &mut Client, mut number: usize) -> Result<usize> {
    wait_until("publishing is refused", || {
        let answer = ask(speaker, &format!("pub room {number}"))?;
        if answer.contains("error log says why") {
            return Ok(true);
        }
        ensure!(answer == "-", "{answer}");
        number += 1;
        Ok(false)
    })?;
    Ok(number)
}

/// Publishes a number as soon as that is possible again.
fn publish_when_healed(speaker: &mut Client, number: usize) -> Result<()> {
    wait_until("publishing works again", || {
        Ok(ask(speaker, &format!("pub room {number}"))? == "-")
    })
}

fn expect_numbers(listeners: &mut [Client], count: usize) -> Result<()> {
    for client in listeners {
        for number in 0..count {
            client.expect_text(number.to_string())?;
        }
    }
    Ok(())
}

fn stopped(context: &Context, kind: Kind) -> Result<()> {
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let hosts = [
        host(context, &broker.address(), INFO)?,
        host(context, &broker.address(), INFO)?,
    ];
    let mut listeners = listeners(&hosts)?;
    settle(&[&hosts[0], &hosts[1]])?;
    let mut speaker = open(&hosts[0])?;
    for number in 0..5 {
        publish(&mut speaker, "room", &number.to_string())?;
    }
    broker.pause()?;
    let refused = publish_until_refused(&mut speaker, 5);
    let line = hosts[0].wait_for_log("cannot be reached, publishing is refused", PATIENCE);
    broker.resume()?;
    let next = refused?;
    line?;
    publish_when_healed(&mut speaker, next)?;
    hosts[0].wait_for_log("reaches the broker again", PATIENCE)?;
    expect_numbers(&mut listeners, next + 1)
}

fn listeners(hosts: &[Httpd]) -> Result<Vec<Client>> {
    hosts
        .iter()
        .map(|httpd| listener(httpd, "sub room"))
        .collect()
}

fn killed(context: &Context, kind: Kind) -> Result<()> {
    let Some(mut broker) = broker(kind, kind.with_store())? else {
        return Ok(());
    };
    let hosts = [
        host(context, &broker.address(), INFO)?,
        host(context, &broker.address(), INFO)?,
    ];
    let mut listeners = listeners(&hosts)?;
    settle(&[&hosts[0], &hosts[1]])?;
    let mut speaker = open(&hosts[0])?;
    for number in 0..5 {
        publish(&mut speaker, "room", &number.to_string())?;
    }
    broker.kill()?;
    let next = publish_until_refused(&mut speaker, 5)?;
    broker.start_again()?;
    publish_when_healed(&mut speaker, next)?;
    expect_numbers(&mut listeners, next + 1)
}

fn repaired(context: &Context, kind: Kind) -> Result<()> {
    const COUNT: usize = 50;
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let link = Relay::to(broker.port())?;
    let hosts = [
        host(context, &broker.address(), INFO)?,
        host(context, &kind.address(link.port()), INFO)?,
    ];
    let mut listeners = listeners(&hosts)?;
    settle(&[&hosts[0], &hosts[1]])?;
    link.cut();
    hosts[1].wait_for_log("nothing comes from it any more", PATIENCE)?;
    let mut speaker = open(&hosts[0])?;
    for number in 0..COUNT {
        publish(&mut speaker, "room", &number.to_string())?;
    }
    expect_numbers(&mut listeners[..1], COUNT).context("the other host, during the cut")?;
    link.heal();
    expect_numbers(&mut listeners[1..], COUNT).context("this host, after the cut")?;
    let text = format!("this host gets its messages again; {COUNT} came meanwhile");
    hosts[1].wait_for_log(&text, PATIENCE)?;
    publish_when_healed(&mut open(&hosts[1])?, 0)?;
    for (number, client) in listeners.iter_mut().enumerate() {
        let heard = client.expect_text("0");
        heard.with_context(|| format!("host {number}, from this one"))?;
    }
    Ok(())
}

/// Three hosts, and a broker in a network of its own. Packets of the third vanish for a while.
fn link_down(context: &Context, kind: Kind) -> Result<()> {
    let Some(network) = Network::with_links(2) else {
        return Ok(());
    };
    let Some(broker) = network.inside(|| broker(kind, kind.for_others()))? else {
        return Ok(());
    };
    let [stays, goes] = network.links() else {
        bail!("two links");
    };
    let config = "WebSocketTopicHistory room 100\nLogLevel info";
    let start = |link: &Link| {
        let address = kind.address_at(link.client, broker.port());
        host(context, &address, config)
    };
    let hosts = [start(stays)?, start(stays)?, start(goes)?];
    let mut listeners = listeners(&hosts)?;
    let [one, two, cut] = &hosts;
    settle(&[one, two, cut])?;
    let mut speakers = [open(one)?, open(cut)?];
    for number in 0..10 {
        publish(&mut speakers[number % 2], "room", &number.to_string())?;
        for client in &mut listeners {
            client.expect_text(number.to_string())?;
        }
    }
    goes.set_up(false)?;
    cut.wait_for_log("nothing comes from it any more", PATIENCE)?;
    for number in 10..20 {
        publish(&mut speakers[0], "room", &number.to_string())?;
        for client in &mut listeners[..2] {
            client.expect_text(number.to_string())?;
        }
    }
    goes.set_up(true)?;
    publish_when_healed(&mut speakers[1], 20)?;
    for number in 10..=20 {
        // The others have heard the first of these.
        let listening = if number < 20 { 2.. } else { 0.. };
        for client in &mut listeners[listening] {
            client.expect_text(number.to_string())?;
        }
    }
    for number in 21..30 {
        publish(&mut speakers[number % 2], "room", &number.to_string())?;
        for client in &mut listeners {
            client.expect_text(number.to_string())?;
        }
    }
    Ok(())
}

/// Expects the end of a client that has missed something, without a message before.
pub(super) fn expect_closed(client: &mut Client) -> Result<()> {
    let frame = client.frame()?;
    ensure!(
        frame.payload.starts_with(&1013_u16.to_be_bytes()),
        "{frame:?}"
    );
    Ok(())
}

fn gap(context: &Context, kind: Kind) -> Result<()> {
    // Redis removes whole nodes of a hundred.
    const COUNT: usize = 450;
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let link = Relay::to(broker.port())?;
    let config = "WebSocketTopicHistory a 1000\nLogLevel info";
    let start = |port| host(context, &format!("{} keep:100", kind.address(port)), config);
    let (one, two) = (start(broker.port())?, start(link.port())?);
    let (mut stays, mut misses) = (listener(&one, "envelope a")?, listener(&two, "envelope a")?);
    settle(&[&one, &two])?;
    let mut speaker = open(&one)?;
    publish(&mut speaker, "a", "seen")?;
    let seen = position(&misses.next_text()?)?;
    stays.next_text()?;
    link.cut();
    two.wait_for_log("nothing comes from it any more", PATIENCE)?;
    for number in 0..COUNT {
        publish(&mut speaker, "a", &number.to_string())?;
        stays.next_text()?;
    }
    // Until it is told, a client can go on from what this host has.
    let mut waiting = open(&two)?;
    let answer = ask(&mut waiting, &format!("since a {seen}"))?;
    ensure!(answer == format!("complete 0 {seen}"), "{answer}");
    link.heal();
    expect_closed(&mut misses)?;
    expect_closed(&mut waiting)?;
    two.wait_for_log("messages are missing", PATIENCE)?;
    // While it still gets some, one may come before the answer.
    two.wait_for_log("this host gets its messages again", PATIENCE)?;
    let answer = ask(&mut open(&two)?, &format!("since a {seen}"))?;
    ensure!(answer.starts_with("gap "), "{answer}");
    // Both have the newest, and go on. The process of this client may still be sending what came
    // before.
    let mut client = listener(&two, "sub a")?;
    publish(&mut speaker, "a", "new")?;
    let mut least = 0;
    loop {
        let text = client.next_text()?;
        if text == "new" {
            break;
        }
        let number: usize = text.parse()?;
        ensure!(least <= number && number < COUNT, "{number} is not next");
        least = number + 1;
    }
    let position = position(&last(&mut stays)?)?;
    let answer = ask(&mut open(&two)?, &format!("since a {position}"))?;
    ensure!(answer == format!("complete 0 {position}"), "{answer}");
    Ok(())
}

fn last(client: &mut Client) -> Result<String> {
    let text = client.next_text()?;
    ensure!(text.contains(r#""data":"new""#), "{text}");
    Ok(text)
}

fn emptied(context: &Context, kind: Kind) -> Result<()> {
    let Some(mut broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let config = "WebSocketTopicHistory a 10\nLogLevel info";
    let one = host(context, &broker.address(), config)?;
    let mut client = listener(&one, "envelope a")?;
    let mut speaker = open(&one)?;
    let mut seen = String::new();
    for text in ["1", "2", "3"] {
        publish(&mut speaker, "a", text)?;
        seen = position(&client.next_text()?)?;
    }
    broker.kill()?;
    broker.empty()?;
    broker.start_again()?;
    wait_until("publishing works again", || {
        Ok(ask(&mut speaker, "pub a new")? == "-")
    })?;
    expect_closed(&mut client)?;
    let answer = ask(&mut open(&one)?, &format!("since a {seen}"))?;
    ensure!(answer.starts_with("gap "), "{answer}");
    // The broker may not have confirmed the last one before it was killed.
    wait_until("the new message has come back from the broker", || {
        let kept = ask(&mut open(&one)?, "history a")?;
        Ok(["new", "3 new"].contains(&&*kept))
    })
}

fn local(context: &Context, kind: Kind) -> Result<()> {
    let Some(broker) = broker(kind, &[])? else {
        return Ok(());
    };
    let link = Relay::to(broker.port())?;
    let config = "WebSocketTopicHistory room 10\nWebSocketTopicPartition Local\nLogLevel info";
    let hosts = [
        host(context, &broker.address(), config)?,
        host(context, &kind.address(link.port()), config)?,
    ];
    let mut listeners = listeners(&hosts)?;
    let [far, near] = &mut listeners[..] else {
        bail!("two clients");
    };
    settle(&[&hosts[0], &hosts[1]])?;
    let mut speaker = open(&hosts[1])?;
    publish(&mut speaker, "room", "before")?;
    far.expect_text("before")?;
    near.expect_text("before")?;
    link.cut();
    let pid = ask(&mut speaker, "pid")?;
    let wait_for_log_of_process = |text: &str| {
        wait_until(text, || {
            let log = hosts[1].error_log()?;
            let mut lines = log.lines().filter(|line| line.contains(text));
            Ok(lines.any(|line| is_of_process(line, &pid)))
        })
    };
    wait_for_log_of_process("go to subscribers of this host only meanwhile")?;
    publish(&mut speaker, "room", "meanwhile")?;
    near.expect_text("meanwhile")?;
    link.heal();
    wait_for_log_of_process("reaches the broker again")?;
    publish(&mut speaker, "room", "after")?;
    near.expect_text("after")?;
    far.expect_text("after")?;
    // What only one host has got is in no history.
    let kept = ask(&mut open(&hosts[1])?, "history room")?;
    ensure!(!kept.contains("meanwhile"), "{kept}");
    Ok(())
}
