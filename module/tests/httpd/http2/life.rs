//! How WebSockets over HTTP/2 end, and how they are counted.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http::StatusCode;
use xtask::apache::{Apache, Version};
use xtask::httpd::Httpd;

use super::{WAYS, connect, start};
use crate::status::Counters;
use crate::support::frame::masked;
use crate::support::http2::{Http2, Http2Stream};
use crate::support::journal::Journal;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Frame, Handshake, Opcode, await_gone, cases, wait_until};

cases! {
    "HTTP/2: on_disconnect is called once, however the client leaves" => disconnects,
    "HTTP/2: the server status counts WebSockets, each with a thread" => counted,
    "HTTP/2: WebSockets live on through graceful restarts" => live_on,
    "HTTP/2: WebSocketDrainTime 0: a graceful restart closes with 1012" => graceful,
    "HTTP/2: WebSocketDrainTime 0: a graceful stop waits for no WebSocket" => graceful_stop,
    "HTTP/2: stop and restart end WebSockets in time" => stop,
    "HTTP/2: 200 times opened, used, closed or reset on one connection" => cycles,
}

/// Longer than the second after which the client gives up.
const SOON: Duration = Duration::from_secs(4);

fn disconnects(context: &Context) -> Result<()> {
    type End = fn(Http2, Client<Http2Stream>) -> Result<()>;
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

fn counted(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let http2 = connect(&httpd)?;
    let counters = |with_thread, accepted| Counters {
        with_thread,
        accepted,
        ..Counters::default()
    };
    let open = || http2.open(&Handshake::to("/echo"));
    let [first, second, _third] = [open()?, open()?, open()?];
    // The server counts a WebSocket before the client gets the response.
    ensure!(Counters::ask(&httpd)? == counters(3, 3));
    let refused = http2.ask(&Handshake::to("/echo"))?;
    ensure!(refused.response.status == StatusCode::SERVICE_UNAVAILABLE);
    ensure!(Counters::ask(&httpd)? == counters(3, 3));
    first.close()?;
    counters(2, 3).expect(&httpd)?;
    second.stream.reset();
    counters(1, 3).expect(&httpd)?;
    // WebSockets over HTTP/1.1 are counted as without HTTP/2.
    let other = Client::open(httpd.address(), &Handshake::to("/echo"))?;
    let mut both = Counters::new(context, 1, 4);
    both.with_thread += 1;
    ensure!(Counters::ask(&httpd)? == both);
    other.close()?;
    counters(1, 4).expect(&httpd)?;
    http2.abandon();
    counters(0, 4).expect(&httpd)
}

fn live_on(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let old = httpd.child_pids()?;
    for connect in WAYS {
        let http2 = connect(&httpd)?;
        let journal = Journal::new(context)?;
        let mut client = http2.open(&journal.handshake("/journal"))?;
        client.echo("before")?;
        let payload = vec![b'x'; 1 << 20];
        for _ in 0..3 {
            httpd.graceful()?;
            client.echo("still here")?;
            client.binary(&payload)?;
            client.expect(&Frame::binary(&payload))?;
            connect(&httpd)?.open(&Handshake::to("/echo"))?.close()?;
        }
        ensure!(journal.count("disconnect")? == 0);
        client.close()?;
        journal.expect_one_disconnect(SOON)?;
        // The server told the client at the first restart to send no more requests.
        http2.expect_end()?;
    }
    await_gone(&httpd, &old)?;
    ensure_healthy(&httpd.error_log()?)
}

fn graceful(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketDrainTime 0")?;
    let old = httpd.child_pids()?;
    let http2 = connect(&httpd)?;
    let journal = Journal::new(context)?;
    let mut answering = http2.open(&journal.handshake("/journal"))?;
    answering.echo("hello")?;
    // This client does not answer the close frame.
    let mut silent = http2.open(&Handshake::to("/echo"))?;
    silent.echo("hello")?;
    httpd.graceful()?;
    answering.expect(&Frame::close(1012))?;
    answering.send(masked(Opcode::CLOSE, 1012_u16.to_be_bytes()))?;
    answering.expect_end()?;
    journal.expect_one_disconnect(SOON)?;
    silent.expect(&Frame::close(1012))?;
    silent.expect_end()?;
    http2.expect_end()?;
    await_gone(&httpd, &old)?;
    connect(&httpd)?.open(&Handshake::to("/echo"))?.close()?;
    ensure_healthy(&httpd.error_log()?)
}

fn graceful_stop(context: &Context) -> Result<()> {
    let mut httpd = start(context, "WebSocketDrainTime 0")?;
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

/// mod_http2 ends its connections at once, so that not every client gets a close frame.
fn stop(context: &Context) -> Result<()> {
    type End = fn(Httpd) -> Result<Option<Httpd>>;
    let restart: End = |httpd| {
        httpd.restart()?;
        Ok(Some(httpd))
    };
    let stop: End = |httpd| {
        ensure!(httpd.stop()?.success());
        Ok(None)
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
        let _restarted = end(httpd)?;
        journal.expect_one_disconnect(SOON)?;
        lazy_journal.wait_for("disconnect")?;
        let took = started.elapsed();
        ensure!(took < context.stops_within()?, "took {took:?}");
    }
    Ok(())
}

/// The first httpd not seen to lose a request behind a reset. In earlier ones mod_http2 may take
/// what arrives behind the reset of a stream for output and send it back to the client, with and
/// without this module: `ev_stream_closed` (h2_session.c) passes on the brigade that is being read
/// from.
const KEEPS_INPUT_AFTER_RESET: Version = Version(2, 4, 63);

fn cycles(context: &Context) -> Result<()> {
    let must_wait = Apache::find()?.version < KEEPS_INPUT_AFTER_RESET;
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
        if must_wait {
            let ended = Counters {
                accepted: 2 * (number + 1),
                ..Counters::default()
            };
            ended.expect(&httpd)?;
        }
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
