//! Connections whose bytes pass through filters: TLS, and modules that this one does not know.

pub(crate) mod filters;
pub(crate) mod origin;
pub(crate) mod records;
pub(crate) mod renegotiation;
pub(crate) mod restart;
pub(crate) mod versions;

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::tls::TlsStream;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases, wait_until};

cases! {
    "TLS: messages of all sizes go both ways" => messages,
    "TLS: bytes sent right after the request are the first frames" => early_bytes,
    "TLS: pings and close frames are answered" => control_frames,
    "TLS: many small messages are answered in order" => pipelined,
    "TLS: on_disconnect is called once, however the client leaves" => disconnects,
    "TLS: the server closes after a client's close_notify" => close_notify,
    "TLS: a client that does not read is dropped after Timeout" => slow_reader,
    "TLS: a client that reads slowly is not dropped" => reads_slowly,
    "TLS: a command that arrives with one that has a large answer is handled"
        => command_behind_answer,
    "TLS: threads may send while messages arrive" => threads,
    "filters of unknown modules are respected" => unknown_filter,
    "filters of unknown modules next to the core's are respected" => filter_below,
    "early frames that arrive with one that has a large answer are handled"
        => early_bytes_behind_answer,
    "unknown filters: a command that arrives with one that has a large answer is handled"
        => filtered_behind_answer,
}

type TlsClient = Client<TlsStream>;

fn open(context: &Context, target: &str) -> Result<TlsClient> {
    Client::open_tls(&*context.httpd()?, &Handshake::to(target))
}

fn messages(context: &Context) -> Result<()> {
    let mut client = open(context, "/echo")?;
    for length in [
        0,
        1,
        125,
        126,
        16_383,
        16_384,
        16_385,
        65_536,
        100_000,
        1 << 20,
        16 << 20,
    ] {
        let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
        client.binary(&payload)?;
        client.expect(&Frame::binary(&payload))?;
    }
    client.close()
}

fn early_bytes(context: &Context) -> Result<()> {
    for size in [5, 7850, 100 * 1024] {
        let payload = vec![b'x'; size];
        let mut client = Client::connect_tls(&*context.httpd()?)?;
        let frame = masked(Opcode::BINARY, &payload);
        client.send([Handshake::to("/echo").to_bytes(), frame].concat())?;
        ensure!(client.response()?.status == 101);
        client.expect(&Frame::binary(&payload))?;
        client.close()?;
    }
    Ok(())
}

fn control_frames(context: &Context) -> Result<()> {
    let mut client = open(context, "/echo")?;
    client.send(masked(Opcode::PING, "ping"))?;
    client.expect(&Frame::pong("ping"))?;
    client.send(masked(Opcode::CLOSE, b"\x03\xe9"))?;
    client.expect_close(1001)?;
    let mut client = open(context, "/kitchen_sink")?;
    client.text("close 4000 bye")?;
    client.expect(&Frame::new(Opcode::CLOSE, b"\x0f\xa0bye"))?;
    client.send(masked(Opcode::CLOSE, b"\x0f\xa0"))?;
    client.expect_end()
}

fn pipelined(context: &Context) -> Result<()> {
    const COUNT: usize = 2000;
    let mut client = open(context, "/echo")?;
    let messages = (0..COUNT).map(|number| masked(Opcode::TEXT, number.to_string()));
    client.send(messages.collect::<Vec<_>>().concat())?;
    for number in 0..COUNT {
        client.expect_text(number.to_string())?;
    }
    client.close()
}

fn disconnects(context: &Context) -> Result<()> {
    type End = fn(TlsClient) -> Result<()>;
    let ends: [(&str, End); 3] = [
        ("a close frame", Client::close),
        ("the end without any word", |client| {
            drop(client);
            Ok(())
        }),
        ("a reset", |client| Client::over(client.stream.sock).reset()),
    ];
    for (name, end) in ends {
        let journal = Journal::new(context)?;
        let handshake = journal.handshake("/journal");
        let mut client = Client::open_tls(&*context.httpd()?, &handshake)?;
        client.echo("hello")?;
        end(client)?;
        let outcome = journal.expect_one_disconnect(Duration::from_secs(4));
        outcome.map_err(|error| error.context(name))?;
    }
    Ok(())
}

