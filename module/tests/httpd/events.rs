//! Events and timers of plugins.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::keepalive::ways::on_all_ways_of;
use crate::rust::location;
use crate::support::journal::Journal;
use crate::support::wire::AnyClient;
use crate::support::{Client, Context, Handshake, PATIENCE, cases};

cases! {
    "plugin events: those of callbacks and threads come in order, on every kind of connection"
        => order,
    "plugin events: one that was posted in on_connect comes" => early,
    "plugin events: a later one comes after its time" => later,
    "plugin events: a connection has 1024 at most, and goes on when they are handled" => flood,
    "plugin events: those that are not handled are dropped before on_disconnect" => dropped,
    "plugin events: each one of a plugin in C is handled or discarded once" => c,
}

fn on_all_ways(
    context: &Context,
    body: impl Fn(&mut AnyClient) -> Result<()> + Sync,
) -> Result<()> {
    on_all_ways_of(context, "clerk", "", body)
}

fn order(context: &Context) -> Result<()> {
    const COUNT: usize = 500;
    on_all_ways(context, |client| {
        for (round, command) in ["post", "thread", "post"].iter().enumerate() {
            client.text(format!("{command} {COUNT}"))?;
            for number in 0..COUNT {
                client.expect_text(format!("{} {number}", round * COUNT + number + 1))?;
            }
            client.echo("still here")?;
        }
        Ok(())
    })
}

fn early(context: &Context) -> Result<()> {
    let location = location(context, "/clerk", "clerk", "");
    let httpd = context.root()?.config(location).start()?;
    let handshake = Handshake::to("/clerk").header("X-Early", "yes");
    Client::open(httpd.address(), &handshake)?.expect_text("1 early")
}

fn later(context: &Context) -> Result<()> {
    on_all_ways(context, |client| {
        for (number, delay) in [1_u64, 40, 300, 1000].into_iter().enumerate() {
            let began = Instant::now();
            client.text(format!("after {delay}"))?;
            client.expect_text(format!("{} later", number + 1))?;
            // The tests of the wheel say how late it may be. Here the machine may be busy.
            let took = began.elapsed();
            ensure!(took.as_millis() >= delay.into(), "{took:?}, not {delay} ms");
            ensure!(took < PATIENCE / 2, "{took:?}, not {delay} ms");
        }
        Ok(())
    })
}

fn flood(context: &Context) -> Result<()> {
    on_all_ways(context, |client| {
        for round in 1..4 {
            client.text("flood")?;
            client.expect_text("flooded 1024")?;
            client.expect_text(format!("{} flood", round * 1024))?;
        }
        client.echo("still here")
    })
}

fn dropped(context: &Context) -> Result<()> {
    let location = location(context, "/clerk", "clerk", "");
    let httpd = context.root()?.config(location).start()?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/clerk"))?;
    client.text("keep")?;
    client.echo("kept")?;
    client.close()?;
    httpd.wait_for_log("[Clerk] gone after 0 events", PATIENCE)?;
    let log = httpd.error_log()?;
    let place = |line: &str| log.find(line);
    ensure!(place("[Clerk] dropped kept").is_some(), "{log}");
    ensure!(
        place("[Clerk] dropped kept") < place("[Clerk] gone after 0 events"),
        "{log}"
    );
    Ok(())
}

fn c(context: &Context) -> Result<()> {
    let httpd = context.httpd()?;
    let journal = Journal::new(context)?;
    let mut client = Client::open(httpd.address(), &journal.handshake("/events"))?;
    for delay in ["0", "30", "200"] {
        client.text(delay)?;
        client.expect_text("event")?;
    }
    client.text("3600000")?;
    client.text("0")?;
    client.expect_text("event")?;
    client.close()?;
    journal.wait_for("disconnect")?;
    let lines = journal.lines()?;
    let early = lines.iter().any(|line| line.starts_with("event -"));
    ensure!(!early, "{lines:?}");
    let handled = lines.iter().filter(|line| line.starts_with("event"));
    ensure!(handled.count() == 4, "{lines:?}");
    ensure!(lines[4..] == ["discarded", "disconnect"], "{lines:?}");
    Ok(())
}
