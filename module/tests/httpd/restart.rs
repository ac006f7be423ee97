//! Restart and stop, with connections open.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::Mpm;

use crate::support::journal::Journal;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Driver, Frame, Handshake, await_gone, cases, wait_until};

cases! {
    "a graceful restart keeps open connections" => graceful,
    "a plugin can be added by a graceful restart" => new_plugin,
    "a hard restart closes with 1012" => restart,
    "stop closes with 1001" => stop,
    "a graceful stop lets connections finish" => graceful_stop,
    "stop closes connections that survived a graceful restart" => stop_after_graceful,
    "a stuck callback does not keep an old child from ending" => graceful_with_stuck_callback,
    "stop under traffic leaves no processes" => stop_under_traffic,
    "restarts under traffic cause no crash" => restarts_under_traffic,
    "a hard restart with open connections causes no crash even if memory is unmapped at once"
        => eager_memory,
    "connections live on when their child reaches MaxConnectionsPerChild" => connections_per_child,
    "stop is quick when clients do not read, answer or stop" => stop_with_bad_clients,
}

/// Opens a connection and uses it. If the MPM's thread is still handing a connection over, the
/// connection ends with this thread when httpd stops at once.
fn open(httpd: &Httpd, target: &str) -> Result<Client> {
    let mut client = Client::open(httpd.address(), &Handshake::to(target))?;
    for _ in 0..50 {
        client.echo("hello")?;
    }
    Ok(client)
}

fn graceful(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let journal = Journal::new(context)?;
    let mut old = Client::open(httpd.address(), &journal.handshake("/journal"))?;
    old.echo("before")?;
    for _ in 0..2 {
        httpd.graceful()?;
        open(&httpd, "/echo")?.close()?;
        old.echo("still here")?;
    }
    ensure!(journal.count("disconnect")? == 0);
    old.close()?;
    journal.expect_one_disconnect(Duration::from_secs(4))?;
    wait_until(
        "the old children end",
        || Ok(httpd.child_pids()?.len() <= 2),
    )?;
    ensure_healthy(&httpd.error_log()?)
}

fn new_plugin(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let mut httpd = context
        .root()?
        .config(plugins.location("/a", "twin_a", ""))
        .start()?;
    let mut old = Client::open(httpd.address(), &Handshake::to("/a"))?;
    httpd.replace_config(plugins.location("/a", "twin_b", ""))?;
    httpd.graceful()?;
    // A child that is about to end may still accept a connection.
    let ask = || {
        let mut new = Client::open(httpd.address(), &Handshake::to("/a"))?;
        new.text("who are you")?;
        new.expect_text("b")?;
        new.close()
    };
    wait_until("a new child answers", || Ok(ask().is_ok()))?;
    old.text("who are you")?;
    old.expect_text("a")?;
    old.close()
}

/// If a thread serves the connection, the client gets this code. If a process serves it, the
/// connection just ends.
fn expect_goodbye(context: &Context, client: &mut Client, code: u16) -> Result<()> {
    if context.mpm != Mpm::Prefork {
        client.expect(&Frame::close(code))?;
    }
    client.expect_end()
}

fn restart(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let mut clients = [open(&httpd, "/echo")?, open(&httpd, "/echo")?];
    httpd.restart()?;
    for client in &mut clients {
        expect_goodbye(context, client, 1012)?;
    }
    open(&httpd, "/echo")?.close()?;
    ensure_healthy(&httpd.error_log()?)
}

fn stop(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let journal = Journal::new(context)?;
    let mut told = Client::open(httpd.address(), &journal.handshake("/journal"))?;
    told.echo("hello")?;
    let mut clients = [
        open(&httpd, "/echo")?,
        Client::open(httpd.address(), &Handshake::to("/late"))?,
    ];
    let started = Instant::now();
    ensure!(httpd.stop()?.success());
    ensure!(
        started.elapsed() < context.stops_within()?,
        "took {:?}",
        started.elapsed()
    );
    expect_goodbye(context, &mut told, 1001)?;
    for client in &mut clients {
        client.drain()?;
    }
    if context.mpm != Mpm::Prefork {
        journal.expect_one_disconnect(Duration::from_secs(1))?;
    }
    Ok(())
}

fn graceful_stop(context: &Context) -> Result<()> {
    let mut httpd = context.start("")?;
    let mut client = open(&httpd, "/echo")?;
    httpd.graceful_stop()?;
    wait_until("nobody listens", || {
        Ok(Client::connect(httpd.address()).is_err())
    })?;
    client.echo("still here")?;
    client.close()?;
    ensure!(httpd.wait(Duration::from_secs(10))?.success());
    ensure_healthy(&std::fs::read_to_string(httpd.root().error_log())?)
}

fn stop_after_graceful(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let journal = Journal::new(context)?;
    let mut client = Client::open(httpd.address(), &journal.handshake("/journal"))?;
    client.echo("hello")?;
    httpd.graceful()?;
    client.echo("still here")?;
    let started = Instant::now();
    ensure!(httpd.stop()?.success());
    ensure!(
        started.elapsed() < context.stops_within()?,
        "took {:?}",
        started.elapsed()
    );
    expect_goodbye(context, &mut client, 1001)
}

