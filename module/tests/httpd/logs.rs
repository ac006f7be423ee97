//! What the logs say of WebSockets: one line for each end and each refusal, and notes for the
//! access log.

use std::io::{Read, Write};

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::port::free_port;
use xtask::server_root::Mpm;

use crate::rust::location;
use crate::support::frame::masked;
use crate::support::http2::Http2;
use crate::support::{
    Client, Context, Driver, Frame, Handshake, Opcode, PATIENCE, cases, wait_until,
};

cases! {
    "logs: the error log has one line for each end of a WebSocket, with who closed it and what it carried"
        => ends,
    "logs: the end of a WebSocket is logged over TLS and HTTP/2" => other_transports,
    "logs: the end of a detached WebSocket is logged with its client" => detached,
    "logs: a client that hangs up, in whatever way, is neither an error nor a warning" => hang_ups,
    "logs: a stop is named as what ends a WebSocket" => stop,
    "logs: the example of the book has codes, closers and counts in the access log" => access_log,
    "logs: WebSocketDetach: the access log has no notes, as its line is written at the upgrade"
        => detached_access_log,
    "logs: the time that a client takes to answer a ping is in both logs" => ping,
    "logs: a refusal is logged with its cause, the section, the plugin and the client" => refusals,
    "logs: trace2 logs handshakes, trace4 logs frames, info neither" => traces,
    "logs: lines of a connection end with the traceparent of its handshake" => traceparent,
}

const END: &str = "the WebSocket has ended: ";

/// The lines of ends, without what precedes the text.
fn ends_in_log(httpd: &Httpd) -> Result<Vec<String>> {
    let log = httpd.error_log()?;
    let lines = log.lines().filter_map(|line| line.split_once(END));
    Ok(lines.map(|(_, text)| text.to_owned()).collect())
}

/// The next line of an end, and how many seconds the connection was open.
fn next_end(httpd: &Httpd, before: usize) -> Result<(String, f64)> {
    wait_until("a line for the end", || {
        Ok(ends_in_log(httpd)?.len() > before)
    })?;
    let lines = ends_in_log(httpd)?;
    ensure!(lines.len() == before + 1, "one line for each: {lines:#?}");
    let line = &lines[before];
    let (told, rest) = line.split_once("; open for ").context("no duration")?;
    let (seconds, place) = rest.split_once(" s").context("no unit")?;
    Ok((format!("{told}{place}"), seconds.parse()?))
}

type End = fn(&mut Client) -> Result<()>;

/// How WebSockets at `/kitchen_sink` end, and what is told of it.
const ENDS: [(&str, End, &str); 7] = [
    (
        "closed by the client with code 1000 and reason \"bye 'now'\"",
        |client| {
            let payload = [&1000_u16.to_be_bytes()[..], b"bye \"now\""].concat();
            client.send(masked(Opcode::CLOSE, payload))?;
            client.expect_close(1000)
        },
        "received 0 messages (0 bytes), sent 0 (0 bytes)",
    ),
    (
        "closed by the client with code 1005",
        |client| {
            client.text("echo hello")?;
            client.expect_text("hello")?;
            client.binary([0; 70_000])?;
            client.expect(&Frame::binary([0; 70_000]))?;
            client.send(masked(Opcode::PING, "not a message"))?;
            client.expect(&Frame::pong("not a message"))?;
            client.send(masked(Opcode::CLOSE, ""))?;
            client.expect(&Frame::new(Opcode::CLOSE, ""))
        },
        "received 2 messages (70010 bytes), sent 2 (70005 bytes)",
    ),
    (
        "closed by the plugin with code 4001 and reason \"enough\"",
        |client| {
            client.text("close 4001 enough")?;
            client.frame()?;
            client.send(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()))?;
            client.expect_end()
        },
        "received 1 messages (17 bytes), sent 0 (0 bytes)",
    ),
    (
        "closed by the server (error) with code 1002",
        |client| {
            client.send(masked(0x83, ""))?;
            client.expect_close(1002)
        },
        "received 0 messages (0 bytes), sent 0 (0 bytes)",
    ),
    (
        "closed by the server (limit) with code 1009",
        |client| {
            client.binary([0; 100_001])?;
            client.expect(&Frame::close(1009))
        },
        "received 0 messages (0 bytes), sent 0 (0 bytes)",
    ),
    (
        "lost with code 1006",
        |client| client.half_close(),
        "received 0 messages (0 bytes), sent 0 (0 bytes)",
    ),
    (
        "closed by the server (timeout) with code 1006",
        |client| {
            client.text("big 16000000")?;
            // It is not read.
            Ok(())
        },
        "received 1 messages (12 bytes), sent 1 (16000000 bytes)",
    ),
];

