//! The opening handshake: which requests get which response (RFC 6455, section 4.2).

use anyhow::{Result, ensure};
use xtask::port;

use crate::support::handshake::{ACCEPT, Handshake};
use crate::support::journal::Journal;
use crate::support::{Client, Context, Frame, cases, frame};

cases! {
    "the response to a valid handshake has the right Sec-WebSocket-Accept" => accepted,
    "requests that are not WebSocket handshakes are left to other handlers" => declined,
    "a bad handshake is answered with 400" => bad_requests,
    "the answer to an unsupported version names the supported ones" => version_header,
    "versions 7, 8 and 13 are served" => versions,
    "a location without a plugin answers 500 and logs the reason" => no_plugin,
    "the plugin can refuse with 403" => refused,
    "access control comes first" => access_control,
    "a handshake may follow other requests on the same connection" => after_other_requests,
    "bytes sent right after the request are the first frames" => early_bytes,
    "a handshake with a body is refused and its body is not taken for a request" => bodies,
    "a handshake with an empty body is accepted" => empty_body,
    "response filters and headers of other modules do not break the handshake" => other_modules,
    "the access log has one line, with 101" => access_log,
}

fn accepted(context: &Context) -> Result<()> {
    let mut client = Client::connect(context.address()?)?;
    let response = client.upgrade(&Handshake::to("/echo"))?;
    for (name, value) in [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", ACCEPT),
    ] {
        ensure!(response.header(name) == Some(value), "{response:?}");
    }
    ensure!(
        response.header("Sec-WebSocket-Protocol").is_none(),
        "{response:?}"
    );
    client.echo("hello")?;
    client.close()
}

fn declined(context: &Context) -> Result<()> {
    let page = Handshake::to("/site/page.txt");
    let cases = [
        ("no handler of ours", Handshake::to("/absent"), 404),
        ("no Upgrade", page.clone().without("Upgrade"), 200),
        (
            "another protocol",
            page.clone().header("Upgrade", "h2c"),
            200,
        ),
        ("no Connection", page.clone().without("Connection"), 200),
        (
            "Connection without upgrade",
            page.clone().header("Connection", "close"),
            200,
        ),
        (
            "HTTP/1.0",
            page.request_line("GET /site/page.txt HTTP/1.0"),
            200,
        ),
        (
            "nothing to fall through to",
            Handshake::to("/echo").without("Upgrade"),
            426,
        ),
        (
            "HTTP/1.0 there",
            Handshake::to("/echo").request_line("GET /echo HTTP/1.0"),
            426,
        ),
    ];
    expect_statuses(context, &cases)
}

