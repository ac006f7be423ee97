//! Thousands of simultaneous connections without a thread for each.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::process::{proportional_kib, threads};
use xtask::server_root::Sizing;

use crate::support::journal::Journal;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Driver, Frame, Handshake, cases, wait_until};

cases! {
    "10,000 idle connections take no threads, still echo, and leave room for requests" => idle,
    "WebSocketDrainTime 0: a graceful restart closes 2,000 connections with 1012" => graceful,
    "WebSocketDrainTime 0: a graceful stop closes 2,000 connections with 1001" => graceful_stop,
    "a hard restart closes 2,000 connections with 1012" => restart,
    "stop closes 2,000 connections with 1001" => stop,
    "a stuck callback does not keep other connections from being closed" => stuck,
}

/// The longest time that an old child may take to end.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Additional time for processes, because other tests run at the same time.
const NOISE: Duration = Duration::from_secs(4);

/// httpd's default.
const SIZING: Sizing = Sizing {
    processes: 1,
    threads: 25,
};

/// The clients answer no pings, and on a busy machine they are silent for long.
fn start(context: &Context) -> Result<Httpd> {
    let root = context.root()?.sizing(SIZING);
    root.config(context.plugins().locations())
        .config("WebSocketThreads 2 64\nWebSocketDrainTime 0\nWebSocketPingInterval Off")
        .start()
}

fn idle(context: &Context) -> Result<()> {
    const COUNT: u64 = 10_000;
    /// The largest memory of the child per connection, in KiB.
    const MOST_KIB: u64 = 32;
    if context.driver != Driver::Event {
        return Ok(());
    }
    let httpd = start(context)?;
    let children = httpd.child_pids()?;
    let &[child] = &*children else {
        anyhow::bail!("{} children", children.len());
    };
    let mut clients = Vec::new();
    let before = proportional_kib(child)?;
    for number in 0..COUNT {
        let client = Client::open(httpd.address(), &Handshake::to("/echo"));
        clients.push(client.with_context(|| format!("connection {number}"))?);
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.echo(&format!("connection {number}"))?;
        if number % 500 == 0 {
            get_status(&httpd)?;
        }
    }
    let each = (proportional_kib(child)? - before) / COUNT;
    ensure!(each <= MOST_KIB, "{each} KiB for each connection");
    ensure!(httpd.child_pids()? == children, "another child has come");
    drop(clients);
    wait_until("the threads are as many as before", || {
        Ok(threads(child, "websocket")? <= 2)
    })?;
    ensure_healthy(&httpd.error_log()?)
}

/// An ordinary request. Returns httpd's status.
fn get_status(httpd: &Httpd) -> Result<String> {
    let mut stream = TcpStream::connect(httpd.address())?;
    stream.write_all(b"GET /server-status?auto HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    Ok(answer)
}

/// Waits until only the thread that answers is busy. A hard stop closes the sockets of connections
/// that threads of the MPM have not let go of yet (event.c, `close_worker_sockets`).
pub(crate) fn let_go(httpd: &Httpd) -> Result<()> {
    wait_until("the MPM's threads have let go", || {
        Ok(get_status(httpd)?.contains("\nBusyWorkers: 1\n"))
    })
}

fn graceful(context: &Context) -> Result<()> {
    goodbyes(context, None, 1012, |httpd| {
        httpd.graceful()?;
        Ok(Some(httpd))
    })
}

fn graceful_stop(context: &Context) -> Result<()> {
    goodbyes(context, None, 1001, |mut httpd| {
        httpd.graceful_stop()?;
        httpd.wait(GONE_WITHIN + NOISE)?;
        Ok(Some(httpd))
    })
}

fn restart(context: &Context) -> Result<()> {
    goodbyes(context, None, 1012, |httpd| {
        httpd.restart()?;
        Ok(Some(httpd))
    })
}

fn stop(context: &Context) -> Result<()> {
    goodbyes(context, None, 1001, |httpd| {
        ensure!(httpd.stop()?.success());
        Ok(None)
    })
}

fn stuck(context: &Context) -> Result<()> {
    type End = fn(Httpd) -> Result<Option<Httpd>>;
    let ends: [(u16, End); 2] = [
        (1012, |httpd| {
            httpd.graceful()?;
            Ok(Some(httpd))
        }),
        (1001, |httpd| {
            ensure!(httpd.stop()?.success());
            Ok(None)
        }),
    ];
    for (code, end) in ends {
        goodbyes(context, Some("/stuck"), code, end)?;
    }
    Ok(())
}

/// Opens connections, one of them with a callback that blocks for ever if `stuck`, and calls `end`
/// to end their child. Every other client gets `code`, the plugin gets `on_disconnect` for each,
/// and the child ends in time.
fn goodbyes(
    context: &Context,
    stuck: Option<&str>,
    code: u16,
    end: fn(Httpd) -> Result<Option<Httpd>>,
) -> Result<()> {
    const COUNT: usize = 2000;
    if context.driver != Driver::Event {
        return Ok(());
    }
    let httpd = start(context)?;
    let child = PathBuf::from(format!("/proc/{}", httpd.child_pids()?[0]));
    let stuck = stuck.map(|target| -> Result<_> {
        let handshake = Handshake::to(target).header("X-Before", "1");
        let mut client = Client::open(httpd.address(), &handshake)?;
        client.text("block")?;
        client.frame()?;
        Ok(client)
    });
    let stuck = stuck.transpose()?;
    let journal = Journal::new(context)?;
    let mut clients = Vec::new();
    for _ in 0..COUNT {
        let mut client = Client::open(httpd.address(), &journal.handshake("/journal"))?;
        client.echo("hello")?;
        clients.push(client);
    }
    let_go(&httpd)?;

    let started = Instant::now();
    let httpd = end(httpd)?;
    wait_until("the old child is gone", || Ok(!child.exists()))?;
    let took = started.elapsed();
    ensure!(took < GONE_WITHIN + NOISE, "gone after {took:?}");
    for (number, client) in clients.iter_mut().enumerate() {
        let goodbye = client.expect(&Frame::close(code));
        goodbye.with_context(|| format!("connection {number}"))?;
        client.expect_end()?;
    }
    drop(stuck);
    ensure!(journal.count("connect")? == COUNT);
    let told = journal.count("disconnect")?;
    ensure!(told == COUNT, "on_disconnect ran {told} times");
    let Some(httpd) = httpd else { return Ok(()) };
    let log = fs::read_to_string(httpd.root().access_log())?;
    let lines = log.matches("GET /journal HTTP/1.1\" 101 ").count();
    ensure!(lines == COUNT, "{lines} lines in the access log");
    // On a busy machine a hard stop takes longer than the three seconds after which httpd tells its
    // children again.
    let log = fs::read_to_string(httpd.root().error_log())?;
    let is_reminder = |line: &&str| line.contains("AH00045") && line.ends_with("a SIGTERM");
    let lines = log.lines().filter(|line| !is_reminder(line));
    ensure_healthy(&lines.collect::<Vec<_>>().join("\n"))
}
