//! Order, limits and cancellation of callbacks.

use std::io::{ErrorKind, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::backend::Backend;
use super::{expect_gone, on_all_ways, open_told, start};
use crate::rust::open;
use crate::support::frame::masked;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Frame, Handshake, Opcode, PATIENCE, cases};

cases! {
    "async plugins: callbacks that wait run in order, and others go on" => order,
    "async plugins: a client whose callbacks wait is held back, and loses nothing" => held_back,
    "async plugins: the end of a connection cancels its callback before on_disconnect" => cancelled,
    "async plugins: what a client has sent before it closed is handled" => finished,
    "async plugins: on_disconnect is given up after ten seconds" => given_up,
    "async plugins: events come in the order of the connection's callbacks" => events,
    "async plugins: callbacks that wait run in order on every kind of connection" => all_ways,
    "async plugins: a handshake may wait for another server" => handshake,
    "async plugins: a panic ends its own connection" => panic,
}

fn order(context: &Context) -> Result<()> {
    let (httpd, backend) = (start(context)?, Backend::new()?);
    let port = backend.port()?;
    let (mut first, mut other) = (open(&httpd, "/waiter")?, open(&httpd, "/waiter")?);
    for number in 0..10 {
        first.text(format!("ask {port} question {number}"))?;
        first.text(format!("echo {number}"))?;
    }
    for number in 0..10 {
        let question = backend.question()?;
        ensure!(
            question.text == format!("question {number}"),
            "{}",
            question.text
        );
        other.echo("nobody else waits")?;
        ensure!(backend.is_idle()?, "two questions at once");
        question.answer(&format!("answer {number}"))?;
        first.expect_text(format!("answer {number}"))?;
        first.expect_text(format!("echo {number}"))?;
    }
    first.close()?;
    other.close()?;
    ensure_healthy(&httpd.error_log()?)
}

