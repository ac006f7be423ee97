//! Messages that go to many clients go out in few system calls.

use std::io::{Read, Write};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::{Mpm, Sizing};

use crate::support::frame::masked;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Handshake, Opcode, cases};

cases! {
    "what callbacks send to a hundred sockets for one read goes out in one write each" => plain,
    "TLS: what callbacks send to a hundred sockets for one read goes out in one write each" => tls,
}

const CLIENTS: u32 = 100;
const MESSAGES: usize = 16;

/// On a busy machine, output that has been held back for too long goes out before the last callback
/// has run. One of so many rounds has to be undisturbed, but for a tenth of the sockets.
const ROUNDS: usize = 50;

fn plain(context: &Context) -> Result<()> {
    run(context, |httpd| {
        Client::open(httpd.address(), &Handshake::to("/segments"))
    })
}

fn tls(context: &Context) -> Result<()> {
    run(context, |httpd| {
        Client::open_tls(httpd, &Handshake::to("/segments"))
    })
}

fn run<S: Read + Write>(context: &Context, open: fn(&Httpd) -> Result<Client<S>>) -> Result<()> {
    let httpd = start(context)?;
    // With prefork, the other sockets would be those of other processes.
    let count = match context.mpm {
        Mpm::Prefork => 1,
        Mpm::Event | Mpm::Worker => CLIENTS,
    };
    let mut clients = (0..count)
        .map(|_| open(&httpd))
        .collect::<Result<Vec<_>>>()?;
    let most = count + count / 10;
    let mut fewest = u32::MAX;
    for _ in 0..ROUNDS {
        fewest = fewest.min(writes_of_round(&mut clients)?);
        if fewest <= most {
            break;
        }
    }
    ensure!(
        (count..=most).contains(&fewest),
        "{fewest} writes or more of {MESSAGES} messages to {count} sockets"
    );
    clients.into_iter().try_for_each(Client::close)?;
    ensure_healthy(&httpd.error_log()?)
}

/// The number of writes that bring the messages of one read to all clients.
fn writes_of_round<S: Read + Write>(clients: &mut [Client<S>]) -> Result<u32> {
    let before = segments(&mut clients[0])?;
    let messages: Vec<_> = (0..MESSAGES).map(|n| format!("message {n}")).collect();
    let frames: Vec<_> = messages
        .iter()
        .map(|message| masked(Opcode::TEXT, message))
        .collect();
    clients[0].send(frames.concat())?;
    for client in &mut *clients {
        for message in &messages {
            client.expect_text(message)?;
        }
    }
    // The answer to the first question was a write, too.
    Ok(segments(&mut clients[0])? - before - 1)
}

/// One process with a thread for each client; with prefork, as many processes.
fn start(context: &Context) -> Result<Httpd> {
    let sizing = Sizing {
        processes: 1,
        threads: CLIENTS + 10,
    };
    context
        .root()?
        .sizing(sizing)
        .tls_port(xtask::port::free_port()?)
        .config(context.plugins().locations())
        .start()
}

fn segments<S: Read + Write>(client: &mut Client<S>) -> Result<u32> {
    client.text("count")?;
    let answer = client.next_text()?;
    answer
        .parse()
        .with_context(|| format!("no number: {answer}"))
}
