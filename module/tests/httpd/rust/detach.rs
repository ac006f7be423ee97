//! `WebSocketDetach`.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::server_root::Mpm;

use super::{ANY_PLUGIN, expect_log, location, name_in_log, open, site, write_site};
use crate::descriptors::limit;
use crate::steady_reader;
use crate::support::frame::masked;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Driver, Frame, Handshake, Opcode, cases, wait_until};
use xtask::process::{descriptors, resident_kib};

cases! {
    "WebSocketDetach: messages of all sizes go both ways" => messages,
    "WebSocketDetach: bytes sent right after the request are the first frames" => early_bytes,
    "WebSocketDetach: close frames have the same codes as without it" => close_codes,
    "WebSocketDetach: on_disconnect is called once, however the client leaves" => disconnects,
    "WebSocketDetach: a client that does not read is dropped after Timeout" => slow_reader,
    "WebSocketDetach: a client that keeps reading gets everything, however long senders wait"
        => steady_reader,
    "WebSocketDetach: threads may send while messages arrive" => threads,
    "WebSocketDetach: a panic closes the connection and is logged with the client" => panics,
    "WebSocketDetach: the access log line is written at the upgrade" => access_log,
    "WebSocketDetach: a graceful restart keeps open connections" => graceful,
    "WebSocketDetach: a hard restart closes with 1012" => stop,
    "WebSocketDetach: restarts under traffic cause no crash" => restarts_under_traffic,
    "WebSocketDetach: httpd does not count the connections" => beyond_the_limit,
    "WebSocketDetach: the last descriptors are reserved for requests" => descriptor_limit,
    "WebSocketDetach: 2000 connections leak no descriptors and no memory" => churn,
    "WebSocketDetach: TLS works as without" => tls,
    "WebSocketDetach is an error for C plugins at start" => refused,
    "WebSocketDetach is an error for C plugins when sections are merged for a request"
        => refused_late,
    "WebSocketDetach is allowed in .htaccess files" => htaccess,
}

const DETACH: &str = "WebSocketDetach On\n";

/// `/hermit` and `/fragile`, detached.
fn config(context: &Context) -> String {
    location(context, "/hermit", "hermit", DETACH)
        + &location(context, "/fragile", "fragile", DETACH)
}

fn start(context: &Context, more: &str) -> Result<Httpd> {
    context.root()?.config(config(context)).config(more).start()
}

/// Whether connections are detached in this context. Otherwise the directive has no effect.
fn is_effective(context: &Context) -> bool {
    context.driver == Driver::Event
}

fn messages(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut client = open(&httpd, "/hermit")?;
    for length in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20] {
        let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
        client.binary(&payload)?;
        client.expect(&Frame::binary(&payload))?;
    }
    client.send(masked(Opcode::PING, "ping"))?;
    client.expect(&Frame::new(Opcode::PONG, "ping"))?;
    client.close()
}

fn early_bytes(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    for size in [5, 3000, 7850, 8192, 100 * 1024] {
        let payload = vec![b'x'; size];
        let mut client = Client::connect(httpd.address())?;
        let early = [
            Handshake::to("/hermit").to_bytes(),
            masked(Opcode::BINARY, &payload),
            masked(Opcode::TEXT, "last"),
        ];
        client.send(early.concat())?;
        ensure!(client.response()?.status == 101);
        client.expect(&Frame::binary(&payload))?;
        client.expect_text("last").context(size)?;
        client.close()?;
    }
    Ok(())
}

fn close_codes(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketMaxMessageSize 100\n")?;
    open(&httpd, "/hermit")?.close()?;
    for (frame, code) in [
        (masked(0x83, ""), 1002),
        (masked(Opcode::TEXT, [0xFF]), 1007),
        (masked(Opcode::TEXT, vec![b'x'; 101]), 1009),
        (masked(Opcode::CLOSE, 3333_u16.to_be_bytes()), 3333),
    ] {
        let mut client = open(&httpd, "/hermit")?;
        client.send(frame)?;
        client.expect_close(code)?;
    }
    let mut client = open(&httpd, "/hermit")?;
    client.text("close 4001")?;
    let frame = client.frame()?;
    ensure!(frame.payload == b"\x0F\xA1as told", "{frame:?}");
    client.send(masked(Opcode::CLOSE, frame.payload))?;
    client.expect_end()
}

