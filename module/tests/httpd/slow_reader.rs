//! Clients that do not read the messages sent to them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;

use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::{Client, Context, Driver, Handshake, Opcode, cases, latency};
use xtask::process::resident_kib;

cases! {
    "a client that does not read is dropped after Timeout" => dropped,
    "the server stops reading from a client that does not read the answers" => paused,
    "a client that reads late gets everything" => reads_late,
    "a client that reads slowly is not dropped" => reads_slowly,
    "three hundred clients that do not read delay no other connection" => many,
}

const TIMEOUT: &str = "Timeout 2\n";

/// The largest memory for one connection: a queue of 16 MiB, one message more, and copies on the
/// way.
const MOST_KIB: u64 = 64 * 1024;

fn dropped(context: &Context) -> Result<()> {
    let httpd = context.start(TIMEOUT)?;
    let journal = Journal::new(context)?;
    let handshake = journal.handshake("/journal").header("X-Stream", "1000000");
    let lazy = Client::open(httpd.address(), &handshake)?;
    let started = Instant::now();
    let mut other = Client::open(httpd.address(), &Handshake::to("/echo"))?;
    let before = largest_child(&httpd)?;
    let mut most = before;
    while journal.count("disconnect")? == 0 {
        most = most.max(largest_child(&httpd)?);
        other.echo("served meanwhile")?;
        ensure!(started.elapsed() < Duration::from_secs(15), "never dropped");
    }
    let took = started.elapsed();
    ensure!((1..8).contains(&took.as_secs()), "dropped after {took:?}");
    ensure!(journal.wait_for("refused ")? == "0");
    let accepted: u64 = journal.wait_for("accepted ")?.parse()?;
    ensure!(accepted >= 16 << 20, "only {accepted} bytes were queued");
    ensure!(most - before < MOST_KIB, "{} KiB more", most - before);
    drop(lazy);
    journal.expect_one_disconnect(Duration::from_secs(1))
}

fn largest_child(httpd: &Httpd) -> Result<u64> {
    let children = httpd.child_pids()?;
    // A child may have ended meanwhile.
    Ok(children
        .into_iter()
        .filter_map(|pid| resident_kib(pid).ok())
        .max()
        .unwrap_or(0))
}

fn paused(context: &Context) -> Result<()> {
    let httpd = context.start(TIMEOUT)?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
    let other = Client::open(httpd.address(), &Handshake::to("/echo"));
    let message = masked(Opcode::BINARY, vec![0; 1 << 20]);
    let mut sent = 0;
    client
        .stream
        .set_write_timeout(Some(Duration::from_millis(500)))?;
    while client.send(&message).is_ok() {
        sent += 1;
        ensure!(
            sent < 200,
            "the server takes everything from a client that reads nothing"
        );
    }
    other?.echo("served meanwhile")
}

fn reads_late(context: &Context) -> Result<()> {
    let mut client = context.open("/kitchen_sink")?;
    // The second command comes in the same packet. It waits in a buffer while the answer to the
    // first is sent.
    client.send(
        [
            masked(Opcode::TEXT, "big 12000000"),
            masked(Opcode::TEXT, "echo after"),
        ]
        .concat(),
    )?;
    std::thread::sleep(Duration::from_millis(300)); // lets the buffers fill
    ensure!(client.frame()?.payload.len() == 12_000_000);
    client.expect_text("after")?;
    client.close()
}

fn reads_slowly(context: &Context) -> Result<()> {
    let httpd = context.start(TIMEOUT)?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/kitchen_sink"))?;
    client.text("big 30000000")?;
    let started = Instant::now();
    let mut bytes = vec![0; 1 << 20];
    let mut total = 0;
    while total < 30_000_000 {
        let read = std::io::Read::read(&mut client.stream, &mut bytes)?;
        ensure!(
            read > 0,
            "dropped after {total} bytes and {:?}",
            started.elapsed()
        );
        total += read;
        std::thread::sleep(Duration::from_millis(read as u64 / 6000)); // 6 MB/s: about 5 s in all
    }
    Ok(())
}

fn many(context: &Context) -> Result<()> {
    const COUNT: usize = 300;
    if context.driver != Driver::Event {
        return Ok(());
    }
    // Small buffers, so that the system does not take everything. A connection inherits the size
    // from its listener.
    let httpd = context.start_small(16, "SendBufferSize 16384\n")?;
    let open = |target| Client::open(httpd.address(), &Handshake::to(target));
    let mut others = [open("/echo")?, open("/kitchen_sink")?];
    let mut ensure_low = || {
        let [echo, kitchen_sink] = &mut others;
        latency::ensure_low(std::slice::from_mut(echo), "hello", "hello")?;
        latency::ensure_low(std::slice::from_mut(kitchen_sink), "echo hello", "hello")
    };
    ensure_low()?;
    let mut lazy = Vec::new();
    for _ in 0..COUNT {
        let mut client = open("/kitchen_sink")?;
        client.text("big 500000")?;
        client.stream.peek(&mut [0])?;
        lazy.push(client);
    }
    // Each of these clients requests more than it takes, again and again.
    for client in &mut lazy {
        client.text("echo again")?;
    }
    ensure_low()?;
    // The server has served them: the output that they did not read is there.
    let mut last = lazy.pop().context("no client")?;
    ensure!(last.frame()?.payload.len() == 500_000);
    last.expect_text("again")
}
