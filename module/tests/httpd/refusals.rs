//! Refused handshakes: the status, and its page.

use anyhow::{Context as _, Result, ensure};
use xtask::httpd::Httpd;
use xtask::port::free_port;
use xtask::server_root::ServerRoot;

use crate::support::http2::Http2;
use crate::support::{Client, Context, Handshake, cases};

cases! {
    "a plugin's refusal keeps its status, also one that httpd does not know" => statuses,
    "a refusal is never turned into a redirect" => redirects,
    "a refusal shows the error page of this server" => local_pages,
    "a connection stays usable after a refusal" => keep_alive,
}

/// A server with TLS and, if possible, HTTP/2.
fn root(context: &Context) -> Result<ServerRoot> {
    let root = context.root()?.tls_port(free_port()?);
    context.with_http2(root)
}

/// Asks over HTTP/1.1 with and without TLS, and over HTTP/2. Returns the status of each response,
/// and whether it has a `Location`.
fn ask(context: &Context, httpd: &Httpd, handshake: &Handshake) -> Result<Vec<(u16, bool)>> {
    let mut answers = Vec::new();
    for response in [Client::ask(httpd.address(), handshake)?, {
        let mut client = Client::connect_tls(httpd)?;
        client.send(handshake.to_bytes())?;
        client.response()?
    }] {
        ensure!(
            response.header("Sec-WebSocket-Accept").is_none(),
            "{response:?}"
        );
        answers.push((response.status, !response.all("Location").is_empty()));
    }
    if context.serves_http2()? {
        let response = Http2::connect_tls(httpd)?.ask(handshake)?.response;
        let location = response.headers.contains_key("Location");
        answers.push((response.status.as_u16(), location));
    }
    Ok(answers)
}

fn statuses(context: &Context) -> Result<()> {
    let httpd = root(context)?
        .config(context.plugins().rust_location("/witness", "witness"))
        // This page must not appear for a status that httpd does not know.
        .config("ErrorDocument 500 \"broken")
        .start()?;
    for (status, reason) in [
        (404, "Not Found"),
        (418, "I'm a teapot"),
        (425, "Too Early"),
        (499, "Client Error"),
        (503, "Service Unavailable"),
        (520, "Server Error"),
        (599, "Server Error"),
    ] {
        let handshake = Handshake::to(&format!("/witness?status={status}"));
        let mut client = Client::connect(httpd.address())?;
        client.send(handshake.to_bytes())?;
        let (response, page) = client.page()?;
        let got = (response.status, &*response.reason);
        ensure!(got == (status, reason), "{response:?}");
        ensure!(
            page.contains(&format!("<h1>{reason}</h1>")) && !page.contains("internal error"),
            "{page}"
        );
        for answer in ask(context, &httpd, &handshake)? {
            ensure!(answer == (status, false), "{answer:?} instead of {status}");
        }
    }
    crate::support::wait_until("418 in the access log", || {
        Ok(httpd.access_log()?.contains("\" 418 "))
    })
}

fn redirects(context: &Context) -> Result<()> {
    const ELSEWHERE: &str = "ErrorDocument 400 https://other.example/\n\
                             ErrorDocument 403 http://other.example/\n\
                             ErrorDocument 404 http://other.example/\n\
                             ErrorDocument 500 http://other.example/\n";
    let httpd = root(context)?
        .config(context.plugins().rust_location("/witness", "witness"))
        .config(context.plugins().locations())
        .config("<Location /none>\nSetHandler websocket-handler\n</Location>")
        .config(ELSEWHERE)
        .start()?;
    for (name, handshake, status) in [
        (
            "by a Rust plugin",
            Handshake::to("/witness?status=404"),
            404,
        ),
        (
            "by a C plugin",
            Handshake::to("/kitchen_sink").header("X-Refuse", "please"),
            403,
        ),
        ("of a version", Handshake::to("/echo").version(9), 400),
        (
            "of an origin",
            Handshake::to("/echo").header("Origin", "http://evil.example"),
            403,
        ),
        ("for want of a plugin", Handshake::to("/none"), 500),
    ] {
        for answer in ask(context, &httpd, &handshake)? {
            ensure!(answer == (status, false), "{name}: {answer:?}");
        }
    }
    // Other responses do not change.
    let response = Client::ask(httpd.address(), &Handshake::to("/absent"))?;
    ensure!(response.status == 302, "{response:?}");
    Ok(())
}

fn local_pages(context: &Context) -> Result<()> {
    let root = root(context)?;
    let page = root.dir().join("htdocs/refused.html");
    std::fs::create_dir_all(page.parent().context("in a folder")?)?;
    std::fs::write(page, "the page for 403")?;
    let httpd = root
        .config(context.plugins().rust_location("/witness", "witness"))
        .config("ErrorDocument 403 /refused.html\nErrorDocument 404 \"a text for 404")
        .start()?;
    for (handshake, status, text) in [
        (
            Handshake::to("/witness?status=403"),
            403,
            "the page for 403",
        ),
        (
            Handshake::to("/witness").header("Origin", "http://evil.example"),
            403,
            "the page for 403",
        ),
        (Handshake::to("/witness?status=404"), 404, "a text for 404"),
    ] {
        let mut client = Client::connect(httpd.address())?;
        client.send(handshake.to_bytes())?;
        let (response, page) = client.page()?;
        ensure!(
            (response.status, &*page) == (status, text),
            "{response:?}: {page}"
        );
        for answer in ask(context, &httpd, &handshake)? {
            ensure!(answer == (status, false), "{answer:?}");
        }
    }
    Ok(())
}

fn keep_alive(context: &Context) -> Result<()> {
    let httpd = root(context)?
        .config(context.plugins().rust_location("/witness", "witness"))
        .config("ErrorDocument 404 http://other.example/")
        .start()?;
    let mut client = Client::connect(httpd.address())?;
    for status in [403, 404, 418, 404] {
        client.send(Handshake::to(&format!("/witness?status={status}")).to_bytes())?;
        let (response, _) = client.page()?;
        ensure!(response.status == status, "{response:?}");
    }
    client.upgrade(&Handshake::to("/witness"))?;
    client.text("method")?;
    client.expect_text("GET")?;
    client.close()
}
