//! Clients with unusual TLS records: of any length, and with other content than data.

use std::io::{ErrorKind, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::process::{cpu_ticks, resident_kib};
use xtask::server_root::{Mpm, Sizing};

use crate::rust::location;
use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::records::{ALERT, HANDSHAKE, Records};
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Handshake, Opcode, PATIENCE, cases};

cases! {
    "TLS 1.2: a flood of refused renegotiations takes no memory if the client does not read"
        => flood,
    "TLS 1.2: messages after a flood of refused renegotiations are handled" => behind_flood,
    "TLS 1.2: messages after a flood of refused renegotiations are handled although answers waited"
        => behind_answers,
    "TLS: a member of a room who sends records of one byte delays no other" => short_records,
    "TLS: close_notify in the middle of a message ends the connection" => close_notify,
    "TLS: an alert in the middle of a message ends the connection" => handshake_failure,
    "TLS: a damaged record ends the connection with an alert that says so" => damaged,
}

/// A handshake message: an empty ClientHello. OpenSSL refuses every ClientHello with a warning
/// (`no_renegotiation`).
const HELLO: [u8; 4] = [1, 0, 0, 0];

fn start(context: &Context, config: &str) -> Result<Httpd> {
    let sizing = Sizing {
        processes: 1,
        threads: 16,
    };
    context
        .root()?
        .sizing(sizing)
        .tls_port(xtask::port::free_port()?)
        .config(context.plugins().locations())
        .config(config)
        .start()
}

fn hellos(client: &mut Client<Records>, count: usize) -> Vec<u8> {
    let records = &mut client.stream;
    (0..count)
        .flat_map(|_| records.seal(HANDSHAKE, &HELLO))
        .collect()
}

fn flood(context: &Context) -> Result<()> {
    const COUNT: usize = 200_000; // the answers are 6 MB
    const MOST_KIB: u64 = 3 * 1024;
    // The system keeps some of the answers for the client.
    let httpd = start(context, "SendBufferSize 16384")?;
    let memory = || {
        let children = httpd.child_pids()?.into_iter();
        let resident = children.filter_map(|pid| resident_kib(pid).ok());
        resident.max().context("there is no child")
    };
    let mut client = Client::connect_records(&httpd)?;
    client.upgrade(&Handshake::to("/echo"))?;
    client.echo("before")?;
    let before = memory()?;
    let bytes = hellos(&mut client, COUNT);
    let socket = &mut client.stream.socket;
    socket.set_write_timeout(Some(Duration::from_secs(2)))?;
    // The server need not read all of it.
    let _ = socket.write_all(&bytes);
    // No event shows that the server has stopped reading.
    let mut after = memory()?;
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(500));
        after = after.max(memory()?);
    }
    let more = after.saturating_sub(before);
    ensure!(more < MOST_KIB, "{more} KiB more");
    Client::open_tls(&httpd, &Handshake::to("/echo"))?.echo("served meanwhile")?;
    // It is still open, and the server has sent answers.
    ensure!(client.stream.socket.peek(&mut [0])? == 1);
    drop(client);
    ensure_healthy(&httpd.error_log()?)
}

fn behind_flood(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    for count in [9_000, 20_000, 50_000] {
        let mut client = Client::connect_records(&httpd)?;
        client.upgrade(&Handshake::to("/echo"))?;
        client.echo("before")?;
        let mut bytes = hellos(&mut client, count);
        let message = masked(Opcode::TEXT, "behind");
        bytes.extend(client.stream.seal_data(&message, message.len()));
        let mut socket = client.stream.socket.try_clone()?;
        let sender = thread::spawn(move || socket.write_all(&bytes));
        client
            .expect_text("behind")
            .with_context(|| count.to_string())?;
        sender.join().expect("it does not panic")?;
        client.close()?;
    }
    Ok(())
}

