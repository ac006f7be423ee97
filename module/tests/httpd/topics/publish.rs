//! Publishing from outside: `SetHandler websocket-publish`.

use std::io::{Read, Write};
use std::net::Shutdown;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use xtask::broker::Kind;
use xtask::httpd::Httpd;
use xtask::link::Link;
use xtask::server_root::ServerRoot;

use super::hosts::{broker, listener, settle};
use super::{ask, crowd, expect, open, root};
use crate::support::handshake::Response;
use crate::support::http2::Http2;
use crate::support::{Client, Context, Frame, cases, wait_until};

cases! {
    "websocket-publish: a message comes to all, as text, JSON or bytes" => kinds,
    "websocket-publish: over TLS and HTTP/2, too" => ways,
    "websocket-publish: the answer has the position and the number of subscribers" => answers,
    "websocket-publish: GET tells who is on a topic" => presence,
    "websocket-publish: only topics that WebSocketPublish describes, of the innermost section"
        => only,
    "websocket-publish: whom Require does not let in publishes nothing" => required,
    "websocket-publish: without a Require that says who may, httpd does not start" => unguarded,
    "websocket-publish: a page of another site publishes nothing" => foreign,
    "websocket-publish: bad requests are answered with errors in JSON" => bad_requests,
    "websocket-publish: a body is no longer than LimitRequestBody or a message may be" => long,
    "websocket-publish: a body that does not come as announced publishes nothing" => half,
    "websocket-publish: with the same Idempotency-Key a message is published once, in all children"
        => once,
    "websocket-publish: with a broker messages are queued for all hosts, and refused while it is away"
        => brokered,
}

const PUBLISH: &str = "<Location /publish>\nSetHandler websocket-publish\n\
                       WebSocketPublish room/* news\nRequire local\n</Location>\n";

fn root_with(context: &Context, config: &str) -> Result<ServerRoot> {
    let root = root(context, config)?;
    Ok(root.stock_module("authz_host"))
}

fn start(context: &Context, config: &str) -> Result<Httpd> {
    root_with(context, &format!("{PUBLISH}{config}"))?.start()
}

