//! WebSockets over HTTP/2 (RFC 8441).

pub(crate) mod life;
pub(crate) mod limits;
pub(crate) mod settings;
pub(crate) mod slow_reader;

use anyhow::{Result, ensure};
use http::StatusCode;
use xtask::httpd::Httpd;
use xtask::server_root::ServerRoot;

use crate::support::frame::masked;
use crate::support::http2::Http2;
use crate::support::journal::Journal;
use crate::support::{Context, Frame, HTTP2, Handshake, Opcode, cases, wait_until};

cases! {
    "HTTP/2: messages of all sizes go both ways, in cleartext and over TLS" => messages,
    "HTTP/2: many small messages are answered in order" => pipelined,
    "HTTP/2: WebSockets and ordinary requests share a connection" => shared_connection,
    "HTTP/2: a connection has at most WebSocketH2MaxStreams WebSockets" => cap,
    "HTTP/2: a WebSocket that ends makes room for another, however it ends" => freed_places,
    "HTTP/2: the handshake is checked as over HTTP/1.1" => handshake,
    "HTTP/2: subprotocol and headers of the plugin are on the response" => response_headers,
    "HTTP/2: close codes go both ways" => close_codes,
    "HTTP/2: a callback that blocks delays no other stream" => blocked_callback,
    "HTTP/2: threads of a plugin may send while messages arrive" => threads,
}

/// A server with HTTP/2, in cleartext and over TLS.
fn root(context: &Context) -> Result<ServerRoot> {
    Ok(context
        .root()?
        .stock_module("http2")
        .tls_port(xtask::port::free_port()?)
        .config(HTTP2)
        .config(context.plugins().locations()))
}

/// A server with HTTP/2 whose connections may have several WebSockets.
fn start(context: &Context, config: &str) -> Result<Httpd> {
    root(context)?
        .config("WebSocketH2MaxStreams 3")
        .config(config)
        .start()
}

fn connect(httpd: &Httpd) -> Result<Http2> {
    Http2::connect(httpd.address())
}

/// Connects in cleartext, or over TLS. Tests connect when they need the connection, because an idle
/// one ends after KeepAliveTimeout.
const WAYS: [fn(&Httpd) -> Result<Http2>; 2] = [connect, Http2::connect_tls];

fn messages(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    for connect in WAYS {
        let http2 = connect(&httpd)?;
        ensure!(http2.offers_websockets());
        let mut client = http2.open(&Handshake::to("/echo"))?;
        client.echo("hello")?;
        for length in [0, 1, 125, 126, 32_768, 65_536, 100_000, 1 << 20, 8 << 20] {
            let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
            client.binary(&payload)?;
            client.expect(&Frame::binary(&payload))?;
        }
        client.send(masked(Opcode::PING, "ping"))?;
        client.expect(&Frame::pong("ping"))?;
        client.close()?;
    }
    Ok(())
}

fn pipelined(context: &Context) -> Result<()> {
    const COUNT: usize = 5000;
    let httpd = start(context, "")?;
    let http2 = connect(&httpd)?;
    let mut client = http2.open(&Handshake::to("/echo"))?;
    let messages = (0..COUNT).map(|number| masked(Opcode::TEXT, number.to_string()));
    client.send(messages.collect::<Vec<_>>().concat())?;
    for number in 0..COUNT {
        client.expect_text(number.to_string())?;
    }
    client.close()
}

fn shared_connection(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let http2 = connect(&httpd)?;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(http2.open(&Handshake::to("/echo"))?);
    }
    for round in 0..20 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.echo(&format!("{round} {number}"))?;
        }
        ensure!(http2.get("/server-status")? == StatusCode::OK);
    }
    clients
        .into_iter()
        .try_for_each(crate::support::Client::close)
}

fn cap(context: &Context) -> Result<()> {
    for (config, most) in [("", 1), ("WebSocketH2MaxStreams 3", 3)] {
        let httpd = root(context)?.config(config).start()?;
        let (http2, other) = (connect(&httpd)?, connect(&httpd)?);
        let mut clients = Vec::new();
        for _ in 0..most {
            clients.push(http2.open(&Handshake::to("/echo"))?);
        }
        let refused = http2.ask(&Handshake::to("/echo"))?;
        ensure!(refused.response.status == StatusCode::SERVICE_UNAVAILABLE);
        ensure!(http2.get("/server-status")? == StatusCode::OK);
        other
            .open(&Handshake::to("/echo"))?
            .echo("another connection")?;
        clients.remove(0).close()?;
        // The stream ends when its place is free.
        http2.open(&Handshake::to("/echo"))?.echo("in its place")?;
    }
    Ok(())
}

