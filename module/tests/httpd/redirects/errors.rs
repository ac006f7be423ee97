//! Requests that never become a WebSocket: answers to errors, and parts of pages.

use anyhow::{Context as _, Result, ensure};

use super::site::Site;
use super::{expect_lines, marked};
use crate::support::http2::Http2;
use crate::support::{Client, Context, Driver, HTTP2, Handshake, PATIENCE, cases};

cases! {
    "redirects: the answer to an error is never a WebSocket" => error_documents,
    "redirects: the answer to an error keeps its status over TLS and HTTP/2" => over_others,
    "redirects: refused requests for a protected WebSocket may be repeated without limit"
        => refused_often,
    "redirects: WebSocketDetach: the answer to an error is never a WebSocket" => detached,
    "redirects: a plugin's refusal has the page of its status" => refusals,
    "redirects: a panic of a plugin ends only its own connection" => panics,
    "redirects: a part of a page is never a WebSocket" => sub_requests,
    "redirects: circular redirects end" => circles,
    "redirects: a request with another method never becomes a WebSocket" => methods,
}

/// Targets that are refused, with the status. Their error page, a WebSocket for other requests,
/// contains the status.
const REFUSED: &[(&str, u16)] = &[
    ("/members/room", 401),
    ("/forbidden/room", 403),
    ("/absent/room", 404),
    ("/rewritten/fails", 500),
    ("/cgi/broken", 500),
    ("/members/far/room", 401),
    ("/forbidden/far/room", 403),
    ("/absent/far/room", 404),
];

/// Error documents that are only WebSockets and have no page.
const WITHOUT_PAGE: &[(&str, u16)] = &[("/absent/socket", 404), ("/forbidden/socket", 403)];

/// Asks for a WebSocket. Returns the status and the body of the only response, which must be a
/// refusal.
fn refusal(site: &Site, handshake: &Handshake) -> Result<(u16, String)> {
    let mut client = Client::connect(site.address())?;
    client.send(handshake.clone().and("Connection", "close").to_bytes())?;
    let response = client.response()?;
    let body = String::from_utf8(client.rest()?)?;
    ensure!(!body.contains("HTTP/1.1"), "two answers: {body}");
    Ok((response.status, body))
}

fn expect_refusals(site: &Site) -> Result<()> {
    for (number, &(path, status)) in REFUSED.iter().enumerate() {
        let mark = format!("refused-{number}");
        let (answered, body) = refusal(site, &marked(path, &mark)).context(path)?;
        let page = format!("the page for {status}");
        ensure!(
            answered == status && body == page,
            "{path}: {answered}, {body}"
        );
        expect_lines(site, &[mark], status)?;
    }
    for &(path, status) in WITHOUT_PAGE {
        let (answered, _) = refusal(site, &Handshake::to(path)).context(path)?;
        ensure!(answered == status, "{path}: {answered}");
    }
    Ok(())
}

fn error_documents(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    expect_refusals(&site)?;
    // The error pages themselves are WebSockets for requests that ask for one.
    site.open(&Handshake::to("/sockets/404.html"))?.close()?;
    let member =
        Handshake::to("/members/room").header("Authorization", "Basic dXNlcjpwYXNzd29yZA==");
    let (status, _) = refusal(&site, &member)?;
    ensure!(status == 404, "a member: {status}");
    site.expect_alive()
}

fn over_others(context: &Context) -> Result<()> {
    let is_http2 = context.serves_http2()?;
    let site = Site::start(context, if is_http2 { HTTP2 } else { "" })?;
    for &(path, status) in REFUSED.iter().chain(WITHOUT_PAGE) {
        let mut client = Client::connect_tls(&site)?;
        client.send(Handshake::to(path).to_bytes())?;
        let response = client.response()?;
        ensure!(response.status == status, "{path} over TLS: {response:?}");
        if is_http2 {
            let http2 = Http2::connect(site.address())?;
            let answer = http2.ask(&Handshake::to(path))?.response.status;
            ensure!(answer == status, "{path} over HTTP/2: {answer}");
        }
    }
    site.expect_alive()
}

