//! Restarts, and the end of a process.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::port::free_port;
use xtask::server_root::{Mpm, Sizing};

use super::backend::{Backend, Question};
use super::{expect_gone, open_told, start};
use crate::rust::{location, open};
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Handshake, PATIENCE, await_gone, cases, wait_until};

cases! {
    "async plugins: connections survive a graceful restart while they wait" => graceful,
    "async plugins: a hard restart and a stop cancel what waits" => hard,
    "async plugins: what never ends does not keep a child from ending" => never,
    "async plugins: several have no more time than one when a child ends" => together,
    "async plugins: an on_disconnect that is late may publish" => late,
    "async plugins: tasks that send while a child ends crash nothing" => storm,
}

fn graceful(context: &Context) -> Result<()> {
    let (httpd, backend) = (start(context)?, Backend::new()?);
    let port = backend.port()?;
    let mut old = open_told(httpd.address(), &backend)?;
    for _ in 0..3 {
        old.text(format!("ask {port} old"))?;
        let question = backend.question()?;
        httpd.graceful()?;
        let answers = || {
            let mut new = open(&httpd, "/waiter")?;
            new.echo("hello")?;
            new.close()
        };
        // A child that is about to end may still accept a connection.
        wait_until("a new child answers", || Ok(answers().is_ok()))?;
        question.answer("answer")?;
        old.expect_text("answer")?;
    }
    old.close()?;
    expect_gone(&backend, 1000)?;
    ensure_healthy(&httpd.error_log()?)?;
    ensure!(httpd.stop()?.success());
    Ok(())
}

fn hard(context: &Context) -> Result<()> {
    let (httpd, backend) = (start(context)?, Backend::new()?);
    let address = httpd.address();
    cancel_while(context, address, &backend, 1012, || httpd.restart())?;
    ensure_healthy(&httpd.error_log()?)?;
    let started = Instant::now();
    let status = cancel_while(context, address, &backend, 1001, || httpd.stop())?;
    ensure!(status.success());
    let took = started.elapsed();
    ensure!(took < context.stops_within()?, "it took {took:?}");
    Ok(())
}

/// Checks what a client's callbacks do while httpd ends them.
fn cancel_while<R>(
    context: &Context,
    httpd: SocketAddr,
    backend: &Backend,
    code: u16,
    end: impl FnOnce() -> Result<R>,
) -> Result<R> {
    let question = asked(httpd, backend)?;
    thread::scope(|scope| {
        let told = scope.spawn(|| {
            question.expect_cancelled()?;
            // A child of the prefork MPM ends at once: it calls no `on_disconnect`.
            if context.mpm == Mpm::Prefork {
                return Ok(());
            }
            expect_gone(backend, code)
        });
        let result = end()?;
        told.join().expect("it does not panic")?;
        Ok(result)
    })
}

/// A question of a client that stays connected until the server ends it.
fn asked(httpd: SocketAddr, backend: &Backend) -> Result<Question> {
    let mut client = open_told(httpd, backend)?;
    for _ in 0..50 {
        client.echo("hello")?;
    }
    client.text(format!("ask {} something", backend.port()?))?;
    let question = backend.question()?;
    thread::spawn(move || client.drain());
    Ok(question)
}

fn never(context: &Context) -> Result<()> {
    // A child of the prefork MPM ends at once when it is told to.
    if context.mpm == Mpm::Prefork {
        return Ok(());
    }
    for (command, complaint) in [
        (
            "never",
            "[Waiter] the callbacks of 1 connections have not completed",
        ),
        ("block", "a thread of a plugin does not end"),
    ] {
        let httpd = start(context)?;
        let mut client = open(&httpd, "/waiter")?;
        client.echo("hello")?;
        client.echo(command)?;
        let old = httpd.child_pids()?;
        client.close()?;
        httpd.restart()?;
        httpd.wait_for_log(complaint, PATIENCE)?;
        await_gone(&httpd, &old)?;
        open(&httpd, "/waiter")?.echo("hello")?;
        ensure!(!httpd.error_log()?.contains("exit signal"));
        ensure!(httpd.stop()?.success());
    }
    Ok(())
}

