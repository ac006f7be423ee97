//! Clients of WebSockets over HTTP/2 that read slowly or not at all.

use std::io::Read as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use http::StatusCode;
use xtask::process::resident_kib;

use super::{WAYS, connect, start};
use crate::steady_reader;
use crate::support::frame::masked;
use crate::support::http2::{Http2, Http2Stream};
use crate::support::journal::Journal;
use crate::support::{Client, Context, Handshake, Opcode, cases};

cases! {
    "HTTP/2: a WebSocket that is not read is dropped after Timeout and other streams are served"
        => slow_reader,
    "HTTP/2: the server stops reading from a client that does not read the answers" => paused,
    "HTTP/2: a client that reads late gets everything" => reads_late,
    "HTTP/2: a client that keeps reading gets everything, however long senders wait"
        => keeps_reading,
    "HTTP/2: a client that reads 64 KiB a second is not dropped" => slowly,
}

/// The largest memory for one stream: a queue of 16 MiB, one message more, and copies on the way.
const MOST_KIB: u64 = 64 * 1024;

/// A WebSocket and a page that the test requests again and again.
struct Served<'a> {
    http2: &'a Http2,
    client: Client<Http2Stream>,
    /// The longest time that an answer has taken.
    slowest: Duration,
}

impl<'a> Served<'a> {
    fn new(http2: &'a Http2) -> Result<Self> {
        Ok(Self {
            http2,
            client: http2.open(&Handshake::to("/echo"))?,
            slowest: Duration::ZERO,
        })
    }

    fn ask(&mut self) -> Result<()> {
        let started = Instant::now();
        self.client.echo("hello")?;
        self.slowest = self.slowest.max(started.elapsed());
        let started = Instant::now();
        ensure!(self.http2.get("/server-status")? == StatusCode::OK);
        self.slowest = self.slowest.max(started.elapsed());
        Ok(())
    }
}

/// Reads the rest of a stream. It must end with a RST_STREAM from the server.
fn expect_reset(mut client: Client<Http2Stream>) -> Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        match client.stream.read(&mut bytes) {
            Ok(0) => bail!("the stream ended in order"),
            Ok(_) => {}
            Err(error) => {
                let cause = error
                    .get_ref()
                    .and_then(|cause| cause.downcast_ref::<h2::Error>());
                let is_reset = cause.is_some_and(|cause| cause.is_reset() && cause.is_remote());
                ensure!(is_reset, "{error:?}");
                return Ok(());
            }
        }
    }
}

fn slow_reader(context: &Context) -> Result<()> {
    let httpd = start(context, "Timeout 2")?;
    let memory = || {
        let children = httpd.child_pids()?.into_iter();
        Ok::<_, anyhow::Error>(children.filter_map(|pid| resident_kib(pid).ok()).max())
    };
    let [shared, other] = [connect(&httpd)?, connect(&httpd)?];
    let mut beside = Served::new(&shared)?;
    let mut elsewhere = Served::new(&other)?;
    let journal = Journal::new(context)?;
    let before = memory()?;
    let handshake = journal.handshake("/journal").header("X-Stream", "1000000");
    let lazy = shared.open(&handshake)?;
    let started = Instant::now();
    let mut most = before;
    while journal.count("disconnect")? == 0 {
        most = most.max(memory()?);
        beside.ask()?;
        elsewhere.ask()?;
        ensure!(started.elapsed() < Duration::from_secs(15), "never dropped");
    }
    let took = started.elapsed();
    ensure!((1..8).contains(&took.as_secs()), "dropped after {took:?}");
    let more = most.unwrap_or(0) - before.unwrap_or(0);
    ensure!(more < MOST_KIB, "{more} KiB more");
    ensure!(journal.wait_for("refused ")? == "0");
    // On a busy machine all answers are slow.
    let bound = (3 * elsewhere.slowest).max(Duration::from_secs(1));
    let slowest = beside.slowest;
    ensure!(
        slowest < bound,
        "{slowest:?}; on another connection {:?}",
        elsewhere.slowest
    );
    expect_reset(lazy)?;
    beside.ask()?;
    journal.expect_one_disconnect(Duration::from_secs(4))
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
        std::thread::sleep(Duration::from_millis(300)); // lets the buffers fill
        ensure!(client.frame()?.payload.len() == 12_000_000);
        client.expect_text("after")?;
        client.close()?;
    }
    Ok(())
}

fn keeps_reading(context: &Context) -> Result<()> {
    let httpd = start(context, steady_reader::TIMEOUT)?;
    let http2 = connect(&httpd)?;
    let mut callbacks = http2.open(&Handshake::to("/kitchen_sink"))?;
    callbacks.send(steady_reader::commands())?;
    steady_reader::read_all(&mut callbacks.stream)?;
    let journal = Journal::new(context)?;
    let size = steady_reader::MESSAGE.to_string();
    let handshake = journal.handshake("/journal").header("X-Stream", &size);
    let mut thread = http2.open(&handshake)?;
    steady_reader::read_all(&mut thread.stream)
}

/// Slower clients give no sign for longer than `Timeout`, because they open half of their window at
/// a time.
fn slowly(context: &Context) -> Result<()> {
    let httpd = start(context, "Timeout 2")?;
    let http2 = connect(&httpd)?;
    let mut client = http2.open(&Handshake::to("/kitchen_sink"))?;
    client.text("big 30000000")?;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(125));
        let read = client.stream.read(&mut [0; 8192])?;
        ensure!(read > 0, "dropped after {:?}", started.elapsed());
    }
    Ok(())
}