fn freed_places(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketH2MaxStreams 1")?;
    let http2 = connect(&httpd)?;
    let refused = http2.ask(&Handshake::to("/kitchen_sink").header("X-Refuse", "1"))?;
    ensure!(refused.response.status == StatusCode::FORBIDDEN);
    let open = || {
        let mut opened = None;
        wait_until("a place is free", || {
            opened = http2.open(&Handshake::to("/echo")).ok();
            Ok(opened.is_some())
        })?;
        Ok::<_, anyhow::Error>(opened.expect("just waited for"))
    };
    open()?.stream.reset();
    let mut client = open()?;
    client.echo("hello")?;
    client.stream.reset();
    let mut client = open()?;
    client.stream.half_close()?;
    client.expect_end()?;
    let mut client = open()?;
    client.send(masked(0x83, "a mistake"))?;
    client.expect_close(1002)?;
    open()?.close()
}

fn handshake(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    for connect in WAYS {
        let http2 = connect(&httpd)?;
        let echo = || Handshake::to("/echo");
        for (name, handshake, status) in [
            (
                "a strange page",
                echo().header("Origin", "http://evil.example"),
                403,
            ),
            ("a bad version", echo().version(9), 400),
            (
                "a bad subprotocol",
                echo().header("Sec-WebSocket-Protocol", "a b"),
                400,
            ),
            ("no such page", Handshake::to("/nothing"), 404),
            ("not for WebSockets", Handshake::to("/server-status"), 502),
        ] {
            let answer = http2.ask(&handshake)?.response;
            ensure!(answer.status == status, "{name}: {}", answer.status);
            if name == "a bad version" {
                let versions = answer.headers.get("Sec-WebSocket-Version");
                ensure!(versions.is_some_and(|versions| versions == "13, 8, 7"));
            }
        }
        http2
            .open(&echo().header("Origin", http2.origin()))?
            .close()?;
        let ended = http2.ask_and_end(&echo())?;
        ensure!(ended.response.status == StatusCode::BAD_REQUEST);
    }
    Ok(())
}

fn response_headers(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let http2 = connect(&httpd)?;
    let handshake =
        Handshake::to("/kitchen_sink").header("Sec-WebSocket-Protocol", "chat, superchat");
    let answer = http2.ask(&handshake)?;
    let headers = &answer.response.headers;
    let is = |name, value: &str| headers.get(name).is_some_and(|found| found == value);
    ensure!(answer.response.status == StatusCode::OK);
    ensure!(is("Sec-WebSocket-Protocol", "superchat"));
    ensure!(is("X-Kitchen-Sink", "ready"));
    for of_http_1 in ["Upgrade", "Connection", "Sec-WebSocket-Accept"] {
        ensure!(
            headers.get(of_http_1).is_none(),
            "{of_http_1} is on the response"
        );
    }
    let mut client = answer.client;
    client.text("protocols")?;
    client.expect_text("chat, superchat")?;
    client.close()
}

fn close_codes(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let http2 = connect(&httpd)?;
    for code in [1000_u16, 1001, 3000, 4999] {
        let mut client = http2.open(&Handshake::to("/echo"))?;
        client.send(masked(Opcode::CLOSE, code.to_be_bytes()))?;
        client.expect_close(code)?;
    }
    let mut client = http2.open(&Handshake::to("/kitchen_sink"))?;
    client.text("close 4000 bye")?;
    client.expect(&Frame::new(Opcode::CLOSE, b"\x0f\xa0bye"))?;
    client.send(masked(Opcode::CLOSE, b"\x0f\xa0"))?;
    client.expect_end()
}

fn blocked_callback(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let http2 = connect(&httpd)?;
    let mut blocked = http2.open(&Handshake::to("/kitchen_sink"))?;
    let mut other = http2.open(&Handshake::to("/echo"))?;
    blocked.text("echo sent at once")?;
    blocked.text("block 1000")?;
    blocked.expect_text("sent at once")?;
    let started = std::time::Instant::now();
    for _ in 0..20 {
        other.echo("hello")?;
        ensure!(http2.get("/server-status")? == StatusCode::OK);
    }
    ensure!(
        started.elapsed().as_millis() < 900,
        "{:?}",
        started.elapsed()
    );
    blocked.expect_text("unblocked")?;
    blocked.close()
}

fn threads(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    for connect in WAYS {
        let http2 = connect(&httpd)?;
        let journal = Journal::new(context)?;
        let mut client = http2.open(&journal.handshake("/mutex"))?;
        for number in 0..20 {
            let sent = format!("{number} {}", "x".repeat(20_000));
            client.text(&sent)?;
            while client.next_text()? != sent {}
        }
        client.stream.reset();
        journal.expect_one_disconnect(std::time::Duration::from_secs(4))?;
        let journal = Journal::new(context)?;
        let mut client = http2.open(&journal.handshake("/late").header("X-Linger", "100"))?;
        client.expect_text("chatter")?;
        client.stream.reset();
        ensure!(journal.wait_for("late ")? == "0", "sent after the end");
        ensure!(
            journal.wait_for("request ")? == "1",
            "no request in on_disconnect"
        );
        journal.expect_one_disconnect(std::time::Duration::from_secs(4))?;
    }
    Ok(())
}