/// If a thread of the MPM serves the connection, httpd itself waits for it.
fn graceful_with_stuck_callback(context: &Context) -> Result<()> {
    if context.driver == Driver::Blocking {
        return Ok(());
    }
    let httpd = context.start("WebSocketDrainTime 0")?;
    let mut stuck = Client::open(
        httpd.address(),
        &Handshake::to("/stuck").header("X-Before", "1"),
    )?;
    stuck.text("get stuck")?;
    stuck.frame()?;
    let old = httpd.child_pids()?;
    httpd.graceful()?;
    let started = Instant::now();
    await_gone(&httpd, &old)?;
    ensure!(
        started.elapsed() < context.stops_within()?,
        "took {:?}",
        started.elapsed()
    );
    open(&httpd, "/echo")?.close()?;
    ensure_healthy(&httpd.error_log()?)
}

/// Opens a connection and sends messages until the server ends it.
fn talk(httpd: &Httpd, target: &str, size: usize) -> Result<JoinHandle<()>> {
    let mut client = Client::open(httpd.address(), &Handshake::to(target))?;
    let message = "x".repeat(size);
    Ok(thread::spawn(move || {
        // Ends with any error.
        while client.text(&message).and_then(|()| client.frame()).is_ok() {}
    }))
}

fn stop_under_traffic(context: &Context) -> Result<()> {
    for _ in 0..3 {
        let httpd = context.start("")?;
        let mut talkers = Vec::new();
        for (target, size) in [
            ("/echo", 10),
            ("/echo", 200_000),
            ("/mutex", 10),
            ("/late", 10),
        ] {
            talkers.push(talk(&httpd, target, size)?);
        }
        let mut client = open(&httpd, "/echo")?;
        client.echo("all are talking")?;
        let started = Instant::now();
        let log = httpd.root().error_log();
        ensure!(httpd.is_running());
        let before = std::fs::read_to_string(&log)?;
        ensure!(httpd.stop()?.success());
        ensure!(
            started.elapsed() < context.stops_within()?,
            "took {:?}",
            started.elapsed()
        );
        ensure_healthy(&before)?;
        for talker in talkers {
            talker.join().expect("it does not panic");
        }
    }
    Ok(())
}

fn restarts_under_traffic(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    for _ in 0..3 {
        let mut talkers = Vec::new();
        for (target, size) in [
            ("/echo", 10),
            ("/echo", 100_000),
            ("/mutex", 10),
            ("/late", 5),
        ] {
            talkers.push(talk(&httpd, target, size)?);
        }
        // This connection stays open. In a hard restart httpd closes its threads' sockets without a
        // lock (close_worker_sockets, event.c). It crashes if one of these threads has just freed
        // the last connection that it closed.
        let other = open(&httpd, "/echo")?;
        httpd.restart()?;
        for talker in talkers {
            talker.join().expect("it does not panic");
        }
        drop(other);
    }
    open(&httpd, "/echo")?.close()?;
    ensure_healthy(&httpd.error_log()?)
}

fn stop_with_bad_clients(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let stream = Handshake::to("/journal").header("X-Stream", "1000000");
    let lazy = Client::open(httpd.address(), &stream)?;
    let silent = open(&httpd, "/echo")?;
    let mut flooding = Client::open(httpd.address(), &Handshake::to("/journal"))?;
    flooding.text("hello")?;
    flooding.frame()?;
    let flood = thread::spawn(move || {
        // Pongs need no answer, so the server could read them for ever.
        let frames =
            crate::support::frame::masked(crate::support::Opcode::PONG, "x").repeat(20_000);
        while flooding.send(&frames).is_ok() {}
    });
    let started = Instant::now();
    ensure!(httpd.stop()?.success());
    let took = started.elapsed();
    flood.join().expect("it does not panic");
    drop((lazy, silent));
    ensure!(took < context.stops_within()?, "took {took:?}");
    Ok(())
}

fn eager_memory(context: &Context) -> Result<()> {
    let httpd = context.start("MaxMemFree 1\n")?;
    let payload = "x".repeat(100_000);
    for _ in 0..3 {
        let mut clients = Vec::new();
        for target in ["/echo", "/request/path", "/late"] {
            clients.push(Client::open(httpd.address(), &Handshake::to(target))?);
        }
        let [echo, request, _] = &mut *clients else {
            unreachable!("three have been opened");
        };
        echo.echo(&payload)?;
        request.echo(&payload)?;
        httpd.restart()?;
        for client in &mut clients {
            client.drain()?;
        }
    }
    open(&httpd, "/echo")?.close()?;
    ensure_healthy(&httpd.error_log()?)
}

fn connections_per_child(context: &Context) -> Result<()> {
    const LIMIT: usize = 5;
    // With the other driver a child first waits for its threads, and may have too few to reach the
    // limit.
    if context.driver != Driver::Event {
        return Ok(());
    }
    let httpd = context.start(&format!("MaxConnectionsPerChild {LIMIT}\n"))?;
    let first = httpd.child_pids()?;
    let mut clients = Vec::new();
    for _ in 0..4 * LIMIT {
        let mut client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
        client.echo("hello")?;
        clients.push(client);
    }
    for client in &mut clients {
        client.echo("still here")?;
    }
    drop(clients);
    wait_until("the first children end", || {
        let children = httpd.child_pids()?;
        Ok(!first.iter().any(|child| children.contains(child)))
    })?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
    client.echo("hello")?;
    ensure_healthy(&httpd.error_log()?)
}
