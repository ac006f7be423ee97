//! How much waits for a client that takes its messages slowly, and what becomes of it.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;

use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases, wait_until};

cases! {
    "WebSocketSendQueue: a sender waits when so many bytes wait" => limit,
    "WebSocketSlowClient Close: a client with a full queue is closed with 1013 at once" => closes,
    "WebSocketSlowClient Close: a client that takes nothing at all is gone at once" => stuck,
    "WebSocketSlowClient Close: a callback that sends too much closes its own connection" => own,
    "WebSocketSlowClient Wait is the default: the sender waits and nothing is lost" => waits,
    "the queue of a client: a bad value is a configuration error that says what is allowed"
        => bad_values,
    "the queue of a client: a location may set other limits than its server" => merging,
}

const BUFFER_SIZE: usize = 1 << 16;

/// What the system keeps on both sides of a connection at most.
const SYSTEM: usize = 8 << 20;

/// A client that reads nothing, and to which a thread of the plugin sends all it can.
fn lazy(httpd: &Httpd, journal: &Journal, target: &str, size: usize) -> Result<Client> {
    let mut client = Client::connect_with_buffer(httpd.address(), BUFFER_SIZE)?;
    client.upgrade(
        &journal
            .handshake(target)
            .header("X-Stream", &size.to_string()),
    )?;
    Ok(client)
}

fn accepted(journal: &Journal) -> Result<usize> {
    ensure!(journal.wait_for("refused ")? == "0");
    Ok(journal.wait_for("accepted ")?.parse()?)
}

fn limit(context: &Context) -> Result<()> {
    let httpd = context.start("Timeout 1\nWebSocketSendQueue 100000\n")?;
    let journal = Journal::new(context)?;
    let _lazy = lazy(&httpd, &journal, "/journal", 1000)?;
    let accepted = accepted(&journal)?;
    ensure!((100_000..SYSTEM).contains(&accepted), "{accepted}");
    Ok(())
}

fn closes(context: &Context) -> Result<()> {
    const SIZE: usize = 10_000;
    let httpd = context.start("WebSocketSlowClient Close\n")?;
    let journal = Journal::new(context)?;
    let mut client = lazy(&httpd, &journal, "/journal", SIZE)?;
    let accepted = accepted(&journal)?;
    ensure!(accepted >= 16 << 20, "{accepted}");
    let message = Frame::binary(vec![0; SIZE]);
    let mut arrived = 0;
    let close = loop {
        let frame = client.frame()?;
        if frame.first_byte == Opcode::CLOSE {
            break frame;
        }
        ensure!(frame == message, "{frame:?}");
        arrived += SIZE;
    };
    ensure!(close.payload == b"\x03\xF5slow client", "{close:?}");
    client.expect_end()?;
    // What waited in the queue was forgotten.
    ensure!(arrived < SYSTEM, "{arrived}");
    journal.expect_one_disconnect(Duration::from_secs(4))
}

fn stuck(context: &Context) -> Result<()> {
    // Not even a frame ends within reach.
    let httpd = context.start("Timeout 60\nWebSocketSlowClient Close\n")?;
    let journal = Journal::new(context)?;
    let _lazy = lazy(&httpd, &journal, "/journal", 12 << 20)?;
    let started = Instant::now();
    accepted(&journal)?;
    journal.expect_one_disconnect(Duration::from_secs(4))?;
    ensure!(started.elapsed() < Duration::from_secs(10));
    Ok(())
}

fn own(context: &Context) -> Result<()> {
    let httpd = context
        .root()?
        .tls_port(xtask::port::free_port()?)
        .config(context.plugins().locations())
        .config("WebSocketSendQueue 500000\nWebSocketSlowClient Close\n")
        .start()?;
    let handshake = Handshake::to("/kitchen_sink");
    let mut plain = Client::connect_with_buffer(httpd.address(), BUFFER_SIZE)?;
    plain.upgrade(&handshake)?;
    overfill(&httpd, plain, 1).context("plain")?;
    let mut tls = Client::connect_tls_with_buffer(&httpd, BUFFER_SIZE)?;
    tls.upgrade(&handshake)?;
    overfill(&httpd, tls, 2).context("TLS")
}

/// Asks for more than the system and the queue hold, and reads only when the connection has ended,
/// which is the `number`th of this server.
fn overfill<S: Read + Write>(httpd: &Httpd, mut client: Client<S>, number: usize) -> Result<()> {
    client.text("echo a client that reads is not slow")?;
    client.expect_text("a client that reads is not slow")?;
    const ASKED: u64 = 2 * 12_000_000;
    client.send(masked(Opcode::TEXT, "big 12000000").repeat(2))?;
    wait_until("the connection has ended", || {
        let log = httpd.error_log()?;
        Ok(log.matches("the WebSocket has ended").count() >= number)
    })?;
    let mut taken = 0;
    loop {
        match client.stream.read(&mut [0; 1 << 16]) {
            Ok(0) => break,
            Ok(read) => taken += read as u64,
            Err(error) => {
                let is_late = [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind());
                ensure!(!is_late, "still open after {taken} bytes");
                break;
            }
        }
    }
    ensure!(taken < ASKED, "everything arrived");
    Ok(())
}

fn waits(context: &Context) -> Result<()> {
    let httpd = context.start("WebSocketSendQueue 50000\n")?;
    let mut client = Client::connect_with_buffer(httpd.address(), BUFFER_SIZE)?;
    client.upgrade(&Handshake::to("/kitchen_sink"))?;
    for _ in 0..3 {
        client.text("big 10000000")?;
    }
    std::thread::sleep(Duration::from_millis(300)); // the client does not read meanwhile
    for _ in 0..3 {
        let frame = client.frame()?;
        ensure!(frame.payload.len() == 10_000_000, "{frame:?}");
    }
    client.close()
}

fn bad_values(context: &Context) -> Result<()> {
    for (directive, words) in [
        (
            "WebSocketSendQueue 0",
            "bytes from 1 to 9223372036854775807, not '0'",
        ),
        ("WebSocketSendQueue 16M", "not '16M'"),
        ("WebSocketSlowClient Drop", "Wait or Close, not 'Drop'"),
    ] {
        let checked = context.root()?.config(directive).check_config()?;
        let is_explained = checked.message.contains(words);
        ensure!(
            !checked.ok && is_explained,
            "{directive}: {}",
            checked.message
        );
    }
    let all = "WebSocketSendQueue 1000000\nWebSocketSlowClient cLOSE\n";
    let checked = context.root()?.config(all).check_config()?;
    ensure!(checked.ok, "{}", checked.message);
    Ok(())
}

fn merging(context: &Context) -> Result<()> {
    let location = context
        .plugins()
        .location("/own", "journal", "WebSocketSendQueue 20000000");
    let config = format!("WebSocketSendQueue 1000\nWebSocketSlowClient Close\n{location}");
    let httpd = context.start(&config)?;
    for (target, expected) in [("/journal", 1000..SYSTEM), ("/own", 20_000_000..40_000_000)] {
        let journal = Journal::new(context)?;
        let _lazy = lazy(&httpd, &journal, target, 1000)?;
        let accepted = accepted(&journal).context(target)?;
        ensure!(expected.contains(&accepted), "{target}: {accepted}");
    }
    Ok(())
}
