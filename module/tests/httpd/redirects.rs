//! Requests that httpd redirects internally, and what they may become.

pub(crate) mod errors;
pub(crate) mod fuzz;
pub(crate) mod hostile;
mod site;

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context as _, Result, ensure};
use xtask::server_root::Mpm;

use self::site::{HOST_WAYS, Site, WAYS};
use crate::support::frame::masked;
use crate::support::http2::Http2;
use crate::support::journal::Journal;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Driver, Handshake, Opcode, cases, wait_until};

cases! {
    "redirects: every one may lead to a WebSocket" => plain,
    "redirects: TLS: every one may lead to a WebSocket" => tls,
    "redirects: HTTP/2: every one may lead to a WebSocket" => http2,
    "redirects: WebSocketDetach: every one may lead to a WebSocket" => detached,
    "redirects: frames sent right behind the request are the first ones" => early_frames,
    "redirects: a child serves many of them, one after the other and at a time" => many,
    "redirects: a plugin uses the request it was asked with" => request,
    "redirects: clients that go away around the 101 response do no harm" => lost_clients,
    "redirects: a hard restart says goodbye with 1001" => restart,
    "redirects: mod_cache does not get in the way" => cache,
    "redirects: the one to the name of a folder stays a redirect" => folder,
}

/// What comes after the 101 response when [`TALK`] is sent: nothing follows the close frame.
const ANSWER: &[u8] = b"\x81\x05hello\x88\x02\x03\xe8";

fn talk() -> Vec<u8> {
    let close = masked(Opcode::CLOSE, 1000_u16.to_be_bytes());
    [masked(Opcode::TEXT, "hello"), close].concat()
}

/// Has a text echoed, closes, and compares all that comes until the connection ends.
fn converse<S: Read + Write>(mut client: Client<S>) -> Result<()> {
    client.echo("first")?;
    client.send(talk())?;
    let rest = client.rest()?;
    ensure!(
        rest == ANSWER,
        "{:?} after the echo",
        String::from_utf8_lossy(&rest)
    );
    Ok(())
}

/// A target with a mark, by which its line in the access log is found.
fn marked(path: &str, mark: &str) -> Handshake {
    Handshake::to(&format!("{path}?mark={mark}"))
}

/// Ensures that each of the marked requests has one line, with `status`.
fn expect_lines(site: &Site, marks: &[String], status: u16) -> Result<()> {
    let is_of = |line: &&str, mark: &str| line.contains(&format!("?mark={mark} "));
    for mark in marks {
        wait_until("the request's line in the access log", || {
            Ok(site.access_log()?.lines().any(|line| is_of(&line, mark)))
        })?;
    }
    // What comes later would stand before the line of this request.
    site.expect_alive()?;
    let log = site.access_log()?;
    for mark in marks {
        let lines: Vec<_> = log.lines().filter(|line| is_of(line, mark)).collect();
        ensure!(
            lines.len() == 1 && lines[0].contains(&format!("\" {status} ")),
            "{mark}: {lines:#?}"
        );
    }
    Ok(())
}

type Ways = &'static [(&'static str, &'static str)];

fn take(ways: Ways, site: &Site, converse: impl Fn(&Handshake) -> Result<()>) -> Result<()> {
    let mut marks = Vec::new();
    for (way, path) in ways {
        let mark = way.replace(|letter: char| !letter.is_alphanumeric(), "-");
        converse(&marked(path, &mark)).with_context(|| format!("by way of {way} ({path})"))?;
        marks.push(mark);
    }
    expect_lines(site, &marks, 101)
}

fn plain(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    take(WAYS, &site, |handshake| converse(site.open(handshake)?))?;
    take(HOST_WAYS, &site, |handshake| {
        converse(site.open(handshake)?)
    })
}

fn tls(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    take(WAYS, &site, |handshake| {
        converse(Client::open_tls(&site, handshake)?)
    })
}

fn http2(context: &Context) -> Result<()> {
    // mod_http2 does not serve WebSockets, or anything else, in processes with one thread.
    if context.mpm == Mpm::Prefork {
        return Ok(());
    }
    let site = Site::start(context, "Protocols h2 h2c http/1.1\nH2WebSockets on")?;
    for ways in [WAYS, HOST_WAYS] {
        take(ways, &site, |handshake| {
            let http2 = Http2::connect(site.address())?;
            converse(http2.open(handshake)?)?;
            ensure!(http2.get("/page.txt")? == 200);
            Ok(())
        })?;
    }
    Ok(())
}

fn detached(context: &Context) -> Result<()> {
    if context.driver != Driver::Event {
        return Ok(());
    }
    let site = Site::start_detached(context)?;
    take(WAYS, &site, |handshake| converse(site.open(handshake)?))?;
    for (way, path) in WAYS {
        let client = Client::open_tls(&site, &Handshake::to(path));
        client
            .and_then(converse)
            .with_context(|| format!("over TLS by way of {way}"))?;
    }
    site.expect_alive()
}

