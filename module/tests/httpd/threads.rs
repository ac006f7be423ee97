//! Plugins that have threads, and whose habits the module must support.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Driver, Handshake, Opcode, cases, wait_until};

cases! {
    "threads may send while they hold a mutex that callbacks take" => mutex,
    "sends before, during and after on_disconnect return promptly" => late_sends,
    "the request can be used from threads until on_disconnect returns" => request,
    "requests used by threads survive concurrent traffic" => busy_requests,
    "a kept WebSocketServer reaches a later connection or nothing" => kept_table,
    "a kept WebSocketServer may be used at any moment" => kept_table_under_load,
}

fn mutex(context: &Context) -> Result<()> {
    let journal = Journal::new(context)?;
    let mut client = context.open_with(&journal.handshake("/mutex"))?;
    for number in 0..20 {
        let sent = format!("message {number}");
        client.text(&sent)?;
        while client.next_text()? != sent {}
    }
    client.send(masked(Opcode::CLOSE, ""))?;
    client.drain()?;
    journal.expect_one_disconnect(Duration::from_secs(5))
}

fn late_sends(context: &Context) -> Result<()> {
    type End = fn(Client) -> Result<()>;
    let ends: [(&str, End); 4] = [
        ("a close frame", |mut client| {
            client.send(masked(Opcode::CLOSE, ""))
        }),
        ("the end", |client| {
            drop(client);
            Ok(())
        }),
        ("a reset", Client::reset),
        ("a mistake", |mut client| client.send(masked(0x83, "wrong"))),
    ];
    for (name, end) in ends {
        let journal = Journal::new(context)?;
        let handshake = journal.handshake("/late").header("X-Linger", "100");
        let mut client = context.open_with(&handshake)?;
        client.expect_text("chatter")?;
        end(client)?;
        let joined: u64 = journal.wait_for("joined ")?.parse()?;
        ensure!(
            joined < 1000,
            "{name}: on_disconnect waited {joined} ms for senders"
        );
        ensure!(
            journal.wait_for("late ")? == "0",
            "{name}: sent after the end"
        );
        ensure!(
            journal.wait_for("request ")? == "1",
            "{name}: no request in on_disconnect"
        );
        journal.expect_one_disconnect(Duration::from_secs(5))?;
    }
    Ok(())
}

fn request(context: &Context) -> Result<()> {
    let journal = Journal::new(context)?;
    let mut client = context.open_with(&journal.handshake("/request/path?a=1"))?;
    client.echo("start")?;
    for number in 0..50 {
        client.echo(&number.to_string())?;
    }
    client.close()?;
    journal.wait_for("disconnect")?;
    journal.wait_for("cleaned")?;
    let lines = journal.lines()?;
    let ends = lines
        .get(lines.len().saturating_sub(2)..)
        .unwrap_or_default();
    ensure!(ends == ["disconnect", "cleaned"], "{lines:?}");
    ensure!(journal.count("wrong")? == 0, "{lines:?}");
    Ok(())
}

fn busy_requests(context: &Context) -> Result<()> {
    let httpd = context.start_small(8, "")?;
    let mut opened = Vec::new();
    for number in 0..6 {
        let journal = Journal::new(context)?;
        let target = format!("/request/p?number={number}");
        let mut client = Client::open(httpd.address(), &journal.handshake(&target))?;
        client.echo("start")?;
        opened.push((journal, client));
    }
    let payload = "x".repeat(5000);
    for _ in 0..40 {
        for (_, client) in &mut opened {
            client.echo(&payload)?;
        }
    }
    for (number, (journal, client)) in opened.into_iter().enumerate() {
        if number % 2 == 0 {
            client.close()?;
        } else {
            client.reset()?;
        }
        journal.wait_for("cleaned")?;
        ensure!(journal.count("wrong")? == 0, "{:?}", journal.lines()?);
    }
    ensure_healthy(&httpd.error_log()?)
}

fn kept_table(context: &Context) -> Result<()> {
    let httpd = context.start_small(1, "")?;
    for round in 0..3 {
        let mut client = Client::open(httpd.address(), &Handshake::to("/keeper"))?;
        client.text("through the kept one")?;
        let mut texts = Vec::new();
        loop {
            let frame = client.frame()?;
            if frame.first_byte == Opcode::TEXT {
                texts.push(String::from_utf8(frame.payload)?);
                if texts.last().is_some_and(|text| text.starts_with("kept")) {
                    break;
                }
            }
        }
        // A single thread always has the same table. A connection without a thread has a table that
        // is not reused at once.
        let expected = if round == 0 || context.driver == Driver::Blocking {
            vec!["through the kept one", "kept 20 same"]
        } else {
            vec!["kept 0 other"]
        };
        ensure!(texts == expected, "round {round}: {texts:?}");
        client.send(masked(Opcode::CLOSE, ""))?;
        client.drain()?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn kept_table_under_load(context: &Context) -> Result<()> {
    let httpd = context.start_small(4, "")?;
    let open = || Client::open(httpd.address(), &Handshake::to("/keeper"));
    let mut first = open()?;
    first.text("one")?;
    first.frame()?;
    // While one thread of the plugin uses the table all the time, connections come and go.
    for _ in 0..150 {
        let mut client = open()?;
        client.text("hello")?;
        wait_until("an answer", || {
            Ok(client.frame()?.payload.starts_with(b"kept"))
        })?;
        client.reset()?;
    }
    drop(first);
    ensure_healthy(&httpd.error_log()?)
}
