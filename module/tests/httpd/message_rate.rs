//! `WebSocketMessageRate`.

use std::fs;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::net::sockopt::set_socket_linger;
use xtask::httpd::Httpd;
use xtask::port::free_port;
use xtask::process::cpu_ticks;

use crate::keepalive::ways::on_all_ways_of;
use crate::rust::location;
use crate::support::frame::masked;
use crate::support::http2::Http2;
use crate::support::{Client, Context, Frame, Handshake, Opcode, PATIENCE, cases, wait_until};

cases! {
    "message rate: a client that sends too much is read from later, and gets every answer" => pause,
    "message rate: with Close the first message too many ends the connection with 1008" => close,
    "message rate: with Close what a client sends in time may wait for the plugin" => waited,
    "message rate: one long message is read at full speed" => long,
    "message rate: nothing is limited by default, or where it is Off" => merging,
    "message rate: a client that is not read from costs no processor time, also when it is gone"
        => idle,
    "message rate: the limit holds over TLS and HTTP/2 and for detached connections" => transports,
}

fn start(context: &Context, directives: &str) -> Result<Httpd> {
    let limited = context.plugins().location("/limited", "echo", directives);
    context.root()?.config(limited).start()
}

fn open(httpd: &Httpd) -> Result<Client> {
    Client::open(httpd.address(), &Handshake::to("/limited"))
}

/// Sends so many messages at once, and returns how long their answers take.
fn flood<S: Read + Write>(client: &mut Client<S>, count: u32) -> Result<Duration> {
    let began = Instant::now();
    let messages: Vec<_> = (0..count)
        .map(|number| masked(Opcode::TEXT, number.to_string()))
        .collect();
    client.send(messages.concat())?;
    for number in 0..count {
        client.expect_text(number.to_string())?;
    }
    Ok(began.elapsed())
}

/// A flood of 100 messages takes its time at 50 a second with 10 at once, of which a few more may
/// be read together.
fn ensure_paced(took: Duration) -> Result<()> {
    let least = Duration::from_millis((100 - 10 - 30) * 20);
    ensure!((least..PATIENCE).contains(&took), "{took:?}");
    Ok(())
}

/// The end of a client that has sent too much.
fn too_many() -> Frame {
    Frame::new(Opcode::CLOSE, b"\x03\xf0message rate")
}

const PACED: &str = "WebSocketMessageRate 50/s 10";

fn pause(context: &Context) -> Result<()> {
    let httpd = start(context, PACED)?;
    let mut client = open(&httpd)?;
    let mut other = open(&httpd)?;
    ensure_paced(flood(&mut client, 100)?)?;
    // Each connection has its own.
    ensure!(flood(&mut other, 10)? < Duration::from_secs(2));
    // A client that keeps to the rate does not wait; neither do other frames.
    for number in 0..3 {
        client.echo(&format!("number {number}"))?;
    }
    client.send(masked(Opcode::PING, "p").repeat(200))?;
    for _ in 0..200 {
        client.expect(&Frame::pong("p"))?;
    }
    client.close()
}

fn close(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketMessageRate 10/min 5 Close")?;
    for pieces in [1, 5] {
        let mut client = open(&httpd)?;
        let text = masked(Opcode::TEXT, "hello");
        for _ in 0..pieces {
            client.send(text.repeat(5 / pieces))?;
        }
        for _ in 0..5 {
            client.expect_text("hello")?;
        }
        // What follows is not answered.
        client.send([text.clone(), text].concat())?;
        client.expect(&too_many())?;
        client.expect_end()?;
    }
    let line = httpd.wait_for_log("closed by the server (limit) with code 1008", PATIENCE)?;
    ensure!(line.contains("received 5 messages (25 bytes)"), "{line}");
    // A burst of fragments is one message.
    let mut client = open(&httpd)?;
    client.send(masked(Opcode::FIRST_TEXT, "a"))?;
    for _ in 0..20 {
        client.send(masked(0x00, "b"))?;
    }
    client.send(masked(0x80, "c"))?;
    client.expect_text(format!("a{}c", "b".repeat(20)))?;
    client.close()
}

