//! Clients that take their messages in small pieces. `Timeout` must drop only clients that take
//! nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;

use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::{Client, Context, Handshake, Opcode, cases};

cases! {
    "a client that keeps reading gets everything, however long senders wait for room" => everything,
    "a client that reads 8 KiB a second is not dropped, with and without TLS" => slowly,
    "with Timeout -1 and Timeout 0 no client is dropped" => no_limit,
}

/// One message fills the queue, so the second next one waits until the client has taken all of it.
pub(crate) const MESSAGE: usize = 16 << 20;
pub(crate) const MESSAGES: usize = 4;

/// The bytes that a client takes per second. A message takes twice the `Timeout`.
const RATE: usize = 8 << 20;
pub(crate) const TIMEOUT: &str = "Timeout 1\n";

/// Commands for the kitchen sink, whose callbacks send the messages.
pub(crate) fn commands() -> Vec<u8> {
    masked(Opcode::TEXT, format!("big {MESSAGE}")).repeat(MESSAGES)
}

/// Reads all messages at a steady pace.
pub(crate) fn read_all(stream: &mut impl Read) -> Result<()> {
    let started = Instant::now();
    let total = MESSAGES * MESSAGE;
    let mut bytes = vec![0; 1 << 16];
    let mut taken = 0;
    while taken < total {
        let read = stream.read(&mut bytes);
        let outcome = || format!("after {taken} bytes and {:?}", started.elapsed());
        let read = read.with_context(outcome)?;
        ensure!(read > 0, "dropped {}", outcome());
        taken += read;
        let due = Duration::from_secs(taken as u64) / u32::try_from(RATE)?;
        thread::sleep(due.saturating_sub(started.elapsed()));
    }
    Ok(())
}

fn start(context: &Context, config: &str) -> Result<Httpd> {
    context
        .root()?
        .tls_port(xtask::port::free_port()?)
        .config(context.plugins().locations())
        .config(config)
        .start()
}

fn everything(context: &Context) -> Result<()> {
    let httpd = start(context, TIMEOUT)?;
    let callbacks = Handshake::to("/kitchen_sink");
    let journals = [Journal::new(context)?, Journal::new(context)?];
    let [plain, tls] = journals.each_ref().map(|journal| {
        let handshake = journal.handshake("/journal");
        handshake.header("X-Stream", &MESSAGE.to_string())
    });
    thread::scope(|scope| {
        let open = |handshake: &Handshake| Client::open(httpd.address(), handshake);
        let open_tls = |handshake: &Handshake| Client::open_tls(&httpd, handshake);
        let ways = [
            scope.spawn(move || ask(open(&callbacks)?).context("callbacks")),
            scope.spawn(move || read_all(&mut open(&plain)?.stream).context("threads")),
            scope.spawn(move || {
                let client = open_tls(&Handshake::to("/kitchen_sink"))?;
                ask(client).context("callbacks, TLS")
            }),
            scope.spawn(move || read_all(&mut open_tls(&tls)?.stream).context("threads, TLS")),
        ];
        ways.into_iter()
            .try_for_each(|way| way.join().expect("it does not panic"))
    })
}

fn ask<S: Read + Write>(mut client: Client<S>) -> Result<()> {
    client.send(commands())?;
    read_all(&mut client.stream)
}

/// A socket with this buffer takes little more than the client reads.
const BUFFER_SIZE: usize = 4096;

fn slowly(context: &Context) -> Result<()> {
    let httpd = start(context, "Timeout 2\n")?;
    let mut plain = Client::connect_with_buffer(httpd.address(), BUFFER_SIZE)?;
    plain.upgrade(&Handshake::to("/kitchen_sink"))?;
    plain.text("big 30000000")?;
    let mut tls = Client::connect_tls_with_buffer(&httpd, BUFFER_SIZE)?;
    tls.upgrade(&Handshake::to("/kitchen_sink"))?;
    tls.text("big 30000000")?;
    thread::scope(|scope| {
        let ways = [(plain.stream, "plain"), (tls.stream.sock, "TLS")]
            .map(|(stream, way)| scope.spawn(move || read_slowly(stream).context(way)));
        ways.into_iter()
            .try_for_each(|way| way.join().expect("it does not panic"))
    })
}

/// Reads 8 KiB a second for longer than `Timeout`.
pub(crate) fn read_slowly(mut stream: TcpStream) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(7) {
        thread::sleep(Duration::from_millis(125));
        let read = stream.read(&mut [0; 1024])?;
        ensure!(read > 0, "dropped after {:?}", started.elapsed());
    }
    Ok(())
}

fn no_limit(context: &Context) -> Result<()> {
    for timeout in ["-1", "0"] {
        // mod_reqtimeout would apply to the request otherwise.
        let config = format!("Timeout {timeout}\nRequestReadTimeout handshake=0 header=0 body=0\n");
        let httpd = context
            .root()?
            .config(context.plugins().locations())
            .config(config)
            .start()?;
        let mut client = Client::open(httpd.address(), &Handshake::to("/kitchen_sink"))?;
        client.send(commands())?;
        // The client reads nothing. A limit would drop it in this time.
        thread::sleep(Duration::from_millis(500));
        read_all(&mut client.stream).with_context(|| format!("Timeout {timeout}"))?;
    }
    Ok(())
}