fn ends(context: &Context) -> Result<()> {
    let plugins = context.plugins();
    let sink = plugins.location(
        "/kitchen_sink",
        "kitchen_sink",
        "WebSocketMaxMessageSize 100000",
    );
    let httpd = context.root()?.config(sink).config("Timeout 2").start()?;
    for (number, (closed, end, carried)) in ENDS.into_iter().enumerate() {
        let mut client = Client::connect_with_buffer(httpd.address(), 4096)?;
        let began = std::time::Instant::now();
        client.upgrade(&Handshake::to("/kitchen_sink"))?;
        end(&mut client).context(closed)?;
        let (line, seconds) = next_end(&httpd, number)?;
        let expected = format!("{closed}; {carried}; <Location \"/kitchen_sink\">");
        ensure!(line == expected, "{line}\ninstead of\n{expected}");
        ensure!(
            (0.0..=began.elapsed().as_secs_f64() + 0.001).contains(&seconds),
            "{seconds} s"
        );
        let name = format!("[client {}]", client.stream.local_addr()?);
        expect_client(&httpd, &name)?;
    }
    Ok(())
}

/// The last line of an end is at level `info` and names the client.
fn expect_client(httpd: &Httpd, name: &str) -> Result<()> {
    let log = httpd.error_log()?;
    let line = log
        .lines()
        .rfind(|line| line.contains(END))
        .context("no line")?;
    ensure!(
        line.contains("[websocket:info]") && line.contains(name),
        "no {name}: {line}"
    );
    Ok(())
}

fn echo_and_close<S: Read + Write>(client: &mut Client<S>) -> Result<()> {
    client.echo("hello")?;
    client.send(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()))?;
    client.expect(&Frame::close(1000))
}

const ECHOED: &str =
    "closed by the client with code 1000; received 1 messages (5 bytes), sent 1 (5 bytes)";

fn other_transports(context: &Context) -> Result<()> {
    let root = context.root()?.tls_port(free_port()?);
    let httpd = context
        .with_http2(root)?
        .config(context.plugins().locations())
        .start()?;
    let mut client = Client::open_tls(&httpd, &Handshake::to("/echo"))?;
    echo_and_close(&mut client)?;
    let expected = format!("{ECHOED}; <Location \"/echo\">");
    ensure!(next_end(&httpd, 0)?.0 == expected, "TLS");
    expect_client(&httpd, "[client ")?;
    if context.serves_http2()? {
        let http2 = Http2::connect(httpd.address())?;
        echo_and_close(&mut http2.open(&Handshake::to("/echo"))?)?;
        ensure!(next_end(&httpd, 1)?.0 == expected, "HTTP/2");
        expect_client(&httpd, "[client ")?;
    }
    Ok(())
}

fn detached(context: &Context) -> Result<()> {
    let hermit = location(context, "/hermit", "hermit", "WebSocketDetach On");
    let httpd = context.root()?.config(hermit).start()?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/hermit"))?;
    echo_and_close(&mut client)?;
    let (line, _) = next_end(&httpd, 0)?;
    ensure!(
        line == format!("{ECHOED}; <Location \"/hermit\">"),
        "{line}"
    );
    expect_client(&httpd, &format!("[client {}]", client.stream.local_addr()?))
}

fn hang_ups(context: &Context) -> Result<()> {
    type HangUp = fn(Client) -> Result<()>;
    let hang_ups: [HangUp; 5] = [
        |client| {
            drop(client);
            Ok(())
        },
        Client::reset,
        Client::close,
        |mut client| {
            client.send(&masked(Opcode::TEXT, "half a frame")[..9])?;
            client.reset()
        },
        |mut client| {
            client.send(masked(Opcode::BINARY, vec![0; 1 << 20]))?;
            client.reset()
        },
    ];
    let httpd = context.start("")?;
    let before = httpd.error_log()?;
    for hang_up in hang_ups {
        let mut client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
        client.echo("hello")?;
        hang_up(client)?;
    }
    wait_until("a line for each", || {
        Ok(ends_in_log(&httpd)?.len() == hang_ups.len())
    })?;
    let log = httpd.error_log()?;
    let grave = ["emerg]", "alert]", "crit]", "error]", "warn]"];
    let new = log.lines().skip(before.lines().count());
    for line in new {
        ensure!(!grave.iter().any(|level| line.contains(level)), "{line}");
    }
    Ok(())
}