/// Waits until the plugin has logged the end of this client, by its name in the log.
fn expect_gone(httpd: &Httpd, name: &str) -> Result<()> {
    let gone = |log: &str| {
        let lines = log.lines().filter(|line| line.contains("[Hermit] gone"));
        lines.filter(|line| line.contains(name)).count()
    };
    wait_until("the plugin hears that the client is gone", || {
        Ok(gone(&httpd.error_log()?) > 0)
    })?;
    ensure!(gone(&httpd.error_log()?) == 1, "it hears it twice");
    Ok(())
}

fn disconnects(context: &Context) -> Result<()> {
    type End = fn(Client) -> Result<()>;
    let ends: &[(&str, End)] = &[
        ("a close frame", Client::close),
        ("the end without a close frame", |client| {
            drop(client);
            Ok(())
        }),
        ("a reset", Client::reset),
        ("half a close", |mut client| {
            client.half_close()?;
            client.expect_end()
        }),
        ("a reset with answers under way", |mut client| {
            client.send(masked(Opcode::BINARY, vec![0; 1 << 20]))?;
            client.reset()
        }),
        ("a mistake", |mut client| client.send(masked(0x83, ""))),
    ];
    let httpd = start(context, "")?;
    for (name, end) in ends {
        let mut client = open(&httpd, "/hermit")?;
        client.echo("hello")?;
        let in_log = name_in_log(&client)?;
        end(client)?;
        expect_gone(&httpd, &in_log).context(*name)?;
    }
    Ok(())
}

fn slow_reader(context: &Context) -> Result<()> {
    let httpd = start(context, "Timeout 2\n")?;
    let mut lazy = open(&httpd, "/hermit")?;
    let mut other = open(&httpd, "/hermit")?;
    lazy.text("flood")?;
    let started = Instant::now();
    expect_gone(&httpd, &name_in_log(&lazy)?)?;
    let took = started.elapsed();
    ensure!((1..8).contains(&took.as_secs()), "dropped after {took:?}");
    other.echo("served meanwhile")?;
    lazy.drain()?;
    other.close()
}

fn steady_reader(context: &Context) -> Result<()> {
    let httpd = start(context, steady_reader::TIMEOUT)?;
    let mut callbacks = open(&httpd, "/hermit")?;
    callbacks.send(steady_reader::commands())?;
    let mut thread = open(&httpd, "/hermit")?;
    thread.text(format!("bigs {}", steady_reader::MESSAGE))?;
    thread::scope(|scope| {
        let ways = [callbacks, thread]
            .map(|mut client| scope.spawn(move || steady_reader::read_all(&mut client.stream)));
        ways.into_iter()
            .try_for_each(|way| way.join().expect("it does not panic"))
    })
}

fn threads(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut client = open(&httpd, "/hermit")?;
    client.text("texts 1000")?;
    for n in 0..100 {
        client.text(format!("mine {n}"))?;
    }
    let (mut theirs, mut mine) = (0, 0);
    while theirs < 1000 || mine < 100 {
        let text = client.next_text()?;
        if text.starts_with("mine") {
            ensure!(text == format!("mine {mine}"), "{text}");
            mine += 1;
        } else {
            ensure!(text == format!("text {theirs}"), "{text}");
            theirs += 1;
        }
    }
    client.close()
}

fn panics(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    for (message, code) in [("panic", 1011), ("error", 1011)] {
        let mut client = open(&httpd, "/fragile")?;
        client.text(message)?;
        client.send(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()))?;
        client.expect_close(code)?;
        let text = format!(
            "[Fragile] on_message{}",
            if message == "panic" {
                " panicked"
            } else {
                ": disk full"
            }
        );
        expect_log(
            &httpd,
            &text,
            &["[websocket:error]", &name_in_log(&client)?],
        )?;
    }
    let mut client = open(&httpd, "/fragile")?;
    client.echo("panic in on_disconnect")?;
    let name = name_in_log(&client)?;
    client.close()?;
    expect_log(&httpd, "[Fragile] on_disconnect panicked", &[&name])?;
    open(&httpd, "/fragile")?.close()
}

