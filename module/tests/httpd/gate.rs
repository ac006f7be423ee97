//! Callbacks that block until they are released, with enough threads for all other callbacks.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::process::{cpu_ticks, threads};

use crate::support::journal::Journal;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Driver, Frame, Handshake, cases, latency, wait_until};

cases! {
    "twenty blocked callbacks delay no other connection, not even of their plugin" => twenty,
    "a blocked on_disconnect takes one thread" => blocked_on_disconnect,
    "threads start up to the maximum while callbacks block, and end afterwards"
        => grows_and_shrinks,
    "callbacks that hold all threads delay no other plugin" => all_threads,
    "output that waits while a callback blocks uses no descriptors" => waiting_output,
    "a connection that is closed while its callback blocks keeps no thread busy"
        => closed_meanwhile,
}

/// The prefix of the names of the threads that run event loops and callbacks.
const THREAD: &str = "websocket";

/// Starts one child with `sizes` (minimum and maximum) of WebSocket threads.
fn start(context: &Context, sizes: &str) -> Result<Option<(Httpd, u32)>> {
    if context.driver != Driver::Event {
        return Ok(None);
    }
    let plugins = context.plugins();
    let keeper = format!(
        "<Location /gatekeeper>\nSetHandler websocket-handler\n{}\n</Location>\n",
        plugins.handler_with("gate", "gatekeeper_init")
    );
    let config = format!("WebSocketThreads {sizes}\n{keeper}");
    let httpd = context.start_small(8, &config)?;
    let child = *httpd.child_pids()?.first().expect("it has a child");
    Ok(Some((httpd, child)))
}

fn open(httpd: &Httpd, target: &str) -> Result<Client> {
    Client::open(httpd.address(), &Handshake::to(target))
}

/// Connections whose callback blocks.
fn blocked(httpd: &Httpd, count: usize) -> Result<Vec<Client>> {
    let block = || {
        let mut client = open(httpd, "/gate")?;
        client.text("wait")?;
        client.expect_text("waiting")?;
        Ok(client)
    };
    (0..count).map(|_| block()).collect()
}

fn release(httpd: &Httpd) -> Result<()> {
    open(httpd, "/gatekeeper")?.echo("release")
}

