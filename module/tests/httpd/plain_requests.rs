//! Requests for a WebSocket location that do not ask for a WebSocket.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::port::free_port;
use xtask::server_root::ServerRoot;

use crate::support::handshake::Response;
use crate::support::http2::Http2;
use crate::support::{Client, Context, Handshake, PATIENCE, cases};

cases! {
    "a plain request gets 426 and a page that explains the location" => explained,
    "WebSocketPlainRequests is allowed at every level and inherited" => levels,
    "content of other handlers is served as usual" => others,
    "an error inside a WebSocket location keeps its status" => errors,
    "a handshake without Upgrade and Connection causes a warning" => crippled,
}

/// A server with files: a page, an index and error pages.
fn root(context: &Context) -> Result<ServerRoot> {
    let root = context
        .root()?
        .tls_port(free_port()?)
        .stock_module("dir")
        .stock_module("alias")
        .stock_module("actions")
        .stock_module("include")
        .stock_module("filter")
        .stock_module("autoindex");
    let site = root.dir().join("htdocs");
    for folder in ["indexed", "bare"] {
        fs::create_dir_all(site.join(folder))?;
    }
    fs::write(site.join("indexed/index.html"), "the index")?;
    fs::write(site.join("page.txt"), "the page")?;
    fs::write(site.join("sorry.html"), "sorry")?;
    context.with_http2(root)
}

fn get(httpd: &Httpd, path: &str) -> Result<(Response, String)> {
    let mut client = Client::connect(httpd.address())?;
    client.send(plain("GET", path).to_bytes())?;
    client.page()
}

/// A request that does not ask for a WebSocket.
fn plain(method: &str, path: &str) -> Handshake {
    let handshake = Handshake::to(path)
        .without("Upgrade")
        .without("Connection")
        .without("Sec-WebSocket-Key")
        .without("Sec-WebSocket-Version");
    handshake.request_line(&format!("{method} {path} HTTP/1.1"))
}

fn explained(context: &Context) -> Result<()> {
    let httpd = root(context)?
        .config(context.plugins().locations())
        .config(context.plugins().rust_location("/rust", "witness"))
        .start()?;
    let mut client = Client::connect(httpd.address())?;
    for path in ["/echo", "/echo/deeper", "/rust?query"] {
        client.send(plain("GET", path).to_bytes())?;
        let (response, page) = client.page()?;
        let got = (response.status, &*response.reason);
        ensure!(got == (426, "Upgrade Required"), "{response:?}");
        ensure!(response.all("Upgrade") == ["websocket"], "{response:?}");
        ensure!(response.all("Connection") == ["Upgrade"], "{response:?}");
        ensure!(
            response.header("Content-Type") == Some("text/html; charset=utf-8"),
            "{response:?}"
        );
        ensure!(page.contains("WebSocket (RFC 6455)"), "{page}");
    }
    // The connection stays open: other methods, then the handshake.
    client.send(plain("HEAD", "/echo").to_bytes())?;
    let head = client.response()?;
    ensure!(head.status == 426 && head.header("Upgrade") == Some("websocket"));
    let post = plain("POST", "/echo").header("Content-Length", "5");
    client.send([&post.to_bytes(), &b"hello"[..]].concat())?;
    ensure!(client.page()?.0.status == 426);
    client.upgrade(&Handshake::to("/echo"))?;
    client.echo("hello")?;
    client.close()?;

    let old = plain("GET", "/echo").request_line("GET /echo HTTP/1.0");
    ensure!(Client::ask(httpd.address(), &old)?.status == 426);
    let other = plain("GET", "/echo")
        .header("Upgrade", "h2c")
        .header("Connection", "Upgrade");
    ensure!(Client::ask(httpd.address(), &other)?.status == 426);
    let mut tls = Client::connect_tls(&httpd)?;
    tls.send(plain("GET", "/echo").to_bytes())?;
    ensure!(tls.response()?.status == 426);
    if context.serves_http2()? {
        let response = Http2::connect_tls(&httpd)?.head_of("/echo")?;
        ensure!(response.status == 426, "{response:?}");
        for of_http_1 in ["Upgrade", "Connection"] {
            ensure!(!response.headers.contains_key(of_http_1), "{response:?}");
        }
    }
    httpd.wait_for_log("a plain request for a WebSocket", PATIENCE)?;
    Ok(())
}

fn levels(context: &Context) -> Result<()> {
    let location = |path: &str, word: &str| {
        let directive = format!("WebSocketPlainRequests {word}");
        let directive = if word.is_empty() { "" } else { &directive };
        context.plugins().location(path, "echo", directive)
    };
    let httpd = root(context)?
        .config(location("/default", ""))
        .config(location("/decline", "Decline"))
        .config("<Location /decline/inner>\nWebSocketMaxMessageSize 5\n</Location>")
        .config(location("/decline/explain", "eXPLAIN"))
        .config(format!(
            "<VirtualHost *:*>\nServerName site.example\n</VirtualHost>\n\
             <VirtualHost *:*>\nServerName other.example\nWebSocketPlainRequests Decline\n{}\n\
             </VirtualHost>\n",
            location("/host", "")
        ))
        .start()?;
    for (host, path, status) in [
        ("site.example", "/default", 426),
        ("site.example", "/decline", 404),
        ("site.example", "/decline/inner", 404),
        ("site.example", "/decline/explain", 426),
        ("other.example", "/host", 404),
        ("other.example", "/decline/explain", 426),
    ] {
        let request = plain("GET", path).header("Host", host);
        let response = Client::ask(httpd.address(), &request)?;
        ensure!(response.status == status, "{host}{path}: {response:?}");
        let handshake = Handshake::to(path).header("Host", host);
        ensure!(Client::ask(httpd.address(), &handshake)?.status == 101);
    }
    for (start, end) in [
        ("", ""),
        ("<VirtualHost *:80>\n", "</VirtualHost>"),
        ("<Directory /tmp>\n", "</Directory>"),
        ("<Location /x>\n", "</Location>"),
        ("<Files x>\n", "</Files>"),
        ("<If \"true\">\n", "</If>"),
    ] {
        let config = format!("{start}WebSocketPlainRequests Decline\n{end}");
        let result = context.root()?.config(config).check_config()?;
        ensure!(result.ok, "{start}: {}", result.message);
    }
    let result = context
        .root()?
        .config("WebSocketPlainRequests 426")
        .check_config()?;
    ensure!(
        !result.ok
            && result
                .message
                .contains("must be Explain or Decline, not '426'")
    );
    Ok(())
}

