//! Threads and callbacks that each send to several connections, as in a chat or a ticker.

use std::io::{Read, Write};
use std::sync::Barrier;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::{Mpm, Sizing};

use crate::support::frame::masked;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases};
use crate::swarm::Received;

cases! {
    "messages of threads that each send to several sockets arrive whole, once and in order"
        => plain,
    "TLS: messages of threads that each send to several sockets arrive whole, once and in order"
        => tls,
    "callbacks may send to and close every connection, whichever callback runs there" => callbacks,
}

const CLIENTS: usize = 3;
const SENDERS: usize = 6;
/// The number of messages from each sender to each client.
const MESSAGES: u32 = 20;
/// The sizes of each client's own messages. They fit into the buffers of the system: the server
/// stops reading while more than 1 MiB is queued for a client, and these clients do not read while
/// they write.
const SIZES: [usize; 4] = [10, 1000, 20_000, 50_000];
const ECHOES: usize = 20;

fn start(context: &Context) -> Result<Httpd> {
    // One process, except on prefork.
    let sizing = Sizing {
        processes: 1,
        threads: 16,
    };
    context
        .root()?
        .sizing(sizing)
        .tls_port(xtask::port::free_port()?)
        .config(context.plugins().locations())
        .start()
}

fn plain(context: &Context) -> Result<()> {
    run(context, |httpd| {
        Client::open(httpd.address(), &Handshake::to("/broadcast"))
    })
}

fn tls(context: &Context) -> Result<()> {
    run(context, |httpd| {
        Client::open_tls(httpd, &Handshake::to("/broadcast"))
    })
}

fn run<S: Read + Write + Send>(
    context: &Context,
    open: fn(&Httpd) -> Result<Client<S>>,
) -> Result<()> {
    let httpd = start(context)?;
    let mut clients = (0..CLIENTS)
        .map(|_| open(&httpd))
        .collect::<Result<Vec<_>>>()?;
    // On prefork each process has only one connection to send to.
    let starters = match context.mpm {
        Mpm::Prefork => CLIENTS,
        Mpm::Event | Mpm::Worker => 1,
    };
    for client in &mut clients[..starters] {
        client.text(format!("{SENDERS} {MESSAGES}"))?;
    }
    thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .map(|client| scope.spawn(|| exchange(client)))
            .collect();
        threads
            .into_iter()
            .enumerate()
            .try_for_each(|(number, thread)| {
                let outcome = thread.join().expect("it does not panic");
                outcome.with_context(|| format!("client {number}"))
            })
    })?;
    // No client has got any more messages.
    clients.into_iter().try_for_each(Client::close)?;
    ensure_healthy(&httpd.error_log()?)
}

/// Receives all messages, and sends meanwhile.
fn exchange<S: Read + Write>(client: &mut Client<S>) -> Result<()> {
    let mut received = Received::from(SENDERS);
    for (number, size) in (0..ECHOES).zip(SIZES.into_iter().cycle()) {
        let text = format!("{number:size$}");
        client.text(&text)?;
        loop {
            let frame = client.frame()?;
            if frame.first_byte == Opcode::TEXT {
                ensure!(frame.payload == text.as_bytes(), "{frame:?} for {number}");
                break;
            }
            received.take(&frame)?;
        }
    }
    receive(client, &mut received, u32::try_from(SENDERS)?)
}

/// All connections run a callback at once, some of them on the same thread. Each callback sends to
/// all connections, including its own, and closes them.
fn callbacks(context: &Context) -> Result<()> {
    const CALLBACKS: usize = 6;
    let httpd = start(context)?;
    let clients = (0..CALLBACKS)
        .map(|_| Client::open(httpd.address(), &Handshake::to("/broadcast")))
        .collect::<Result<Vec<_>>>()?;
    let senders = match context.mpm {
        Mpm::Prefork => 1,
        Mpm::Event | Mpm::Worker => u32::try_from(CALLBACKS)?,
    };
    let have_all = Barrier::new(CALLBACKS);
    thread::scope(|scope| {
        let have_all = &have_all;
        let threads: Vec<_> = (0..CALLBACKS)
            .zip(clients)
            .map(|(number, mut client)| {
                scope.spawn(move || {
                    let mut received = Received::from(CALLBACKS);
                    let outcome = client
                        .text(format!("all {number} {MESSAGES}"))
                        .and_then(|()| receive(&mut client, &mut received, senders));
                    have_all.wait();
                    outcome?;
                    client.text("end")?;
                    client.expect(&Frame::new(Opcode::CLOSE, ""))?;
                    client.send(masked(Opcode::CLOSE, ""))?;
                    client.expect_end()
                })
            })
            .collect();
        threads
            .into_iter()
            .enumerate()
            .try_for_each(|(number, thread)| {
                let outcome = thread.join().expect("it does not panic");
                outcome.with_context(|| format!("client {number}"))
            })
    })?;
    ensure_healthy(&httpd.error_log()?)
}

fn receive<S: Read + Write>(
    client: &mut Client<S>,
    received: &mut Received,
    senders: u32,
) -> Result<()> {
    while received.total() < MESSAGES * senders {
        received.take(&client.frame_behind_pings()?)?;
    }
    Ok(())
}