fn twenty(context: &Context) -> Result<()> {
    let Some((httpd, _)) = start(context, "2 64")? else {
        return Ok(());
    };
    let mut others = [
        open(&httpd, "/echo")?,
        open(&httpd, "/gate")?,
        open(&httpd, "/echo")?,
        open(&httpd, "/gate")?,
    ];
    latency::ensure_low(&mut others, "hello", "hello")?;
    let mut blocked = blocked(&httpd, 20)?;
    latency::ensure_low(&mut others, "hello", "hello")?;
    let mut late = open(&httpd, "/gate")?;
    late.echo("a new connection")?;
    release(&httpd)?;
    for client in &mut blocked {
        client.expect_text("released")?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn blocked_on_disconnect(context: &Context) -> Result<()> {
    let Some((httpd, child)) = start(context, "2 64")? else {
        return Ok(());
    };
    let mut others = [open(&httpd, "/echo")?, open(&httpd, "/gate")?];
    latency::ensure_low(&mut others, "hello", "hello")?;
    // The machine may be slow.
    wait_until("no more threads than loops", || {
        Ok(threads(child, THREAD)? == 2)
    })?;
    let journal = Journal::new(context)?;
    let handshake = journal.handshake("/gate").header("X-Hold", "1");
    drop(Client::open(httpd.address(), &handshake)?);
    journal.wait_for("holding")?;
    wait_until("another thread takes over", || {
        others[0].echo("hello")?;
        Ok(threads(child, THREAD)? == 3)
    })?;
    latency::ensure_low(&mut others, "hello", "hello")?;
    release(&httpd)?;
    journal.expect_one_disconnect(Duration::from_secs(4))
}

fn grows_and_shrinks(context: &Context) -> Result<()> {
    let Some((httpd, child)) = start(context, "2 6")? else {
        return Ok(());
    };
    open(&httpd, "/echo")?.echo("hello")?;
    wait_until("the minimum", || Ok(threads(child, THREAD)? == 2))?;
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut client = open(&httpd, "/gate")?;
        client.text("wait")?;
        clients.push(client);
    }
    wait_until("the maximum", || Ok(threads(child, THREAD)? >= 6))?;
    let mut other = open(&httpd, "/echo")?;
    for _ in 0..50 {
        other.echo("served meanwhile")?;
        // A loop gets an additional thread if callbacks hold all others.
        let most = threads(child, THREAD)?;
        ensure!(most <= 6 + 2, "{most} threads");
    }
    release_all(&httpd, &clients)?;
    wait_until("the minimum again", || Ok(threads(child, THREAD)? == 2))?;
    other.echo("hello")?;
    ensure_healthy(&httpd.error_log()?)
}

/// Releases callbacks until every client has its answer. Those that waited for a thread block
/// later.
fn release_all(httpd: &Httpd, clients: &[Client]) -> Result<()> {
    for client in clients {
        client.stream.set_nonblocking(true)?;
    }
    let is_released = |client: &Client| {
        let mut bytes = [0; 32];
        let length = client.stream.peek(&mut bytes).unwrap_or(0);
        bytes[..length].ends_with(b"released")
    };
    wait_until("all are released", || {
        release(httpd)?;
        Ok(clients.iter().all(is_released))
    })
}

fn all_threads(context: &Context) -> Result<()> {
    let Some((httpd, _)) = start(context, "1 2")? else {
        return Ok(());
    };
    let mut other = open(&httpd, "/echo")?;
    other.echo("before")?;
    let mut clients = blocked(&httpd, 1)?;
    for _ in 0..3 {
        let mut client = open(&httpd, "/gate")?;
        client.text("wait")?;
        clients.push(client);
    }
    // A connection of a plugin that has not blocked before, so that its callback runs on the loop.
    let handshake = Handshake::to("/stuck").header("X-Before", "1");
    let mut stuck = Client::open(httpd.address(), &handshake)?;
    stuck.text("block")?;
    stuck.frame()?;
    // Five callbacks need a thread, and there are two.
    for _ in 0..20 {
        other.echo("hello").context("an open connection")?;
        let mut new = open(&httpd, "/echo")?;
        new.echo("hello").context("a new connection")?;
        new.close()?;
    }
    // The other callbacks have no thread on which to block.
    release(&httpd)?;
    clients[0].expect_text("released")?;
    ensure_healthy(&httpd.error_log()?)
}

fn waiting_output(context: &Context) -> Result<()> {
    let Some((httpd, child)) = start(context, "2 64")? else {
        return Ok(());
    };
    let mut other = open(&httpd, "/echo")?;
    other.echo("hello")?;
    let before = held_for_connections(child)?;
    // While the callback blocks, a thread keeps sending messages that the client does not take.
    let handshake = Handshake::to("/stuck")
        .header("X-Before", "6000000")
        .header("X-Ticks-Each", "1");
    let mut client = Client::open(httpd.address(), &handshake)?;
    client.text("block")?;
    client.stream.peek(&mut [0])?;
    for _ in 0..100 {
        thread::sleep(Duration::from_millis(5)); // the delay of the output of a callback
        other.echo("hello")?;
        // One for the connection, and one for the pipe with which httpd wakes its listener.
        let now = held_for_connections(child)?;
        ensure!(now <= before + 2, "{before} descriptors have become {now}");
    }
    Ok(())
}

fn closed_meanwhile(context: &Context) -> Result<()> {
    let Some((httpd, child)) = start(context, "2 64\nWebSocketDrainTime 0")? else {
        return Ok(());
    };
    let mut blocked = blocked(&httpd, 4)?;
    httpd.graceful()?;
    for client in &mut blocked {
        client.expect(&Frame::close(1012))?;
    }
    // The child waits some seconds for the callbacks.
    let before = cpu_ticks(child)?;
    thread::sleep(MEASURED);
    let used = cpu_ticks(child)? - before;
    ensure!(
        used < 15,
        "{used} ticks of processor time within {MEASURED:?}"
    );
    Ok(())
}

/// How long the use of the processor is measured.
const MEASURED: Duration = Duration::from_millis(500);

/// The number of descriptors of a child without those of its threads: while callbacks block, the
/// pool starts threads, as many as the machine's speed requires, and reads the CPU time of each
/// from a file.
fn held_for_connections(child: u32) -> Result<usize> {
    let files = fs::read_dir(format!("/proc/{child}/fd"))?;
    let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    Ok(targets
        .filter(|target| !target.ends_with("schedstat"))
        .count())
}