fn stop(context: &Context) -> Result<()> {
    let httpd = context.start("")?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
    client.echo("hello")?;
    httpd.restart()?;
    if context.mpm == Mpm::Prefork {
        // The process ends at once, with its only connection.
        return client.expect_end();
    }
    client.expect_close(1012)?;
    let (line, _) = next_end(&httpd, 0)?;
    let expected = "closed by the server (drain) with code 1012;";
    ensure!(line.starts_with(expected), "{line}");
    Ok(())
}

/// The `LogFormat` that `docs/src/logs.md` shows, and what it is called there.
fn format_of_book() -> Result<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/logs.md");
    let page = std::fs::read_to_string(path)?;
    let start = page
        .find("LogFormat \"%h")
        .context("no LogFormat on the page")?;
    let end = page[start..].find("```").context("no end of the example")?;
    Ok(page[start..start + end].to_owned())
}

/// The last words of the line of a WebSocket in the log of the book's example.
fn notes(httpd: &Httpd, number: usize) -> Result<String> {
    let path = httpd.root().access_log().with_file_name("websocket_log");
    let mut line = String::new();
    wait_until("the line in the access log", || {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        line = log.lines().nth(number).unwrap_or_default().to_owned();
        Ok(!line.is_empty())
    })?;
    let (_, notes) = line.split_once(" 101 ").context("not a WebSocket")?;
    Ok(notes.to_owned())
}

fn access_log(context: &Context) -> Result<()> {
    let root = context.root()?.tls_port(free_port()?);
    let httpd = context
        .with_http2(root)?
        .config(context.plugins().locations())
        .config(format_of_book()?)
        .start()?;
    for (number, (end, expected)) in [
        (
            (|client| {
                client.binary([0; 300])?;
                client.expect(&Frame::binary([0; 300]))?;
                client.echo("hello")?;
                client.send(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()))?;
                client.expect_close(1000)
            }) as End,
            "client 1000 2 305 2 305 -",
        ),
        (|client| client.half_close(), "lost 1006 0 0 0 0 -"),
        (
            |client| {
                client.send(masked(0x83, ""))?;
                client.expect_close(1002)
            },
            "error 1002 0 0 0 0 -",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
        end(&mut client)?;
        let notes = notes(&httpd, number)?;
        ensure!(notes == expected, "{notes} instead of {expected}");
    }
    let echoed = "client 1000 1 5 1 5 -";
    echo_and_close(&mut Client::open_tls(&httpd, &Handshake::to("/echo"))?)?;
    ensure!(notes(&httpd, 3)? == echoed, "TLS");
    if context.serves_http2()? {
        let http2 = Http2::connect(httpd.address())?;
        echo_and_close(&mut http2.open(&Handshake::to("/echo"))?)?;
        ensure!(notes(&httpd, 4)? == echoed, "HTTP/2");
    }
    Ok(())
}

fn ping(context: &Context) -> Result<()> {
    let config = format_of_book()? + "WebSocketPingInterval 100ms\n";
    let httpd = context.start(&config)?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/echo"))?;
    let began = std::time::Instant::now();
    let ping = client.frame()?;
    ensure!(ping.first_byte == Opcode::PING, "{ping:?}");
    client.send(masked(Opcode::PONG, ping.payload))?;
    client.echo("it has been read")?;
    client.half_close()?;
    let notes = notes(&httpd, 0)?;
    let (counts, noted) = notes.rsplit_once(' ').context("no notes")?;
    ensure!(counts == "lost 1006 1 16 1 16", "{notes}");
    let took: f64 = noted.parse()?;
    ensure!(
        (0.0..=began.elapsed().as_secs_f64() * 1000.0).contains(&took),
        "{took} ms"
    );
    let line = httpd.wait_for_log(END, PATIENCE)?;
    ensure!(line.contains(&format!(" s, ping {noted} ms; ")), "{line}");
    Ok(())
}

fn detached_access_log(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let hermit = location(context, "/hermit", "hermit", "WebSocketDetach On");
    let httpd = context
        .root()?
        .config(hermit)
        .config(format_of_book()?)
        .start()?;
    let mut client = Client::open(httpd.address(), &Handshake::to("/hermit"))?;
    let notes = notes(&httpd, 0)?;
    ensure!(notes == "- - - - - - -", "{notes}");
    echo_and_close(&mut client)
}

