//! The memory that clients can make the server use.

use std::io::ErrorKind;

use anyhow::{Context as _, Result, ensure};
use flate2::{Compress, Compression, FlushCompress};
use xtask::httpd::Httpd;
use xtask::process::resident_kib;
use xtask::server_root::Mpm;

use crate::deflate::{Deflated, RSV1, offer, text};
use crate::support::frame::masked;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Driver, Frame, Handshake, Opcode, cases, wait_until};

cases! {
    "compression: an unfinished message takes little more memory than the bytes sent" => unfinished,
    "if there is no memory for a message its connection closes with 1013 and others are served"
        => no_memory,
    "compression: after many clients have left, their memory goes back to the system" => given_back,
}

/// The memory of the children, in KiB.
fn resident(httpd: &Httpd) -> Result<u64> {
    let pids = httpd.child_pids()?;
    pids.into_iter().map(resident_kib).sum()
}

/// If each could have the memory of the longest message, they would take one and a half gibibytes.
fn unfinished(context: &Context) -> Result<()> {
    const LENGTH: usize = 31 << 20;
    let clients = if context.mpm == Mpm::Prefork { 6 } else { 50 };
    let location = context
        .plugins()
        .location("/compressed", "echo", "WebSocketCompression On");
    let httpd = context.start_small(64, &location)?;
    let bomb = zeros(LENGTH)?;
    let handshake = offer("/compressed", "permessage-deflate");
    let open = || Client::open(httpd.address(), &handshake);
    let mut clients = (0..clients).map(|_| open()).collect::<Result<Vec<_>>>()?;
    for client in &mut clients {
        client.echo("the child has started")?;
    }
    let before = resident(&httpd)?;
    for client in &mut clients {
        client.send(masked(Opcode::FIRST_BINARY | RSV1, &bomb))?;
        client.send(masked(Opcode::PING, "has it been read?"))?;
    }
    for client in &mut clients {
        client.expect(&Frame::pong("has it been read?"))?;
    }
    let grown = resident(&httpd)?.saturating_sub(before);
    let each = grown / clients.len() as u64;
    ensure!(each < 1024, "{each} KiB for each client");
    // The message arrives as soon as it is complete.
    let client = clients.pop().expect("there are several");
    let mut client = Deflated::without_context(client);
    client.client.send(masked(Opcode::LAST, ""))?;
    let echo = client.receive_any(Opcode::BINARY)?;
    ensure!(echo.len() == LENGTH && echo.iter().all(|byte| *byte == 0));
    Ok(())
}

fn zeros(length: usize) -> Result<Vec<u8>> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut payload = Vec::with_capacity(1 << 20);
    compress.compress_vec(&vec![0; length], &mut payload, FlushCompress::Sync)?;
    payload.truncate(payload.len() - 4);
    Ok(payload)
}

/// Half of the announced lengths is more than the memory for all clients.
fn no_memory(context: &Context) -> Result<()> {
    const PIECES: usize = 24;
    const MORE_KIB: u64 = 128 * 1024;
    let httpd = context.start_small(64, "")?;
    let open = || Client::open(httpd.address(), &Handshake::to("/memory"));
    let mut witness = open()?;
    witness.echo("before")?;
    // A process of prefork has one client, so its limit is lower.
    let (clients, more) = match context.mpm {
        Mpm::Prefork => (1, MORE_KIB / 8),
        _ => (12, MORE_KIB),
    };
    let mut clients = (0..clients).map(|_| open()).collect::<Result<Vec<_>>>()?;
    for client in &mut clients {
        client.echo(&format!("limit {more}"))?;
    }
    let pids = httpd.child_pids()?;
    let message = masked(Opcode::BINARY, vec![b'm'; 32 << 20]);
    for client in &mut clients {
        for piece in message.chunks(1 << 20).take(PIECES) {
            if is_answered(client)? || client.send(piece).is_err() {
                break;
            }
        }
    }
    wait_until("somebody is refused", || {
        let answered = clients.iter().map(is_answered);
        answered
            .reduce(|one, other| Ok(one? || other?))
            .unwrap_or(Ok(false))
    })?;
    for client in &mut clients {
        if is_answered(client)? {
            let log = || httpd.error_log().unwrap_or_default();
            client.expect(&Frame::close(1013)).with_context(log)?;
        }
    }
    let log = || httpd.error_log().unwrap_or_default();
    witness.echo("meanwhile").with_context(log)?;
    let mut newcomer = open().with_context(log)?;
    newcomer.echo("somebody new").with_context(log)?;
    drop(clients);
    witness.echo("after").with_context(log)?;
    witness.close()?;
    for pid in pids {
        ensure!(httpd.child_pids()?.contains(&pid), "child {pid} has gone");
    }
    ensure_healthy(&httpd.error_log()?)
}

/// Whether the server has sent something.
pub(crate) fn is_answered(client: &Client) -> Result<bool> {
    client.stream.set_nonblocking(true)?;
    let peeked = client.stream.peek(&mut [0]);
    client.stream.set_nonblocking(false)?;
    match peeked {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        _ => Ok(true),
    }
}

/// Each connection has a compressor and an inflater. Earlier connections have already made the
/// threads allocate what they keep.
fn given_back(context: &Context) -> Result<()> {
    let clients = match (context.mpm, context.driver) {
        (Mpm::Prefork, _) => return Ok(()),
        (_, Driver::Event) => 400,
        (_, Driver::Blocking) => 100,
    };
    let location = context.plugins().location(
        "/own",
        "echo",
        "WebSocketCompression On\nWebSocketCompressionContext Connection",
    );
    let factor = match context.driver {
        Driver::Event => "AsyncRequestWorkerFactor 100\n",
        Driver::Blocking => "",
    };
    let config = location + factor;
    let httpd = context.start_small(120, &config)?;
    let handshake = offer("/own", "permessage-deflate");
    let open = || {
        let mut client = Deflated::over(Client::connect(httpd.address())?, &handshake)?;
        client.echo_text(&text(0, 1000))?;
        Ok(client)
    };
    open()?.client.close()?;
    let plain = || {
        let mut client = Client::open(httpd.address(), &Handshake::to("/own"))?;
        client.echo(&text(0, 1000))?;
        anyhow::Ok(client)
    };
    let others = (0..clients).map(|_| plain()).collect::<Result<Vec<_>>>()?;
    others.into_iter().try_for_each(Client::close)?;
    let before = resident(&httpd)?;
    let crowd = (0..clients).map(|_| open()).collect::<Result<Vec<_>>>()?;
    let grown = resident(&httpd)?.saturating_sub(before);
    ensure!(grown > 250 * clients, "only {grown} KiB");
    drop(crowd);
    wait_until("most of the memory is given back", || {
        Ok(resident(&httpd)?.saturating_sub(before) < grown / 5)
    })
}