fn close_notify(context: &Context) -> Result<()> {
    let journal = Journal::new(context)?;
    let mut client = Client::open_tls(&*context.httpd()?, &journal.handshake("/journal"))?;
    client.echo("hello")?;
    client.stream.conn.send_close_notify();
    client.stream.flush_tls()?;
    // The client keeps its TCP connection open until the server closes it.
    journal.expect_one_disconnect(Duration::from_secs(4))?;
    client.drain().map(drop)
}

pub(crate) trait FlushTls {
    fn flush_tls(&mut self) -> Result<()>;
}

impl FlushTls for TlsStream {
    fn flush_tls(&mut self) -> Result<()> {
        while self.conn.wants_write() {
            self.conn.write_tls(&mut self.sock)?;
        }
        Ok(())
    }
}

fn slow_reader(context: &Context) -> Result<()> {
    let port = xtask::port::free_port()?;
    let plugins = context.plugins().locations();
    let httpd = context
        .root()?
        .tls_port(port)
        .config(plugins)
        .config("Timeout 2")
        .start()?;
    let journal = Journal::new(context)?;
    let handshake = journal.handshake("/journal").header("X-Stream", "1000000");
    let lazy = Client::open_tls(&httpd, &handshake)?;
    let started = Instant::now();
    journal.wait_for("disconnect")?;
    let took = started.elapsed();
    ensure!((1..10).contains(&took.as_secs()), "dropped after {took:?}");
    ensure!(journal.wait_for("refused ")? == "0");
    drop(lazy);
    let mut other = Client::open_tls(&httpd, &Handshake::to("/echo"))?;
    other.echo("hello")?;
    other.close()
}

/// The client takes longer than Timeout for the data that the server encrypts and sends at a time.
fn reads_slowly(context: &Context) -> Result<()> {
    let plugins = context.plugins().locations();
    let httpd = context
        .root()?
        .tls_port(xtask::port::free_port()?)
        .config(plugins)
        .config("Timeout 2\nSendBufferSize 8192")
        .start()?;
    let mut client = Client::connect_tls_with_buffer(&httpd, 4096)?;
    client.upgrade(&Handshake::to("/kitchen_sink"))?;
    client.text("big 30000000")?;
    let mut tcp = client.stream.sock.try_clone()?;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(9) {
        thread::sleep(Duration::from_millis(170)); // 24 KiB a second
        let read = tcp.read(&mut [0; 4096]);
        ensure!(
            read.is_ok_and(|read| read > 0),
            "dropped after {:?}",
            started.elapsed()
        );
    }
    Ok(())
}

/// A command with a large answer and another command, in the same packet.
fn two_commands(size: usize) -> Vec<u8> {
    let first = masked(Opcode::TEXT, format!("big {size}"));
    [first, masked(Opcode::TEXT, "echo after")].concat()
}

/// Lets the buffers fill, then reads both answers.
fn expect_both<S: Read + std::io::Write>(client: &mut Client<S>, size: usize) -> Result<()> {
    thread::sleep(Duration::from_millis(50)); // no event shows that the buffers are full
    ensure!(client.frame()?.payload.len() == size);
    client.expect_text("after")
}

const SIZES: [usize; 5] = [1_200_000, 2_500_000, 4_000_000, 6_000_000, 9_000_000];

fn command_behind_answer(context: &Context) -> Result<()> {
    for size in SIZES {
        let mut client = open(context, "/kitchen_sink")?;
        client
            .stream
            .sock
            .set_read_timeout(Some(Duration::from_secs(8)))?;
        client.send(two_commands(size))?;
        expect_both(&mut client, size).map_err(|error| error.context(size.to_string()))?;
        client.close()?;
    }
    Ok(())
}

