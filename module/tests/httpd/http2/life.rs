//! How WebSockets over HTTP/2 end, and clients that are slow.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http::StatusCode;

use super::{WAYS, connect, start};
use crate::support::frame::masked;
use crate::support::http2::Http2;
use crate::support::journal::Journal;
use crate::support::server::ensure_healthy;
use crate::support::{Context, Frame, Handshake, Opcode, cases, wait_until};
use xtask::process::resident_kib;

cases! {
    "HTTP/2: on_disconnect comes once, however the client goes" => disconnects,
    "HTTP/2: a client that does not read is dropped after Timeout, its other streams are served" => slow_reader,
    "HTTP/2: a client that does not read what it asks for is not read from" => paused,
    "HTTP/2: a client that reads late gets everything" => reads_late,
    "HTTP/2: a graceful restart says goodbye with 1001" => graceful,
    "HTTP/2: a graceful stop waits for no WebSocket" => graceful_stop,
    "HTTP/2: stop and restart end WebSockets in time" => stop,
    "HTTP/2: 200 times opened, used, closed or reset on one connection" => cycles,
}

/// What a second of patience would not forgive.
const SOON: Duration = Duration::from_secs(4);

fn disconnects(context: &Context) -> Result<()> {
    type End = fn(Http2, crate::support::Client<crate::support::http2::Http2Stream>) -> Result<()>;
    let ends: [(&str, End); 5] = [
        ("a close frame", |_, client| client.close()),
        ("a reset in the middle of a message", |http2, mut client| {
            client.send(&masked(Opcode::BINARY, vec![0; 100_000])[..50_000])?;
            client.stream.reset();
            ensure!(http2.get("/server-status")? == StatusCode::OK);
            Ok(())
        }),
        ("the end of the stream", |_, mut client| {
            client.stream.half_close()?;
            client.expect_end()
        }),
        (
            "the end of the stream in the middle of a message",
            |_, mut client| {
                client.send(&masked(Opcode::BINARY, vec![0; 100_000])[..50_000])?;
                client.stream.half_close()?;
                client.expect_end()
            },
        ),
        ("the end of the connection", |http2, _| {
            http2.abandon();
            Ok(())
        }),
    ];
    let httpd = start(context, "")?;
    for (name, end) in ends {
        for connect in WAYS {
            let http2 = connect(&httpd)?;
            let journal = Journal::new(context)?;
            let mut client = http2.open(&journal.handshake("/journal"))?;
            client.echo("hello")?;
            end(http2, client).map_err(|error| error.context(name))?;
            let outcome = journal.expect_one_disconnect(SOON);
            outcome.map_err(|error| error.context(name))?;
        }
    }
    ensure_healthy(&httpd.error_log()?)
}

/// Memory that one stream may take: the queue's 16 MiB, a message over it, and copies on the way.
const MOST_KIB: u64 = 64 * 1024;

fn slow_reader(context: &Context) -> Result<()> {
    let httpd = start(context, "Timeout 2")?;
    let memory = || {
        let children = httpd.child_pids()?.into_iter();
        Ok::<_, anyhow::Error>(children.filter_map(|pid| resident_kib(pid).ok()).max())
    };
    let http2 = connect(&httpd)?;
    let mut other = http2.open(&Handshake::to("/echo"))?;
    let journal = Journal::new(context)?;
    let before = memory()?;
    let handshake = journal.handshake("/journal").header("X-Stream", "1000000");
    let lazy = http2.open(&handshake)?;
    let started = Instant::now();
    let mut most = before;
    while journal.count("disconnect")? == 0 {
        most = most.max(memory()?);
        other.echo("served meanwhile")?;
        ensure!(http2.get("/server-status")? == StatusCode::OK);
        ensure!(started.elapsed() < Duration::from_secs(15), "never dropped");
    }
    let took = started.elapsed();
    ensure!((1..8).contains(&took.as_secs()), "dropped after {took:?}");
    let more = most.unwrap_or(0) - before.unwrap_or(0);
    ensure!(more < MOST_KIB, "{more} KiB more");
    ensure!(journal.wait_for("refused ")? == "0");
    drop(lazy);
    journal.expect_one_disconnect(SOON)
}