/// Two plugins whose callbacks never complete.
fn together(context: &Context) -> Result<()> {
    // A child of the prefork MPM has one connection at a time.
    if context.mpm == Mpm::Prefork {
        return Ok(());
    }
    let plugins = [
        location(context, "/waiter", "waiter", ""),
        location(context, "/clinger", "clinger", ""),
    ];
    let httpd = context.start_small(8, &plugins.concat())?;
    for (target, command) in [("/waiter", "never"), ("/clinger", "hello")] {
        let mut client = open(&httpd, target)?;
        client.echo(command)?;
        client.close()?;
    }
    httpd.restart()?;
    let mut times = Vec::new();
    for name in ["[Waiter]", "[Clinger]"] {
        let line = format!("{name} the callbacks of 1 connections have not completed");
        times.push(second_of(&httpd.wait_for_log(&line, PATIENCE)?)?);
    }
    let apart = (times[0] - times[1]).abs();
    ensure!(apart < 1.0, "{apart} seconds apart");
    open(&httpd, "/waiter")?.echo("hello")?;
    ensure!(!httpd.error_log()?.contains("exit signal"));
    ensure!(httpd.stop()?.success());
    Ok(())
}

/// The time of day in a line of the error log, in seconds.
fn second_of(line: &str) -> Result<f64> {
    let time = line
        .split([' ', ']'])
        .find(|word| word.matches(':').count() == 2 && word.contains('.'));
    let parts: Vec<f64> = time
        .context("no time")?
        .split(':')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok((parts[0] * 60.0 + parts[1]) * 60.0 + parts[2])
}

fn late(context: &Context) -> Result<()> {
    let plugins = [
        location(context, "/waiter", "waiter", ""),
        location(context, "/herald", "herald", ""),
    ];
    // The parent of the worker MPM cannot use the place of a child whose idle threads have all
    // ended between two lines of its listener (`listener_thread`: queue terminated, not yet dying).
    // With one place it then starts no child until the old one has ended.
    let sizing = Sizing {
        processes: 2,
        threads: 8,
    };
    let httpd = context
        .root()?
        .sizing(sizing)
        .config(plugins.concat())
        .start()?;
    for _ in 0..3 {
        let mut old = open(&httpd, "/waiter")?;
        old.echo("late room")?;
        let before = httpd.child_pids()?;
        httpd.graceful()?;
        let mut subscriber = None;
        wait_until("a new child has a subscriber", || {
            let Ok((client, pid)) = subscribe(&httpd) else {
                return Ok(false);
            };
            subscriber = Some(client);
            Ok(!before.contains(&pid))
        })?;
        // The old child ends with its last connection.
        old.close()?;
        subscriber.context("just set")?.expect_text("late")?;
    }
    ensure_healthy(&httpd.error_log()?)
}

/// A subscriber to the topic `room`, and the process that serves it. A child of the worker MPM that
/// is told to end may leave a connection unanswered that it has just accepted, so this gives up
/// soon.
fn subscribe(httpd: &Httpd) -> Result<(Client, u32)> {
    let mut client = Client::connect(httpd.address())?;
    client
        .stream
        .set_read_timeout(Some(Duration::from_secs(1)))?;
    client.upgrade(&Handshake::to("/herald?room"))?;
    client.text("pid")?;
    let pid = client.next_text()?.trim_start_matches("= ").parse()?;
    client.stream.set_read_timeout(Some(PATIENCE))?;
    Ok((client, pid))
}

/// Tasks of the runtime send over TLS while the memory of the connection is freed.
fn storm(context: &Context) -> Result<()> {
    let sizing = Sizing {
        processes: 1,
        threads: 8,
    };
    let httpd = context
        .root()?
        .sizing(sizing)
        .config(location(context, "/waiter", "waiter", ""))
        .tls_port(free_port()?)
        .start()?;
    for _ in 0..5 {
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut client = Client::open_tls(&httpd, &Handshake::to("/waiter"))?;
            client.text("storm")?;
            client.frame()?;
            clients.push(thread::spawn(move || client.drain()));
        }
        httpd.restart()?;
        for client in clients {
            // It may end in the middle of a record.
            let _ = client.join().expect("it does not panic");
        }
    }
    ensure_healthy(&httpd.error_log()?)?;
    ensure!(httpd.stop()?.success());
    Ok(())
}