fn early_frames(context: &Context) -> Result<()> {
    let mut sites = vec![Site::start(context, "")?];
    if context.driver == Driver::Event {
        sites.push(Site::start_detached(context)?);
    }
    for site in sites {
        for (way, path) in WAYS.iter().chain(HOST_WAYS) {
            let mut client = Client::connect(site.address())?;
            client.send([Handshake::to(path).to_bytes(), talk()].concat())?;
            let response = client.response()?;
            let rest = client.rest()?;
            ensure!(
                response.status == 101 && rest == ANSWER,
                "{way}: {response:?}, {:?}",
                String::from_utf8_lossy(&rest)
            );
        }
        site.expect_alive()?;
    }
    Ok(())
}

fn many(context: &Context) -> Result<()> {
    const COUNT: usize = 50;
    let site = Site::start(context, "")?;
    let mut marks = Vec::new();
    for number in 0..COUNT {
        let mark = number.to_string();
        converse(site.open(&marked("/rewritten/socket", &mark))?)
            .with_context(|| format!("the connection number {number}"))?;
        marks.push(mark);
    }
    expect_lines(&site, &marks, 101)?;
    // On prefork each takes a process.
    let at_a_time = if context.mpm == Mpm::Prefork { 4 } else { 20 };
    let clients = (0..at_a_time).map(|_| site.open(&Handshake::to("/htaccess/socket")));
    let clients = clients.collect::<Result<Vec<_>>>()?;
    clients.into_iter().rev().try_for_each(converse)?;
    site.expect_alive()
}

fn request(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    let mut client = site.open(&Handshake::to("/rewritten/detour"))?;
    client.text("uri")?;
    client.expect_text("/detour/plugin?inner=yes, redirected from /rewritten/detour")?;
    converse(client)?;
    // A thread of the plugin uses the request and its memory until `on_disconnect`.
    for path in ["/rewritten/request", "/cgi/request"] {
        let journal = Journal::new(context)?;
        let mut client = site.open(&journal.handshake(path))?;
        client.echo("start")?;
        for number in 0..50 {
            client.echo(&number.to_string())?;
        }
        client.close()?;
        journal.wait_for("cleaned")?;
        ensure!(journal.count("wrong")? == 0, "{:?}", journal.lines()?);
        ensure!(journal.count("disconnect")? == 1, "{:?}", journal.lines()?);
    }
    site.expect_alive()
}

fn lost_clients(context: &Context) -> Result<()> {
    type End = fn(Client<TcpStream>) -> Result<()>;
    let ends: [End; 4] = [
        Client::reset,
        |client| client.half_close(),
        |mut client| client.response().and_then(|_| client.reset()),
        |mut client| {
            client.response()?;
            client.send(masked(Opcode::TEXT, "hello"))?;
            client.reset()
        },
    ];
    let mut sites = vec![Site::start(context, "")?];
    if context.driver == Driver::Event {
        sites.push(Site::start_detached(context)?);
    }
    for site in sites {
        for path in ["/rewritten/socket", "/cgi/socket", "/action"] {
            for end in ends.iter().cycle().take(24) {
                let mut client = Client::connect(site.address())?;
                client.send(Handshake::to(path).to_bytes())?;
                end(client)?;
            }
        }
        converse(site.open(&Handshake::to("/rewritten/socket"))?)?;
        site.expect_alive()?;
    }
    Ok(())
}

fn restart(context: &Context) -> Result<()> {
    // A process that serves one connection just ends.
    if context.mpm == Mpm::Prefork {
        return Ok(());
    }
    let site = Site::start(context, "")?;
    let open = |path: &&str| {
        let mut client = site.open(&Handshake::to(path))?;
        for _ in 0..50 {
            client.echo("hello")?;
        }
        Ok(client)
    };
    let paths = [
        "/rewritten/socket",
        "/rewritten/twice",
        "/cgi/socket",
        "/action",
    ];
    let clients = paths.iter().map(open).collect::<Result<Vec<_>>>()?;
    site.restart()?;
    for mut client in clients {
        client.expect_close(1001)?;
    }
    converse(site.open(&Handshake::to("/rewritten/socket"))?)?;
    ensure_healthy(&site.error_log()?)
}

fn cache(context: &Context) -> Result<()> {
    for quick in ["On", "Off"] {
        let config = format!(
            "CacheRoot cache\nCacheEnable disk /\nCacheQuickHandler {quick}\nCacheDefaultExpire 100"
        );
        let site = Site::start_with(context, &["cache", "cache_disk"], &config)?;
        take(WAYS, &site, |handshake| converse(site.open(handshake)?))
            .with_context(|| format!("CacheQuickHandler {quick}"))?;
    }
    Ok(())
}

fn folder(context: &Context) -> Result<()> {
    let site = Site::start(context, "")?;
    let response = Client::ask(site.address(), &Handshake::to("/index"))?;
    ensure!(response.status == 301, "{response:?}");
    let location = response.header("Location").unwrap_or_default();
    ensure!(location.ends_with("/index/"), "{response:?}");
    site.expect_alive()
}