fn access_log(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut client = open(&httpd, "/hermit")?;
    client.echo("hello")?;
    let lines = || {
        let log = httpd.access_log()?;
        anyhow::Ok(log.matches("GET /hermit HTTP/1.1\" 101 ").count())
    };
    if is_effective(context) {
        wait_until("the line is written", || Ok(lines()? == 1))?;
        client.echo("still here")?;
    } else {
        ensure!(lines()? == 0, "it is written at once");
    }
    client.close()?;
    wait_until("there is one line", || Ok(lines()? == 1))
}

fn graceful(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut old = open(&httpd, "/hermit")?;
    old.echo("before")?;
    let name = name_in_log(&old)?;
    httpd.graceful()?;
    old.echo("still here")?;
    old.close()?;
    expect_gone(&httpd, &name)?;
    open(&httpd, "/hermit")?.close()?;
    wait_until(
        "the old children end",
        || Ok(httpd.child_pids()?.len() <= 2),
    )?;
    ensure_healthy(&httpd.error_log()?)
}

/// A hard restart ends a child like stop does, and keeps its log readable.
fn stop(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut clients = open_many(&httpd, 20)?;
    for client in &mut clients {
        client.echo("hello")?;
    }
    httpd.restart()?;
    if context.mpm != Mpm::Prefork {
        for client in &mut clients {
            client.expect_close(1012)?;
            expect_gone(&httpd, &name_in_log(client)?)?;
        }
    }
    let mut client = open(&httpd, "/hermit")?;
    client.echo("hello")?;
    let started = Instant::now();
    ensure!(httpd.stop()?.success());
    let took = started.elapsed();
    ensure!(took < context.stops_within()?, "took {took:?}");
    Ok(())
}

fn open_many(httpd: &Httpd, count: usize) -> Result<Vec<Client>> {
    (0..count).map(|_| open(httpd, "/hermit")).collect()
}

fn restarts_under_traffic(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    for _ in 0..2 {
        let mut readers = read_everything(&httpd)?;
        httpd.graceful()?;
        readers.extend(read_everything(&httpd)?);
        httpd.restart()?;
        for reader in readers {
            reader.join().expect("it does not panic")?;
        }
    }
    open(&httpd, "/hermit")?.close()?;
    ensure_healthy(&httpd.error_log()?)
}

/// Clients that make the plugin's threads send, and read until the server ends the connection,
/// perhaps at once.
fn read_everything(httpd: &Httpd) -> Result<Vec<JoinHandle<Result<u64>>>> {
    let read = |mut client: Client| {
        thread::spawn(move || {
            // An old child may have ended already.
            let asked = client.text("texts 20000");
            let _ = asked.and_then(|()| client.binary(vec![1; 100_000]));
            client.drain()
        })
    };
    Ok(open_many(httpd, 10)?.into_iter().map(read).collect())
}

/// One child with four threads. With the default factor it would stop accepting at 8 connections.
fn beyond_the_limit(context: &Context) -> Result<()> {
    if !is_effective(context) {
        return Ok(());
    }
    let more = config(context) + "AsyncRequestWorkerFactor 1\n";
    let httpd = context.start_small(4, &more)?;
    let mut clients = open_many(&httpd, 100)?;
    for client in &mut clients {
        client.echo("hello")?;
    }
    ensure!(httpd.child_pids()?.len() == 1);
    clients.into_iter().try_for_each(Client::close)
}

fn descriptor_limit(context: &Context) -> Result<()> {
    if !is_effective(context) {
        return Ok(());
    }
    let httpd = context.start_small(4, &config(context))?;
    limit(&httpd, 150)?;
    let mut clients = Vec::new();
    let refused = loop {
        let mut client = Client::connect(httpd.address())?;
        client.send(Handshake::to("/hermit").to_bytes())?;
        let response = client.response()?;
        if response.status != 101 {
            break response;
        }
        clients.push(client);
        ensure!(clients.len() < 100, "the limit is not seen");
    };
    ensure!(refused.status == 503, "{refused:?}");
    ensure!(clients.len() > 10, "refused after {}", clients.len());
    expect_log(
        &httpd,
        "the last ones are for requests",
        &["[websocket:error]"],
    )?;
    clients.pop().context("one")?.close()?;
    wait_until("there is room again", || {
        let response = Client::ask(httpd.address(), &Handshake::to("/hermit"))?;
        Ok(response.status == 101)
    })?;
    clients.into_iter().try_for_each(Client::close)
}

