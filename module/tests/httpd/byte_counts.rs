//! What mod_logio counts for the access log: `%I` and `%O`.

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;

use crate::support::frame::masked;
use crate::support::records::Records;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases, wait_until};

cases! {
    "%I and %O count every byte, those right behind the request too" => plain,
    "TLS: %I and %O count every byte" => tls,
}

const SIZES: [usize; 6] = [0, 1, 100, 16_384, 70_000, 3 << 20];

fn plain(context: &Context) -> Result<()> {
    for early in [5, 3000, 7850, 100 * 1024] {
        let httpd = context
            .root()?
            .stock_module("logio")
            .config(context.plugins().locations())
            .config(FORMAT)
            .start()?;
        let mut client = Client::connect(httpd.address())?;
        let payload = vec![b'x'; early];
        let head = Handshake::to("/echo").to_bytes();
        let first = masked(Opcode::BINARY, &payload);
        let (mut sent, mut received) = (head.len() + first.len(), early);
        client.send([head, first].concat())?;
        ensure!(client.response()?.status == 101);
        client.expect(&Frame::binary(&payload))?;
        for length in SIZES {
            let payload = vec![1; length];
            let frame = masked(Opcode::BINARY, &payload);
            sent += frame.len();
            received += length;
            client.send(frame)?;
            client.expect(&Frame::binary(&payload))?;
        }
        let goodbye = masked(Opcode::CLOSE, 1000_u16.to_be_bytes());
        sent += goodbye.len();
        client.send(goodbye)?;
        client.expect(&Frame::close(1000))?;
        client.expect_end()?;
        let [in_log, out_log] = logged(&httpd)?;
        ensure!(in_log == sent, "{early}: {in_log} read, {sent} sent");
        // The answer to the request and the headers of frames count too.
        ensure!(
            (received..received + 1000).contains(&out_log),
            "{early}: {out_log} written, {received} received"
        );
    }
    Ok(())
}

fn tls(context: &Context) -> Result<()> {
    let httpd = context
        .root()?
        .stock_module("logio")
        .tls_port(xtask::port::free_port()?)
        .config(context.plugins().locations())
        .config(FORMAT)
        .start()?;
    let mut client: Client<Records> = Client::connect_records(&httpd)?;
    client.upgrade(&Handshake::to("/echo"))?;
    let [sent, received] = [client.stream.sent, client.stream.received_in_all];
    for length in SIZES {
        let payload = vec![1; length];
        client.binary(&payload)?;
        client.expect(&Frame::binary(&payload))?;
    }
    client.send(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()))?;
    client.expect(&Frame::close(1000))?;
    let [sent, received] = [
        client.stream.sent - sent,
        client.stream.received_in_all - received,
    ];
    client.drain()?;
    let [in_log, out_log] = logged(&httpd)?;
    // The request, its answer and the handshake of TLS count too, and the goodbye may.
    let is_counted = |logged: usize, seen: usize| (seen..seen + 10_000).contains(&logged);
    ensure!(is_counted(in_log, sent), "{in_log} read, {sent} sent");
    ensure!(
        is_counted(out_log, received),
        "{out_log} written, {received} received"
    );
    Ok(())
}

const FORMAT: &str = "CustomLog logs/bytes_log \"%>s %I %O\"";

/// What the log says of the only WebSocket.
fn logged(httpd: &Httpd) -> Result<[usize; 2]> {
    let path = httpd.root().access_log().with_file_name("bytes_log");
    let mut line = String::new();
    wait_until("the request is logged", || {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        let found = log.lines().find(|line| line.starts_with("101 "));
        line = found.unwrap_or_default().to_owned();
        Ok(!line.is_empty())
    })?;
    let numbers = line.split(' ').skip(1).map(str::parse);
    let numbers: Vec<usize> = numbers.collect::<Result<_, _>>()?;
    numbers.try_into().ok().context("not two numbers")
}