/// The client reads only when the server has stopped reading. Until then nobody works.
fn behind_answers(context: &Context) -> Result<()> {
    const COUNT: usize = 200_000; // 7 MB
    // The system keeps little for the server, in either direction.
    let httpd = start(context, "SendBufferSize 16384\nReceiveBufferSize 16384")?;
    let mut client = Client::connect_records(&httpd)?;
    client.upgrade(&Handshake::to("/echo"))?;
    client.echo("before")?;
    let mut bytes = hellos(&mut client, COUNT);
    let message = masked(Opcode::TEXT, "behind");
    bytes.extend(client.stream.seal_data(&message, message.len()));
    let mut socket = client.stream.socket.try_clone()?;
    socket.set_write_timeout(Some(Duration::from_secs(1)))?;
    let mut written = 0;
    loop {
        match socket.write(&bytes[written..]) {
            Ok(length) => written += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
        ensure!(written < bytes.len(), "the server reads on");
    }
    let ticks = || {
        let children = httpd.child_pids()?.into_iter();
        children.map(cpu_ticks).sum::<Result<u64>>()
    };
    let before = ticks()?;
    thread::sleep(Duration::from_secs(1)); // the measured time
    let used = ticks()?.saturating_sub(before);
    ensure!(used < 20, "{used} ticks in a second");
    let sender = thread::spawn(move || -> Result<()> {
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(socket.write_all(&bytes[written..])?)
    });
    client.expect_text("behind")?;
    sender.join().expect("it does not panic")?;
    client.close()
}

fn short_records(context: &Context) -> Result<()> {
    const ROUNDS: u32 = 5;
    // On prefork every connection has its own process.
    if context.mpm == Mpm::Prefork {
        return Ok(());
    }
    let httpd = start(context, &location(context, "/room", "chat", ""))?;
    let handshake = Handshake::to("/room");
    let mut neighbour = Client::open(httpd.address(), &handshake)?;
    // The machine may be busy during one attempt.
    let mut waits = Vec::new();
    for _ in 0..ROUNDS {
        let mut nuisance = Client::connect_records(&httpd)?;
        nuisance.upgrade(&handshake)?;
        waits.push(longest_wait(&mut neighbour, nuisance)?);
    }
    let mean = waits.iter().sum::<f64>() / f64::from(ROUNDS);
    ensure!(
        mean < 0.2,
        "parts of the time the neighbour waited at most: {waits:?}"
    );
    Ok(())
}

/// A client sends a message with one byte per record. Meanwhile another client waits for the
/// answers to its own messages. Returns the longest wait as a part of the whole time.
fn longest_wait(neighbour: &mut Client, mut nuisance: Client<Records>) -> Result<f64> {
    let frame = masked(Opcode::TEXT, vec![b'x'; 300_000]);
    let records = nuisance.stream.seal_data(&frame, 1);
    let mut socket = nuisance.stream.socket.try_clone()?;
    let is_over = &AtomicBool::new(false);
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || socket.write_all(&records));
        // Reads the other client's output. The chat answers the invalid message by closing the
        // connection.
        let reader = scope.spawn(move || {
            let ended = loop {
                match nuisance.frame() {
                    Ok(frame) if frame.first_byte == Opcode::CLOSE => break Ok(()),
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
            };
            is_over.store(true, Ordering::Relaxed);
            ended
        });
        let mut longest = Duration::ZERO;
        for number in 0.. {
            let started = Instant::now();
            let text = format!("number {number}");
            neighbour.text(format!(r#"{{"type":"say","text":"{text}"}}"#))?;
            while !neighbour.next_text()?.contains(&text) {}
            longest = longest.max(started.elapsed());
            if is_over.load(Ordering::Relaxed) {
                break;
            }
        }
        reader.join().expect("it does not panic")?;
        Ok(longest.as_secs_f64() / begun.elapsed().as_secs_f64())
    })
}

/// What mod_ssl writes when reading from a client fails.
const READ_ERROR: &str = "SSL library error 1 reading data";

/// Sends an alert behind half a message, and returns the error log from after the end.
fn alert_in_message(context: &Context, alert: [u8; 2]) -> Result<(Httpd, String)> {
    let httpd = start(context, "LogLevel websocket:debug")?;
    let journal = Journal::new(context)?;
    let mut client = Client::connect_records(&httpd)?;
    client.upgrade(&journal.handshake("/journal"))?;
    client.echo("hello")?;
    client.send(&masked(Opcode::TEXT, "half a message")[..8])?;
    let alert = client.stream.seal(ALERT, &alert);
    client.stream.socket.write_all(&alert)?;
    journal.expect_one_disconnect(Duration::from_secs(4))?;
    client.drain()?;
    let log = httpd.error_log()?;
    ensure_healthy(&log)?;
    Ok((httpd, log))
}

fn close_notify(context: &Context) -> Result<()> {
    let (_httpd, log) = alert_in_message(context, [1, 0])?;
    ensure!(!log.contains(READ_ERROR), "{log}");
    Ok(())
}

fn handshake_failure(context: &Context) -> Result<()> {
    let (httpd, _) = alert_in_message(context, [2, 40])?;
    httpd.wait_for_log("SSL alert number 40", PATIENCE)?;
    httpd.wait_for_log(READ_ERROR, PATIENCE).map(drop)
}

/// The alert `bad_record_mac`, which is fatal (RFC 5246, section 7.2).
const BAD_RECORD_MAC: [u8; 2] = [2, 20];

fn damaged(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let journal = Journal::new(context)?;
    let mut client = Client::connect_records(&httpd)?;
    client.upgrade(&journal.handshake("/journal"))?;
    client.echo("hello")?;
    let message = masked(Opcode::TEXT, "damaged");
    let mut record = client.stream.seal_data(&message, message.len());
    *record.last_mut().context("it is not empty")? ^= 1;
    client.stream.socket.write_all(&record)?;
    client.drain()?;
    let alerts = &client.stream.alerts;
    ensure!(
        alerts.first().is_some_and(|alert| *alert == BAD_RECORD_MAC),
        "{alerts:?}"
    );
    journal.expect_one_disconnect(Duration::from_secs(4))?;
    ensure_healthy(&httpd.error_log()?)
}