fn refused_often(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    for number in 0..50 {
        let handshake = marked("/room", &number.to_string()).header("Host", "members.example");
        let (status, body) = refusal(&site, &handshake)?;
        ensure!(
            status == 401 && body == "the page for 401",
            "request {number}: {status}, {body}"
        );
    }
    let member = Handshake::to("/room")
        .header("Host", "members.example")
        .header("Authorization", "Basic dXNlcjpwYXNzd29yZA==");
    super::converse(site.open(&member)?)?;
    site.expect_alive()
}

fn detached(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let site = Site::start_detached(context)?;
    expect_refusals(&site)?;
    site.expect_alive()
}

fn refusals(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    for path in ["/kitchen_sink", "/rewritten/refused"] {
        for number in 0..10 {
            let mark = format!("{}-{number}", path.len());
            let handshake = marked(path, &mark).header("X-Refuse", "1");
            let (status, body) = refusal(&site, &handshake)?;
            ensure!(
                status == 403 && body == "the page for 403",
                "{path}: {status}, {body}"
            );
            expect_lines(&site, &[mark], 403)?;
        }
    }
    // Statuses that httpd knows, and others.
    for status in [403, 418, 503, 599] {
        let handshake = Handshake::to(&format!("/rewritten/witness?status={status}"));
        let (answered, _) = refusal(&site, &handshake)?;
        ensure!(answered == status, "{answered} instead of {status}");
    }
    let bad = Handshake::to("/rewritten/socket").version(9);
    ensure!(refusal(&site, &bad)?.0 == 400, "a bad version is accepted");
    site.expect_alive()
}

fn panics(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    for question in ["panic", "error"] {
        let target = format!("/rewritten/fragile?{question}");
        let (status, body) = refusal(&site, &Handshake::to(&target))?;
        ensure!(
            status == 500 && body == "the page for 500",
            "{target}: {status}, {body}"
        );
        let mut client = site.open(&Handshake::to("/rewritten/fragile"))?;
        client.text(question)?;
        client.expect_close(1011)?;
    }
    let mut client = site.open(&Handshake::to("/rewritten/fragile"))?;
    client.echo("panic in on_disconnect")?;
    client.close()?;
    site.wait_for_log("asked to in on_disconnect", PATIENCE)?;
    super::converse(site.open(&Handshake::to("/rewritten/socket"))?)?;
    site.expect_children()
}

fn sub_requests(context: &Context) -> Result<()> {
    let mut sites = vec![Site::start(context, "")?];
    if context.driver == Driver::Event {
        sites.push(Site::start_detached(context)?);
    }
    for site in sites {
        for _ in 0..10 {
            let (status, body) = refusal(&site, &Handshake::to("/included/page.shtml"))?;
            ensure!(status == 200, "{status}, {body}");
            let parts = ["before, ", "a part", ", after"];
            ensure!(parts.iter().all(|part| body.contains(part)), "{body}");
        }
        site.expect_alive()?;
    }
    Ok(())
}

fn circles(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    for (path, status) in [("/absent/round", 404), ("/rewritten/round", 500)] {
        let (answered, body) = refusal(&site, &Handshake::to(path))?;
        ensure!(answered == status, "{path}: {answered}, {body}");
    }
    site.expect_alive()
}

fn methods(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    for path in ["/echo", "/rewritten/socket", "/cgi/socket"] {
        for method in ["POST", "HEAD", "PUT"] {
            let line = format!("{method} {path} HTTP/1.1");
            let handshake = Handshake::to(path)
                .request_line(&line)
                .and("Content-Length", "0");
            let (status, body) = refusal(&site, &handshake)?;
            ensure!(status >= 400, "{line}: {status}, {body}");
        }
    }
    site.expect_alive()
}