fn refusals(context: &Context) -> Result<()> {
    let httpd = context
        .root()?
        .config(context.plugins().rust_location("/witness", "witness"))
        .config(
            context
                .plugins()
                .location("/kitchen_sink", "kitchen_sink", ""),
        )
        .config("<Location /none>\nSetHandler websocket-handler\n</Location>")
        .start()?;
    for (handshake, told) in [
        (
            Handshake::to("/witness?status=418"),
            "(plugin): the plugin answers 418; <Location \"/witness\">, plugin ",
        ),
        (
            Handshake::to("/kitchen_sink").header("X-Refuse", "please"),
            "(plugin): the plugin answers 403; <Location \"/kitchen_sink\">, plugin ",
        ),
        (
            Handshake::to("/witness").version(9),
            "(handshake): Sec-WebSocket-Version must be one of 13, 8, 7; <Location \"/witness\">",
        ),
        (
            Handshake::to("/witness").header("Origin", "http://evil.example"),
            "(origin): the origin 'http://evil.example' is refused",
        ),
        (
            Handshake::to("/none"),
            "(configuration): no WebSocketHandler is set for /none",
        ),
    ] {
        let mut client = Client::connect(httpd.address())?;
        client.send(handshake.to_bytes())?;
        client.response()?;
        let line = httpd.wait_for_log(&format!("the handshake is refused {told}"), PATIENCE)?;
        let name = format!("[client {}]", client.stream.local_addr()?);
        ensure!(line.contains(&name), "no {name}: {line}");
    }
    Ok(())
}

fn traces(context: &Context) -> Result<()> {
    let at = |path, level| {
        context
            .plugins()
            .location(path, "echo", &format!("LogLevel {level}"))
    };
    let httpd = context
        .root()?
        .config(at("/info", "websocket:info") + &at("/two", "websocket:trace2"))
        .config(at("/four", "websocket:trace4"))
        .start()?;
    for (target, handshakes, frames) in [("/info", 0, 0), ("/two", 1, 0), ("/four", 1, 7)] {
        let before = httpd.error_log()?.len();
        let handshake = Handshake::to(target).header("Sec-WebSocket-Protocol", "chat");
        let mut client = Client::open(httpd.address(), &handshake)?;
        client.echo("hello")?;
        client.binary([0; 70_000])?;
        client.expect(&Frame::binary([0; 70_000]))?;
        client.send(masked(Opcode::PING, "p"))?;
        client.expect(&Frame::pong("p"))?;
        client.send(masked(Opcode::PONG, "p"))?;
        client.close()?;
        wait_until("the end", || Ok(httpd.error_log()?[before..].contains(END)))?;
        let log = httpd.error_log()?;
        let count = |level: &str| log[before..].matches(level).count();
        let counted = (count("websocket:trace2]"), count("websocket:trace4]"));
        ensure!(
            counted == (handshakes, frames),
            "{target}: {counted:?}\n{}",
            &log[before..]
        );
    }
    let log = httpd.error_log()?;
    for text in [
        "the handshake is accepted: version 13, subprotocols chat",
        "received a text message of 5 bytes",
        "the plugin sends a binary frame of 70000 bytes",
        "received a ping of 1 bytes",
        "received a pong",
        "received a close frame with code 1000",
    ] {
        ensure!(log.contains(text), "no `{text}` in {log}");
    }
    Ok(())
}

fn traceparent(context: &Context) -> Result<()> {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let detached = location(context, "/detached", "hermit", "WebSocketDetach On");
    let httpd = context.start(&detached)?;
    for (number, target) in ["/echo", "/detached"].into_iter().enumerate() {
        let handshake = Handshake::to(target).header("traceparent", PARENT);
        let mut client = Client::open(httpd.address(), &handshake)?;
        echo_and_close(&mut client)?;
        let (line, _) = next_end(&httpd, number)?;
        ensure!(line.ends_with(&format!(", traceparent {PARENT}")), "{line}");
    }
    let handshake = Handshake::to("/echo").header("traceparent", "a \"lie\"");
    let mut client = Client::open(httpd.address(), &handshake)?;
    echo_and_close(&mut client)?;
    let (line, _) = next_end(&httpd, 2)?;
    ensure!(!line.contains("traceparent"), "{line}");
    let refused = Handshake::to("/echo")
        .version(9)
        .header("traceparent", PARENT);
    Client::ask(httpd.address(), &refused)?;
    let line = httpd.wait_for_log("the handshake is refused", PATIENCE)?;
    ensure!(line.ends_with(PARENT), "{line}");
    Ok(())
}