fn paused(context: &Context) -> Result<()> {
    let httpd = start(context, "Timeout 60")?;
    let http2 = connect(&httpd)?;
    let mut other = http2.open(&Handshake::to("/echo"))?;
    let mut client = http2.open(&Handshake::to("/echo"))?;
    let message = masked(Opcode::BINARY, vec![0; 1 << 20]);
    client.stream.set_write_limit(Duration::from_millis(500));
    let mut sent = 0;
    while client.send(&message).is_ok() {
        sent += 1;
        ensure!(
            sent < 100,
            "the server takes everything from a client that reads nothing"
        );
    }
    other.echo("served meanwhile")?;
    for _ in 0..sent {
        ensure!(client.frame()?.payload.len() == 1 << 20);
    }
    Ok(())
}

fn reads_late(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    for connect in WAYS {
        let http2 = connect(&httpd)?;
        let mut client = http2.open(&Handshake::to("/kitchen_sink"))?;
        let commands = [
            masked(Opcode::TEXT, "big 12000000"),
            masked(Opcode::TEXT, "echo after"),
        ];
        client.send(commands.concat())?;
        std::thread::sleep(Duration::from_millis(300)); // fills the buffers on the way
        ensure!(client.frame()?.payload.len() == 12_000_000);
        client.expect_text("after")?;
        client.close()?;
    }
    Ok(())
}

fn graceful(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let old = httpd.child_pids()?;
    let http2 = connect(&httpd)?;
    let journal = Journal::new(context)?;
    let mut answering = http2.open(&journal.handshake("/journal"))?;
    answering.echo("hello")?;
    // It does not answer the close frame.
    let mut silent = http2.open(&Handshake::to("/echo"))?;
    silent.echo("hello")?;
    httpd.graceful()?;
    answering.expect(&Frame::close(1001))?;
    answering.send(masked(Opcode::CLOSE, 1001_u16.to_be_bytes()))?;
    answering.expect_end()?;
    journal.expect_one_disconnect(SOON)?;
    silent.expect(&Frame::close(1001))?;
    silent.expect_end()?;
    http2.expect_end()?;
    wait_until("the old children end", || {
        let children = httpd.child_pids()?;
        Ok(!children.iter().any(|child| old.contains(child)))
    })?;
    connect(&httpd)?.open(&Handshake::to("/echo"))?.close()?;
    ensure_healthy(&httpd.error_log()?)
}

fn graceful_stop(context: &Context) -> Result<()> {
    let mut httpd = start(context, "")?;
    let http2 = connect(&httpd)?;
    let journal = Journal::new(context)?;
    let mut client = http2.open(&journal.handshake("/journal"))?;
    client.echo("hello")?;
    httpd.graceful_stop()?;
    client.expect(&Frame::close(1001))?;
    client.expect_end()?;
    ensure!(httpd.wait(Duration::from_secs(10))?.success());
    journal.expect_one_disconnect(SOON)
}

/// mod_http2 gives its connections up at once, so that not every client hears why.
fn stop(context: &Context) -> Result<()> {
    type End = fn(xtask::httpd::Httpd) -> Result<()>;
    let restart: End = |httpd| httpd.restart();
    let stop: End = |httpd| {
        ensure!(httpd.stop()?.success());
        Ok(())
    };
    for end in [restart, stop] {
        let httpd = start(context, "")?;
        let http2 = connect(&httpd)?;
        let [journal, lazy_journal] = [Journal::new(context)?, Journal::new(context)?];
        let mut client = http2.open(&journal.handshake("/journal"))?;
        client.echo("hello")?;
        let stream = lazy_journal
            .handshake("/journal")
            .header("X-Stream", "1000000");
        let _lazy = http2.open(&stream)?;
        let started = Instant::now();
        end(httpd)?;
        journal.expect_one_disconnect(SOON)?;
        lazy_journal.wait_for("disconnect")?;
        let took = started.elapsed();
        ensure!(took < Duration::from_secs(6), "took {took:?}");
    }
    Ok(())
}

fn cycles(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let children = httpd.child_pids()?;
    let http2 = connect(&httpd)?;
    for number in 0..200 {
        let mut client = http2.open(&Handshake::to("/echo"))?;
        client.echo(&number.to_string())?;
        client.close()?;
        let mut client = http2.open(&Handshake::to("/echo"))?;
        client.echo(&number.to_string())?;
        client.stream.reset();
    }
    ensure!(http2.get("/server-status")? == StatusCode::OK);
    ensure!(httpd.child_pids()? == children);
    wait_until("each has its line in the access log", || {
        let log = httpd.access_log()?;
        Ok(log
            .lines()
            .filter(|line| line.contains("\"GET /echo HTTP/2.0\" 101 "))
            .count()
            == 400)
    })?;
    ensure_healthy(&httpd.error_log()?)
}
