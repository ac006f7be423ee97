//! Headers that other modules of httpd add to the 101 response.

use anyhow::{Result, ensure};
use xtask::httpd::Httpd;
use xtask::port::free_port;

use crate::support::handshake::{ACCEPT, Response};
use crate::support::http2::Http2;
use crate::support::{Client, Context, Handshake, cases};

cases! {
    "headers for all responses are on the 101" => always,
    "no module can break the headers of the handshake" => essential,
    "the access log sees the headers of the 101" => logged,
}

const ALWAYS: &str = "Header always set Set-Cookie ROUTEID=.1\n\
                      Header always add X-Twice one\nHeader always add X-Twice two\n\
                      Header always set X-Early yes early\n\
                      Header always set X-If yes \"expr=%{REQUEST_STATUS} == 101\"\n\
                      Header set X-Success yes\n\
                      CookieTracking on\nCookieName tracker\n";

fn start(context: &Context, config: &str) -> Result<Httpd> {
    let root = context
        .root()?
        .tls_port(free_port()?)
        .stock_module("headers")
        .stock_module("usertrack")
        .stock_module("deflate")
        .stock_module("filter")
        .stock_module("expires");
    context
        .with_http2(root)?
        .config(context.plugins().locations())
        .config(context.plugins().rust_location("/rust", "witness"))
        .config(config)
        .start()
}

/// The responses over HTTP/1.1 with and without TLS. Then checks that the WebSockets work.
fn open(httpd: &Httpd, handshake: &Handshake) -> Result<[Response; 2]> {
    let mut plain = Client::connect(httpd.address())?;
    let mut tls = Client::connect_tls(httpd)?;
    let responses = [plain.upgrade(handshake)?, tls.upgrade(handshake)?];
    plain.echo("hello")?;
    tls.echo("hello")?;
    plain.close()?;
    tls.close()?;
    Ok(responses)
}

fn always(context: &Context) -> Result<()> {
    for config in ["", "WebSocketDetach On\n"] {
        let detached = context.plugins().rust_location("/detached", "witness");
        let httpd = start(
            context,
            &format!("{ALWAYS}<Location /detached>\n{config}</Location>\n{detached}"),
        )?;
        let mut responses = Vec::from(open(&httpd, &Handshake::to("/echo"))?);
        let mut client = Client::connect(httpd.address())?;
        responses.push(client.upgrade(&Handshake::to("/detached"))?);
        client.text("method")?;
        client.expect_text("GET")?;
        client.close()?;
        for response in responses {
            let cookies = response.all("Set-Cookie");
            ensure!(cookies.len() == 1 || cookies.len() == 2, "{response:?}");
            ensure!(cookies.contains(&"ROUTEID=.1"), "{response:?}");
            ensure!(response.all("X-Twice") == ["one", "two"], "{response:?}");
            for name in ["X-Early", "X-If"] {
                ensure!(response.header(name) == Some("yes"), "{response:?}");
            }
            // It is only for statuses 200 to 299.
            ensure!(response.header("X-Success").is_none(), "{response:?}");
        }
        if context.serves_http2()? {
            let http2 = Http2::connect_tls(&httpd)?;
            let answer = http2.ask(&Handshake::to("/echo"))?;
            let headers = &answer.response.headers;
            let cookies: Vec<_> = headers.get_all("Set-Cookie").iter().collect();
            ensure!(
                cookies.iter().any(|cookie| *cookie == "ROUTEID=.1"),
                "{headers:?}"
            );
            // mod_http2 joins them.
            let twice: Vec<_> = headers.get_all("X-Twice").iter().collect();
            ensure!(twice == ["one, two"], "{headers:?}");
            let mut client = answer.client;
            client.echo("hello")?;
            client.close()?;
        }
    }
    // In a server without mod_headers, which would replace the cookie of the other module.
    let httpd = start(context, "CookieTracking on\nCookieName tracker\n")?;
    for response in open(&httpd, &Handshake::to("/echo"))? {
        let cookies = response.all("Set-Cookie");
        ensure!(
            cookies.len() == 1 && cookies[0].starts_with("tracker="),
            "{response:?}"
        );
    }
    Ok(())
}

fn essential(context: &Context) -> Result<()> {
    const SPOILERS: &str = "Header always unset Upgrade\nHeader always set Upgrade h2\n\
                            Header always set Connection close\n\
                            Header always set Sec-WebSocket-Accept x\n\
                            Header always set Sec-WebSocket-Protocol x\n\
                            Header always set Sec-WebSocket-Extensions x\n\
                            Header always set Content-Length 5\n\
                            Header always set Transfer-Encoding chunked\n\
                            SetOutputFilter DEFLATE\nExpiresActive On\nExpiresDefault A60\n";
    let httpd = start(context, SPOILERS)?;
    for response in open(
        &httpd,
        &Handshake::to("/echo").header("Accept-Encoding", "gzip"),
    )? {
        for (name, values) in [
            ("Upgrade", &["websocket"][..]),
            ("Connection", &["Upgrade"]),
            ("Sec-WebSocket-Accept", &[ACCEPT]),
            ("Sec-WebSocket-Protocol", &[]),
            ("Sec-WebSocket-Extensions", &[]),
            ("Content-Length", &[]),
            ("Transfer-Encoding", &[]),
            ("Content-Encoding", &[]),
        ] {
            ensure!(response.all(name) == values, "{name}: {response:?}");
        }
    }
    // The plugin's choice counts.
    let mut client = Client::connect(httpd.address())?;
    let handshake =
        Handshake::to("/kitchen_sink").header("Sec-WebSocket-Protocol", "chat, superchat");
    let response = client.upgrade(&handshake)?;
    ensure!(
        response.all("Sec-WebSocket-Protocol") == ["superchat"],
        "{response:?}"
    );
    ensure!(response.all("X-Kitchen-Sink") == ["ready"], "{response:?}");
    client.close()
}

fn logged(context: &Context) -> Result<()> {
    let root = context.root()?;
    let log = root.dir().join("logs/headers_log");
    let httpd = root
        .stock_module("headers")
        .config(context.plugins().locations())
        .config("Header always set X-Always yes")
        .config(format!(
            "CustomLog \"{}\" \"%>s %{{Sec-WebSocket-Protocol}}o %{{X-Always}}o\"",
            log.display()
        ))
        .start()?;
    let handshake =
        Handshake::to("/kitchen_sink").header("Sec-WebSocket-Protocol", "chat, superchat");
    Client::open(httpd.address(), &handshake)?.close()?;
    crate::support::wait_until("the headers in the log", || {
        Ok(std::fs::read_to_string(&log)?.contains("101 superchat yes"))
    })
}