fn churn(context: &Context) -> Result<()> {
    let more = config(context) + "MaxConnectionsPerChild 0\n";
    let httpd = context.start_small(1, &more)?;
    let cycle = |count: usize| {
        for number in 0..count {
            let mut client = open(&httpd, "/hermit")?;
            match number % 4 {
                0 => client.close()?,
                1 => client.reset()?,
                2 => {
                    client.echo("hello")?;
                    client.reset()?;
                }
                _ => drop(client),
            }
        }
        anyhow::Ok(())
    };
    cycle(400)?;
    let child = *httpd.child_pids()?.first().context("a child")?;
    thread::sleep(Duration::from_millis(300)); // let the last connections end before counting
    let (files, memory) = (descriptors(child)?, resident_kib(child)?);
    cycle(if context.mpm == Mpm::Prefork {
        400
    } else {
        2000
    })?;
    wait_until(
        "descriptors are closed",
        || Ok(descriptors(child)? <= files),
    )?;
    let grown = resident_kib(child)?.saturating_sub(memory);
    ensure!(grown < 1024, "memory has grown by {grown} KiB");
    ensure_healthy(&httpd.error_log()?)
}

fn tls(context: &Context) -> Result<()> {
    let root = context.root()?.tls_port(xtask::port::free_port()?);
    let httpd = root.config(config(context)).start()?;
    for _ in 0..5 {
        let mut client = Client::open_tls(&httpd, &Handshake::to("/hermit"))?;
        client.binary(vec![1; 100_000])?;
        client.expect(&Frame::binary(vec![1; 100_000]))?;
        client.close()?;
    }
    Ok(())
}

fn refused(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let outer = plugins.location("/c", "echo", "");
    for config in [
        plugins.location("/c", "echo", DETACH),
        format!("{DETACH}{outer}"),
        format!("{outer}{DETACH}"),
        format!("{DETACH}<VirtualHost *:*>\n{outer}</VirtualHost>\n"),
    ] {
        let checked = context.root()?.config(&config).check_config()?;
        ensure!(!checked.ok, "accepted: {config}");
        for text in [
            "WebSocketDetach On",
            "Rust",
            "echo_init in ",
            "WebSocketDetach Off",
        ] {
            ensure!(checked.message.contains(text), "no `{text}` in {checked:?}");
        }
    }
    let off = plugins.location("/c", "echo", "WebSocketDetach Off");
    let httpd = context.root()?.config(format!("{DETACH}{off}")).start()?;
    let mut client = open(&httpd, "/c")?;
    client.echo("hello")?;
    client.close()?;
    let checked = context
        .root()?
        .config("WebSocketDetach Perhaps")
        .check_config()?;
    ensure!(
        !checked.ok && checked.message.contains("On or Off"),
        "{checked:?}"
    );
    Ok(())
}

fn refused_late(context: &Context) -> Result<()> {
    let outer = context.plugins().location("/c", "echo", "");
    let config = format!("{outer}<Location /c/inner>\n{DETACH}</Location>\n");
    let httpd = context.root()?.config(config).start()?;
    open(&httpd, "/c")?.close()?;
    let response = Client::ask(httpd.address(), &Handshake::to("/c/inner"))?;
    ensure!(response.status == 500, "{response:?}");
    let others = ["[websocket:error]", "[client 127.0.0.1:", "echo_init in "];
    expect_log(&httpd, "WebSocketDetach On is only for", &others)
}

fn htaccess(context: &Context) -> Result<()> {
    let root = context.root()?.stock_module("alias");
    let folder = root.dir().join("site");
    let handler = super::handler(context, "hermit");
    let rules = format!("SetHandler websocket-handler\n{handler}\n");
    write_site(&folder, &format!("{rules}{DETACH}"))?;
    let httpd = root.config(ANY_PLUGIN).config(site(&folder, "")).start()?;
    for _ in 0..3 {
        let mut client = open(&httpd, "/site/room")?;
        client.echo("hello")?;
        client.close()?;
    }
    let handler = context.plugins().handler("echo");
    let rules = format!("SetHandler websocket-handler\n{handler}\n{DETACH}");
    write_site(&folder, &rules)?;
    let response = Client::ask(httpd.address(), &Handshake::to("/site/room"))?;
    ensure!(response.status == 500, "{response:?}");
    expect_log(
        &httpd,
        "WebSocketDetach On is only for",
        &["[websocket:error]"],
    )
}
