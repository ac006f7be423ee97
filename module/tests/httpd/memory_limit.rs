//! `WebSocketMemoryLimit`: what clients make a process hold.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::Mpm;

use crate::rust::location;
use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Frame, Handshake, Opcode, PATIENCE, cases};

cases! {
    "WebSocketMemoryLimit: the client with the longest half of a message is closed with 1013"
        => one_half,
    "WebSocketMemoryLimit: many halves of messages are closed until enough is free" => many_halves,
    "WebSocketMemoryLimit: a client that takes too little is closed before others" => queue,
    "WebSocketMemoryLimit: a message to all counts once, however many have not taken it" => shared,
    "WebSocketMemoryLimit: messages that wait for an async plugin count" => asynchronous,
    "WebSocketMemoryLimit Off keeps everything" => off,
    "WebSocketMemoryLimit: a bad value is a configuration error that says what is allowed"
        => bad_values,
}

const MIB: usize = 1 << 20;

/// A server with one process that may hold so many MiB, and does so for any time.
fn start(context: &Context, limit: &str, more: &str) -> Result<Httpd> {
    let config = format!(
        "WebSocketMemoryLimit {limit}\nWebSocketMessageTimeout Off\nWebSocketPingInterval Off\n\
         Timeout 60\n{more}"
    );
    context.start_small(32, &config)
}

fn open(httpd: &Httpd, target: &str) -> Result<Client> {
    Client::open(httpd.address(), &Handshake::to(target))
}

/// All but the last byte of a message of so many bytes.
fn half(size: usize) -> Vec<u8> {
    let mut frame = masked(Opcode::BINARY, vec![0; size]);
    frame.pop();
    frame
}

/// Whether the client was closed with 1013 for this reason.
fn is_cut(client: &mut Client) -> Result<bool> {
    let frame = client.frame()?;
    Ok(frame == Frame::new(Opcode::CLOSE, b"\x03\xF5memory limit"))
}

fn one_half(context: &Context) -> Result<()> {
    let httpd = start(context, "4194304", "")?;
    let mut small = open(&httpd, "/echo")?;
    let mut large = open(&httpd, "/echo")?;
    let message = half(200_000);
    small.send(&message)?;
    large.send(half(6 * MIB))?;
    ensure!(is_cut(&mut large)?, "another frame");
    large.expect_end()?;
    httpd.wait_for_log("WebSocketMemoryLimit allows 4096 KiB", PATIENCE)?;
    small.send([0])?;
    ensure!(small.frame()?.payload.len() == 200_000);
    small.echo("still here")
}

fn asynchronous(context: &Context) -> Result<()> {
    if context.mpm == Mpm::Prefork {
        // Each process has one connection.
        return Ok(());
    }
    let httpd = start(
        context,
        "8388608",
        &location(context, "/waiter", "waiter", ""),
    )?;
    // Nobody answers the questions.
    let backend = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let question = format!("ask {} ", backend.local_addr()?.port());
    let question = question + &"x".repeat(3 * MIB);
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = open(&httpd, "/waiter")?;
        client.text(&question)?;
        clients.push(client);
    }
    httpd.wait_for_log("WebSocketMemoryLimit allows 8192 KiB", PATIENCE)?;
    let mut other = open(&httpd, "/waiter")?;
    other.echo("still here")?;
    drop(clients);
    ensure_healthy(&httpd.error_log()?)
}