fn early_bytes_behind_answer(context: &Context) -> Result<()> {
    for size in SIZES {
        let mut client = Client::connect(context.address()?)?;
        client
            .stream
            .set_read_timeout(Some(Duration::from_secs(8)))?;
        let request = Handshake::to("/kitchen_sink").to_bytes();
        // More than one read of the filter (8000 bytes), so that the filter still has a part of it.
        let padding = masked(Opcode::TEXT, format!("echo {}", "x".repeat(9000)));
        let commands = [masked(Opcode::TEXT, format!("big {size}")), padding].concat();
        client.send([request, commands, masked(Opcode::TEXT, "echo after")].concat())?;
        ensure!(client.response()?.status == 101);
        thread::sleep(Duration::from_millis(50)); // no event shows that the buffers are full
        ensure!(client.frame()?.payload.len() == size);
        ensure!(client.next_text()?.len() == 9000);
        client
            .expect_text("after")
            .map_err(|error| error.context(size.to_string()))?;
        client.close()?;
    }
    Ok(())
}

fn filtered(context: &Context) -> Result<xtask::httpd::Httpd> {
    let plugins = context.plugins().locations();
    // It passes everything on, but this module cannot know that.
    context
        .root()?
        .stock_module("dumpio")
        .config(plugins)
        .config("DumpIOInput On\nDumpIOOutput On")
        .start()
}

fn unknown_filter(context: &Context) -> Result<()> {
    let httpd = filtered(context)?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
    for length in [0, 100, 70_000, 3 << 20] {
        let payload = vec![1; length];
        client.binary(&payload)?;
        client.expect(&Frame::binary(payload))?;
    }
    client.half_close()?;
    client.expect_end()
}

fn filter_below(context: &Context) -> Result<()> {
    const SIZES: [usize; 5] = [0, 100, 16_384, 70_000, 3 << 20];
    let plugins = context.plugins();
    let httpd = context
        .root()?
        .tls_port(xtask::port::free_port()?)
        .load_module("below_module", plugins.library("below"))
        .config(plugins.locations())
        .start()?;
    let mut plain = Client::open(httpd.address(), &Handshake::to("/echo"))?;
    let mut tls = Client::open_tls(&httpd, &Handshake::to("/echo"))?;
    for length in SIZES {
        let payload = vec![1; length];
        plain.binary(&payload)?;
        plain.expect(&Frame::binary(&payload))?;
        tls.binary(&payload)?;
        tls.expect(&Frame::binary(&payload))?;
    }
    plain.close()?;
    tls.close()?;
    let least = SIZES.iter().sum::<usize>();
    wait_until("both connections have logged what passed", || {
        let log = httpd.error_log()?;
        let counts = log.lines().filter_map(|line| line.split_once("below: "));
        let complete = counts.filter(|(_, counts)| {
            let numbers = counts.split(' ').filter_map(|word| word.parse().ok());
            let numbers: Vec<usize> = numbers.collect();
            numbers.len() == 2 && numbers.iter().all(|&number| number >= least)
        });
        Ok(complete.count() == 2)
    })
}

fn filtered_behind_answer(context: &Context) -> Result<()> {
    let httpd = filtered(context)?;
    for size in SIZES {
        let mut client = Client::open(httpd.address(), &Handshake::to("/kitchen_sink"))?;
        client
            .stream
            .set_read_timeout(Some(Duration::from_secs(8)))?;
        client.send(two_commands(size))?;
        expect_both(&mut client, size).map_err(|error| error.context(size.to_string()))?;
    }
    Ok(())
}

fn threads(context: &Context) -> Result<()> {
    let journal = Journal::new(context)?;
    let mut client = Client::open_tls(&*context.httpd()?, &journal.handshake("/mutex"))?;
    for number in 0..20 {
        let sent = format!("{number} {}", "x".repeat(20_000));
        client.text(&sent)?;
        while client.next_text()? != sent {}
    }
    client.send(masked(Opcode::CLOSE, ""))?;
    drop(client);
    journal.expect_one_disconnect(Duration::from_secs(4))
}