fn waited(context: &Context) -> Result<()> {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let folder = context.plugins().dir();
    let limit = "WebSocketMessageRate 20/s 5 Close";
    on_all_ways_of(context, "valve", limit, |client| {
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let file = folder.join(format!("resume-{number}"));
        client.text(format!("pause {}", file.display()))?;
        client.expect_text("paused")?;
        for number in 0..20 {
            thread::sleep(Duration::from_millis(60)); // slower than the rate
            client.text(number.to_string())?;
        }
        fs::write(&file, "")?;
        client.expect_text("resuming")?;
        fs::remove_file(&file)?;
        for number in 0..20 {
            client.expect_text(number.to_string())?;
        }
        // All has been read: from here on the burst is what it was.
        thread::sleep(Duration::from_millis(300));
        client.send(masked(Opcode::TEXT, "too many").repeat(10))?;
        for _ in 0..5 {
            client.expect_text("too many")?;
        }
        client.expect(&too_many())
    })
}

fn long(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketMessageRate 1/s 2")?;
    let mut client = open(&httpd)?;
    let payload = vec![7; 16 << 20];
    let began = Instant::now();
    client.binary(&payload)?;
    client.expect(&Frame::binary(&payload))?;
    ensure!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    client.close()
}

fn merging(context: &Context) -> Result<()> {
    let at = |path, directives| context.plugins().location(path, "echo", directives);
    let httpd = context
        .root()?
        .config(at("/inherits", "") + &at("/off", "WebSocketMessageRate Off"))
        .config("WebSocketMessageRate 1/min 5 Close")
        .start()?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/inherits"))?;
    client.send(masked(Opcode::TEXT, "hello").repeat(6))?;
    for _ in 0..5 {
        client.expect_text("hello")?;
    }
    ensure!(client.frame()?.first_byte == Opcode::CLOSE);
    let mut client = Client::open(httpd.address(), &Handshake::to("/off"))?;
    flood(&mut client, 2000)?;
    flood(&mut context.open("/echo")?, 2000)?;
    Ok(())
}

fn idle(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketMessageRate 2/s 1")?;
    let flood = masked(Opcode::TEXT, "hello").repeat(1000);
    let mut held = open(&httpd)?;
    held.send(&flood)?;
    held.expect_text("hello")?;
    let mut gone = open(&httpd)?;
    gone.send(&flood)?;
    gone.expect_text("hello")?;
    set_socket_linger(&gone.stream, Some(Duration::ZERO))?;
    drop(gone);
    let children = httpd.child_pids()?;
    let used = || {
        children
            .iter()
            .map(|&child| cpu_ticks(child))
            .sum::<Result<u64>>()
    };
    let before = used()?;
    // Meanwhile the children have nothing to do.
    thread::sleep(Duration::from_secs(1));
    let ticks = used()? - before;
    ensure!(ticks < 20, "{ticks} ticks in a second");
    wait_until("the end is found", || {
        Ok(httpd.error_log()?.contains("the WebSocket has ended: lost"))
    })
}

fn transports(context: &Context) -> Result<()> {
    let limited = context.plugins().location("/limited", "echo", PACED);
    let detached = location(
        context,
        "/hermit",
        "hermit",
        &format!("WebSocketDetach On\n{PACED}"),
    );
    let root = context.root()?.tls_port(free_port()?);
    let httpd = context
        .with_http2(root)?
        .config(limited + &detached)
        .start()?;
    let handshake = Handshake::to("/limited");
    let took = flood(&mut Client::open_tls(&httpd, &handshake)?, 100)?;
    ensure_paced(took).context("TLS")?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/hermit"))?;
    ensure_paced(flood(&mut client, 100)?).context("detached")?;
    if context.serves_http2()? {
        let http2 = Http2::connect(httpd.address())?;
        let took = flood(&mut http2.open(&handshake)?, 100)?;
        ensure_paced(took).context("HTTP/2")?;
    }
    Ok(())
}