fn many_halves(context: &Context) -> Result<()> {
    if context.mpm == Mpm::Prefork {
        // Each process has one connection.
        return Ok(());
    }
    let httpd = start(context, "8388608", "")?;
    let mut clients = (0..12)
        .map(|_| open(&httpd, "/echo"))
        .collect::<Result<Vec<_>>>()?;
    let message = half(MIB);
    for client in &mut clients {
        client.send(&message)?;
    }
    httpd.wait_for_log("WebSocketMemoryLimit allows 8192 KiB", PATIENCE)?;
    // Those that are still there complete their messages.
    let mut kept = 0;
    for mut client in clients {
        let has_sent = client.send(last_byte(&message)).is_ok();
        let frame = client.frame();
        let is_echo = frame.as_ref().is_ok_and(|frame| frame.payload.len() == MIB);
        let is_close = frame
            .as_ref()
            .is_ok_and(|frame| frame.first_byte == Opcode::CLOSE);
        ensure!(is_echo || is_close || !has_sent, "{frame:?}");
        kept += usize::from(is_echo);
    }
    // Nine of them are too many, and seven may stay. The last three may come when the first ones
    // are complete.
    ensure!((4..=10).contains(&kept), "{kept} kept");
    Ok(())
}

/// The byte that [`half`] leaves out.
fn last_byte(half: &[u8]) -> [u8; 1] {
    let whole = masked(Opcode::BINARY, vec![0; MIB]);
    [whole[half.len()]]
}

fn queue(context: &Context) -> Result<()> {
    let httpd = start(context, "4194304", "")?;
    let journal = Journal::new(context)?;
    let started = Instant::now();
    let mut lazy = Client::connect_with_buffer(httpd.address(), 1 << 16)?;
    lazy.upgrade(&journal.handshake("/journal").header("X-Stream", "60000"))?;
    ensure!(journal.wait_for("refused ")? == "0");
    journal.expect_one_disconnect(Duration::from_secs(15))?;
    ensure!(started.elapsed() < Duration::from_secs(20));
    httpd.wait_for_log("WebSocketMemoryLimit allows 4096 KiB", PATIENCE)?;
    open(&httpd, "/echo")?.echo("others are served")
}

fn shared(context: &Context) -> Result<()> {
    const MEMBERS: usize = 8;
    const MESSAGES: usize = 100;
    if context.mpm == Mpm::Prefork {
        // Its processes have no room in common.
        return Ok(());
    }
    // All of them together are sent 32 MB, which is 4 MB once.
    let httpd = start(context, "12582912", "")?;
    let mut members = (0..MEMBERS)
        .map(|_| {
            let mut client = Client::connect_with_buffer(httpd.address(), 1 << 14)?;
            client.upgrade(&Handshake::to("/segments"))?;
            Ok(client)
        })
        .collect::<Result<Vec<_>>>()?;
    let message = masked(Opcode::TEXT, vec![b'x'; 40_000]);
    members[0].send(message.repeat(MESSAGES))?;
    for (number, member) in members.iter_mut().enumerate() {
        for count in 0..MESSAGES {
            let frame = member
                .frame()
                .with_context(|| format!("{number} {count}"))?;
            ensure!(frame.payload.len() == 40_000, "{number} {count}: {frame:?}");
        }
    }
    Ok(())
}

fn off(context: &Context) -> Result<()> {
    let httpd = start(context, "Off", "")?;
    let message = half(30 * MIB);
    let mut client = open(&httpd, "/echo")?;
    client.send(&message)?;
    let whole = masked(Opcode::BINARY, vec![0; 30 * MIB]);
    client.send(&whole[message.len()..])?;
    ensure!(client.frame()?.payload.len() == 30 * MIB);
    Ok(())
}

fn bad_values(context: &Context) -> Result<()> {
    for (directive, words) in [
        (
            "WebSocketMemoryLimit 1000",
            "bytes from 1048576 to 9223372036854775807, not '1000'",
        ),
        ("WebSocketMemoryLimit 256M", "(Off for no limit)"),
        (
            "<Location /x>\nWebSocketMemoryLimit Off\n</Location>",
            "not allowed in <Location>",
        ),
        (
            "<VirtualHost *:80>\nWebSocketMemoryLimit Off\n</VirtualHost>",
            "<VirtualHost>",
        ),
    ] {
        let checked = context.root()?.config(directive).check_config()?;
        let is_explained = checked.message.contains(words);
        ensure!(
            !checked.ok && is_explained,
            "{directive}: {}",
            checked.message
        );
    }
    Ok(())
}