fn bad_requests(context: &Context) -> Result<()> {
    let echo = || Handshake::to("/echo");
    let key = |key: &str| echo().header("Sec-WebSocket-Key", key);
    let version = |version: &str| echo().header("Sec-WebSocket-Version", version);
    let offers = |list: &str| echo().header("Sec-WebSocket-Protocol", list);
    let line = |line: &str| echo().request_line(line);
    let cases = [
        (
            "POST",
            line("POST /echo HTTP/1.1").header("Content-Length", "0"),
            400,
        ),
        ("HEAD", line("HEAD /echo HTTP/1.1"), 400),
        (
            "PUT",
            line("PUT /echo HTTP/1.1").header("Content-Length", "0"),
            400,
        ),
        ("lower-case get", line("get /echo HTTP/1.1"), 400),
        ("no Host", echo().without("Host"), 400),
        ("no key", echo().without("Sec-WebSocket-Key"), 400),
        ("short key", key("dGhlIHNhbXBsZSBub25jZQ"), 400),
        ("17 bytes", key("dGhlIHNhbXBsZSBub25jZTE="), 400),
        (
            "last sextet not canonical",
            key("dGhlIHNhbXBsZSBub25jZR=="),
            400,
        ),
        ("last sextet A", key("dGhlIHNhbXBsZSBub25jZA=="), 101),
        ("last sextet w", key("dGhlIHNhbXBsZSBub25jZw=="), 101),
        ("not base64", key("dGhl!HNhbXBsZSBub25jZQ=="), 400),
        (
            "two keys",
            echo().and("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            400,
        ),
        ("no version", echo().without("Sec-WebSocket-Version"), 400),
        ("version 12", version("12"), 400),
        ("version 0", version("0"), 400),
        ("leading zero", version("013"), 400),
        ("version 256 + 13", version("269"), 400),
        ("two versions", version("13, 8"), 400),
        ("signed version", version("+13"), 400),
        ("bad subprotocol", offers("chat, super chat"), 400),
        ("no subprotocol", offers(""), 400),
        ("commas only", offers(" , ,"), 400),
        ("quoted subprotocol", offers("\"chat\""), 400),
        ("non-ASCII subprotocol", offers("ch\u{e4}t"), 400),
        ("empty elements", offers(",chat , ,superchat,"), 101),
        (
            "upper-case Upgrade",
            echo().header("Upgrade", "WebSocket"),
            101,
        ),
        (
            "Connection list",
            echo().header("Connection", "keep-alive,  uPgrade"),
            101,
        ),
        (
            "two Connection headers",
            echo()
                .header("Connection", "x")
                .and("Connection", "Upgrade"),
            101,
        ),
    ];
    expect_statuses(context, &cases)
}

fn expect_statuses(context: &Context, cases: &[(&str, Handshake, u16)]) -> Result<()> {
    let address = context.address()?;
    for (name, handshake, status) in cases {
        let response = Client::ask(address, handshake)?;
        ensure!(response.status == *status, "{name}: {response:?}");
    }
    Ok(())
}

fn version_header(context: &Context) -> Result<()> {
    for version in ["12", "x", "013"] {
        let handshake = Handshake::to("/echo").header("Sec-WebSocket-Version", version);
        let response = Client::ask(context.address()?, &handshake)?;
        ensure!(
            response.header("Sec-WebSocket-Version") == Some("13, 8, 7"),
            "{response:?}"
        );
    }
    let other = Client::ask(
        context.address()?,
        &Handshake::to("/echo").header("Sec-WebSocket-Key", "x"),
    )?;
    ensure!(other.header("Sec-WebSocket-Version").is_none(), "{other:?}");
    Ok(())
}

fn versions(context: &Context) -> Result<()> {
    for version in [7, 8, 13] {
        let mut client = context.open_with(&Handshake::to("/echo").version(version))?;
        client.echo("hello")?;
        client.close()?;
    }
    Ok(())
}

fn no_plugin(context: &Context) -> Result<()> {
    let response = Client::ask(context.address()?, &Handshake::to("/no-plugin"))?;
    ensure!(response.status == 500, "{response:?}");
    let line = context
        .httpd()?
        .wait_for_log("WebSocketHandler", crate::support::PATIENCE)?;
    ensure!(
        line.contains(":error]") && line.contains("/no-plugin"),
        "{line}"
    );
    Ok(())
}

fn refused(context: &Context) -> Result<()> {
    let handshake = Handshake::to("/kitchen_sink").header("X-Refuse", "please");
    let response = Client::ask(context.address()?, &handshake)?;
    ensure!(response.status == 403, "{response:?}");
    for name in ["Upgrade", "Sec-WebSocket-Accept", "X-Kitchen-Sink"] {
        ensure!(response.header(name).is_none(), "{response:?}");
    }
    Ok(())
}

fn access_control(context: &Context) -> Result<()> {
    let members = Handshake::to("/members");
    let credentials = |encoded: &str| {
        members
            .clone()
            .header("Authorization", &format!("Basic {encoded}"))
    };
    let cases = [
        ("denied to all", Handshake::to("/denied"), 403),
        (
            "bad handshake where denied",
            Handshake::to("/denied").without("Sec-WebSocket-Key"),
            403,
        ),
        ("no credentials", members.clone(), 401),
        ("wrong password", credentials("dXNlcjp3cm9uZw=="), 401),
        ("right password", credentials("dXNlcjpwYXNzd29yZA=="), 101),
    ];
    expect_statuses(context, &cases)
}

fn after_other_requests(context: &Context) -> Result<()> {
    let mut client = Client::connect(context.address()?)?;
    let head = "HEAD /site/page.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.send(head)?;
    ensure!(client.response()?.status == 200);
    client.upgrade(&Handshake::to("/echo"))?;
    client.echo("after a request")?;
    client.close()?;

    // A request, the handshake and a frame, all in one packet.
    let mut client = Client::connect(context.address()?)?;
    let handshake = Handshake::to("/echo").to_bytes();
    let first = frame::masked(crate::support::Opcode::TEXT, "first");
    client.send([head.as_bytes(), &handshake, &first].concat())?;
    ensure!(client.response()?.status == 200);
    ensure!(client.response()?.status == 101);
    client.expect_text("first")?;
    client.close()
}

fn early_bytes(context: &Context) -> Result<()> {
    let mut addresses = vec![context.address()?];
    if port::has_ipv6_loopback() {
        addresses.push(format!("[::1]:{}", addresses[0].port()).parse()?);
    }
    for address in addresses {
        for size in [5, 125, 3000, 7850, 8192, 100 * 1024] {
            let payload = vec![b'x'; size];
            let mut client = Client::connect(address)?;
            let frames = [
                frame::masked(crate::support::Opcode::BINARY, &payload),
                frame::masked(crate::support::Opcode::TEXT, "second"),
            ];
            client.send([Handshake::to("/echo").to_bytes(), frames.concat()].concat())?;
            ensure!(client.response()?.status == 101);
            client.expect(&Frame::binary(&payload))?;
            client.expect_text("second")?;
            client.echo("third")?;
            client.close()?;
        }
    }
    Ok(())
}

fn bodies(context: &Context) -> Result<()> {
    let journal = Journal::new(context)?;
    let frame = frame::masked(crate::support::Opcode::TEXT, "smuggled");
    let request = Handshake::to("/journal").to_bytes();
    let length = |bytes: &[u8]| vec![("Content-Length", bytes.len().to_string())];
    let chunked = || vec![("Transfer-Encoding", "chunked".to_owned())];
    let cases = [
        (length(&frame), &frame[..]),
        (length(b"hello"), b"hello"),
        (length(&request), &request),
        // Only announced.
        (length(b"hello"), b""),
        (chunked(), b"0\r\n\r\n"),
        (chunked(), b"5\r\nhello\r\n0\r\n\r\n"),
        (chunked(), &frame),
        ([length(b"hello"), chunked()].concat(), b"0\r\n\r\n"),
        (
            [length(b"hello"), chunked()].concat(),
            b"5\r\nhello\r\n0\r\n\r\n",
        ),
        (vec![("Content-Length", "5, 5".into())], b"hello"),
        (vec![("Content-Length", "+0".into())], b""),
        (vec![("Content-Length", "0, 0".into())], b""),
    ];
    for (headers, body) in &cases {
        for expect in [false, true] {
            let mut handshake = journal.handshake("/journal");
            for (name, value) in headers {
                handshake = handshake.and(name, value);
            }
            if expect {
                handshake = handshake.and("Expect", "100-continue");
            }
            let mut client = Client::connect(context.address()?)?;
            client.send([&handshake.to_bytes(), *body].concat())?;
            let (response, _) = client.page()?;
            ensure!(response.status == 400, "{headers:?}: {response:?}");
            ensure!(
                response.header("Connection") == Some("close"),
                "{response:?}"
            );
            client.expect_end()?;
        }
    }
    ensure!(journal.lines()?.is_empty(), "{:?}", journal.lines()?);
    Ok(())
}

fn empty_body(context: &Context) -> Result<()> {
    for (name, value) in [
        ("Content-Length", "0"),
        ("Content-Length", "00"),
        ("Expect", "100-continue"),
    ] {
        let mut client = context.open_with(&Handshake::to("/echo").and(name, value))?;
        client.echo("a message")?;
        client.close()?;
    }
    Ok(())
}

fn other_modules(context: &Context) -> Result<()> {
    let handshake = Handshake::to("/deflated").header("Accept-Encoding", "gzip");
    let mut client = context.open_with(&handshake)?;
    client.echo("not compressed")?;
    client.close()?;
    let mut client = context.open("/with-headers")?;
    client.echo("hello")?;
    client.close()
}

fn access_log(context: &Context) -> Result<()> {
    let mut client = context.open("/echo?logged-once")?;
    client.echo("hello")?;
    client.close()?;
    let httpd = context.httpd()?;
    let mut lines = Vec::new();
    crate::support::wait_until("the line in the access log", || {
        let log = httpd.access_log()?;
        lines = log
            .lines()
            .filter(|line| line.contains("?logged-once"))
            .map(str::to_owned)
            .collect();
        Ok(!lines.is_empty())
    })?;
    ensure!(
        lines.len() == 1 && lines[0].contains("HTTP/1.1\" 101 "),
        "{lines:?}"
    );
    Ok(())
}