fn held_back(context: &Context) -> Result<()> {
    /// Far more than the buffers of the system take.
    const MOST: usize = 64 << 20;
    let (httpd, backend) = (start(context)?, Backend::new()?);
    let mut client = open(&httpd, "/waiter")?;
    client.text(format!("ask {} something", backend.port()?))?;
    let question = backend.question()?;
    let payload = "x".repeat(4096);
    let frame = masked(Opcode::TEXT, &payload);
    // A write that waits for so long shows that the server does not read.
    client
        .stream
        .set_write_timeout(Some(Duration::from_millis(300)))?;
    let (mut count, mut rest) = (0, Vec::new());
    while rest.is_empty() {
        ensure!(count * frame.len() < MOST, "{MOST} bytes were taken");
        let mut left = &frame[..];
        while !left.is_empty() {
            match client.stream.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    rest = left.to_vec();
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        count += 1;
    }
    let mut other = open(&httpd, "/waiter")?;
    other.echo("nobody else is held back")?;
    question.answer("answer")?;
    client.expect_text("answer")?;
    let mut writer = client.stream.try_clone()?;
    writer.set_write_timeout(Some(PATIENCE))?;
    let finisher = thread::spawn(move || writer.write_all(&rest));
    for _ in 0..count {
        client.expect_text(&payload)?;
    }
    finisher.join().expect("it does not panic")?;
    client.close()?;
    ensure_healthy(&httpd.error_log()?)
}

fn cancelled(context: &Context) -> Result<()> {
    type End = fn(Client) -> Result<()>;
    /// A client that has closed in order is served for five seconds more.
    const FINISH: Duration = Duration::from_secs(5);
    let ends: [(End, u16, Duration); 2] = [
        (Client::reset, 1006, Duration::ZERO),
        (Client::close, 1000, FINISH),
    ];
    let (httpd, backend) = (start(context)?, Backend::new()?);
    for (end, code, least) in ends {
        let mut client = open_told(httpd.address(), &backend)?;
        client.text(format!("ask {} something", backend.port()?))?;
        let question = backend.question()?;
        client.text(format!("ask {} something else", backend.port()?))?;
        let ended = Instant::now();
        end(client)?;
        question.expect_cancelled()?;
        // The server's time begins when it has got the close frame.
        ensure!(ended.elapsed() >= least, "after {:?}", ended.elapsed());
        expect_gone(&backend, code)?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn finished(context: &Context) -> Result<()> {
    let (httpd, backend) = (start(context)?, Backend::new()?);
    let port = backend.port()?;
    for _ in 0..5 {
        let mut client = open_told(httpd.address(), &backend)?;
        let mut all = Vec::new();
        for number in 0..10 {
            all.extend(masked(Opcode::TEXT, format!("ask {port} {number}")));
            all.extend(masked(Opcode::TEXT, "an answer that cannot be sent"));
        }
        all.extend(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()));
        client.send(all)?;
        client.expect_close(1000)?;
        for number in 0..10 {
            let question = backend.question()?;
            ensure!(question.text == number.to_string(), "{}", question.text);
            question.answer("answer")?;
        }
        expect_gone(&backend, 1000)?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn given_up(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    let mut client = open(&httpd, "/waiter")?;
    client.echo("never")?;
    client.close()?;
    let line = httpd.wait_for_log(
        "on_disconnect has not completed within 10 seconds",
        PATIENCE,
    )?;
    ensure!(line.contains("[Waiter] [client "), "{line}");
    open(&httpd, "/waiter")?.echo("others go on")?;
    ensure_healthy(&httpd.error_log()?)
}

fn events(context: &Context) -> Result<()> {
    on_all_ways(context, |client| {
        let backend = Backend::new()?;
        // The event is due long before the callback has completed that asked for it.
        let port = backend.port()?;
        client.text(format!("later-ask 1 second {port} something"))?;
        let question = backend.question()?;
        client.text("third")?;
        thread::sleep(Duration::from_millis(20));
        question.answer("first")?;
        client.expect_text("first")?;
        let others = [client.next_text()?, client.next_text()?];
        ensure!(others.contains(&"second".into()), "{others:?}");
        ensure!(others.contains(&"third".into()), "{others:?}");
        for number in 0..100 {
            client.text(format!("post {number}"))?;
        }
        for number in 0..100 {
            client.expect_text(number.to_string())?;
        }
        Ok(())
    })
}

fn all_ways(context: &Context) -> Result<()> {
    on_all_ways(context, |client| {
        let backend = Backend::new()?;
        let port = backend.port()?;
        for round in 0..20 {
            for number in 0..4 {
                client.text(format!("ask {port} {number}"))?;
                client.text(format!("echo {number}"))?;
            }
            for number in 0..4 {
                let question = backend.question()?;
                ensure!(question.text == number.to_string(), "{}", question.text);
                question.answer(&format!("answer {round} {number}"))?;
                client.expect_text(format!("answer {round} {number}"))?;
                client.expect_text(format!("echo {number}"))?;
            }
        }
        client.send(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()))?;
        client.expect(&Frame::close(1000))
    })
}

fn handshake(context: &Context) -> Result<()> {
    let (httpd, backend) = (start(context)?, Backend::new()?);
    open_told(httpd.address(), &backend)?.echo("it may")?;
    expect_gone(&backend, 1006)?;
    let target = format!("/waiter?ask={}", backend.port()?);
    let address = httpd.address();
    let refused = thread::spawn(move || Client::ask(address, &Handshake::to(&target)));
    backend.question()?.answer("no")?;
    let response = refused.join().expect("it does not panic")?;
    ensure!(response.status == 403, "{response:?}");
    ensure_healthy(&httpd.error_log()?)
}

fn panic(context: &Context) -> Result<()> {
    let httpd = start(context)?;
    let (mut client, mut other) = (open(&httpd, "/waiter")?, open(&httpd, "/waiter")?);
    other.echo("before")?;
    client.text("panic")?;
    client.text("after the panic")?;
    client.expect_close(1011)?;
    let line = httpd.wait_for_log("[Waiter] on_message panicked at", PATIENCE)?;
    ensure!(line.contains(": it has waited"), "{line}");
    other.echo("after")?;
    other.close()?;
    ensure!(!httpd.error_log()?.contains("exit signal"));
    ensure!(httpd.stop()?.success());
    Ok(())
}