fn others(context: &Context) -> Result<()> {
    let root = root(context)?;
    let script = root.dir().join("htdocs/script.shtml");
    fs::write(&script, "[<!--#include virtual=\"/page.txt\" -->]")?;
    let config = format!(
        "DirectoryIndex index.html\nSetHandler websocket-handler\n{}\n\
         <Location /status>\nSetHandler server-status\n</Location>\n\
         <Files script.shtml>\nOptions +Includes\nSetOutputFilter INCLUDES\n</Files>\n\
         Redirect /moved http://other.example/\n",
        context.plugins().handler("echo")
    );
    let httpd = root.config(config).start()?;
    for (path, text) in [
        ("/page.txt", "the page"),
        ("/indexed/", "the index"),
        ("/script.shtml", "[the page]"),
    ] {
        let mut client = Client::connect(httpd.address())?;
        client.send(
            plain("GET", path)
                .request_line(&format!("GET {path} HTTP/1.0"))
                .to_bytes(),
        )?;
        let response = client.response()?;
        ensure!(response.status == 200, "{path}: {response:?}");
        let rest = client.rest()?;
        ensure!(rest == text.as_bytes(), "{path}: {rest:?}");
    }
    for (method, path, status) in [
        ("GET", "/status", 200),
        ("GET", "/moved", 302),
        ("OPTIONS", "/nothing", 200),
        ("DELETE", "/nothing", 405),
        ("HEAD", "/page.txt", 200),
        // This path has no other content.
        ("GET", "/nothing", 426),
        ("GET", "/bare/", 426),
        ("GET", "/page.txt/deeper", 426),
    ] {
        let response = Client::ask(httpd.address(), &plain(method, path))?;
        ensure!(response.status == status, "{method} {path}: {response:?}");
    }
    Client::open(httpd.address(), &Handshake::to("/page.txt"))?.close()
}

fn errors(context: &Context) -> Result<()> {
    let config = format!(
        "<Location /sockets>\nSetHandler websocket-handler\n{}\n</Location>\n\
         <Location /no-plugin>\nSetHandler websocket-handler\n</Location>\n\
         <Location /denied>\nRequire all denied\n</Location>\n\
         <Location /sockets/own>\nErrorDocument 426 /sorry.html\n</Location>\n\
         <Location /sockets/away>\nErrorDocument 426 http://other.example/\n</Location>\n\
         ErrorDocument 403 /sockets/403.html\nErrorDocument 404 /sockets/404.html\n",
        context.plugins().handler("echo")
    );
    let httpd = root(context)?.config(config).start()?;
    for (path, status) in [
        ("/denied", 403),
        ("/nothing", 404),
        // If no WebSocket is served, there is nothing to explain.
        ("/no-plugin", 404),
        ("/sockets", 426),
        ("/sockets/away", 426),
    ] {
        let (response, page) = get(&httpd, path)?;
        ensure!(response.status == status, "{path}: {response:?}");
        ensure!(
            page.contains("WebSocket (RFC 6455)") == (status == 426),
            "{path}: {page}"
        );
        ensure!(response.header("Location").is_none(), "{response:?}");
    }
    let (response, page) = get(&httpd, "/sockets/own")?;
    ensure!(
        response.status == 426 && page == "sorry",
        "{response:?}: {page}"
    );
    ensure!(
        response.header("Upgrade") == Some("websocket"),
        "{response:?}"
    );
    Ok(())
}

fn crippled(context: &Context) -> Result<()> {
    let config = context
        .plugins()
        .location("/silent", "echo", "WebSocketPlainRequests Decline");
    let httpd = root(context)?
        .config(context.plugins().locations())
        .config(config)
        .start()?;
    let lost = |path| {
        Handshake::to(path)
            .without("Upgrade")
            .header("Connection", "close")
    };
    let mut client = Client::connect(httpd.address())?;
    client.send(lost("/echo").to_bytes())?;
    let (response, page) = client.page()?;
    ensure!(response.status == 426, "{response:?}");
    ensure!(page.contains("a proxy on the way"), "{page}");
    let line = httpd.wait_for_log("a WebSocket handshake came without", PATIENCE)?;
    ensure!(
        line.contains(":warn]") && line.contains("'Upgrade: websocket'"),
        "{line}"
    );
    let old = Handshake::to("/silent").request_line("GET /silent HTTP/1.0");
    ensure!(Client::ask(httpd.address(), &old)?.status == 404);
    let line = httpd.wait_for_log("a WebSocket handshake came with HTTP/1.0", PATIENCE)?;
    line.find(":warn]").context("no warning")?;
    Ok(())
}
