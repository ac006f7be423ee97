//! TLS connections with modules that peek at bytes or count them.

use anyhow::{Context as _, Result, ensure};

use crate::support::records::Records;
use crate::support::{Client, Context, Frame, Handshake, cases, wait_until};

cases! {
    "TLS: other modules may peek at bytes" => peek,
    "TLS: %I and %O count every byte" => counts,
}

const SIZES: [usize; 6] = [0, 1, 100, 16_384, 70_000, 3 << 20];

fn peek(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let httpd = context
        .root()?
        .tls_port(xtask::port::free_port()?)
        .load_module("peek_module", plugins.library("peek"))
        .config(plugins.locations())
        .start()?;
    let mut client = Client::open_tls(&httpd, &Handshake::to("/echo"))?;
    for length in SIZES {
        let payload = vec![1; length];
        client.binary(&payload)?;
        client.expect(&Frame::binary(&payload))?;
    }
    client.close()?;
    wait_until("both filters have logged what they saw", || {
        let log = httpd.error_log()?;
        let lines: Vec<_> = log.lines().filter(|line| line.contains("peek: ")).collect();
        let is_good = |line: &&str| line.ends_with("peek: looked, 0 differences");
        // Connections of the test's start-up never peeked.
        ensure!(
            !lines.iter().any(|line| !line.ends_with(" 0 differences")),
            "{lines:?}"
        );
        Ok(lines.iter().copied().filter(is_good).count() >= 2)
    })
}

fn counts(context: &Context) -> Result<()> {
    let httpd = context
        .root()?
        .stock_module("logio")
        .tls_port(xtask::port::free_port()?)
        .config(context.plugins().locations())
        .config("CustomLog logs/bytes_log \"%>s %I %O\"")
        .start()?;
    let mut client: Client<Records> = Client::connect_records(&httpd)?;
    client.upgrade(&Handshake::to("/echo"))?;
    let [sent, received] = [client.stream.sent, client.stream.received_in_all];
    for length in SIZES {
        let payload = vec![1; length];
        client.binary(&payload)?;
        client.expect(&Frame::binary(&payload))?;
    }
    client.send(crate::support::frame::masked(
        crate::support::Opcode::CLOSE,
        1000_u16.to_be_bytes(),
    ))?;
    client.expect(&Frame::close(1000))?;
    let [sent, received] = [
        client.stream.sent - sent,
        client.stream.received_in_all - received,
    ];
    client.drain()?;
    let path = httpd.root().access_log().with_file_name("bytes_log");
    let mut line = String::new();
    wait_until("the request is logged", || {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        line = log
            .lines()
            .find(|line| line.starts_with("101 "))
            .unwrap_or_default()
            .to_owned();
        Ok(!line.is_empty())
    })?;
    let mut words = line.split(' ').skip(1);
    let mut number = || {
        words
            .next()
            .context("no number")?
            .parse::<usize>()
            .context("no number")
    };
    // The request, its response and the TLS handshake also count, and close_notify may count.
    let is_counted = |logged: usize, seen: usize| (seen..seen + 10_000).contains(&logged);
    let (in_log, out_log) = (number()?, number()?);
    ensure!(is_counted(in_log, sent), "{line}: sent {sent}");
    ensure!(is_counted(out_log, received), "{line}: received {received}");
    Ok(())
}