/// A request with these headers, each with its line end.
fn request(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn send<S: Read + Write>(client: &mut Client<S>, request: &[u8]) -> Result<(Response, Value)> {
    client.send(request)?;
    let (response, body) = client.page()?;
    let media_type = response.header("Content-Type").unwrap_or_default();
    ensure!(media_type == "application/json", "{response:?} {body}");
    ensure!(
        response.header("Cache-Control") == Some("no-store"),
        "{response:?}"
    );
    Ok((response, serde_json::from_str(&body)?))
}

/// Publishes on a connection of its own. Returns the status and the answer.
fn post(httpd: &Httpd, topic: &str, headers: &str, body: impl AsRef<[u8]>) -> Result<(u16, Value)> {
    let target = format!("/publish?topic={topic}");
    let request = request("POST", &target, headers, body.as_ref());
    let mut client = Client::connect(httpd.address())?;
    let (response, answer) = send(&mut client, &request)?;
    Ok((response.status, answer))
}

const TEXT: &str = "Content-Type: text/plain\r\n";

fn kinds(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut plain = crowd(&httpd, 2, "sub room/a")?;
    let mut enveloped = open(&httpd)?;
    ask(&mut enveloped, "envelope room/*")?;
    // One connection for all: what is refused is read to its end.
    let mut client = Client::connect(httpd.address())?;
    for (headers, body, status) in [
        (TEXT, "{\"a\":1}", 200),
        ("Content-Type: application/json\r\n", "{\"a\":1}", 200),
        ("Content-Type: application/json\r\n", "{\"a\":1", 400),
        ("", "xyz", 200),
        (
            "Content-Type: application/x-www-form-urlencoded\r\n",
            "xyz",
            415,
        ),
        (TEXT, "", 200),
    ] {
        let request = request("POST", "/publish?topic=room/a", headers, body.as_bytes());
        let (response, answer) = send(&mut client, &request)?;
        ensure!(response.status == status, "{headers}{body}: {answer}");
        if status == 400 {
            client = Client::connect(httpd.address())?;
        }
    }
    for client in &mut plain {
        client.expect_text("{\"a\":1}")?;
        client.expect_text("{\"a\":1}")?;
        client.expect(&Frame::binary("xyz"))?;
        client.expect_text("")?;
    }
    for data in [
        r#""data":"{\"a\":1}""#,
        r#""data":{"a":1}"#,
        r#""base64":"eHl6""#,
        r#""data":"""#,
    ] {
        enveloped.expect_text(format!(r#"{{"type":"message","topic":"room/a",{data}}}"#))?;
    }
    let chunked = "POST /publish?topic=room%2Fa HTTP/1.1\r\nHost: localhost\r\n\
                   Content-Type: text/plain; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\
                   Expect: 100-continue\r\n\r\n";
    client.send(chunked)?;
    ensure!(client.response()?.status == 100);
    let (response, _) = send(&mut client, b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")?;
    ensure!(response.status == 200);
    plain[0].expect_text("abcde")
}

fn ways(context: &Context) -> Result<()> {
    let config = format!("WebSocketTopicSpace shared\n{PUBLISH}");
    let root = root_with(context, &config)?.tls_port(xtask::port::free_port()?);
    let httpd = context.with_http2(root)?.start()?;
    let mut clients = crowd(&httpd, 2, "sub news")?;
    let mut tls = Client::connect_tls(&httpd)?;
    let request = request("POST", "/publish?topic=news", TEXT, b"TLS");
    ensure!(send(&mut tls, &request)?.0.status == 200);
    clients[1].expect_text("TLS")?;
    if !context.serves_http2()? {
        return Ok(());
    }
    for connect in [
        |httpd: &Httpd| Http2::connect(httpd.address()),
        Http2::connect_tls,
    ] {
        let http2 = connect(&httpd)?;
        let (status, answer) = http2.post("/publish?topic=news", "text/plain", b"HTTP/2")?;
        ensure!(status == 200, "{answer}");
        clients[1].expect_text("HTTP/2")?;
        let (status, answer) = http2.post("/publish?topic=other", "text/plain", b"x")?;
        ensure!(
            status == 403 && answer.contains("topic_not_allowed"),
            "{answer}"
        );
    }
    Ok(())
}

fn answers(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketTopicHistory news 10000")?;
    let mut clients = crowd(&httpd, 3, "sub news")?;
    let mut count = 0;
    wait_until("all are counted", || {
        let (_, answer) = post(&httpd, "news", TEXT, "x")?;
        count += 1;
        Ok(answer["subscribers"] == 3)
    })?;
    for client in &mut clients {
        for _ in 0..count {
            client.expect_text("x")?;
        }
    }
    let (_, answer) = post(&httpd, "news", TEXT, "y")?;
    let position = answer["position"].as_str().context("no position")?;
    ensure!(position.ends_with(&format!("-{}", count + 1)), "{answer}");
    expect(
        &mut open(&httpd)?,
        "history news",
        &format!("{}y", "x ".repeat(count)),
    )?;
    let (status, answer) = post(&httpd, "room/caf%C3%A9", TEXT, "x")?;
    let expected =
        json!({"topic": "room/café", "state": "published", "position": null, "subscribers": 0});
    ensure!((status, &answer) == (200, &expected), "{answer}");
    Ok(())
}

fn presence(context: &Context) -> Result<()> {
    let httpd = start(context, "WebSocketTopicPresence room/*")?;
    let mut client = open(&httpd)?;
    let _clients = crowd(&httpd, 2, "info room/a me")?;
    let get = |topic: &str| {
        let request = request("GET", &format!("/publish?topic={topic}"), "", b"");
        let (response, answer) = send(&mut Client::connect(httpd.address())?, &request)?;
        ensure!(response.status == 200, "{answer}");
        Ok(answer)
    };
    wait_until("both are shown", || {
        let answer = get("room/a")?;
        let members = answer["members"].as_array().context("no members")?;
        let all_have_info = members
            .iter()
            .all(|it| it["info"] == "me" && it["id"].is_string());
        Ok(answer["subscribers"] == 2 && members.len() == 2 && all_have_info)
    })?;
    ask(&mut client, "sub news")?;
    wait_until("one is counted", || {
        Ok(get("news")? == json!({"topic": "news", "subscribers": 1, "members": []}))
    })
}

fn only(context: &Context) -> Result<()> {
    let inner = "<Location /publish/inner>\nWebSocketPublish inner\nRequire local\n</Location>\n";
    let httpd = start(context, inner)?;
    let mut client = open(&httpd)?;
    for topic in ["other", "room/a/b", "inner"] {
        ask(&mut client, &format!("sub {topic}"))?;
        let (status, answer) = post(&httpd, topic, TEXT, "x")?;
        ensure!(
            (status, &answer["error"]) == (403, &json!("topic_not_allowed")),
            "{answer}"
        );
    }
    for (target, status) in [
        ("/publish/inner?topic=room/a", 403),
        ("/publish/inner?topic=inner", 200),
    ] {
        let request = request("POST", target, TEXT, b"y");
        let (response, answer) = send(&mut Client::connect(httpd.address())?, &request)?;
        ensure!(response.status == status, "{target}: {answer}");
    }
    client.expect_text("y")
}

fn required(context: &Context) -> Result<()> {
    let closed = PUBLISH.replace("Require local", "Require ip 192.0.2.1");
    let open_below = "<Location /publish/open>\nRequire local\n</Location>\n";
    let httpd = root_with(context, &format!("{closed}{open_below}"))?.start()?;
    let mut client = open(&httpd)?;
    ask(&mut client, "sub news")?;
    let request = request("POST", "/publish?topic=news", TEXT, b"x");
    let mut stranger = Client::connect(httpd.address())?;
    stranger.send(request)?;
    ensure!(stranger.response()?.status == 403);
    let request = self::request("POST", "/publish/open?topic=news", TEXT, b"y");
    let (response, answer) = send(&mut Client::connect(httpd.address())?, &request)?;
    ensure!(response.status == 200, "{answer}");
    client.expect_text("y")
}

fn unguarded(context: &Context) -> Result<()> {
    let with = |rules: &str| PUBLISH.replace("Require local", rules);
    for (config, message) in [
        (
            with(""),
            "WebSocketPublish needs a Require in the same section",
        ),
        (with("Require all granted"), "'Require all granted'"),
        (
            with("<RequireAny>\nRequire local\nRequire all granted\n</RequireAny>"),
            "lets everybody publish",
        ),
        (
            with("<Limit POST>\nRequire local\n</Limit>"),
            "needs a Require",
        ),
        (
            format!("{PUBLISH}<Location />\nRequire all granted\n</Location>"),
            "put its section before this one",
        ),
        (
            "<Location /p>\nSetHandler websocket-publish\n</Location>".into(),
            "may publish to no topic",
        ),
        (
            "WebSocketPublish a".into(),
            "WebSocketPublish not allowed here",
        ),
        (
            with("Require local\nWebSocketPublish a*"),
            "WebSocketPublish needs a topic",
        ),
    ] {
        let checked = root_with(context, &config)?.check_config()?;
        let is_explained = !checked.ok && checked.message.contains(message);
        ensure!(is_explained, "{config}: {}", checked.message);
    }
    for rules in [
        "<IfModule authz_host_module>\nRequire local\n</IfModule>",
        "<RequireAll>\nRequire local\nRequire method POST\n</RequireAll>",
    ] {
        let checked = root_with(context, &with(rules))?.check_config()?;
        ensure!(checked.ok, "{rules}: {}", checked.message);
    }
    Ok(())
}

fn foreign(context: &Context) -> Result<()> {
    let trusting = "<Location /publish/trusting>\nWebSocketOriginCheck Trusted\n\
                    WebSocketTrustedOrigin https://good.example\n</Location>\n\
                    <Location /publish/off>\nWebSocketOriginCheck Off\n</Location>\n";
    let httpd = start(context, trusting)?;
    for (path, origin, status) in [
        ("/publish", "http://localhost", 200),
        ("/publish", "https://evil.example", 403),
        ("/publish", "null", 403),
        ("/publish/trusting", "https://good.example", 200),
        ("/publish/trusting", "http://localhost", 403),
        ("/publish/off", "https://evil.example", 403),
    ] {
        let port = httpd.address().port();
        let origin = origin.replace("localhost", &format!("localhost:{port}"));
        let headers = format!("{TEXT}Origin: {origin}\r\n");
        let request = request("POST", &format!("{path}?topic=news"), &headers, b"x");
        let request = String::from_utf8(request)?;
        let request = request.replace("Host: localhost", &format!("Host: localhost:{port}"));
        let mut client = Client::connect(httpd.address())?;
        let (response, answer) = send(&mut client, request.as_bytes())?;
        ensure!(response.status == status, "{path} {origin}: {answer}");
    }
    Ok(())
}

fn bad_requests(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut client = Client::connect(httpd.address())?;
    for (method, target, headers, status, name) in [
        ("PUT", "/publish?topic=news", TEXT, 405, "method"),
        ("DELETE", "/publish?topic=news", TEXT, 405, "method"),
        ("POST", "/publish", TEXT, 400, "topic"),
        ("POST", "/publish?topic=room/*", TEXT, 400, "topic"),
        (
            "POST",
            "/publish?topic=news&topic=room/a",
            TEXT,
            400,
            "topic",
        ),
        ("POST", "/publish?topic=%zz", TEXT, 400, "topic"),
        ("GET", "/publish?topic=a//b", "", 400, "topic"),
        (
            "POST",
            "/publish?topic=news",
            "Content-Type: text/plain;charset=latin1\r\n",
            415,
            "charset",
        ),
        (
            "POST",
            "/publish?topic=news",
            "Content-Encoding: gzip\r\n",
            415,
            "encoding",
        ),
        (
            "POST",
            "/publish?topic=news",
            "Idempotency-Key: \r\n",
            400,
            "key",
        ),
    ] {
        let request = request(method, target, headers, b"x");
        let (response, answer) = send(&mut client, &request)?;
        ensure!(
            (response.status, &answer["error"]) == (status, &json!(name)),
            "{method} {target}: {answer}"
        );
        let allow = response.header("Allow");
        ensure!(
            (allow == Some("GET, HEAD, POST")) == (status == 405),
            "{response:?}"
        );
        // As many errors end the connection.
        if response.header("Connection") == Some("close") {
            client = Client::connect(httpd.address())?;
        }
    }
    let (status, answer) = post(&httpd, "news", TEXT, b"\xff")?;
    ensure!(
        (status, &answer["error"]) == (400, &json!("text")),
        "{answer}"
    );
    let bare = b"POST /publish?topic=news HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (response, answer) = send(&mut Client::connect(httpd.address())?, bare)?;
    ensure!(
        (response.status, &answer["error"]) == (411, &json!("length")),
        "{answer}"
    );
    Ok(())
}

fn long(context: &Context) -> Result<()> {
    let limited = "WebSocketTopicMemory 1048576\n<Location /publish/limited>\n\
                   LimitRequestBody 100\n</Location>\n";
    let httpd = start(context, limited)?;
    let mut client = open(&httpd)?;
    ask(&mut client, "sub news")?;
    for (path, length, status) in [
        ("/publish", 32_769, 413),
        ("/publish", 32_768, 200),
        ("/publish/limited", 101, 413),
        ("/publish/limited", 100, 200),
    ] {
        let body = vec![b'x'; length];
        let target = format!("{path}?topic=news");
        let chunked = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\n{TEXT}Transfer-Encoding: chunked\r\n\r\n\
             {length:x}\r\n{}\r\n0\r\n\r\n",
            str::from_utf8(&body)?
        );
        for request in [request("POST", &target, TEXT, &body), chunked.into_bytes()] {
            let mut publisher = Client::connect(httpd.address())?;
            // The server may refuse it before it has all of it.
            let _ = publisher.send(request);
            let response = publisher.response()?;
            ensure!(response.status == status, "{path} {length}: {response:?}");
            if status == 200 {
                ensure!(client.next_text()?.len() == length);
            }
        }
    }
    // Announced, and refused without waiting for it.
    let mut publisher = Client::connect(httpd.address())?;
    publisher.send(
        "POST /publish?topic=news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\
         Expect: 100-continue\r\n\r\n",
    )?;
    ensure!(publisher.response()?.status == 413);
    Ok(())
}

fn half(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut client = open(&httpd)?;
    ask(&mut client, "sub news")?;
    let mut publisher = Client::connect(httpd.address())?;
    let whole = request("POST", "/publish?topic=news", TEXT, b"half of it");
    publisher.send(&whole[..whole.len() - 3])?;
    publisher.stream.shutdown(Shutdown::Write)?;
    ensure!(publisher.response()?.status == 400);
    let mut publisher = Client::connect(httpd.address())?;
    publisher.send(
        "POST /publish?topic=news HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\
         Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nno size\r\n",
    )?;
    ensure!(publisher.response()?.status == 400);
    post(&httpd, "news", TEXT, "whole")?;
    client.expect_text("whole")
}

fn once(context: &Context) -> Result<()> {
    const REPEATS: usize = 40;
    let httpd = start(context, "WebSocketTopicHistory news 100")?;
    let mut clients = crowd(&httpd, 2, "sub news")?;
    let keyed = |key: &str| format!("{TEXT}Idempotency-Key: \"{key}\"\r\n");
    let first = post(&httpd, "news", &keyed("a"), "once")?;
    ensure!(first.0 == 200, "{first:?}");
    // At once, so that several children get them.
    let mut publishers = (0..REPEATS)
        .map(|_| Client::connect(httpd.address()))
        .collect::<Result<Vec<_>>>()?;
    for publisher in &mut publishers {
        publisher.send(request("POST", "/publish?topic=news", &keyed("a"), b"once"))?;
    }
    for publisher in &mut publishers {
        let (response, body) = publisher.page()?;
        let answer: Value = serde_json::from_str(&body)?;
        ensure!((response.status, &answer) == (200, &first.1), "{answer}");
    }
    let (status, answer) = post(&httpd, "news", &keyed("a"), "other")?;
    ensure!(
        (status, &answer["error"]) == (422, &json!("key_used")),
        "{answer}"
    );
    // Another topic, another key, and no key.
    post(&httpd, "room/a", &keyed("a"), "once")?;
    post(&httpd, "news", &keyed("b"), "once")?;
    post(&httpd, "news", TEXT, "last")?;
    for client in &mut clients {
        for text in ["once", "once", "last"] {
            client.expect_text(text)?;
        }
    }
    // What was refused may be sent again.
    let (status, _) = post(&httpd, "room/a/b", &keyed("c"), "x")?;
    ensure!(status == 403);
    let json = "Content-Type: application/json\r\nIdempotency-Key: c\r\n";
    ensure!(post(&httpd, "news", json, "{")?.0 == 400);
    ensure!(post(&httpd, "news", json, "{}")?.0 == 200);
    clients[0].expect_text("{}")?;
    // The new children know it, too.
    httpd.graceful()?;
    let again = post(&httpd, "news", &keyed("a"), "once")?;
    ensure!(again == first, "{again:?}");
    Ok(())
}

fn brokered(context: &Context) -> Result<()> {
    let Some(broker) = broker(Kind::Redis, &[])? else {
        return Ok(());
    };
    let link = Link::to(broker.port())?;
    let config = format!("{PUBLISH}WebSocketTopicHistory news 10\nLogLevel info");
    let start = |port| {
        let config = format!(
            "WebSocketTopicBroker {}\n{config}",
            Kind::Redis.address(port)
        );
        root_with(context, &config)?.start()
    };
    let hosts = [start(link.port())?, start(broker.port())?];
    let mut listeners = [
        listener(&hosts[0], "sub news")?,
        listener(&hosts[1], "sub news")?,
    ];
    settle(&[&hosts[0], &hosts[1]])?;
    let (status, answer) = post(&hosts[0], "news", TEXT, "hello")?;
    let is_queued = answer["state"] == "queued" && answer["position"].is_null();
    ensure!(status == 200 && is_queued, "{answer}");
    for listener in &mut listeners {
        listener.expect_text("hello")?;
    }
    link.cut();
    wait_until("publishing is refused", || {
        let (status, answer) = post(&hosts[0], "news", TEXT, "cut")?;
        Ok(status == 503 && answer["error"] == "unavailable")
    })
}
